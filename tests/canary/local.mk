# SPDX-License-Identifier: Apache-2.0
#
# Each canary is a program with one seeded defect; tests/canary/run expects the report of the tool
# that the build was configured for.  They are built by `make canaries` only.

canaries = \
	tests/canary/chunk_after_unref \
	tests/canary/descriptor \
	tests/canary/leak \
	tests/canary/lost_error \
	tests/canary/overflow \
	tests/canary/overflow_in_task \
	tests/canary/race \
	tests/canary/race_in_task \
	tests/canary/undefined

EXTRA_PROGRAMS += $(canaries)
CLEANFILES += $(canaries)
EXTRA_DIST += tests/canary/run

canary_support = tests/unit/support/support.c tests/unit/support/support.h

tests_canary_chunk_after_unref_SOURCES = tests/canary/chunk_after_unref.c $(canary_support)
tests_canary_chunk_after_unref_LDADD = $(CORE_TEST_LDADD)

tests_canary_descriptor_SOURCES = tests/canary/descriptor.c $(canary_support)
tests_canary_descriptor_LDADD = $(CORE_TEST_LDADD)

tests_canary_leak_SOURCES = tests/canary/leak.c
tests_canary_leak_LDADD = $(CORE_TEST_LDADD)

tests_canary_lost_error_SOURCES = tests/canary/lost_error.c $(canary_support)
tests_canary_lost_error_LDADD = $(CORE_TEST_LDADD)

tests_canary_overflow_SOURCES = tests/canary/overflow.c

tests_canary_overflow_in_task_SOURCES = tests/canary/overflow_in_task.c $(canary_support)
tests_canary_overflow_in_task_LDADD = $(CORE_TEST_LDADD)

tests_canary_race_SOURCES = tests/canary/race.c
tests_canary_race_LDADD = $(PTHREAD_LIBS)

tests_canary_race_in_task_SOURCES = tests/canary/race_in_task.c $(canary_support)
tests_canary_race_in_task_LDADD = $(CORE_TEST_LDADD)

tests_canary_undefined_SOURCES = tests/canary/undefined.c

.PHONY: canaries
canaries: $(canaries)
