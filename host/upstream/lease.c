/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lease goes through: READY (the outcome is known, `done` is scheduled) or CONNECTING, then HELD,
 * then it is released. A retry takes it back to the start.
 *
 * Leases come from a list of free ones on each loop, idle connections from the pool, and `done`
 * through a callback inside the lease: a request over a kept connection allocates nothing. What a
 * failed attempt means for the server is decided here, what a failed response means when the user
 * releases the lease.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include <weir/event.h>
#include <weir/future.h>
#include <weir/task.h>

#include "host/upstream/upstream.h"

#define LEASE_CACHE_MAX 256

enum lease_state { LEASE_EMPTY, LEASE_READY, LEASE_CONNECTING, LEASE_HELD };

struct weir_lease {
    enum lease_state state;
    weir_upstream *upstream;
    struct traffic *traffic;
    const weir_upstream_protocol *protocol;
    const void *config;
    bool fresh;    /* no pooled connection any more */
    bool reused;   /* the present connection came from the pool */
    bool replaced; /* a dead pooled connection was replaced already */
    bool has_server;
    bool none_left; /* nobody may be asked any more */
    unsigned retries;
    weir_outcome why; /* of a retry */
    size_t server;
    struct pool *counted; /* where it counts as in use */
    struct pick pick;
    void (*done)(weir_lease *lease, weir_error *take_error, void *arg);
    void *arg;
    weir_error *error; /* for `done` */
    weir_callback ready;
    weir_connecting *connecting;
    struct upconn *conn; /* with a reference to its transport */
    weir_lease *next_free;
};

static weir_logger *logger(void)
{
    static weir_logger *made;
    weir_logger *l = __atomic_load_n(&made, __ATOMIC_ACQUIRE);

    if (!l) {
        l = weir_logger_get("weir.upstream");
        __atomic_store_n(&made, l, __ATOMIC_RELEASE);
    }
    return l;
}

static struct server *server_of(const weir_lease *lease)
{
    return lease->upstream->servers[lease->server];
}

/* Where the lease counts as a connection in use, from the choice of a server to the end. */
static void count_at(weir_lease *lease, struct pool *pool)
{
    if (lease->counted)
        HOST_COUNT(lease->counted->active, -1);
    lease->counted = pool;
    if (pool)
        HOST_COUNT(pool->active, 1);
}

/* The life of a lease's memory. */

static weir_error *lease_new(weir_upstream *upstream, const weir_lease_options *options,
                             weir_lease **ret)
{
    struct traffic *traffic = weir__traffic();
    weir_lease *lease;

    if (!traffic || traffic->index >= upstream->n_loops)
        return weir_raise(WEIR_ETHREAD, "a lease was asked for outside of the traffic loops");
    lease = traffic->leases.free;
    if (lease) {
        traffic->leases.free = lease->next_free;
        traffic->leases.count--;
    } else {
        lease = malloc(sizeof *lease);
        if (!lease)
            return weir_raise(WEIR_ENOMEM, "lease");
    }
    *lease = (weir_lease){.upstream = upstream,
                          .traffic = traffic,
                          .protocol = options->protocol,
                          .config = options->config,
                          .fresh = options->fresh};
    if (options->balance_key.len) {
        lease->pick.has_key = true;
        lease->pick.key = weir__hash_bytes(options->balance_key);
    }
    HOST_COUNT(upstream->loops[traffic->index].leases, 1);
    *ret = lease;
    return NULL;
}

static void lease_free(weir_lease *lease)
{
    struct lease_cache *cache = &lease->traffic->leases;

    count_at(lease, NULL);
    HOST_COUNT(lease->upstream->loops[lease->traffic->index].leases, -1);
    if (cache->count >= LEASE_CACHE_MAX) {
        free(lease);
        return;
    }
    lease->next_free = cache->free;
    cache->free = lease;
    cache->count++;
}

void weir__lease_cache_free(struct lease_cache *cache)
{
    while (cache->free) {
        weir_lease *lease = cache->free;

        cache->free = lease->next_free;
        free(lease);
    }
    cache->count = 0;
}

/* Telling the user. */

static weir_error *call_done(void *arg)
{
    weir_lease *lease = arg;
    weir_error *error = WEIR_TAKE(lease->error);

    lease->state = lease->conn ? LEASE_HELD : LEASE_EMPTY;
    lease->done(lease, error, lease->arg);
    return NULL;
}

