# SPDX-License-Identifier: Apache-2.0

unit_tests += tests/unit/io/test_backend
tests_unit_io_test_backend_SOURCES = tests/unit/io/test_backend.c tests/unit/io/backend_test.h tests/unit/base/base_test.h tests/unit/loop/loop_test.h
tests_unit_io_test_backend_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/io/test_backend_end
tests_unit_io_test_backend_end_SOURCES = tests/unit/io/test_backend_end.c tests/unit/io/backend_test.h tests/unit/base/base_test.h tests/unit/loop/loop_test.h
tests_unit_io_test_backend_end_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/io/test_choice
tests_unit_io_test_choice_SOURCES = tests/unit/io/test_choice.c tests/unit/base/base_test.h tests/unit/loop/loop_test.h
tests_unit_io_test_choice_LDADD = $(CORE_TEST_LDADD)
