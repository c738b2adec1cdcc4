# SPDX-License-Identifier: Apache-2.0
libweir_core_la_SOURCES += \
	core/base/alloc.c \
	core/base/alloc.h \
	core/base/backtrace.c \
	core/base/backtrace.h \
	core/base/buffer.c \
	core/base/cfi.c \
	core/base/cfi.h \
	core/base/chunk.c \
	core/base/chunk.h \
	core/base/crash.h \
	core/base/env.c \
	core/base/env.h \
	core/base/error-codes.c \
	core/base/error-print.c \
	core/base/error.c \
	core/base/error.h \
	core/base/invariant.c \
	core/base/invariant.h \
	core/base/list.h \
	core/base/log-format.c \
	core/base/log-ring.c \
	core/base/log-writer.c \
	core/base/log.c \
	core/base/log.h \
	core/base/mutate.h \
	core/base/poison.h \
	core/base/sites.c \
	core/base/sites.h \
	core/base/symbol.c \
	core/base/symbol.h \
	core/base/text.c \
	core/base/text.h \
	core/base/time.c \
	core/base/version.c \
	core/base/warning.c \
	core/base/warning.h
