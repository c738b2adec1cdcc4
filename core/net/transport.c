/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a transport: one allocation with the protocol's state in it, and with room for what
 * others will want to keep (weir_transport_room()); a table of states, and the two phases of its end. Losing it closes the descriptor and drops what was queued at once, so
 * that nothing more can happen; connection_lost comes from the loop, alone and last, however deep in
 * callbacks the loss was found. The loop's reference keeps the memory up to there.
 */
#include "config.h"

#include "core/net/transport.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/base/error.h"
#include "core/net/connect.h"
#include "core/net/relay.h"
#include "core/net/send_file.h"
#include "core/net/server.h"
#include "core/net/stream.h"
#include "core/net/tls.h"

#define DISCARD_AT_CLOSE ((size_t)256 * 1024)
#define DISCARD_PIECE    ((size_t)8 * 1024)

struct old_state {
    struct old_state *next;
    void *data[] __attribute__((aligned(16)));
};

#define S(name) (1u << TRANSPORT_##name)
static const uint8_t followers[] = {
#define FOLLOWERS_OF(name, next) [TRANSPORT_##name] = (uint8_t)(next),
    TRANSPORT_STATES(FOLLOWERS_OF)
#undef FOLLOWERS_OF
};
#undef S

WEIR_STATIC_ASSERT(offsetof(struct weir_transport, peer) <= 336, "an idle connection stays small");

#define STATE_ALIGNMENT   16
#define ALIGNED(size, to) (((size) + (to)-1) & ~((size_t)(to)-1))

static weir_transport *transport_of(struct io_file *file)
{
    return container_of(file, weir_transport, file);
}

static void on_received(struct io_file *file, weir_chunk *take_chunk, size_t offset, size_t len)
{
    weir__transport_received(transport_of(file), take_chunk, offset, len);
}

static void on_receive_ended(struct io_file *file, int result)
{
    weir__transport_receive_ended(transport_of(file), result);
}

static void on_sent(struct io_file *file, ssize_t result)
{
    weir__transport_sent(transport_of(file), result);
}

static void on_hangup(struct io_file *file)
{
    weir__transport_hangup(transport_of(file));
}

static void on_connected(struct io_file *file, int result)
{
    weir__attempt_connected(transport_of(file), result);
}

static void on_drained(struct io_file *file)
{
    weir__relay_drained(transport_of(file));
}

static void on_usable(struct io_file *file, unsigned events)
{
    weir_transport *t = transport_of(file);

    if (t->has_file)
        weir__file_usable(t);
    else
        weir__relay_usable(t, events);
}

static const struct io_file_ops transport_file_ops = {
    .received = on_received,
    .receive_ended = on_receive_ended,
    .sent = on_sent,
    .hangup = on_hangup,
    .connected = on_connected,
    .drained = on_drained,
    .usable = on_usable,
};

void weir__transport_set_state(weir_transport *t, enum transport_state state)
{
    weir_assert(followers[t->status] & (1u << state));
    t->status = (uint8_t)state;
}

/* Birth */

static size_t state_size_of(const weir_protocol *protocol)
{
    return protocol->serve ? weir__stream_protocol.state_size : protocol->state_size;
}

/* Its state is there. */
static void speak(weir_transport *t, const weir_protocol *protocol)
{
    weir_stream *stream = t->state;

    t->protocol = protocol->serve ? &weir__stream_protocol : protocol;
    if (protocol->serve)
        stream->protocol = protocol;
}

/* Of what is kept of an address: all of it for IP, else the family. */
static size_t peer_size(const struct sockaddr *peer, socklen_t length)
{
    if (peer && peer->sa_family == AF_INET && length >= sizeof(struct sockaddr_in))
        return sizeof(struct sockaddr_in);
    if (peer && peer->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6))
        return sizeof(struct sockaddr_in6);
    return sizeof(sa_family_t);
}

void *weir__transport_room(weir_transport *t, size_t size, size_t alignment)
{
    size_t at = ALIGNED(t->room_at, alignment);

    if (at > t->room_end || size > t->room_end - at)
        return NULL;
    t->room_at = (uint16_t)(at + size);
    return (char *)t + at;
}

