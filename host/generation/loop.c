/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a traffic loop does about generations: it enters parts, serves sockets, puts listeners into
 * force. A socket that goes on keeps its server, as long as both listeners serve alike; else another
 * server takes its place, and the connections of the old one go on.
 */
#include "config.h"

#include <stdlib.h>

#include <weir/log.h>

#include "host/generation/change.h"

#define PORTION 64 /* parts in one callback */

/* A server on this loop. */
struct serving {
    struct hlist link;
    struct traffic_thread *thread;
    struct bound_socket *socket; /* while it is served */
    weir_listener *listener;     /* in force */
    weir_server *server;
    bool redirects;
    unsigned seen;
};

static weir_logger *logger(void)
{
    return weir_logger_get("weir.host");
}

/* Servers */

static weir_error *closed(void *arg)
{
    struct serving *serving = arg;
    struct traffic_thread *thread = serving->thread;

    hlist_remove(&serving->link);
    weir_server_unref(serving->server);
    free(serving);
    if (--thread->n_open == 0 && thread->traffic.draining)
        weir__loop_finish(thread);
    return NULL;
}

/* Its connections go on. */
static void close_serving(struct serving *serving)
{
    unsigned index = serving->thread->traffic.index;

    if (!serving->socket)
        return;
    if (serving->socket->served[index] == serving)
        serving->socket->served[index] = NULL;
    serving->socket = NULL;
    serving->listener = NULL;
    weir_server_close(serving->server);
    weir_server_on_closed(serving->server, closed, serving);
}

static weir_error *serve(struct traffic_thread *thread, weir_listener *listener, size_t index)
{
    struct serving *serving = calloc(1, sizeof *serving);
    weir_error *error;

    if (!serving)
        return weir_raise(WEIR_ENOMEM, "server");
    error = weir__listener_serve(listener, index, &thread->traffic, &serving->server);
    if (error) {
        free(serving);
        return error;
    }
    serving->thread = thread;
    serving->socket = listener->addresses[index].socket;
    serving->listener = listener;
    serving->redirects = listener->addresses[index].redirects;
    serving->seen = thread->swaps;
    serving->socket->served[thread->traffic.index] = serving;
    hlist_append(&thread->servings, &serving->link);
    thread->n_open++;
    return NULL;
}

static weir_error *serve_new(struct traffic_thread *thread, const struct generation *to)
{
    unsigned loop = thread->traffic.index;

    for (size_t i = 0; i < to->n_listeners; i++) {
        weir_listener *listener = to->listeners[i];

        /* New listeners at once: nobody else has their connections. */
        if (!listener->slot->loops[loop].current)
            weir__slot_set(listener->slot, listener, &thread->traffic);
        if (listener->protocol->datagram) {
            if (listener->slot->loops[loop].current == listener)
                WEIR_TRY(weir__datagrams_serve(listener, &thread->traffic));
            continue;
        }
        for (size_t k = 0; k < listener->n_addresses; k++)
            if (!listener->addresses[k].socket->served[loop])
                WEIR_TRY(serve(thread, listener, k));
    }
    return NULL;
}

weir_error *weir__loop_enter(struct change_share *share, bool *ret_more)
{
    struct change *change = share->change;

    *ret_more = false;
    for (size_t i = 0; i < PORTION && share->at < change->n_parts; i++)
        WEIR_TRY(weir__part_enter(change->parts[share->at++], &share->thread->traffic));
    *ret_more = share->at < change->n_parts;
    return *ret_more ? NULL : serve_new(share->thread, change->to);
}

/* The swap */

static void serve_again(struct traffic_thread *thread, weir_listener *listener, size_t index)
{
    struct bound_socket *socket = listener->addresses[index].socket;
    struct serving *before = socket->served[thread->traffic.index];
    weir_error *error;

    if (before && before->redirects == listener->addresses[index].redirects &&
        weir__listener_serves_alike(before->listener, listener)) {
        before->listener = listener;
        before->seen = thread->swaps;
        return;
    }
    error = serve(thread, listener, index);
    if (error)
        weir_log_error(logger(), WEIR_LOG_ERROR, error,
                       "listener %s: traffic loop %u does not accept on %s", listener->name,
                       thread->traffic.index, socket->name);
    if (before)
        close_serving(before);
}

static void serve_datagrams(struct traffic_thread *thread, weir_listener *listener)
{
    weir_error *error = NULL;

    if (listener->protocol->datagram)
        error = weir__datagrams_serve(listener, &thread->traffic);
    else /* it was one of datagrams, perhaps */
        (void)weir__datagrams_close(listener->slot, &thread->traffic);
    if (error)
        weir_log_error(logger(), WEIR_LOG_ERROR, error,
                       "listener %s: traffic loop %u does not serve all addresses", listener->name,
                       thread->traffic.index);
}

