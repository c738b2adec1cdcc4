/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of parts: by the builder, a thread of the host's own, because freeing a large configuration
 * takes milliseconds and stop functions of plugins may wait; without one, at once.
 */
#include "config.h"

#include <stdlib.h>

#include "host/generation/generation.h"

static weir_error *destroy(void *arg)
{
    weir__parts_destroy(arg);
    return NULL;
}

static void drop_list(void *arg)
{
    weir__parts_destroy(arg); /* when the job was not run */
    free(arg);
}

void weir__host_destroy(weir_host *host, struct hlist *dead)
{
    struct hlist *list;
    weir_error *error;

    if (hlist_empty(dead))
        return;
    list = host->builder ? malloc(sizeof *list) : NULL;
    if (!list) {
        weir__parts_destroy(dead);
        return;
    }
    hlist_init(list);
    hlist_splice(list, dead);
    error = weir_executor_submit(host->builder, destroy, list, drop_list, NULL);
    if (error)
        drop_list(list);
    weir_ignore(error);
}

/* Nothing runs any more: what was pinned, and what was kept for a way back, goes too. */
void weir__host_end_generations(weir_host *host)
{
    struct hlist dead, *next;

    if (host->builder) {
        weir_ignore(weir_executor_shutdown(host->builder, WEIR_S(5)));
        weir_executor_unref(host->builder);
        host->builder = NULL;
    }
    if (host->generation && host->generation->executor)
        weir_ignore(weir_executor_shutdown(host->generation->executor, WEIR_S(5)));
    hlist_init(&dead);
    for (struct hlist *node = host->parts.next; node != &host->parts; node = node->next)
        HLIST_ENTRY(node, struct part, link)->active =
            HLIST_ENTRY(node, struct part, link)->present = 0;
    weir__generation_unref(WEIR_TAKE(host->previous), &dead);
    weir__generation_unref(WEIR_TAKE(host->generation), &dead);
    for (struct hlist *node = host->parts.next; node != &host->parts; node = next) {
        next = node->next;
        weir__part_bury(HLIST_ENTRY(node, struct part, link), &dead);
    }
    weir__parts_destroy(&dead);
}
