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

unit_tests += tests/unit/host/test_process
tests_unit_host_test_process_SOURCES = tests/unit/host/test_process.c
tests_unit_host_test_process_LDADD = $(HOST_TEST_LDADD)

EXTRA_DIST += tests/config

# Builds of one plugin, of which one is right.
host_fixtures =

check_LTLIBRARIES += tests/unit/host/fixture_good.la
host_fixtures += tests/unit/host/fixture_good.la
tests_unit_host_fixture_good_la_SOURCES = tests/unit/host/plugin_fixture.c
tests_unit_host_fixture_good_la_CPPFLAGS = $(AM_CPPFLAGS)
tests_unit_host_fixture_good_la_CFLAGS = $(PLUGIN_CFLAGS)
tests_unit_host_fixture_good_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath /nowhere

check_LTLIBRARIES += tests/unit/host/fixture_old.la
host_fixtures += tests/unit/host/fixture_old.la
tests_unit_host_fixture_old_la_SOURCES = tests/unit/host/plugin_fixture.c
tests_unit_host_fixture_old_la_CPPFLAGS = $(AM_CPPFLAGS) -DFIXTURE_NAME='"old"' -DFIXTURE_MINOR=7
tests_unit_host_fixture_old_la_CFLAGS = $(PLUGIN_CFLAGS)
tests_unit_host_fixture_old_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath /nowhere

check_LTLIBRARIES += tests/unit/host/fixture_small.la
host_fixtures += tests/unit/host/fixture_small.la
tests_unit_host_fixture_small_la_SOURCES = tests/unit/host/plugin_fixture.c
tests_unit_host_fixture_small_la_CPPFLAGS = $(AM_CPPFLAGS) -DFIXTURE_NAME='"small"' -DFIXTURE_SIZE="(sizeof(weir_plugin)-8)"
tests_unit_host_fixture_small_la_CFLAGS = $(PLUGIN_CFLAGS)
tests_unit_host_fixture_small_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath /nowhere

check_LTLIBRARIES += tests/unit/host/fixture_resized.la
host_fixtures += tests/unit/host/fixture_resized.la
tests_unit_host_fixture_resized_la_SOURCES = tests/unit/host/plugin_fixture.c
tests_unit_host_fixture_resized_la_CPPFLAGS = $(AM_CPPFLAGS) -DFIXTURE_NAME='"resized"' -DFIXTURE_PROTOCOL_SIZE="(sizeof(weir_protocol)+8)"
tests_unit_host_fixture_resized_la_CFLAGS = $(PLUGIN_CFLAGS)
tests_unit_host_fixture_resized_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath /nowhere

check_LTLIBRARIES += tests/unit/host/fixture_other.la
host_fixtures += tests/unit/host/fixture_other.la
tests_unit_host_fixture_other_la_SOURCES = tests/unit/host/plugin_fixture.c
tests_unit_host_fixture_other_la_CPPFLAGS = $(AM_CPPFLAGS)
tests_unit_host_fixture_other_la_CFLAGS = $(PLUGIN_CFLAGS)
tests_unit_host_fixture_other_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath /nowhere

# Not among the fixtures that stand in a plugin folder: whoever loads it ends.
check_LTLIBRARIES += tests/unit/host/fixture_crash.la
tests_unit_host_fixture_crash_la_SOURCES = tests/unit/host/plugin_fixture.c
tests_unit_host_fixture_crash_la_CPPFLAGS = $(AM_CPPFLAGS) -DFIXTURE_NAME='"crash"' -DFIXTURE_CRASH=SIGSEGV
tests_unit_host_fixture_crash_la_CFLAGS = $(PLUGIN_CFLAGS)
tests_unit_host_fixture_crash_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath /nowhere

check_LTLIBRARIES += tests/unit/host/fixture_none.la
host_fixtures += tests/unit/host/fixture_none.la
tests_unit_host_fixture_none_la_SOURCES = tests/unit/host/plugin_fixture.c
tests_unit_host_fixture_none_la_CPPFLAGS = $(AM_CPPFLAGS) -DFIXTURE_NO_SYMBOL
tests_unit_host_fixture_none_la_CFLAGS = $(PLUGIN_CFLAGS)
tests_unit_host_fixture_none_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere

