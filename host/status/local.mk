# SPDX-License-Identifier: Apache-2.0

libweir_host_core_la_SOURCES += \
	host/status/generations.c \
	host/status/ask.c \
	host/status/conns.c \
	host/status/inspect.c \
	host/status/listeners.c \
	host/status/loops.c \
	host/status/memory.c \
	host/status/overrides.c \
	host/status/process.c \
	host/status/route.c \
	host/status/status.h \
	host/status/tls.c \
	host/status/upstreams.c
weirinclude_HEADERS += include/weir/inspect.h
