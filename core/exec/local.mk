# SPDX-License-Identifier: Apache-2.0
libweir_core_la_SOURCES += \
	core/exec/exec.h \
	core/exec/executor.c \
	core/exec/job.c \
	core/exec/named.c \
	core/exec/named.h \
	core/exec/isolate.c \
	core/exec/pool_worker.c \
	core/exec/port.c \
	core/exec/process_pool.c \
	core/exec/process_pool.h \
	core/exec/spawn.c \
	core/exec/spawn.h \
	core/exec/wire.c \
	core/exec/wire.h \
	core/exec/worker.c \
	core/exec/worker_process.c

# For pools with a module of programs that are not their own worker.
pkglibexec_PROGRAMS = weir-worker
weir_worker_SOURCES = core/exec/weir-worker.c
weir_worker_LDADD = libweir.la
