# SPDX-License-Identifier: Apache-2.0

config_tables = tests/unit/host/config_tables.c tests/unit/host/config_tables.h

unit_tests += tests/unit/host/test_config_corpus
tests_unit_host_test_config_corpus_SOURCES = tests/unit/host/test_config_corpus.c $(config_tables)
tests_unit_host_test_config_corpus_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_config_values
tests_unit_host_test_config_values_SOURCES = tests/unit/host/test_config_values.c $(config_tables)
tests_unit_host_test_config_values_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_config_report
tests_unit_host_test_config_report_SOURCES = tests/unit/host/test_config_report.c $(config_tables)
tests_unit_host_test_config_report_LDADD = $(HOST_TEST_LDADD)

EXTRA_DIST += tests/config

unit_tests += tests/unit/host/test_routes
tests_unit_host_test_routes_SOURCES = tests/unit/host/test_routes.c tests/unit/host/host_test.h
tests_unit_host_test_routes_LDADD = $(HOST_TEST_LDADD)
