/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay: two transports whose protocol is to hand everything to each other.
 *
 *     a ──data──▶ write(b)        b's queue above its mark ──▶ a stops reading
 *     a ──eof───▶ write_eof(b)    a lost in order ──▶ b is flushed and closed
 *                                 a failed ────────▶ b is aborted
 *
 * The relay lives until both sides are lost. It keeps a reference to each transport up to that
 * transport's connection_lost. A direction that carries much is spliced (relay_splice.c).
 */
#include "config.h"

#include "core/net/relay.h"

#include "core/base/alloc.h"

static weir_transport *other_side(const struct relay_side *side)
{
    return side->relay->sides[1 - side->index];
}

static void note_end(struct relay *relay, int index, const weir_error *reason)
{
    if (relay->first >= 0)
        return;
    relay->first = index;
    relay->reason = weir_error_ref(reason);
}

static weir_error *relay_data_received(weir_transport *transport, void *state, weir_slice data)
{
    struct relay_side *side = state;
    weir_transport *other = other_side(side);
    weir_error *error;

    if (!other)
        return WEIR_RAISE_FAST(WEIR_ECLOSED, "the other side of the relay is gone");
    error = weir_transport_write(other, data);
    if (error) {
        /* A send had failed; that is how it ended, not this write. */
        if (other->reason)
            note_end(side->relay, 1 - side->index, other->reason);
        return error;
    }
    weir__relay_carried(side->relay, side->index, transport, data.len);
    return NULL;
}

static weir_error *relay_eof_received(weir_transport *transport, void *state, bool *ret_keep_open)
{
    weir_transport *other = other_side(state);

    (void)transport;
    if (!other)
        return NULL;
    *ret_keep_open = true;
    return weir_transport_write_eof(other);
}

static void relay_pause_writing(weir_transport *transport, void *state)
{
    struct relay_side *side = state;
    weir_transport *other = other_side(side);

    (void)transport;
    side->relay->write_paused[side->index] = true;
    if (other)
        weir_transport_pause_reading(other);
}

static void relay_resume_writing(weir_transport *transport, void *state)
{
    struct relay_side *side = state;
    weir_transport *other = other_side(side);

    (void)transport;
    side->relay->write_paused[side->index] = false;
    if (other && weir__relay_splice_start(side->relay, 1 - side->index))
        return;
    if (other && side->relay->started)
        weir_transport_resume_reading(other);
}

static void relay_free(struct relay *relay)
{
    weir_error_unref(relay->reason);
    weir__free(relay);
}

static void relay_connection_lost(weir_transport *transport, void *state, const weir_error *reason)
{
    struct relay_side *side = state;
    struct relay *relay = side->relay;
    weir_transport *other = other_side(side);

    note_end(relay, side->index, reason);
    relay->sides[side->index] = NULL;
    weir__relay_splice_end(relay);
    weir_transport_unref(transport);
    if (other && reason)
        weir_transport_abort(other, NULL);
    else if (other)
        weir_transport_close(other);
    if (other)
        return;
    if (relay->started && relay->done)
        relay->done(relay->arg, relay->first, relay->reason);
    if (relay->reason)
        (void)weir_error_code(relay->reason);
    relay_free(relay);
}

static const weir_protocol relay_protocol = {
    WEIR_SIZED(weir_protocol),
    .name = "relay",
    .state_size = sizeof(struct relay_side),
    .data_received = relay_data_received,
    .eof_received = relay_eof_received,
    .pause_writing = relay_pause_writing,
    .resume_writing = relay_resume_writing,
    .connection_lost = relay_connection_lost,
};

static weir_error *take_over(struct relay *relay, int index, weir_transport *transport)
{
    struct relay_side *side;
    void *state;

    weir_transport_pause_reading(transport);
    WEIR_TRY(weir_transport_set_protocol(transport, &relay_protocol, NULL, weir_slice_of(NULL, 0),
                                         &state));
    side = state;
    side->relay = relay;
    side->index = index;
    relay->sides[index] = weir_transport_ref(transport);
    return NULL;
}

/* Bytes that were received before there was a relay. A failure ends that side, and so the relay. */
static void pass_rest(weir_transport *to, weir_slice rest)
{
    weir_error *error = rest.len ? weir_transport_write(to, rest) : NULL;

    if (error)
        weir_transport_abort(to, error);
}

static void begin(struct relay *relay, weir_transport *a, weir_transport *b,
                  const weir_relay_options *options)
{
    relay->started = true;
    if (options) {
        relay->done = options->done;
        relay->arg = options->arg;
        relay->no_splice = options->no_splice;
        if (options->idle_timeout.ns > 0 && !weir_is_forever(options->idle_timeout)) {
            weir_transport_set_idle_timeout(a, options->idle_timeout);
            weir_transport_set_idle_timeout(b, options->idle_timeout);
        }
    }
    if (!relay->write_paused[1])
        weir_transport_resume_reading(a);
    if (!relay->write_paused[0])
        weir_transport_resume_reading(b);
}

weir_error *weir_relay_start(weir_transport *a, weir_slice rest_a, weir_transport *b,
                             weir_slice rest_b, const weir_relay_options *options)
{
    struct relay *relay;
    weir_error *error;

    /* Asked first: once one side is taken over there is no way back. */
    if (weir_transport_is_closing(a) || weir_transport_is_closing(b))
        return WEIR_RAISE_FAST(WEIR_ECLOSED, "relay of a closed connection");
    relay = weir__calloc(1, sizeof(*relay));
    if (!relay)
        return weir_raise(WEIR_ENOMEM, "relay");
    relay->first = -1;
    error = take_over(relay, 0, a);
    if (error) {
        relay_free(relay);
        return weir_error_trace(error, WEIR_HERE);
    }
    /* From here on the caller's abort of both leads to relay_connection_lost, which frees. */
    WEIR_TRY(take_over(relay, 1, b));
    pass_rest(b, rest_a);
    pass_rest(a, rest_b);
    begin(relay, a, b, options);
    return NULL;
}
