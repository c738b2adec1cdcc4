# SPDX-License-Identifier: Apache-2.0
unit_tests += tests/unit/exec/test_executor
tests_unit_exec_test_executor_SOURCES = tests/unit/exec/test_executor.c $(unit_support)
tests_unit_exec_test_executor_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/exec/test_isolate
tests_unit_exec_test_isolate_SOURCES = tests/unit/exec/test_isolate.c $(unit_support)
tests_unit_exec_test_isolate_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/exec/test_process_pool
tests_unit_exec_test_process_pool_SOURCES = tests/unit/exec/test_process_pool.c \
	tests/unit/exec/worker_jobs.h $(unit_support)
tests_unit_exec_test_process_pool_LDADD = $(CORE_TEST_LDADD)
EXTRA_tests_unit_exec_test_process_pool_DEPENDENCIES = tests/unit/exec/worker_module.la \
	weir-worker$(EXEEXT)

check_LTLIBRARIES += tests/unit/exec/worker_module.la
tests_unit_exec_worker_module_la_SOURCES = tests/unit/exec/worker_module.c
tests_unit_exec_worker_module_la_CFLAGS = $(AM_CFLAGS)
tests_unit_exec_worker_module_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-rpath /nowhere
tests_unit_exec_worker_module_la_LIBADD = libweir.la

unit_tests += tests/unit/exec/test_thread_matrix_exec
tests_unit_exec_test_thread_matrix_exec_SOURCES = tests/unit/exec/test_thread_matrix_exec.c $(matrix_support)
tests_unit_exec_test_thread_matrix_exec_LDADD = $(CORE_TEST_LDADD)
