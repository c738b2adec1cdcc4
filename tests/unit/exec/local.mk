# SPDX-License-Identifier: Apache-2.0
unit_tests += tests/unit/exec/test_executor
tests_unit_exec_test_executor_SOURCES = tests/unit/exec/test_executor.c $(unit_support)
tests_unit_exec_test_executor_LDADD = $(CORE_TEST_LDADD)
