# SPDX-License-Identifier: Apache-2.0

noinst_LTLIBRARIES += libweir-core.la
libweir_core_la_SOURCES =
libweir_core_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden -ftls-model=initial-exec \
	$(OPENSSL_CFLAGS) $(CARES_CFLAGS) \
	-DWEIR_WORKER_PATH='"$(pkglibexecdir)/weir-worker"' $(DW_CFLAGS)

lib_LTLIBRARIES += libweir.la
libweir_la_SOURCES =
libweir_la_LIBADD = libweir-core.la $(OPENSSL_LIBS) $(CARES_LIBS) $(DW_LIBS) $(PTHREAD_LIBS)
libweir_la_LDFLAGS = $(AM_LDFLAGS) $(WEIR_ZDEFS) -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/core/libweir.map
EXTRA_libweir_la_DEPENDENCIES = core/libweir.map
EXTRA_DIST += core/libweir.map

include core/base/local.mk
include core/io/local.mk
include core/loop/local.mk
include core/task/local.mk
include core/exec/local.mk
include core/net/local.mk
include core/testing/local.mk
