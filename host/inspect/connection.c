/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that is looked at: the protocol that it has until it is known.
 *
 *   connection_made → bytes → the inspectors say who it is, or that they do not know
 *                   → time is over, or the client sends no more: what is known is all there is
 *   → the listener's own protocol, which receives the bytes again
 *
 * The first read mostly has everything: then nothing is copied but what the transport keeps.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/inspect/inspect.h"
#include "host/listener/listener.h"

struct looking {
    weir_transport *transport;
    weir_listener *listener; /* NULL: it is over */
    struct weir_inspection inspection;
    weir_timer timer;
    char *bytes; /* that wait for more */
    size_t len, room;
};

void weir__connection_record(const struct connection *connection, weir_listener *listener,
                             weir_outcome outcome, const weir_error *reason)
{
    weir_transport *transport = connection->transport;
    weir_access_record record = {
        .size = sizeof record,
        .outcome = outcome,
        .reason = reason,
        .bytes_in = weir_transport_bytes_received(transport),
        .bytes_out = weir_transport_bytes_sent(transport),
        .duration_ns =
            weir__connection_age(connection, weir_loop_time(weir_transport_loop(transport)).ns),
    };

    weir_listener_record(listener, transport, &record);
}

weir_error *weir__connection_know(struct connection *connection, struct inspect_facts *facts)
{
    struct inspect_facts *known = connection->facts;

    if (!known) {
        known = calloc(1, sizeof *known);
        if (!known)
            return weir_raise(WEIR_ENOMEM, "inspection");
        connection->facts = known;
    }
    for (size_t i = 0; i < INSPECT_FACTS; i++) {
        if (!facts->texts[i])
            continue;
        free(known->texts[i]);
        known->texts[i] = WEIR_TAKE(facts->texts[i]);
    }
    if (facts->preamble) {
        free(known->preamble);
        known->preamble = WEIR_TAKE(facts->preamble);
        known->send = facts->send;
        known->expect = facts->expect;
    }
    known->end = facts->end;
    return NULL;
}

weir_error *weir__connection_begin(struct connection *connection, weir_listener *listener,
                                   weir_slice rest)
{
    weir__connection_pin(connection, listener);
    weir_transport_set_instance(connection->transport, listener->instance);
    return weir_transport_set_protocol(connection->transport, listener->protocol,
                                       listener->protocol_config, rest, NULL);
}

static void forget(struct looking *looking)
{
    weir_timer_stop(&looking->timer);
    weir__facts_free(&looking->inspection.facts);
    free(looking->bytes);
    looking->bytes = NULL;
    looking->len = looking->room = 0;
    weir_listener_release(WEIR_TAKE(looking->listener));
}

static weir_error *give_up(struct looking *looking, weir_outcome outcome, weir_error *take_reason)
{
    weir__connection_record(weir__connection_of(looking->transport), looking->listener, outcome,
                            take_reason);
    forget(looking);
    weir_transport_close(looking->transport);
    weir_ignore(take_reason);
    return NULL;
}

/* Whatever is known now is what the routes are asked with. */
static weir_error *go_on(struct looking *looking, enum inspect_end end, weir_slice rest)
{
    struct connection *connection = weir__connection_of(looking->transport);
    weir_listener *listener = connection->local->current;
    weir_error *error;

    if (end == INSPECT_FAILED)
        return give_up(looking, WEIR_OUTCOME_PLUGIN_ERROR,
                       weir_raise(WEIR_EPLUGIN, "inspection came to no end"));
    if (!listener)
        return give_up(looking, WEIR_OUTCOME_DRAINING, NULL);
    looking->inspection.facts.end = end;
    error = weir__connection_know(connection, &looking->inspection.facts);
    if (!error) {
        error = weir__connection_begin(connection, listener, rest);
    }
    forget(looking);
    return error;
}

static weir_error *keep(struct looking *looking, weir_slice data)
{
    if (looking->len + data.len > looking->room) {
        size_t room = looking->len + data.len + 512;
        char *grown = realloc(looking->bytes, room);

        if (!grown)
            return weir_raise(WEIR_ENOMEM, "inspection");
        looking->bytes = grown;
        looking->room = room;
    }
    if (data.len)
        memcpy(looking->bytes + looking->len, data.data, data.len);
    looking->len += data.len;
    return NULL;
}