void *weir_transport_room(weir_transport *t, size_t size)
{
    weir_check(t, TRANSPORT_MAGIC);
    return transport_allows(t) ? weir__transport_room(t, size, sizeof(uint64_t)) : NULL;
}

bool weir__transport_in_block(const weir_transport *t, const void *memory)
{
    return (uintptr_t)memory - (uintptr_t)t < t->room_end;
}

/* The struct, the peer's address, the protocol's state, and room for who comes later. */
static weir_transport *new_block(const struct transport_new *options)
{
    size_t address = peer_size(options->peer, options->peer_length);
    size_t state_at = ALIGNED(offsetof(weir_transport, peer) + address, STATE_ALIGNMENT);
    size_t room_at = state_at + state_size_of(options->protocol);
    size_t room_end = room_at + options->room;
    weir_transport *t = weir__calloc(1, room_end);

    if (!t)
        return NULL;
    if (options->peer && options->peer_length >= sizeof(sa_family_t))
        memcpy(&t->peer, options->peer, address);
    t->state = (char *)t + state_at;
    if (room_end <= UINT16_MAX) {
        t->room_at = (uint16_t)room_at;
        t->room_end = (uint16_t)room_end;
    }
    return t;
}

static void set_no_delay(const weir_transport *t)
{
    int on = 1;

    if (t->peer.any.sa_family == AF_INET || t->peer.any.sa_family == AF_INET6)
        (void)setsockopt(t->file.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

weir_error *weir__transport_new(const struct transport_new *options, weir_transport **ret)
{
    struct net *net = options->net;
    weir_transport *t = new_block(options);
    weir_error *error;

    if (!t)
        return weir_raise(WEIR_ENOMEM, "transport");
    t->magic = TRANSPORT_MAGIC;
    t->refs = 1;
    t->net = weir__net_ref(net);
    speak(t, options->protocol);
    t->config = options->config;
    t->queue_end = &t->queue;
    t->high = WRITE_HIGH_DEFAULT;
    t->low = WRITE_HIGH_DEFAULT / 4;
    t->hard = WRITE_HARD_DEFAULT;
    t->status = (uint8_t)options->state;
    weir__timer_init(&t->timer, weir__transport_run_deferred, options->site);
    list_init(&t->link);
    io_file_init(&t->file, &transport_file_ops, options->fd, options->site);
    error = net->io->ops->add(net->io, &t->file);
    if (error) {
        weir__net_unref(net);
        weir__free(t);
        return weir_error_trace(error, WEIR_HERE);
    }
    if (weir_unlikely(weir__thread_debug) && weir__transport_extra(t))
        t->extra->created = weir__backtrace_capture();
    t->id = weir__net_id(net);
    if (!options->nagle)
        set_no_delay(t);
    transport_active(t);
    list_append(&net->transports, &t->link);
    net->live++;
    *ret = t;
    return NULL;
}

static void *new_state(weir_transport *t, size_t size)
{
    struct old_state *state =
        weir__transport_extra(t) ? weir__calloc(1, sizeof(*state) + size) : NULL;

    if (!state)
        return NULL;
    state->next = t->extra->states;
    t->extra->states = state;
    return state->data;
}

weir_error *weir__transport_install(weir_transport *t, const weir_protocol *protocol,
                                    const void *config)
{
    size_t size = state_size_of(protocol);
    void *state = size ? weir__transport_room(t, size, STATE_ALIGNMENT) : t->state;

    if (!state)
        state = new_state(t, size);
    if (!state)
        return weir_raise(WEIR_ENOMEM, "protocol state");
    t->state = state;
    speak(t, protocol);
    t->config = config;
    weir__transport_stop_deadline(t);
    return NULL;
}

void weir__transport_open(weir_transport *t)
{
    weir_error *error = NULL;

    weir__transport_set_state(t, TRANSPORT_OPEN);
    t->made = true;
    TRANSPORT_TRACE(t, "connected");
    if (t->protocol->connection_made)
        error = t->protocol->connection_made(t, t->state, t->config);
    if (error && t->server)
        t->refused = true;
    if (error)
        weir__transport_callback_failed(t, error);
    else
        weir__transport_unstop(t, 0);
}

/* The end */

static void log_callback_error(weir_transport *t)
{
    weir_error *error = WEIR_TAKE(t->reason);
    const char *name = weir_transport_protocol(t)->name;
    bool peers_fault = weir_error_is(error, WEIR_EPROTOCOL) || weir_error_is(error, WEIR_ELIMIT) ||
                       weir_error_is(error, WEIR_EINCOMPLETE);

    if (weir__net_is_quiet(error))
        weir_ignore(error);
    else
        weir_log_error(t->net->logger, peers_fault ? WEIR_LOG_INFO : WEIR_LOG_ERROR, error,
                       "%s: connection %llu from %s failed", name ? name : "protocol",
                       (unsigned long long)t->id, weir_transport_peer_name(t));
}

static void unlink_transport(weir_transport *t)
{
    list_remove(&t->link);
    t->net->live--;
}

void weir__transport_leave_server(weir_transport *t)
{
    if (!t->server || t->left_server || t->status != TRANSPORT_DEAD ||
        (t->extra && !list_empty(&t->extra->tasks)))
        return;
    t->left_server = true;
    weir__server_connection_lost(t->server);
}

/* Phase two, from the loop. */
static void finish(weir_transport *t)
{
    weir__transport_set_state(t, TRANSPORT_DEAD);
    if (t->tls)
        weir__tls_lost(t->tls, t->reason);
    if (t->has_file)
        weir__file_lost(t);
    if (t->made && t->protocol->connection_lost)
        t->protocol->connection_lost(t, t->state, t->reason);
    weir__transport_cancel_tasks(t);
    TRANSPORT_TRACE(t, "lost");
    if (t->refused)
        weir__server_refused(t->server, t, WEIR_TAKE(t->reason));
    else if (t->by_callback)
        log_callback_error(t);
    unlink_transport(t);
    weir__transport_leave_server(t);
    weir_transport_unref(t);
}

/* It was not put off or stopped by what ran before it. */
static void reach_deadline(weir_transport *t)
{
    weir_error *error = NULL;

    t->timed = false;
    if (t->protocol->deadline_reached)
        error = t->protocol->deadline_reached(t, t->state);
    if (error)
        weir__transport_callback_failed(t, error);
}

weir_error *weir__transport_run_deferred(struct job *job)
{
    weir_transport *t = container_of(job, weir_transport, timer.job);

    if (t->status == TRANSPORT_LOST) {
        finish(t);
        return NULL;
    }
    if (t->status == TRANSPORT_OPEN || t->status == TRANSPORT_HANDSHAKE)
        weir__transport_run_input(t);
    if (t->timed && !t->timer.position)
        reach_deadline(t);
    return NULL;
}

/* Bytes that nobody will read would turn an orderly end into a reset, which may cost the peer what
   it has not read yet. What has come is thrown away, as far as it is little. */
static void discard_unread(const weir_transport *t)
{
    struct io_backend *io = t->net->io;
    char bytes[DISCARD_PIECE];
    ssize_t n = (ssize_t)sizeof bytes;

    if (t->file.closed || t->file.no_socket || !io->ops->has_unread(io, &t->file))
        return;
    for (size_t left = DISCARD_AT_CLOSE; left && n == (ssize_t)sizeof bytes; left -= sizeof bytes)
        n = recv(t->file.fd, bytes, sizeof bytes, MSG_DONTWAIT);
}

/* Gives back everything but the memory. */
static void shut_down(weir_transport *t)
{
    struct io_backend *io = t->net->io;

    io->ops->close(io, &t->file, false);
    weir__transport_not_soon(t);
    if (t->has_file)
        weir__file_stop(t);
    if (t->sending)
        weir__net_vector_free(t->net, WEIR_TAKE(t->sending));
    weir__transport_stop_deadline(t);
    if (t->extra)
        weir__timer_stop(t->net->loop, &t->extra->idle);
    if (t->tls)
        weir__tls_stop(t->tls);
    weir__queue_drop(t);
    weir__transport_drop_input(t);
}

void weir__transport_lose(weir_transport *t, weir_error *take_reason)
{
    bool orderly = t->status == TRANSPORT_CLOSING || t->eof_sent;

    if (t->status >= TRANSPORT_LOST) {
        weir_ignore(take_reason);
        return;
    }
    weir__transport_set_state(t, TRANSPORT_LOST);
    if (t->reason)
        weir_ignore(take_reason);
    else
        t->reason = take_reason;
    if (orderly && !t->reason)
        discard_unread(t);
    shut_down(t);
    weir__loop_ready(t->net->loop, &t->timer.job);
}

void weir__transport_callback_failed(weir_transport *t, weir_error *take_error)
{
    if (t->status < TRANSPORT_LOST && !t->reason)
        t->by_callback = true;
    weir__transport_lose(t, take_error);
}

void weir__transport_leave(weir_transport *t)
{
    bool lost = t->status == TRANSPORT_LOST;

    if (!lost)
        weir__transport_set_state(t, TRANSPORT_LOST);
    weir__job_cancel(&t->timer.job);
    if (!lost)
        shut_down(t);
    weir__transport_set_state(t, TRANSPORT_DEAD);
    unlink_transport(t);
    weir_transport_unref(t);
}

void weir_transport_close(weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t) || t->status >= TRANSPORT_CLOSING)
        return;
    if (t->status != TRANSPORT_OPEN || t->reason) {
        weir__transport_lose(t, NULL);
        return;
    }
    weir__transport_set_state(t, TRANSPORT_CLOSING);
    weir__transport_drop_input(t);
    weir__transport_stop(t, 0);
    t->corks = 0;
    if (t->tls && !t->has_file)
        weir__tls_close_notify(t->tls);
    weir__transport_flush(t);
    if (t->has_file)
        weir__file_room(t);
    if (t->status == TRANSPORT_CLOSING && (!t->extra || !timer_running(&t->extra->idle)))
        weir_transport_set_idle_timeout(t, CLOSE_FLUSH_LIMIT);
}

