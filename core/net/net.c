/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop's side of connections: it knows all that are open, so that closing a loop can name what
 * nobody closed (with the line that opened it) and force can abort it.
 */
#include "config.h"

#include "core/net/net.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/net/connect.h"
#include "core/net/datagram.h"
#include "core/net/proxy_protocol.h"
#include "core/net/server.h"
#include "core/net/transport.h"

#define NAMED_IN_REPORT 8

static _Atomic uint64_t process_ids = 1;

/* Tasks are being cancelled, and end what is theirs; new connections would only be in their way. */
static void net_cancel_all(weir_loop *loop, void *state)
{
    struct net *net = state;

    (void)loop;
    net->closing = true;
    weir_list_foreach(server, &net->servers, weir_server, link)
        weir__server_update_accepting(server);
}

static void sweep_transports(struct list *transports, bool warn)
{
    weir_list_foreach_safe(t, transports, weir_transport, link) {
        if (warn && (t->has_file || !t->attempt))
            weir__transport_warn_unclosed(t);
        weir_transport_abort(t, NULL);
    }
}

/* What is open now, nobody closes any more. A server answers for its connections. */
static void net_sweep(weir_loop *loop, void *state)
{
    struct net *net = state;

    (void)loop;
    weir__connecting_cancel_all(net);
    sweep_transports(&net->transports, true);
    weir_list_foreach_safe(server, &net->servers, weir_server, link) {
        weir__proxy_stop(server);
        sweep_transports(&server->transports, server->closed);
        if (!server->closed)
            weir__server_warn_unclosed(server);
        weir_server_close(server);
    }
    weir_list_foreach_safe(d, &net->datagrams, weir_datagram, link) {
        weir__datagram_warn_unclosed(d);
        weir_datagram_abort(d, NULL);
    }
}

static size_t name_transports(struct list *transports, struct text *text, size_t named)
{
    weir_list_foreach(t, transports, weir_transport, link) {
        char repr[256];

        if (named++ >= NAMED_IN_REPORT)
            continue;
        weir_transport_repr(t, repr, sizeof(repr));
        text_printf(text, "%stransport %s", named > 1 ? ", " : "", repr);
        if (t->file.site)
            text_printf(text, " created at %s:%d", text_site_file(t->file.site),
                        t->file.site->line);
    }
    return named;
}

static size_t name_datagrams(struct list *datagrams, struct text *text, size_t named)
{
    weir_list_foreach(d, datagrams, weir_datagram, link) {
        char repr[256];

        if (named++ >= NAMED_IN_REPORT)
            continue;
        weir_datagram_repr(d, repr, sizeof(repr));
        text_printf(text, "%s%s created at %s:%d", named > 1 ? ", " : "", repr,
                    text_site_file(d->file.site), d->file.site->line);
    }
    return named;
}

static size_t net_live(weir_loop *loop, void *state, char *buffer, size_t size)
{
    struct net *net = state;
    struct text text = text_over(buffer, size);
    size_t count = name_transports(&net->transports, &text, 0);

    (void)loop;
    count = name_datagrams(&net->datagrams, &text, count);
    weir_list_foreach(server, &net->servers, weir_server, link) {
        if (!server->over && count++ < NAMED_IN_REPORT)
            text_printf(&text, "%sserver %s", count > 1 ? ", " : "", weir_server_name(server));
        count = name_transports(&server->transports, &text, count);
    }
    return count;
}

static void net_destroy(weir_loop *loop, void *state)
{
    struct net *net = state;

    (void)loop;
    weir_list_foreach_safe(server, &net->servers, weir_server, link) {
        weir_list_foreach_safe(t, &server->transports, weir_transport, link)
            weir__transport_leave(t);
        weir__server_leave(server);
    }
    weir_list_foreach_safe(t, &net->transports, weir_transport, link)
        weir__transport_leave(t);
    weir_list_foreach_safe(d, &net->datagrams, weir_datagram, link)
        weir__datagram_leave(d);
    net->loop = NULL;
    if (net->io)
        net->io->delivered = NULL;
    net->io = NULL;
    weir__net_unref(net);
}

