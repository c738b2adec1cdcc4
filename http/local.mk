# SPDX-License-Identifier: Apache-2.0

noinst_LTLIBRARIES += libweir-http-core.la
libweir_http_core_la_SOURCES =
libweir_http_core_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden

lib_LTLIBRARIES += libweir-http.la
libweir_http_la_SOURCES =
libweir_http_la_LIBADD = libweir-http-core.la libweir.la $(PTHREAD_LIBS)
libweir_http_la_LDFLAGS = $(AM_LDFLAGS) $(WEIR_ZDEFS) -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/http/libweir-http.map
EXTRA_libweir_http_la_DEPENDENCIES = http/libweir-http.map
EXTRA_DIST += http/libweir-http.map
