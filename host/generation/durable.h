/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State that outlives configurations (servers and their pools, counters of listeners, what plugins
 * ask for), found by kind and identity. Any thread.
 */
#ifndef WEIR_HOST_GENERATION_DURABLE_H
#define WEIR_HOST_GENERATION_DURABLE_H

#include <weir/error.h>

struct durable_map;

weir_error *weir__durable_map_new(struct durable_map **ret) WEIR_MUST_USE;
/* Drops every state, latest first. */
void weir__durable_map_free(struct durable_map *map);
/* Finds the state, or makes it: `size` zeroed bytes, filled by `make(state, arg)`. `drop` is told
 * of the state at the end; its memory is the map's. */
weir_error *weir__durable_get(struct durable_map *map, const char *kind, const char *identity,
                              size_t size, weir_error *(*make)(void *state, void *arg), void *arg,
                              weir_drop_fn drop, void **ret) WEIR_MUST_USE;

#endif
