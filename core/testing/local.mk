# SPDX-License-Identifier: Apache-2.0
libweir_core_la_SOURCES += \
	core/testing/allocation.c \
	core/testing/capture.c \
	core/testing/check.c \
	core/testing/clock.c \
	core/testing/faults.c \
	core/testing/kit.h \
	core/testing/kit_bytes.c \
	core/testing/kit_io.c \
	core/testing/memory_io.c \
	core/testing/pair.c \
	core/testing/test.c
