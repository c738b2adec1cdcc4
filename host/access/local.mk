# SPDX-License-Identifier: Apache-2.0

libweir_host_core_la_CPPFLAGS += -DWEIR_ACCESS_LOG='"$(localstatedir)/log/weir/access.log"'
libweir_host_core_la_SOURCES += \
	host/access/access.c \
	host/access/access.h \
	host/access/fields.c \
	host/access/filter.c \
	host/access/format.c \
	host/access/line.c \
	host/access/line.h \
	host/access/options.c \
	host/access/program.c \
	host/access/ring.c \
	host/access/tap.c \
	host/access/writer.c
