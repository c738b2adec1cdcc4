/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's own threads, and the end of parts: by the builder, because freeing a large configuration
 * takes milliseconds and stop functions of plugins may wait; without one, at once.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weir/log.h>

#include "host/generation/generation.h"

#define BUILDER_NICE 5

/* Less than traffic, and enough for a reload to come to its end on processors that are never idle. */
static weir_error *give_way(void *arg)
{
    (void)arg;
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), BUILDER_NICE))
        weir_log(weir_logger_get("weir.host"), WEIR_LOG_DEBUG,
                 "reloads have the priority of traffic: %s", weir_code_text(errno));
    return NULL;
}

weir_error *weir__host_make_threads(weir_host *host)
{
    weir_executor_options builder = {WEIR_SIZED(weir_executor_options), .name = "reload",
                                     .threads = 1, .thread_start = give_way};
    weir_executor_options starter = {WEIR_SIZED(weir_executor_options), .name = "prepare",
                                     .threads = 1};

    if (!host->builder)
        WEIR_TRY(weir_executor_new(&builder, &host->builder));
    return host->starter ? NULL : weir_executor_new(&starter, &host->starter);
}

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

static void end_threads(weir_executor *take_executor)
{
    if (!take_executor)
        return;
    weir_ignore(weir_executor_shutdown(take_executor, WEIR_S(5)));
    weir_executor_unref(take_executor);
}

/* Nothing runs any more: what was pinned, and what was kept for a way back, goes too. */
void weir__host_end_generations(weir_host *host)
{
    struct hlist dead;

    end_threads(WEIR_TAKE(host->starter));
    end_threads(WEIR_TAKE(host->builder));
    if (host->generation && host->generation->executor)
        weir_ignore(weir_executor_shutdown(host->generation->executor, WEIR_S(5)));
    hlist_init(&dead);
    weir__parts_leave_all(&host->parts, &dead);
    weir__generation_unref(WEIR_TAKE(host->previous), &dead);
    weir__generation_unref(WEIR_TAKE(host->generation), &dead);
    weir__parts_destroy(&dead);
}