host_test = tests/unit/host/host_test.c tests/unit/host/host_test.h

unit_tests += tests/unit/host/test_routes
tests_unit_host_test_routes_SOURCES = tests/unit/host/test_routes.c $(host_test)
tests_unit_host_test_routes_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_route_explain
tests_unit_host_test_route_explain_SOURCES = tests/unit/host/test_route_explain.c $(host_test)
tests_unit_host_test_route_explain_LDADD = $(HOST_TEST_LDADD)
EXTRA_tests_unit_host_test_route_explain_DEPENDENCIES = plugins/http/http.la plugins/tcp/tcp.la

unit_tests += tests/unit/host/test_servers
tests_unit_host_test_servers_SOURCES = tests/unit/host/test_servers.c $(host_test)
tests_unit_host_test_servers_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_balance
tests_unit_host_test_balance_SOURCES = tests/unit/host/test_balance.c $(host_test)
tests_unit_host_test_balance_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_health
tests_unit_host_test_health_SOURCES = tests/unit/host/test_health.c $(host_test)
tests_unit_host_test_health_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_plugins
tests_unit_host_test_plugins_SOURCES = tests/unit/host/test_plugins.c $(host_test)
tests_unit_host_test_plugins_LDADD = $(HOST_TEST_LDADD)
EXTRA_tests_unit_host_test_plugins_DEPENDENCIES = $(host_fixtures)

unit_tests += tests/unit/host/test_schema
tests_unit_host_test_schema_SOURCES = tests/unit/host/test_schema.c $(host_test)
tests_unit_host_test_schema_LDADD = $(HOST_TEST_LDADD)
EXTRA_tests_unit_host_test_schema_DEPENDENCIES = $(host_fixtures)

unit_tests += tests/unit/host/test_config_files
tests_unit_host_test_config_files_SOURCES = tests/unit/host/test_config_files.c $(host_test)
tests_unit_host_test_config_files_LDADD = $(HOST_TEST_LDADD)
EXTRA_tests_unit_host_test_config_files_DEPENDENCIES = $(host_fixtures) \
	tests/unit/host/fixture_crash.la \
	plugins/http/http.la plugins/tcp/tcp.la plugins/echo/echo.la

unit_tests += tests/unit/host/test_leases
tests_unit_host_test_leases_SOURCES = tests/unit/host/test_leases.c $(host_test)
tests_unit_host_test_leases_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_parts
tests_unit_host_test_parts_SOURCES = tests/unit/host/test_parts.c $(host_test)
tests_unit_host_test_parts_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_host
tests_unit_host_test_host_SOURCES = tests/unit/host/test_host.c $(host_test)
tests_unit_host_test_host_LDADD = $(HOST_TEST_LDADD)
EXTRA_tests_unit_host_test_schema_DEPENDENCIES += plugins/http/http.la plugins/tcp/tcp.la plugins/echo/echo.la plugins/admin/admin.la plugins/udp/udp.la

unit_tests += tests/unit/host/test_inspect
tests_unit_host_test_inspect_SOURCES = tests/unit/host/test_inspect.c tests/unit/host/hello.c \
	tests/unit/host/hello.h $(host_test)
tests_unit_host_test_inspect_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_access
tests_unit_host_test_access_SOURCES = tests/unit/host/test_access.c $(host_test)
tests_unit_host_test_access_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_metrics
tests_unit_host_test_metrics_SOURCES = tests/unit/host/test_metrics.c $(host_test)
tests_unit_host_test_metrics_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_tls_watch
tests_unit_host_test_tls_watch_SOURCES = tests/unit/host/test_tls_watch.c $(host_test)
tests_unit_host_test_tls_watch_LDADD = $(HOST_TEST_LDADD)

unit_tests += tests/unit/host/test_inspect_config
tests_unit_host_test_inspect_config_SOURCES = tests/unit/host/test_inspect_config.c $(host_test)
tests_unit_host_test_inspect_config_LDADD = $(HOST_TEST_LDADD)
EXTRA_tests_unit_host_test_inspect_config_DEPENDENCIES = $(host_fixtures) plugins/http/http.la \
	plugins/tcp/tcp.la plugins/udp/udp.la plugins/echo/echo.la