static void tell_soon(weir_lease *lease, weir_error *take_error)
{
    lease->state = LEASE_READY;
    lease->error = take_error;
    weir_callback_init(&lease->ready, lease->traffic->loop, call_done, lease);
    weir_callback_schedule(&lease->ready);
}

/* Health. */

static void log_failed(weir_lease *lease, weir_outcome outcome, const char *why)
{
    char pause[40] = "", text[260];

    if (lease->upstream->n_servers > 1)
        (void)snprintf(pause, sizeof pause, ", passed over for %d s",
                       (int)(SERVER_FAIL_TIME_NS / 1000000000));
    weir_log_with(logger(), WEIR_LOG_WARNING,
                  WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_SERVER_DOWN},
                                  {"upstream", lease->upstream->name},
                                  {"server", server_of(lease)->address}),
                  "upstream %s: server %s failed: %s%s%s", lease->upstream->name,
                  server_of(lease)->address, weir_outcome_name(outcome), why, pause);
    (void)snprintf(text, sizeof text, "%s%s", weir_outcome_name(outcome), why);
    weir__server_tell(server_of(lease), &server_of(lease)->passive_story, text);
}

static void note_worked(weir_lease *lease)
{
    if (weir__server_worked(server_of(lease)))
        weir_log_with(logger(), WEIR_LOG_INFO,
                      WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_SERVER_UP},
                                      {"upstream", lease->upstream->name},
                                      {"server", server_of(lease)->address}),
                      "upstream %s: server %s works again", lease->upstream->name,
                      server_of(lease)->address);
}

static void note_connect_failed(weir_lease *lease, const weir_error *error)
{
    weir_outcome outcome = weir_outcome_of_connect(error);
    char text[200];

    if (outcome == WEIR_OUTCOME_LIMIT_CONNECTIONS)
        return; /* ours, not the server's fault */
    if (!weir__server_failed(server_of(lease), weir_now().ns))
        return;
    text[0] = ':';
    text[1] = ' ';
    weir_error_message(error, text + 2, sizeof text - 2);
    log_failed(lease, outcome, text);
}

static void note_response(weir_lease *lease, weir_outcome outcome)
{
    if (!lease->has_server)
        return;
    if (outcome == WEIR_OUTCOME_OK) {
        note_worked(lease);
        weir__server_response(server_of(lease), outcome, 0);
        return;
    }
    if (weir__server_response(server_of(lease), outcome, weir_loop_time(lease->traffic->loop).ns))
        log_failed(lease, outcome, "");
}

/* Connections. */

static void upconn_drop(void *context)
{
    struct upconn *conn = context;

    if (!hlist_empty(&conn->link)) {
        hlist_remove(&conn->link);
        conn->pool->n_idle--;
    }
    free(conn);
}

static weir_error *upconn_new(weir_lease *lease, weir_transport *transport)
{
    struct upconn *conn = calloc(1, sizeof *conn);

    if (!conn)
        return weir_raise(WEIR_ENOMEM, "connection to a server");
    conn->kind = &weir__upconn_kind;
    conn->transport = transport;
    conn->server = server_of(lease);
    conn->pool = &conn->server->pools[lease->traffic->index];
    conn->protocol = lease->protocol;
    conn->security = lease->upstream->security;
    hlist_init(&conn->link);
    weir_transport_set_context(transport, conn, upconn_drop);
    lease->conn = conn;
    return NULL;
}

static void hold(weir_lease *lease, struct upconn *conn, bool reused)
{
    HOST_COUNT(conn->pool->leases, 1);
    lease->conn = conn;
    lease->reused = reused;
    conn->lease = lease;
    weir_transport_ref(conn->transport);
}

/* Ends the lease's hold on its connection. */
static void let_go(weir_lease *lease, bool reusable)
{
    struct upconn *conn = WEIR_TAKE(lease->conn);
    weir_transport *transport = conn->transport;

    conn->lease = NULL;
    if (!reusable || conn->discarded || lease->traffic->draining) {
        conn->discarded = true;
        /* A connection that could be used again has nothing in flight: it ends in order. */
        if (reusable)
            weir_transport_close(transport);
        else
            weir_transport_abort(transport, NULL);
    } else {
        weir__pool_put(conn->pool, conn, lease->upstream->idle_timeout, lease->upstream->keepalive);
    }
    weir_transport_unref(transport);
}

