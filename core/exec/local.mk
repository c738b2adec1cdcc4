# SPDX-License-Identifier: Apache-2.0
libweir_core_la_SOURCES += \
	core/exec/exec.h \
	core/exec/executor.c \
	core/exec/job.c \
	core/exec/port.c \
	core/exec/spawn.c \
	core/exec/spawn.h \
	core/exec/worker.c
