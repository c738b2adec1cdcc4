/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks that belong to a connection: each holds a reference to it and is cancelled when it is lost.
 * Nobody awaits them, so what they return is logged here, at the edge; that the peer or we ended the
 * connection is not worth a line.
 */
#include "config.h"

#include "core/base/alloc.h"
#include "core/net/stream.h"
#include "core/net/transport.h"
#include "core/task/wait.h"

struct connection_task {
    struct list link;
    weir_transport *transport;
    weir_task *task;
    const char *name;
    weir_fn fn;
    void *arg;
};

static void log_task_error(const struct connection_task *ct, weir_error *take_error)
{
    weir_transport *t = ct->transport;

    if (weir__net_is_quiet(take_error)) {
        weir_ignore(take_error);
        return;
    }
    weir_log_error(t->net->logger, WEIR_LOG_ERROR, take_error, "%s: connection %llu from %s failed",
                   ct->name, (unsigned long long)t->id, weir_transport_peer_name(t));
}

static weir_error *run_connection_task(void *arg)
{
    struct connection_task *ct = arg;
    weir_error *error = ct->fn(ct->arg);

    if (error)
        log_task_error(ct, error);
    list_remove(&ct->link);
    weir__transport_leave_server(ct->transport);
    weir_task_unref(ct->task);
    weir_transport_unref(ct->transport);
    weir__free(ct);
    return NULL;
}

weir_error *weir_transport_spawn_at(const weir_site *site, const char *name, weir_transport *t,
                                    weir_fn fn, void *arg)
{
    struct connection_task *ct;
    weir_error *error;

    weir_check(t, TRANSPORT_MAGIC);
    WEIR_TRY(weir__loop_check_thread(t->net->loop));
    if (t->status >= TRANSPORT_LOST)
        return WEIR_RAISE_FAST(WEIR_ECLOSED, "spawn on a closed connection");
    ct = weir__transport_extra(t) ? weir__calloc(1, sizeof(*ct)) : NULL;
    if (!ct)
        return weir_raise(WEIR_ENOMEM, "spawn");
    ct->name = name;
    ct->fn = fn;
    ct->arg = arg;
    error = weir__spawn(t->net->loop, site, name, run_connection_task, ct, &ct->task);
    if (error) {
        weir__free(ct);
        return weir_error_trace(error, WEIR_HERE);
    }
    ct->transport = weir_transport_ref(t);
    list_append(&t->extra->tasks, &ct->link);
    return NULL;
}

void weir__transport_cancel_tasks(weir_transport *t)
{
    if (!t->extra)
        return;
    weir_list_foreach(ct, &t->extra->tasks, struct connection_task, link)
        (void)weir_task_cancel(ct->task);
}
