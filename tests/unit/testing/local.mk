# SPDX-License-Identifier: Apache-2.0
testing_support = tests/unit/testing/testing_test.c tests/unit/testing/testing_test.h

unit_tests += tests/unit/testing/test_driving
tests_unit_testing_test_driving_SOURCES = tests/unit/testing/test_driving.c $(testing_support)
tests_unit_testing_test_driving_LDADD = $(CORE_TEST_LDADD)
