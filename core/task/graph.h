/* SPDX-License-Identifier: Apache-2.0 */
/* What call graphs and task lists share. */
#ifndef WEIR_CORE_TASK_GRAPH_H
#define WEIR_CORE_TASK_GRAPH_H

#include <weir/introspection.h>

#include "core/task/task.h"

/* Frames as copies, one block; many tasks stand at the same places, which are looked up once. */
struct frame_cache;
struct frame_cache *weir__frame_cache_new(void); /* NULL without memory, and that is fine */
void weir__frame_cache_free(struct frame_cache *cache);
/* Of a task; NULL in `ret` with none. To be freed by weir__free(). */
weir_error *weir__frames_capture(struct frame_cache *cache, const weir_task *task, int limit,
                                 weir_call_frame **ret, size_t *ret_count) WEIR_MUST_USE;

/* Tells each future (a task's or an outer one) that waits for this one, once each. */
void weir__future_each_waiter(weir_future *future, void (*fn)(weir_future *waiter, void *arg),
                              void *arg);

const char *weir__future_state_name(const weir_future *future);

#endif
