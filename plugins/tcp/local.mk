# SPDX-License-Identifier: Apache-2.0

plugins_LTLIBRARIES += plugins/tcp/tcp.la
plugins_tcp_tcp_la_SOURCES = \
	plugins/tcp/proxy.c \
	plugins/tcp/tcp.c \
	plugins/tcp/tcp.h
plugins_tcp_tcp_la_CFLAGS = $(PLUGIN_CFLAGS)
plugins_tcp_tcp_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_tcp_tcp_la_LIBADD = $(PLUGIN_LIBADD)
