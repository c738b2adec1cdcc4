/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of waiting tasks. Whatever is released is given to the first waiter at that moment, by taking
 * it out of its row; a cancellation that comes later finds it granted and leaves it so. Therefore a
 * wake-up can be neither lost nor stolen, and nothing has to be passed on.
 */
#include "config.h"

#include "core/task/sync.h"

#include <weir/log.h>

#include "core/loop/loop.h"
#include "core/task/task.h"

static weir_error *bind_first(struct sync *sync, const char *what)
{
    if (sync->loop)
        return weir_raise(WEIR_ETHREAD, "the %s is bound to a different event loop", what);
    if (!weir__thread_loop)
        return weir_raise(WEIR_ETHREAD, "%s: no loop belongs to this thread", what);
    sync->loop = weir__thread_loop;
    list_init(&sync->waiters);
    return NULL;
}

weir_error *weir__sync_bind(struct sync *sync, const char *what, const char *operation,
                            const weir_site *site)
{
    weir_error *error;

    if (__builtin_expect(sync->loop && sync->loop == weir__thread_loop, 1))
        return NULL;
    error = bind_first(sync, what);
    if (error && sync->loop)
        weir__loop_report_foreign(what, operation, site);
    return error;
}

bool weir__sync_bound(struct sync *sync, const char *what, const char *operation,
                      const weir_site *site)
{
    weir_error *error = weir__sync_bind(sync, what, operation, site);

    if (error && !sync->loop)
        weir_log_error(weir_logger_get("weir"), WEIR_LOG_ERROR, error, "%s", operation);
    else
        weir_ignore(error);
    return !error;
}

void weir__sync_misuse(const weir_site *site, const char *what)
{
    weir_log(weir_logger_get("weir"), WEIR_LOG_ERROR, "%s, at %s:%d", what, site->file, site->line);
}

static bool leave_row(struct waiter *waiter)
{
    list_remove(&container_of(waiter, struct sync_wait, waiter)->link);
    return true;
}

weir_error *weir__sync_wait(struct sync *sync, struct sync_wait *wait, const weir_site *site)
{
    weir_error *error;

    wait->failed = 0;
    list_append(&sync->waiters, &wait->link);
    wait->waiter.task->wait_site = site;
    error = weir__wait(&wait->waiter, leave_row);
    wait->waiter.task->wait_site = NULL;
    return error;
}

void weir__sync_wait_masked(struct sync *sync, struct sync_wait *wait, const weir_site *site)
{
    wait->failed = 0;
    list_append(&sync->waiters, &wait->link);
    wait->waiter.task->wait_site = site;
    weir_ignore(weir__wait(&wait->waiter, NULL));
    wait->waiter.task->wait_site = NULL;
}

struct sync_wait *weir__sync_grant(struct sync *sync)
{
    struct sync_wait *wait;

    if (list_empty(&sync->waiters))
        return NULL;
    wait = container_of(sync->waiters.next, struct sync_wait, link);
    list_remove(&wait->link);
    weir__wait_wake(&wait->waiter);
    return wait;
}

void weir__sync_grant_all(struct sync *sync, weir_code failed)
{
    struct sync_wait *wait;

    while ((wait = weir__sync_grant(sync)))
        wait->failed = failed;
}
