# SPDX-License-Identifier: Apache-2.0

unit_tests += tests/unit/loop/test_loop
tests_unit_loop_test_loop_SOURCES = tests/unit/loop/test_loop.c tests/unit/base/base_test.h tests/unit/loop/loop_test.h
tests_unit_loop_test_loop_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/loop/test_post
tests_unit_loop_test_post_SOURCES = tests/unit/loop/test_post.c tests/unit/base/base_test.h tests/unit/loop/loop_test.h
tests_unit_loop_test_post_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/loop/test_timer
tests_unit_loop_test_timer_SOURCES = tests/unit/loop/test_timer.c tests/unit/base/base_test.h tests/unit/loop/loop_test.h
tests_unit_loop_test_timer_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/loop/test_watch
tests_unit_loop_test_watch_SOURCES = tests/unit/loop/test_watch.c tests/unit/base/base_test.h tests/unit/loop/loop_test.h
tests_unit_loop_test_watch_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/loop/test_watchdog
tests_unit_loop_test_watchdog_SOURCES = tests/unit/loop/test_watchdog.c tests/unit/base/base_test.h tests/unit/loop/loop_test.h
tests_unit_loop_test_watchdog_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/loop/test_order
tests_unit_loop_test_order_SOURCES = tests/unit/loop/test_order.c tests/unit/base/base_test.h tests/unit/loop/loop_test.h
tests_unit_loop_test_order_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/loop/test_report
tests_unit_loop_test_report_SOURCES = tests/unit/loop/test_report.c tests/unit/base/base_test.h tests/unit/loop/loop_test.h
tests_unit_loop_test_report_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/loop/test_thread_matrix
tests_unit_loop_test_thread_matrix_SOURCES = tests/unit/loop/test_thread_matrix.c tests/unit/base/base_test.h tests/unit/loop/loop_test.h
tests_unit_loop_test_thread_matrix_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/loop/test_run
tests_unit_loop_test_run_SOURCES = tests/unit/loop/test_run.c tests/unit/base/base_test.h
tests_unit_loop_test_run_LDADD = $(CORE_TEST_LDADD)
