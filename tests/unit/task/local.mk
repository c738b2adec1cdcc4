# SPDX-License-Identifier: Apache-2.0
unit_support = tests/unit/support/support.c tests/unit/support/support.h

matrix_support = tests/unit/support/matrix.c tests/unit/support/matrix.h $(unit_support)

unit_tests += tests/unit/task/test_future
tests_unit_task_test_future_SOURCES = tests/unit/task/test_future.c $(unit_support)
tests_unit_task_test_future_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_task
tests_unit_task_test_task_SOURCES = tests/unit/task/test_task.c $(unit_support)
tests_unit_task_test_task_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_cancel
tests_unit_task_test_cancel_SOURCES = tests/unit/task/test_cancel.c $(unit_support)
tests_unit_task_test_cancel_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_scope
tests_unit_task_test_scope_SOURCES = tests/unit/task/test_scope.c $(unit_support)
tests_unit_task_test_scope_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_group
tests_unit_task_test_group_SOURCES = tests/unit/task/test_group.c $(unit_support)
tests_unit_task_test_group_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_stack
tests_unit_task_test_stack_SOURCES = tests/unit/task/test_stack.c $(unit_support)
tests_unit_task_test_stack_LDADD = $(CORE_TEST_LDADD) -lm
# it overflows a stack on purpose
tests_unit_task_test_stack_CFLAGS = $(AM_CFLAGS) -Wno-infinite-recursion

unit_tests += tests/unit/task/test_thread_future
tests_unit_task_test_thread_future_SOURCES = tests/unit/task/test_thread_future.c $(unit_support)
tests_unit_task_test_thread_future_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_lock
tests_unit_task_test_lock_SOURCES = tests/unit/task/test_lock.c $(unit_support)
tests_unit_task_test_lock_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_sync
tests_unit_task_test_sync_SOURCES = tests/unit/task/test_sync.c $(unit_support)
tests_unit_task_test_sync_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_queue
tests_unit_task_test_queue_SOURCES = tests/unit/task/test_queue.c $(unit_support)
tests_unit_task_test_queue_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_reports
tests_unit_task_test_reports_SOURCES = tests/unit/task/test_reports.c $(unit_support)
tests_unit_task_test_reports_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_context
tests_unit_task_test_context_SOURCES = tests/unit/task/test_context.c $(unit_support)
tests_unit_task_test_context_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_eager
tests_unit_task_test_eager_SOURCES = tests/unit/task/test_eager.c $(unit_support)
tests_unit_task_test_eager_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_graph
tests_unit_task_test_graph_SOURCES = tests/unit/task/test_graph.c $(unit_support)
tests_unit_task_test_graph_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_held
tests_unit_task_test_held_SOURCES = tests/unit/task/test_held.c core/task/mutexwatch.c $(unit_support)
tests_unit_task_test_held_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_combinators
tests_unit_task_test_combinators_SOURCES = tests/unit/task/test_combinators.c $(unit_support)
tests_unit_task_test_combinators_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_structure_cancel
tests_unit_task_test_structure_cancel_SOURCES = tests/unit/task/test_structure_cancel.c $(unit_support)
tests_unit_task_test_structure_cancel_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_structure_fuzz
tests_unit_task_test_structure_fuzz_SOURCES = tests/unit/task/test_structure_fuzz.c $(unit_support)
tests_unit_task_test_structure_fuzz_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_thread_matrix_task
tests_unit_task_test_thread_matrix_task_SOURCES = tests/unit/task/test_thread_matrix_task.c $(matrix_support)
tests_unit_task_test_thread_matrix_task_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/task/test_fatal
tests_unit_task_test_fatal_SOURCES = tests/unit/task/test_fatal.c $(unit_support)
tests_unit_task_test_fatal_LDADD = $(CORE_TEST_LDADD)
