# SPDX-License-Identifier: Apache-2.0

plugins_LTLIBRARIES += plugins/http/http.la
plugins_http_http_la_SOURCES = \
	plugins/http/balance.c \
	plugins/http/health.c \
	plugins/http/http.h \
	plugins/http/match.c \
	plugins/http/detect.c \
	plugins/http/https.c \
	plugins/http/media_type.c \
	plugins/http/options.c \
	plugins/http/plugin.c \
	plugins/http/proxy.c \
	plugins/http/respond.c \
	plugins/http/static.c \
	plugins/http/static.h \
	plugins/http/static_file.c \
	plugins/http/subject.c
plugins_http_http_la_CFLAGS = $(PLUGIN_CFLAGS)
plugins_http_http_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_http_http_la_LIBADD = $(PLUGIN_LIBADD)
