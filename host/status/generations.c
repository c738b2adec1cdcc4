/* SPDX-License-Identifier: Apache-2.0 */
/* Which generations live: the one in force, the one before, and those that connections run with. */
#include "config.h"

#include "host/status/status.h"

/* The entry of a generation, which may be new. */
static json_t *entry(json_t *list, unsigned number, const char *state)
{
    json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        if (json_integer_value(json_object_get(one, "generation")) == number)
            return one;
    }
    one = json_pack("{s:i, s:s, s:{}}", "generation", (int)number, "state", state, "listeners");
    json_array_append_new(list, one);
    return one;
}

json_t *weir__status_generations(const weir_host *host)
{
    json_t *list = json_array();

    (void)entry(list, host->generation->number, "serves");
    if (host->previous)
        (void)entry(list, host->previous->number, "kept for rollback");
    for (const struct hlist *at = host->parts.next; at != &host->parts; at = at->next) {
        const struct part *part = HLIST_ENTRY(at, struct part, link);
        const weir_listener *listener = part->object;
        json_t *listeners, *count;
        uint64_t n;

        if (part->kind != &weir__listener_part || part->active)
            continue;
        n = weir__listener_pins(listener);
        if (!n)
            continue;
        listeners = json_object_get(entry(list, part->origin->generation, "drains"), "listeners");
        count = json_object_get(listeners, listener->name);
        json_object_set_new(listeners, listener->name,
                            json_integer(json_integer_value(count) + (json_int_t)n));
    }
    return list;
}
