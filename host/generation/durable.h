/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State that outlives configurations (servers and their pools, counters of listeners, what plugins
 * ask for), found by kind and identity. Whoever asks has a reference: a state goes when no generation that
 * lives has anything that asked for it, or with the process. Any thread.
 */
#ifndef WEIR_HOST_GENERATION_DURABLE_H
#define WEIR_HOST_GENERATION_DURABLE_H

#include <weir/error.h>

struct durable_map;

weir_error *weir__durable_map_new(struct durable_map **ret) WEIR_MUST_USE;
/* Drops every state that is left, latest first. */
void weir__durable_map_free(struct durable_map *map);

struct durable_spec {
    const char *kind, *identity;
    size_t size;
    weir_error *(*make)(void *state, void *arg); /* fills the zeroed bytes; may be NULL */
    void *arg;
    weir_drop_fn drop; /* told of the state at the end; its memory is the map's */
};

/* Finds the state, or makes it; a reference. Errors: those of `make`; WEIR_EINVALSTATE it has another
 * size. */
weir_error *weir__durable_get(struct durable_map *map, const struct durable_spec *spec,
                              void **ret) WEIR_MUST_USE;
/* With the last reference the state is dropped, before its map is freed. NULL: nothing. */
void weir__durable_unref(void *state);
/* How many there are. */
size_t weir__durable_count(struct durable_map *map);

#endif