static void attempt(weir_lease *lease);

static bool may_try_another(const weir_lease *lease)
{
    if (lease->retries >= lease->upstream->retries)
        return false;
    for (size_t i = 0; i < lease->upstream->n_servers; i++)
        if (!(lease->pick.tried.bits[i / 64] >> (i % 64) & 1))
            return true;
    return false;
}

static void count_retry(weir_lease *lease)
{
    lease->retries++;
    HOST_COUNT(lease->upstream->loops[lease->traffic->index].retries, 1);
}

static void connected(weir_transport *transport, weir_error *take_error, void *arg)
{
    weir_lease *lease = arg;

    lease->connecting = NULL;
    if (!take_error) {
        HOST_COUNT(lease->counted->connects, 1);
        note_worked(lease);
        take_error = upconn_new(lease, transport);
        if (take_error)
            weir_transport_abort(transport, NULL);
        else
            hold(lease, lease->conn, false);
    } else {
        HOST_COUNT(lease->counted->failures, 1);
        note_connect_failed(lease, take_error);
        if (may_try_another(lease)) {
            weir_ignore(take_error);
            count_retry(lease);
            attempt(lease);
            return;
        }
    }
    lease->error = take_error;
    weir_ignore(call_done(lease));
}

static void connect_fresh(weir_lease *lease)
{
    const weir_upstream *upstream = lease->upstream;
    weir_connect_options options = {WEIR_SIZED(weir_connect_options),
                                    .timeout = upstream->connect_timeout, .tls = upstream->tls,
                                    .server_name = upstream->server_name};
    weir_error *error;

    lease->state = LEASE_CONNECTING;
    error = weir_connect_start(lease->traffic->loop, server_of(lease)->address, &options,
                               lease->protocol->protocol, lease->config, connected, lease,
                               &lease->connecting);
    if (error)
        tell_soon(lease, error);
}

/* An idle connection of the server whose turn it is. */
static bool take_idle(weir_lease *lease)
{
    struct upconn *conn;

    if (lease->fresh)
        return false;
    conn = weir__pool_take(&server_of(lease)->pools[lease->traffic->index], lease->protocol);
    if (!conn)
        return false;
    hold(lease, conn, true);
    weir_transport_pause_reading(conn->transport);
    return true;
}

static bool pick(weir_lease *lease)
{
    unsigned loop = lease->traffic->index;

    count_at(lease, NULL);
    lease->pick.now = weir_loop_time(lease->traffic->loop).ns;
    if (!weir__upstream_pick(lease->upstream, loop, &lease->pick, &lease->server))
        return false;
    lease->has_server = true;
    lease->pick.tried.bits[lease->server / 64] |= (uint64_t)1 << (lease->server % 64);
    count_at(lease, &server_of(lease)->pools[loop]);
    return true;
}

static void attempt(weir_lease *lease)
{
    lease->none_left = !pick(lease);
    if (lease->none_left)
        tell_soon(lease, weir_raise(WEIR_ENOSERVER, "upstream `%s` has no server left to try",
                                    lease->upstream->name));
    else if (take_idle(lease))
        tell_soon(lease, NULL);
    else
        connect_fresh(lease);
}

/* Public. */

weir_error *weir_lease_start(weir_upstream *upstream, const weir_lease_options *options,
                             void (*done)(weir_lease *lease, weir_error *take_error, void *arg),
                             void *arg, weir_lease **ret)
{
    weir_lease *lease;

    WEIR_TRY(lease_new(upstream, options, &lease));
    lease->done = done;
    lease->arg = arg;
    *ret = lease;
    attempt(lease);
    return NULL;
}

bool weir_lease_try(weir_upstream *upstream, const weir_lease_options *options,
                    void (*done)(weir_lease *lease, weir_error *take_error, void *arg), void *arg,
                    weir_lease **ret)
{
    struct traffic *traffic = weir__traffic();
    weir_lease *lease;
    weir_error *error;

    if (options->fresh || !traffic || traffic->index >= upstream->n_loops)
        return false;
    error = lease_new(upstream, options, &lease);
    if (error) {
        weir_ignore(error);
        return false;
    }
    lease->done = done;
    lease->arg = arg;
    if (!pick(lease)) {
        lease_free(lease);
        return false;
    }
    if (!take_idle(lease)) {
        weir__upstream_keep(upstream, traffic->index, &lease->pick, lease->server);
        lease_free(lease);
        return false;
    }
    lease->state = LEASE_HELD;
    *ret = lease;
    return true;
}

