# SPDX-License-Identifier: Apache-2.0
libweir_core_la_SOURCES += \
	core/io/backend.c \
	core/io/epoll.c \
	core/io/epoll.h \
	core/io/io.h \
	core/io/syscall.h
