# SPDX-License-Identifier: Apache-2.0

# Programs that embed libweir, on installed headers only.
noinst_PROGRAMS += examples/echo-server examples/hello examples/line-client
examples_echo_server_SOURCES = examples/echo-server.c
examples_echo_server_LDADD = libweir.la
examples_hello_SOURCES = examples/hello.c
examples_hello_LDADD = libweir.la
examples_line_client_SOURCES = examples/line-client.c
examples_line_client_LDADD = libweir.la

# Plugins: built as an outside plugin would be, not installed.
noinst_LTLIBRARIES += examples/plugins/shout.la examples/plugins/weekday.la
examples_plugins_shout_la_SOURCES = examples/plugins/shout.c
examples_plugins_shout_la_CFLAGS = $(PLUGIN_CFLAGS)
examples_plugins_shout_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath /nowhere
examples_plugins_shout_la_LIBADD = $(PLUGIN_LIBADD)
examples_plugins_weekday_la_SOURCES = examples/plugins/weekday.c
examples_plugins_weekday_la_CFLAGS = $(PLUGIN_CFLAGS)
examples_plugins_weekday_la_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath /nowhere
examples_plugins_weekday_la_LIBADD = $(PLUGIN_LIBADD)
