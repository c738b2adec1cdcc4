/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of clients: each loop lists its own, or looks for one among them. */
#include "config.h"

#include "host/status/status.h"

#define CONNS_DEFAULT 1000
#define CONNS_MAX     100000

static json_t *connection(const struct connection *c, unsigned loop, int64_t now)
{
    weir_transport *transport = c->transport;
    weir_tls_info tls;
    bool secure = weir_transport_tls_info(transport, &tls);

    return json_pack("{s:o, s:s, s:s, s:s, s:b, s:i, s:f, s:o, s:o, s:o}", "id",
                     weir__status_count(weir_transport_id(transport)), "listener",
                     c->local->slot->name, "peer", weir_transport_peer_name(transport), "protocol",
                     weir_transport_protocol(transport)->name, "tls", secure, "loop", (int)loop,
                     "age", (double)weir__connection_age(c, now) / 1e9, "bytes_in",
                     weir__status_count(weir_transport_bytes_received(transport)), "bytes_out",
                     weir__status_count(weir_transport_bytes_sent(transport)), "queued",
                     weir__status_count(weir_transport_write_buffer_size(transport)));
}

/* One connection, with what the list has no room for. */

static json_int_t id_of(const struct question *question)
{
    const json_t *id = json_object_get(question->params, "id");

    return json_is_integer(id) ? json_integer_value(id) : 0;
}

static weir_error *begin_conn(struct question *question)
{
    return id_of(question) > 0
               ? NULL
               : weir_raise(WEIR_EINVAL, "id is the number of a connection, as conns has it");
}

static json_t *tls_of(const weir_tls_info *tls)
{
    return json_pack("{s:s, s:s, s:s*, s:s*, s:b}", "version", tls->version, "cipher", tls->cipher,
                     "sni", tls->server_name, "alpn", tls->alpn, "resumed", tls->resumed);
}

static json_t *whole(const struct connection *c, unsigned loop)
{
    weir_transport *transport = c->transport;
    json_t *one = connection(c, loop, weir_now().ns);
    const weir_listener *part = c->part;
    weir_tls_info tls;
    char repr[300];

    json_object_set_new(one, "local", json_string(weir_transport_local_name(transport)));
    json_object_set_new(one, "reading", json_boolean(weir_transport_is_reading(transport)));
    json_object_set_new(one, "closing", json_boolean(weir_transport_is_closing(transport)));
    json_object_set_new(one, "handoffs", json_integer((json_int_t)c->handoffs));
    json_object_set_new(one, "current", json_boolean(part && part == c->local->current));
    if (weir_transport_tls_info(transport, &tls))
        json_object_set_new(one, "tls_info", tls_of(&tls));
    weir_transport_repr(transport, repr, sizeof repr);
    json_object_set_new(one, "transport", json_string(repr));
    return one;
}

static json_t *conn_of_loop(const struct question *question, struct traffic_thread *thread)
{
    const struct generation *g = question->generation;
    uint64_t wanted = (uint64_t)id_of(question);

    for (size_t i = 0; i < g->n_listeners; i++) {
        struct hlist *head = &g->listeners[i]->slot->loops[thread->traffic.index].connections;

        for (struct hlist *link = head->next; link != head; link = link->next) {
            const struct connection *c = HLIST_ENTRY(link, struct connection, link);

            if (weir_transport_id(c->transport) == wanted)
                return whole(c, thread->traffic.index);
        }
    }
    return NULL;
}

static json_t *conn(const struct question *question, json_t *const *shares, unsigned n)
{
    json_t *found = NULL;

    (void)question;
    for (unsigned i = 0; i < n && !found; i++)
        found = shares[i];
    return json_pack("{s:b, s:O?}", "found", found != NULL, "conn", found);
}

const struct question_kind weir__ask_conn = {
    .question = {.name = "conn"},
    .begin = begin_conn,
    .on_loop = conn_of_loop,
    .finish = conn,
};

/* All of them. */

static json_int_t limit_of(const struct question *question)
{
    const json_t *limit = json_object_get(question->params, "limit");

    return json_is_integer(limit) ? json_integer_value(limit) : CONNS_DEFAULT;
}

static weir_error *begin_conns(struct question *question)
{
    json_int_t limit = limit_of(question);

    if (limit < 1 || limit > CONNS_MAX)
        return weir_raise(WEIR_EINVAL, "limit is a number from 1 to %d", CONNS_MAX);
    return NULL;
}

static json_t *conns_of_loop(const struct question *question, struct traffic_thread *thread)
{
    const struct generation *g = question->generation;
    int64_t now = weir_now().ns;
    json_int_t left = limit_of(question);
    json_t *list = json_array();

    for (size_t i = 0; i < g->n_listeners; i++) {
        struct hlist *head = &g->listeners[i]->slot->loops[thread->traffic.index].connections;

        for (struct hlist *link = head->next; link != head && left > 0; link = link->next, left--)
            json_array_append_new(list, connection(HLIST_ENTRY(link, struct connection, link),
                                                   thread->traffic.index, now));
    }
    return list;
}

static json_t *conns(const struct question *question, json_t *const *shares, unsigned n)
{
    return json_pack("{s:o, s:o}", "open",
                     weir__status_count(weir_host_connections(question->host)), "conns",
                     weir__status_join(shares, n));
}

const struct question_kind weir__ask_conns = {
    .question = {.name = "conns"},
    .begin = begin_conns,
    .on_loop = conns_of_loop,
    .finish = conns,
};
