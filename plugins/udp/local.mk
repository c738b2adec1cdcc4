# SPDX-License-Identifier: Apache-2.0

plugins_LTLIBRARIES += plugins/udp/udp.la
plugins_udp_udp_la_SOURCES = \
	plugins/udp/session.c \
	plugins/udp/udp.c \
	plugins/udp/udp.h
plugins_udp_udp_la_CFLAGS = $(PLUGIN_CFLAGS)
plugins_udp_udp_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_udp_udp_la_LIBADD = $(PLUGIN_LIBADD)
