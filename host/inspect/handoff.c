/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing a connection to another listener, where it goes on as if it had been accepted there: it is
 * counted and limited there, TLS begins there when the listener has it (with the bytes that were looked
 * at), then the listener's own inspection, then its protocol.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include <weir/tls.h>

#include "host/inspect/inspect.h"
#include "host/listener/listener.h"
#include "host/schema/schema.h"

/* Routes that hand over in a circle are refused in the file; this is for those of two generations. */
#define HANDOFFS_MAX 8

struct handing_over {
    struct connection *connection;
    weir_listener *listener; /* NULL: it is over */
};

static void move(struct connection *connection, struct slot_loop *local)
{
    HOST_COUNT(connection->local->counters.open, -1);
    __atomic_sub_fetch(&connection->local->slot->open, 1, __ATOMIC_RELAXED);
    hlist_remove(&connection->link);
    connection->local = local;
    hlist_append(&local->connections, &connection->link);
    HOST_COUNT(local->counters.accepted, 1);
    HOST_COUNT(local->counters.open, 1);
}

static weir_error *begin(struct connection *connection, weir_listener *listener)
{
    weir_slice nothing = {NULL, 0};

    /* Whoever gave it up may have paused it; nothing is received before this returns. */
    weir_transport_resume_reading(connection->transport);
    if (listener->inspect)
        return weir_transport_set_protocol(connection->transport, &weir__inspect_protocol, NULL,
                                           nothing, NULL);
    return weir__connection_begin(connection, listener, nothing);
}

static weir_outcome outcome_of(const weir_error *error)
{
    if (weir_error_is(error, ETIMEDOUT))
        return WEIR_OUTCOME_CLIENT_TIMEOUT;
    return weir_error_is(error, WEIR_ETLS) ? WEIR_OUTCOME_CLIENT_BAD_REQUEST
                                           : WEIR_OUTCOME_CLIENT_GONE;
}

static void handshake_done(weir_transport *transport, weir_error *take_error, void *arg)
{
    struct handing_over *over = arg;
    weir_listener *listener = WEIR_TAKE(over->listener), *now;
    weir_duration took;
    weir_tls_result result = weir_transport_tls_result(transport, &took);

    weir__listener_handshake_over(transport, result, took, over->connection->local->slot);
    if (take_error) {
        weir__connection_record(over->connection, listener, outcome_of(take_error), take_error);
    } else {
        now = over->connection->local->current;
        if (now)
            take_error = begin(over->connection, now);
        else
            weir_transport_close(transport);
        if (take_error)
            weir_transport_abort(transport, weir_error_ref(take_error));
    }
    weir_listener_release(listener);
    weir_ignore(take_error);
}

static const weir_protocol handing_over = {WEIR_SIZED(weir_protocol), .name = "handoff",
                                           .state_size = sizeof(struct handing_over)};

static weir_error *begin_tls(struct connection *connection, weir_listener *listener)
{
    struct handing_over *over;
    weir_error *error;
    void *state;

    WEIR_TRY(weir_transport_set_protocol(connection->transport, &handing_over, NULL,
                                         weir_slice_of(NULL, 0), &state));
    over = state;
    over->connection = connection;
    over->listener = weir_listener_acquire(connection->transport);
    if (connection->facts) /* the server would have had to be asked for TLS, which ends here */
        connection->facts->send = connection->facts->expect = 0;
    error = weir_transport_accept_tls(connection->transport, listener->tls,
                                      listener->handshake_timeout, handshake_done, over);
    if (!error)
        return NULL;
    weir__listener_handshake_over(connection->transport, WEIR_TLS_FAILED, WEIR_NS(0),
                                  connection->local->slot);
    /* There is no way back: it ends here, and the caller has nothing more to do. */
    weir__connection_record(connection, over->listener, outcome_of(error), error);
    weir_listener_release(WEIR_TAKE(over->listener));
    weir_transport_abort(connection->transport, error);
    return NULL;
}

weir_error *weir_listener_hand_over(weir_transport *transport, const weir_handoff *to)
{
    const struct listener_config *config = (const struct listener_config *)(const void *)to;
    struct connection *connection = weir__connection_of(transport);
    struct traffic *traffic = weir__traffic();
    struct slot_loop *local;
    weir_listener *listener;
    weir_tls_info tls;
    weir_error *error;

    if (!connection || !traffic || !config->slot)
        return weir_raise(WEIR_EINVALSTATE, "no connection of a listener");
    local = &config->slot->loops[traffic->index];
    listener = local->current;
    if (!listener)
        return weir_raise(WEIR_ECLOSED, "listener `%s` is gone", config->name);
    if (connection->handoffs >= HANDOFFS_MAX)
        return weir_raise(WEIR_ELIMIT, "handed over %u times", (unsigned)connection->handoffs);
    if (listener->tls && weir_transport_tls_info(transport, &tls))
        return weir_raise(WEIR_EINVALSTATE, "listener `%s` would put TLS into TLS", config->name);
    WEIR_TRY(weir__slot_admit(config->slot, local));
    connection->handoffs++;
    move(connection, local);
    weir__connection_pin(connection, listener);
    error = listener->tls ? begin_tls(connection, listener) : begin(connection, listener);
    return error;
}
