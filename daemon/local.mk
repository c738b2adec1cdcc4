# SPDX-License-Identifier: Apache-2.0

bin_PROGRAMS += weir
weir_SOURCES = \
	daemon/check.c \
	daemon/config.c \
	daemon/daemon.h \
	daemon/explain.c \
	daemon/help.c \
	daemon/main.c \
	daemon/run.c
weir_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS) $(CARES_CFLAGS) $(YAML_CFLAGS) \
	-DWEIR_PLUGIN_DIR='"$(plugindir)"' -DWEIR_DEFAULT_CONFIG='"$(weirconfdir)/weir.yaml"' \
	-DWEIR_SCHEMA_PATH='"$(datadir)/weir/weir.schema.json"'
weir_LDADD = libweir-http.la libweir-host.la libweir.la $(OPENSSL_LIBS) $(CARES_LIBS) $(YAML_LIBS)