/* A peer that reads up to the end of the connection must not take an abort for it: TCP says reset. */
static void make_close_reset(const weir_transport *t)
{
    struct linger at_once = {.l_onoff = 1};

    if (t->status == TRANSPORT_OPEN || t->status == TRANSPORT_CLOSING)
        (void)setsockopt(t->file.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void weir_transport_abort(weir_transport *t, weir_error *take_reason)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t)) {
        weir_ignore(take_reason);
        return;
    }
    make_close_reset(t);
    weir__transport_lose(t, take_reason);
}

bool weir_transport_is_closing(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->status >= TRANSPORT_CLOSING || t->reason;
}

/* References */

weir_transport *weir_transport_ref(weir_transport *t)
{
    if (!t)
        return NULL;
    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t))
        return NULL;
    t->refs++;
    return t;
}

static void free_states(weir_transport *t)
{
    while (t->extra && t->extra->states) {
        struct old_state *state = t->extra->states;

        t->extra->states = state->next;
        weir__free(state);
    }
}

static void drop_transport(void *t)
{
    weir_transport_unref(t);
}

static weir_error *release_transport(void *t)
{
    weir_transport_unref(t);
    return NULL;
}

void weir_transport_unref(weir_transport *t)
{
    if (!t)
        return;
    weir_check(t, TRANSPORT_MAGIC);
    if (t->net->loop && t->net->loop != weir__thread_loop) {
        weir__net_release_elsewhere(t->net, release_transport, drop_transport, t);
        return;
    }
    if (--t->refs)
        return;
    weir_assert(t->status == TRANSPORT_DEAD);
    if (t->context_drop)
        t->context_drop(t->context);
    weir_ignore(t->reason);
    if (t->has_file)
        weir__file_free(t);
    weir__tls_free(t->tls);
    free_states(t);
    weir__transport_extra_free(t);
    if (!weir__transport_in_block(t, t->peer_name))
        weir__free(t->peer_name);
    weir__server_release(t->server);
    weir__net_unref(t->net);
    weir_magic_clear(t);
    weir__free(t);
}
