# SPDX-License-Identifier: Apache-2.0

unit_tests += tests/unit/base/test_chunk
tests_unit_base_test_chunk_SOURCES = tests/unit/base/test_chunk.c tests/unit/base/base_test.h
tests_unit_base_test_chunk_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/base/test_error
tests_unit_base_test_error_SOURCES = tests/unit/base/test_error.c tests/unit/base/base_test.h
tests_unit_base_test_error_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/base/test_list
tests_unit_base_test_list_SOURCES = tests/unit/base/test_list.c tests/unit/base/base_test.h
tests_unit_base_test_list_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/base/test_log
tests_unit_base_test_log_SOURCES = tests/unit/base/test_log.c tests/unit/base/base_test.h
tests_unit_base_test_log_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/base/test_backtrace
tests_unit_base_test_backtrace_SOURCES = tests/unit/base/test_backtrace.c tests/unit/base/base_test.h
tests_unit_base_test_backtrace_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/base/test_debug
tests_unit_base_test_debug_SOURCES = tests/unit/base/test_debug.c tests/unit/base/base_test.h
tests_unit_base_test_debug_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/base/test_crash
tests_unit_base_test_crash_SOURCES = tests/unit/base/test_crash.c tests/unit/base/base_test.h
tests_unit_base_test_crash_LDADD = $(CORE_TEST_LDADD)