static weir_error *begin_retry(weir_lease *lease)
{
    bool dead = lease->conn && lease->reused && !lease->replaced;

    note_response(lease, dead ? WEIR_OUTCOME_CLIENT_GONE : lease->why);
    if (lease->conn)
        let_go(lease, false);
    lease->state = LEASE_EMPTY;
    if (dead) {
        /* Closing an idle connection is the server's right, and no sign of ill health. */
        lease->replaced = lease->fresh = true;
        connect_fresh(lease);
        return NULL;
    }
    if (lease->retries >= lease->upstream->retries)
        return WEIR_RAISE_FAST(WEIR_ELIMIT, "no retry is left after %lld", lease->retries);
    if (lease->none_left || !may_try_another(lease))
        return WEIR_RAISE_FAST(WEIR_ENOSERVER, "all servers were tried");
    count_retry(lease);
    attempt(lease);
    return NULL;
}

/* Ends what is under way; `done` will not be called. */
static void cancel_attempt(weir_lease *lease)
{
    if (lease->state == LEASE_READY) {
        weir_callback_cancel(&lease->ready);
        weir_ignore(WEIR_TAKE(lease->error));
        /* The connection was never used, so it is as good as before. */
        if (lease->conn)
            let_go(lease, true);
    } else if (lease->connecting) {
        weir_connecting_cancel(WEIR_TAKE(lease->connecting));
    }
    lease->state = LEASE_EMPTY;
}

void weir_lease_release(weir_lease *lease, weir_outcome outcome, bool reusable)
{
    if (lease->state == LEASE_READY || lease->state == LEASE_CONNECTING)
        cancel_attempt(lease);
    if (lease->state == LEASE_HELD)
        note_response(lease, outcome);
    if (lease->conn)
        let_go(lease, reusable);
    lease_free(lease);
}

weir_transport *weir_lease_transport(weir_lease *lease)
{
    return lease->state == LEASE_HELD ? lease->conn->transport : NULL;
}

void *weir_lease_state(weir_lease *lease)
{
    return lease->state == LEASE_HELD ? weir_transport_state(lease->conn->transport) : NULL;
}

bool weir_lease_reused(const weir_lease *lease)
{
    return lease->reused;
}

const char *weir_lease_server(const weir_lease *lease)
{
    return lease->has_server ? server_of(lease)->address : NULL;
}

unsigned weir_lease_retries(const weir_lease *lease)
{
    return lease->retries;
}

/* The suspending form: a future between the callback and the task. */

static void take_done(weir_lease *lease, weir_error *take_error, void *arg)
{
    weir_future *future = lease->arg;

    (void)arg;
    if (take_error)
        weir_future_try_set_error(future, take_error);
    else
        weir_future_try_set_result(future, NULL, NULL);
}

/* Starts (begin) and waits for `done`. */
static weir_error *suspend(weir_lease *lease, weir_error *(*begin)(weir_lease *lease))
{
    weir_auto(weir_future) future = NULL;
    weir_error *error;

    WEIR_TRY(weir_future_new(&future));
    lease->arg = future;
    WEIR_TRY(begin(lease));
    error = weir_await(future);
    if (error && lease->state != LEASE_HELD && lease->state != LEASE_EMPTY)
        cancel_attempt(lease);
    return error ? weir_error_trace(error, WEIR_HERE) : NULL;
}

static weir_error *begin_first(weir_lease *lease)
{
    attempt(lease);
    return NULL;
}

weir_error *weir_lease_take(weir_upstream *upstream, const weir_lease_options *options,
                            weir_lease **ret)
{
    weir_lease *lease;
    weir_error *error;

    WEIR_TRY(weir_check_cancelled());
    WEIR_TRY(lease_new(upstream, options, &lease));
    lease->done = take_done;
    error = suspend(lease, begin_first);
    if (error) {
        weir_lease_release(lease, WEIR_OUTCOME_OK, false);
        return weir_error_trace(error, WEIR_HERE);
    }
    *ret = lease;
    return NULL;
}

weir_error *weir_lease_retry(weir_lease *lease, weir_outcome why)
{
    lease->why = why;
    return lease->done == take_done ? suspend(lease, begin_retry) : begin_retry(lease);
}