static void bring(struct traffic_thread *thread, const struct generation *to,
                  struct slot *const *gone, size_t n_gone)
{
    struct hlist *next;

    thread->swaps++;
    for (size_t i = 0; i < to->n_listeners; i++)
        for (size_t k = 0;
             !to->listeners[i]->protocol->datagram && k < to->listeners[i]->n_addresses; k++)
            serve_again(thread, to->listeners[i], k);
    for (struct hlist *node = thread->servings.next; node != &thread->servings; node = next) {
        struct serving *serving = HLIST_ENTRY(node, struct serving, link);

        next = node->next;
        if (serving->seen != thread->swaps)
            close_serving(serving);
    }
    for (size_t i = 0; i < to->n_listeners; i++)
        weir__slot_set(to->listeners[i]->slot, to->listeners[i], &thread->traffic);
    for (size_t i = 0; i < to->n_listeners; i++)
        serve_datagrams(thread, to->listeners[i]);
    for (size_t i = 0; i < n_gone; i++) {
        (void)weir__datagrams_close(gone[i], &thread->traffic);
        weir__slot_set(gone[i], NULL, &thread->traffic);
    }
}

void weir__loop_swap(struct change_share *share)
{
    const struct change *change = share->change;

    bring(share->thread, change->to, change->gone, change->n_gone);
    share->thread->generation = change->to;
    share->error = weir__loop_settings(share->thread, change->from, change->to);
}

void weir__loop_restore(struct change_share *share)
{
    const struct change *change = share->change;
    struct traffic *traffic = &share->thread->traffic;

    /* The control loop counted these as entered. */
    for (size_t i = 0; i < change->to->n_listeners; i++) {
        weir_listener *listener = change->to->listeners[i];

        if (listener->slot->loops[traffic->index].current != listener)
            weir__part_left(listener->part, traffic);
    }
    bring(share->thread, change->from, change->fresh, change->n_fresh);
}

void weir__loop_leave(struct change_share *share, bool *ret_more)
{
    struct change *change = share->change;

    for (size_t i = 0; i < PORTION && share->at < change->n_parts; i++)
        weir__part_leave(change->parts[share->at++], &share->thread->traffic);
    *ret_more = share->at < change->n_parts;
}

/* The end */

static weir_error *drained(void *arg)
{
    struct traffic_thread *thread = arg;

    if (--thread->n_open == 0)
        weir__loop_finish(thread);
    return NULL;
}

void weir__loop_drain(struct traffic_thread *thread)
{
    const struct generation *g = thread->generation;
    weir_error *error = NULL;
    bool datagrams = false;

    thread->n_open++; /* until all are closed */
    for (size_t i = 0; g && i < g->n_listeners; i++)
        datagrams |= weir__datagrams_close(g->listeners[i]->slot, &thread->traffic);
    for (struct hlist *node = thread->servings.next; node != &thread->servings; node = node->next)
        close_serving(HLIST_ENTRY(node, struct serving, link));
    for (size_t i = 0; g && i < g->n_upstreams; i++)
        weir__upstream_clear_pools(g->upstreams[i], &thread->traffic);
    for (size_t i = 0; g && i < g->n_listeners; i++)
        weir__slot_drain(g->listeners[i]->slot, &thread->traffic);
    /* Behind the ends of those sockets, which the loop tells next. */
    if (datagrams)
        error = weir_loop_call_soon(thread->traffic.loop, drained, thread, NULL, NULL);
    if (!datagrams || error)
        weir_ignore(drained(thread));
    weir_ignore(error);
}

void weir__loop_leave_all(struct traffic_thread *thread)
{
    while (!hlist_empty(&thread->traffic.parts)) {
        struct part_loop *local = HLIST_ENTRY(thread->traffic.parts.prev, struct part_loop, link);

        weir__part_leave(local->part, &thread->traffic);
    }
}

void weir__loop_abort_connections(struct traffic_thread *thread)
{
    for (struct hlist *node = thread->servings.next; node != &thread->servings; node = node->next)
        weir_server_abort_connections(HLIST_ENTRY(node, struct serving, link)->server);
}

void weir__loop_forget_servers(struct traffic_thread *thread)
{
    while (!hlist_empty(&thread->servings)) {
        struct serving *serving = HLIST_ENTRY(thread->servings.next, struct serving, link);

        hlist_remove(&serving->link);
        weir_server_unref(serving->server);
        free(serving);
    }
}