/* What is left of `bytes` waits for more. */
static weir_error *wait_for_more(struct looking *looking, weir_slice bytes)
{
    if (!looking->len)
        return keep(looking, bytes);
    memmove(looking->bytes, bytes.data, bytes.len);
    looking->len = bytes.len;
    return NULL;
}

/* At what kept waiting, or at what has come when nothing did. */
static weir_error *look(struct looking *looking, weir_slice bytes, enum inspect_end at_the_end)
{
    bool final = at_the_end != INSPECT_MORE;
    size_t consumed;
    enum inspect_end end = weir__inspection_look(&looking->inspection, bytes, final, &consumed);

    bytes = weir_slice_skip(bytes, consumed);
    if (end == INSPECT_MORE)
        return wait_for_more(looking, bytes);
    return go_on(looking, end == INSPECT_ENDED ? at_the_end : end, bytes);
}

static weir_error *data_received(weir_transport *transport, void *state, weir_slice data)
{
    struct looking *looking = state;

    (void)transport;
    if (!looking->listener)
        return NULL;
    if (!looking->len)
        return look(looking, data, INSPECT_MORE);
    WEIR_TRY(keep(looking, data));
    return look(looking, weir_slice_of(looking->bytes, looking->len), INSPECT_MORE);
}

/* A client that leaves without a word is nobody's. */
static weir_error *eof_received(weir_transport *transport, void *state, bool *ret_keep_open)
{
    struct looking *looking = state;

    (void)transport;
    if (!looking->listener)
        return NULL;
    if (!looking->len)
        return give_up(looking, WEIR_OUTCOME_CLIENT_GONE, NULL);
    *ret_keep_open = true;
    return look(looking, weir_slice_of(looking->bytes, looking->len), INSPECT_ENDED);
}

/* A server that speaks first may be meant: the routes know. */
static weir_error *timed_out(void *arg)
{
    struct looking *looking = arg;
    weir_error *error = look(looking, weir_slice_of(looking->bytes, looking->len), INSPECT_TIMEOUT);

    if (error)
        weir_transport_abort(looking->transport, error);
    return NULL;
}

static weir_error *reply(void *arg, weir_slice data)
{
    return weir_transport_write(arg, data);
}

/* Only those that have said nothing yet. */
static void drain(weir_transport *transport, void *state)
{
    struct looking *looking = state;

    (void)transport;
    if (looking->listener && !looking->len)
        weir_ignore(give_up(looking, WEIR_OUTCOME_DRAINING, NULL));
}

static weir_error *connection_made(weir_transport *transport, void *state, const void *config)
{
    struct looking *looking = state;
    weir_listener *listener = weir_listener_acquire(transport);

    (void)config;
    if (!listener)
        return weir_raise(WEIR_ECLOSED, "the listener is gone");
    if (!listener->inspect) {
        weir_error *error = weir__connection_begin(weir__connection_of(transport), listener,
                                                   weir_slice_of(NULL, 0));

        weir_listener_release(listener);
        return error;
    }
    looking->transport = transport;
    looking->listener = listener;
    looking->inspection.plan = listener->inspect;
    looking->inspection.reply = reply;
    looking->inspection.arg = transport;
    weir_timer_init(&looking->timer, weir_transport_loop(transport), timed_out, looking);
    if (listener->inspect->timeout.ns)
        weir_timer_start(&looking->timer, listener->inspect->timeout);
    return NULL;
}

static void connection_lost(weir_transport *transport, void *state, const weir_error *reason)
{
    struct looking *looking = state;

    if (!looking->listener)
        return;
    weir__connection_record(weir__connection_of(transport), looking->listener,
                            WEIR_OUTCOME_CLIENT_GONE, reason);
    forget(looking);
}

const weir_protocol weir__inspect_protocol = {
    WEIR_SIZED(weir_protocol),
    .name = "inspect",
    .state_size = sizeof(struct looking),
    .connection_made = connection_made,
    .data_received = data_received,
    .eof_received = eof_received,
    .connection_lost = connection_lost,
    .drain = drain,
};
