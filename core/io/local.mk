# SPDX-License-Identifier: Apache-2.0
libweir_core_la_SOURCES += \
	core/io/backend.c \
	core/io/common.c \
	core/io/common.h \
	core/io/epoll.c \
	core/io/epoll.h \
	core/io/io.h \
	core/io/syscall.h

if WITH_IO_URING
libweir_core_la_SOURCES += \
	core/io/uring.c \
	core/io/uring.h \
	core/io/uring_calls.c \
	core/io/uring_poll.c \
	core/io/uring_receive.c \
	core/io/uring_ring.c
libweir_core_la_CFLAGS += $(URING_CFLAGS)
libweir_la_LIBADD += $(URING_LIBS)
endif
