/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `runtime` says of the process itself: who it runs as, the file with its number (user.c), the
 * processors of its traffic loops (affinity.c), how much memory it may hold (memory.c).
 */
#ifndef WEIR_HOST_PROCESS_PROCESS_H
#define WEIR_HOST_PROCESS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/config.h>
#include <weir/loop.h>
#include <weir/option.h>

struct runtime_config;

/* user.c */

/* Says at `user` and `group` what would fail: nobody of that name, no right to become them. */
void weir__process_check(weir_config_context *context, const struct runtime_config *said);
/*
 * Writes the pid file, then becomes the user and group, keeping of root's rights only to bind low
 * ports; before threads are made, which inherit that. Does nothing a second time.
 */
weir_error *weir__process_become(const struct runtime_config *said) WEIR_MUST_USE;
/* Says to the log who it runs as, where the configuration names somebody. */
void weir__process_tell(const struct runtime_config *said);
/* Removes the pid file, where it still has this process's number. */
void weir__process_end(void);

/* affinity.c */

enum affinity_kind { AFFINITY_OFF, AFFINITY_AUTO, AFFINITY_LIST };

struct affinity_config {
    enum affinity_kind kind;
    weir_array processors; /* of uint32_t, for a list */
};

/* "off", "auto" or "0-3,8". */
bool weir__affinity_parse(weir_config_context *context, const weir_config_node *node, void *field);
/* The processor for the i-th traffic loop; -1: any. */
int weir__affinity_of(const struct affinity_config *said, unsigned index);
/* Binds the calling thread. What the system refuses is logged once. */
void weir__affinity_pin(const struct affinity_config *said, unsigned index);

/* memory.c */

struct memory_watch;

/* Sets `*full` (atomic) while the process holds more than `limit` bytes, looking once a second on the
 * control loop; there is room again below nine tenths. `limit` 0 or WEIR_SIZE_WORD: no watch, *ret
 * NULL. */
weir_error *weir__memory_watch_new(weir_loop *control, uint64_t limit, bool *full,
                                   struct memory_watch **ret) WEIR_MUST_USE;
void weir__memory_watch_free(struct memory_watch *watch);
/* Whether the process is full that was `full` before. */
bool weir__memory_is_full(uint64_t held, uint64_t limit, bool full);
/* Resident bytes of this process that are its own, not of files; 0: unknown. */
uint64_t weir__memory_held(void);

#endif
