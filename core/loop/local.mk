# SPDX-License-Identifier: Apache-2.0
libweir_core_la_SOURCES += \
	core/loop/callback.c \
	core/loop/context.c \
	core/loop/context.h \
	core/loop/handle.c \
	core/loop/handle_store.c \
	core/loop/handle_store.h \
	core/loop/internal.h \
	core/loop/kind.c \
	core/loop/loop.c \
	core/loop/loop.h \
	core/loop/metrics.c \
	core/loop/post.c \
	core/loop/post_block.c \
	core/loop/post_block.h \
	core/loop/registry.c \
	core/loop/report.c \
	core/loop/run.c \
	core/loop/signal.c \
	core/loop/timer.c \
	core/loop/watch.c \
	core/loop/watchdog.c \
	core/loop/watchdog.h
