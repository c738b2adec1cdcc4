# SPDX-License-Identifier: Apache-2.0

noinst_LTLIBRARIES += libweir-http-core.la
libweir_http_core_la_SOURCES = \
	http/connection/alone.c \
	http/connection/block.c \
	http/connection/client.c \
	http/connection/exchange.c \
	http/connection/exchange.h \
	http/connection/file.c \
	http/connection/input.c \
	http/connection/reader.c \
	http/connection/response.c \
	http/connection/server.c \
	http/message/body.c \
	http/message/chars.c \
	http/message/chars.h \
	http/message/date.c \
	http/message/errors.c \
	http/message/etag.c \
	http/message/framing.c \
	http/message/head.c \
	http/message/head.h \
	http/message/host.c \
	http/message/list.c \
	http/message/methods.c \
	http/message/names.c \
	http/message/names.h \
	http/message/path.c \
	http/message/range.c \
	http/message/reason.c \
	http/message/request.c \
	http/message/response.c \
	http/message/scan.h \
	http/message/writer.c
libweir_http_core_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden -ftls-model=initial-exec

lib_LTLIBRARIES += libweir-http.la
libweir_http_la_SOURCES =
libweir_http_la_LIBADD = libweir-http-core.la libweir.la $(PTHREAD_LIBS)
libweir_http_la_LDFLAGS = $(AM_LDFLAGS) $(WEIR_ZDEFS) -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/http/libweir-http.map
EXTRA_libweir_http_la_DEPENDENCIES = http/libweir-http.map
EXTRA_DIST += http/libweir-http.map
