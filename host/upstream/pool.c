/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idle connections: one list for each loop and server, taken from the front (the latest used is the
 * likeliest to be alive and warm), aged at the back by one timer, so that keeping a connection
 * costs no timer operation of its own.
 *
 * The pool holds no reference. The record of a connection is the transport's context and leaves the
 * list when the transport dies, whoever let it die; a protocol that sees an idle connection receive
 * bytes says so with weir_upstream_discard().
 */
#include "config.h"

#include "host/upstream/upstream.h"

const char weir__upconn_kind = 0;

static void unlink_idle(struct upconn *conn)
{
    if (!hlist_empty(&conn->link)) {
        hlist_remove(&conn->link);
        conn->pool->n_idle--;
    }
}

static void close_idle(struct upconn *conn)
{
    unlink_idle(conn);
    conn->discarded = true;
    weir_transport_close(conn->transport);
}

struct upconn *weir__pool_take(struct pool *pool, const weir_upstream_protocol *protocol)
{
    struct hlist *next;

    for (struct hlist *node = pool->idle.next; node != &pool->idle; node = next) {
        struct upconn *conn = HLIST_ENTRY(node, struct upconn, link);

        next = node->next;
        if (weir_transport_is_closing(conn->transport)) {
            unlink_idle(conn);
            continue;
        }
        if (conn->protocol != protocol)
            continue;
        unlink_idle(conn);
        return conn;
    }
    return NULL;
}

static weir_error *sweep(void *arg)
{
    struct pool *pool = arg;
    int64_t now = weir_now().ns;

    while (!hlist_empty(&pool->idle)) {
        struct upconn *oldest = HLIST_ENTRY(pool->idle.prev, struct upconn, link);
        int64_t left = oldest->idle_since + pool->idle_timeout.ns - now;

        if (left > 0) {
            weir_timer_start(&pool->timer, WEIR_NS(left));
            break;
        }
        close_idle(oldest);
    }
    return NULL;
}

static void start_timer(struct pool *pool, weir_loop *loop, weir_duration idle_timeout)
{
    pool->idle_timeout = idle_timeout;
    if (weir_is_forever(idle_timeout))
        return;
    if (!pool->has_timer) {
        weir_timer_init(&pool->timer, loop, sweep, pool);
        pool->has_timer = true;
    }
    if (!weir_timer_running(&pool->timer))
        weir_timer_start(&pool->timer, idle_timeout);
}

void weir__pool_put(struct pool *pool, struct upconn *conn, weir_duration idle_timeout,
                    unsigned limit)
{
    weir_loop *loop = weir_transport_loop(conn->transport);

    if (conn->discarded || weir_transport_is_closing(conn->transport))
        return;
    if (pool->n_idle >= limit || conn->security != pool->security ||
        weir__pool_address_left(pool, conn->transport) ||
        __atomic_load_n(&conn->server->override, __ATOMIC_RELAXED) >= SERVER_DRAINED) {
        close_idle(conn);
        return;
    }
    conn->idle_since = weir_loop_time(loop).ns;
    hlist_prepend(&pool->idle, &conn->link);
    pool->n_idle++;
    start_timer(pool, loop, idle_timeout);
    /* So that its end, or bytes that nobody asked for, are seen. */
    weir_transport_resume_reading(conn->transport);
}

void weir__pool_drop_left(struct pool *pool)
{
    struct hlist *next;

    for (struct hlist *node = pool->idle.next; node != &pool->idle; node = next) {
        struct upconn *conn = HLIST_ENTRY(node, struct upconn, link);

        next = node->next;
        if (weir__pool_address_left(pool, conn->transport))
            close_idle(conn);
    }
}

void weir__pool_close_idle(struct pool *pool)
{
    while (!hlist_empty(&pool->idle))
        close_idle(HLIST_ENTRY(pool->idle.next, struct upconn, link));
}

void weir__pool_secure(struct pool *pool, uint64_t security)
{
    struct hlist *next;

    pool->security = security;
    for (struct hlist *node = pool->idle.next; node != &pool->idle; node = next) {
        struct upconn *conn = HLIST_ENTRY(node, struct upconn, link);

        next = node->next;
        if (conn->security != security)
            close_idle(conn);
    }
}

void weir__pool_clear(struct pool *pool)
{
    weir__pool_names_stop(pool);
    weir__pool_close_idle(pool);
    if (pool->has_timer)
        weir_timer_stop(&pool->timer);
    pool->has_timer = false;
}

void weir_upstream_discard(weir_transport *transport)
{
    struct upconn *conn = weir_transport_context(transport);

    if (!conn || conn->kind != &weir__upconn_kind)
        return;
    unlink_idle(conn);
    conn->discarded = true;
}
