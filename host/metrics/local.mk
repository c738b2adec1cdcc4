# SPDX-License-Identifier: Apache-2.0

libweir_host_core_la_SOURCES += \
	host/metrics/collect.c \
	host/metrics/count.c \
	host/metrics/families.c \
	host/metrics/families.h \
	host/metrics/families_loops.c \
	host/metrics/families_traffic.c \
	host/metrics/metrics.h \
	host/metrics/text.c
