# SPDX-License-Identifier: Apache-2.0
libweir_core_la_SOURCES += \
	core/exec/exec.h \
	core/exec/executor.c \
	core/exec/job.c \
	core/exec/worker.c
