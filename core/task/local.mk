# SPDX-License-Identifier: Apache-2.0
libweir_core_la_SOURCES += \
	core/task/await.c \
	core/task/census.c \
	core/task/co.c \
	core/task/ctx.h \
	core/task/event.c \
	core/task/fiber.h \
	core/task/frames.c \
	core/task/future.c \
	core/task/gather.c \
	core/task/graph.c \
	core/task/graph.h \
	core/task/group.c \
	core/task/held.c \
	core/task/home.c \
	core/task/joint.c \
	core/task/joint.h \
	core/task/lock.c \
	core/task/overflow.c \
	core/task/report.c \
	core/task/repr.c \
	core/task/queue.c \
	core/task/race.c \
	core/task/run.c \
	core/task/scope.c \
	core/task/stack.c \
	core/task/stack.h \
	core/task/sync.c \
	core/task/sync.h \
	core/task/task.c \
	core/task/tasklist.c \
	core/task/task.h \
	core/task/thread_future.c \
	core/task/unwind.c \
	core/task/unwind.h \
	core/task/wait.h \
	core/task/wait_many.c

# configure chooses how stacks are switched.
if CTX_X86_64
libweir_core_la_SOURCES += core/task/ctx.c core/task/ctx-x86_64.S
endif
if CTX_AARCH64
libweir_core_la_SOURCES += core/task/ctx.c core/task/ctx-aarch64.S
endif
if CTX_UCONTEXT
libweir_core_la_SOURCES += core/task/ctx-ucontext.c
endif

# To be preloaded: tells which mutexes a task holds while it suspends.
pkglib_LTLIBRARIES = libweir-mutexwatch.la
libweir_mutexwatch_la_SOURCES = core/task/mutexwatch.c
libweir_mutexwatch_la_CFLAGS = $(AM_CFLAGS)
libweir_mutexwatch_la_LIBADD = libweir.la
libweir_mutexwatch_la_LDFLAGS = -module -avoid-version -shared