static const struct loop_slot_ops net_slot_ops = {
    .cancel_all = net_cancel_all,
    .sweep = net_sweep,
    .live = net_live,
    .destroy = net_destroy,
};

weir_error *weir__net_of(weir_loop *loop, struct net **ret)
{
    struct net *net;

    WEIR_TRY(weir__loop_check_thread(loop));
    net = weir__loop_slot(loop, LOOP_SLOT_NET);
    if (!net) {
        if (weir__loop_closed(loop))
            return weir_raise(WEIR_ECLOSED, "the loop is closed");
        net = weir__calloc(1, sizeof(*net));
        if (!net)
            return weir_raise(WEIR_ENOMEM, "net");
        net->loop = loop;
        net->io = weir__loop_io(loop);
        net->io->delivered = weir__net_send_soon;
        net->io->delivered_arg = net;
        net->refs = 1;
        weir__net_kinds_register();
        net->logger = weir_logger_get("weir.net");
        net->trace = weir_logger_get("weir.transport");
        list_init(&net->transports);
        list_init(&net->servers);
        list_init(&net->datagrams);
        list_init(&net->connecting);
        weir__loop_set_slot(loop, LOOP_SLOT_NET, net, &net_slot_ops);
    }
    *ret = net;
    return NULL;
}

struct net *weir__net_ref(struct net *net)
{
    net->refs++;
    return net;
}

void weir__net_unref(struct net *net)
{
    if (--net->refs)
        return;
    while (net->entries) {
        struct write_entry *entry = net->entries;

        net->entries = entry->next;
        weir__free(entry);
    }
    while (net->vectors) {
        struct send_vector *vector = net->vectors;

        net->vectors = vector->next;
        weir__free(vector);
    }
    weir__datagram_batch_free(net->batch);
    weir__free(net);
}

void weir__net_release_elsewhere(const struct net *net, weir_fn release, weir_drop_fn drop,
                                 void *object)
{
    /* Refused: leaked, rather than freed under its owner. */
    weir_ignore(weir_loop_call_soon_threadsafe(net->loop, release, object, drop));
}

uint64_t weir__net_id(struct net *net)
{
    if (net->next_id == net->last_id) {
        net->next_id = atomic_fetch_add(&process_ids, NET_ID_BATCH);
        net->last_id = net->next_id + NET_ID_BATCH;
    }
    return net->next_id++;
}

struct write_entry *weir__net_entry(struct net *net)
{
    struct write_entry *entry = net->entries;

    if (!entry)
        return weir__calloc(1, sizeof(*entry));
    net->entries = entry->next;
    net->entries_kept--;
    *entry = (struct write_entry){0};
    return entry;
}

void weir__net_entry_free(struct net *net, struct write_entry *entry)
{
    if (net->entries_kept >= NET_KEEP_ENTRIES) {
        weir__free(entry);
        return;
    }
    entry->next = net->entries;
    net->entries = entry;
    net->entries_kept++;
}

struct send_vector *weir__net_vector(struct net *net)
{
    struct send_vector *vector = net->vectors;

    if (!vector)
        return weir__malloc(sizeof(*vector));
    net->vectors = vector->next;
    net->vectors_kept--;
    return vector;
}

void weir__net_vector_free(struct net *net, struct send_vector *vector)
{
    if (net->vectors_kept >= NET_KEEP_VECTORS) {
        weir__free(vector);
        return;
    }
    vector->next = net->vectors;
    net->vectors = vector;
    net->vectors_kept++;
}

bool weir__net_is_quiet(const weir_error *error)
{
    static const weir_code quiet[] = {WEIR_EEOF,  WEIR_ETIMEDOUT,     WEIR_ECANCELED, WEIR_ECLOSED,
                                      ECONNRESET, WEIR_ETLSTRUNCATED, EPIPE,          ETIMEDOUT};

    for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++) {
        if (weir_error_is(error, quiet[i]))
            return true;
    }
    return false;
}
