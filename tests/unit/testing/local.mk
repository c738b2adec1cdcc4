# SPDX-License-Identifier: Apache-2.0
testing_support = tests/unit/testing/testing_test.c tests/unit/testing/testing_test.h

unit_tests += tests/unit/testing/test_driving
tests_unit_testing_test_driving_SOURCES = tests/unit/testing/test_driving.c $(testing_support)
tests_unit_testing_test_driving_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/testing/test_memory
tests_unit_testing_test_memory_SOURCES = tests/unit/testing/test_memory.c \
	tests/unit/net/test_certificate.c tests/unit/net/test_certificate.h $(testing_support)
tests_unit_testing_test_memory_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/testing/test_faults
tests_unit_testing_test_faults_SOURCES = tests/unit/testing/test_faults.c $(testing_support)
tests_unit_testing_test_faults_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/testing/test_kit
tests_unit_testing_test_kit_SOURCES = tests/unit/testing/test_kit.c $(testing_support)
tests_unit_testing_test_kit_LDADD = $(CORE_TEST_LDADD)
