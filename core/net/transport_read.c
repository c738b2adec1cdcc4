/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading. On the steady path a chunk goes from the backend to data_received in one call. Whatever
 * must not be delivered now (the protocol paused, the rest of a slice belongs to a new protocol)
 * waits in `input`, in order, and is delivered by the loop when the last reason in `stops` is gone.
 * The end of the stream waits behind it.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/base/alloc.h"
#include "core/base/chunk.h"
#include "core/base/error.h"
#include "core/net/tls.h"
#include "core/net/transport.h"

static bool wants_bytes(const weir_transport *t)
{
    if (t->status == TRANSPORT_HANDSHAKE)
        return !(t->stops & STOP_EOF);
    if (t->status == TRANSPORT_CLOSING)
        return t->discards;
    return t->status == TRANSPORT_OPEN && !t->stops;
}

static void update_receiving(weir_transport *t)
{
    struct io_backend *io = t->net->io;
    bool wanted = wants_bytes(t);

    if (t->status >= TRANSPORT_LOST || wanted == t->file.receiving)
        return;
    if (wanted)
        io->ops->receive_start(io, &t->file);
    else
        io->ops->receive_stop(io, &t->file);
}

bool weir__transport_may_deliver(const weir_transport *t)
{
    return t->status == TRANSPORT_OPEN && !t->delivering &&
           !(t->stops & (STOP_PROTOCOL | STOP_CHUNKS));
}

void weir__transport_stop(weir_transport *t, enum read_stop reason)
{
    t->stops |= (uint8_t)reason;
    if (t->reason && t->status == TRANSPORT_OPEN)
        weir__transport_lose(t, WEIR_TAKE(t->reason));
    else
        update_receiving(t);
}

void weir__transport_unstop(weir_transport *t, enum read_stop reason)
{
    t->stops &= (uint8_t)~reason;
    if (t->status != TRANSPORT_OPEN && t->status != TRANSPORT_HANDSHAKE)
        return;
    update_receiving(t);
    if (t->input || (t->eof_seen && !t->eof_told) || (t->tls && weir__tls_has_input(t->tls)))
        weir__loop_ready(t->net->loop, &t->timer.job);
}

void weir__transport_deliver(weir_transport *t, weir_slice data)
{
    struct net *net = t->net;
    weir_transport *outer = net->delivering;
    weir_error *error;

    if (!t->protocol->data_received && !t->protocol->get_buffer)
        return;
    net->delivering = t;
    t->delivering = true;
    if (weir_unlikely(t->protocol->get_buffer != NULL))
        error = weir__transport_fill(t, data);
    else
        error = t->protocol->data_received(t, t->state, data);
    t->delivering = false;
    net->delivering = outer;
    if (weir_unlikely(error != NULL))
        weir__transport_callback_failed(t, error);
}

struct input *weir__input_new(weir_chunk *take_chunk, size_t offset, size_t len)
{
    struct input *input = weir__malloc(sizeof(*input));

    if (!input) {
        weir_chunk_unref(take_chunk);
        return NULL;
    }
    *input = (struct input){.chunk = take_chunk, .offset = offset, .len = len};
    return input;
}

void weir__input_free(struct input *input)
{
    weir_chunk_unref(input->chunk);
    weir__free(input);
}

void weir__input_append(struct input **list, struct input *input)
{
    while (*list)
        list = &(*list)->next;
    *list = input;
}

void weir__transport_discard(weir_transport *t)
{
    t->discards = true;
    update_receiving(t);
}

void weir__transport_drop_input(weir_transport *t)
{
    while (t->input) {
        struct input *input = t->input;

        t->input = input->next;
        weir__input_free(input);
    }
}

static void deliver_input(weir_transport *t)
{
    struct input *input = t->input;

    t->input = input->next;
    weir__transport_deliver(t,
                            weir_slice_of(chunk_bytes(input->chunk) + input->offset, input->len));
    weir__input_free(input);
}

static void tell_eof(weir_transport *t)
{
    weir_error *error = NULL;
    bool keep_open = false;

    t->eof_told = true;
    TRANSPORT_TRACE(t, "received EOF");
    if (t->protocol->eof_received)
        error = t->protocol->eof_received(t, t->state, &keep_open);
    if (error)
        weir__transport_callback_failed(t, error);
    else if (!keep_open)
        weir_transport_close(t);
    else if (t->eof_sent)
        weir__transport_lose(t, NULL);
}

void weir__transport_run_input(weir_transport *t)
{
    while (t->input && weir__transport_may_deliver(t))
        deliver_input(t);
    if (!t->input && (t->stops & STOP_HANDOVER)) {
        t->stops &= (uint8_t)~STOP_HANDOVER;
        update_receiving(t);
    }
    if (!t->input && t->tls && t->status < TRANSPORT_CLOSING) {
        weir__tls_run(t->tls);
        if (t->input) /* a callback gave the connection to another protocol, with the rest */
            weir__loop_ready(t->net->loop, &t->timer.job);
    }
    if (t->eof_seen && !t->eof_told && !t->input && weir__transport_may_deliver(t))
        tell_eof(t);
}

void weir__transport_received(weir_transport *t, weir_chunk *take_chunk, size_t offset, size_t len)
{
    struct input *input;

    if (t->status != TRANSPORT_OPEN && t->status != TRANSPORT_HANDSHAKE) {
        weir_chunk_unref(take_chunk);
        return;
    }
    t->received += len;
    transport_active(t);
    if (t->tls) {
        weir__tls_received(t->tls, take_chunk, offset, len);
    } else if (weir_likely(!t->input && weir__transport_may_deliver(t))) {
        weir__transport_deliver(t, weir_slice_of(chunk_bytes(take_chunk) + offset, len));
        weir_chunk_unref(take_chunk);
    } else {
        input = weir__input_new(take_chunk, offset, len);
        if (!input) {
            weir__transport_lose(t, weir_raise(WEIR_ENOMEM, "receive"));
            return;
        }
        weir__input_append(&t->input, input);
    }
    if (weir_unlikely(t->input != NULL))
        weir__transport_run_input(t);
}

void weir__transport_eof(weir_transport *t)
{
    t->eof_seen = true;
    weir__transport_stop(t, STOP_EOF);
    weir__transport_run_input(t);
}

void weir__transport_receive_ended(weir_transport *t, int result)
{
    if (t->status == TRANSPORT_CLOSING && t->discards)
        weir__transport_lose(t, NULL);
    if (t->status >= TRANSPORT_CLOSING)
        return;
    if (t->reason)
        weir__transport_lose(t, WEIR_TAKE(t->reason));
    else if (result < 0)
        weir__transport_lose(t, weir__raise_errno(result, "receive"));
    else if (t->tls)
        weir__tls_ended(t->tls);
    else
        weir__transport_eof(t);
}

/* Whether the connection is over in both directions: half-closing by the peer is not its end. */
static bool has_hung_up(const weir_transport *t)
{
    struct pollfd poll_fd = {.fd = t->file.fd};

    return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLERR | POLLHUP));
}

/* Bytes that came before the peer left, and that the protocol may still ask for. */
static bool has_unread(const weir_transport *t)
{
    int unread = 0;

    return t->input || (t->tls && weir__tls_has_input(t->tls)) ||
           (ioctl(t->file.fd, FIONREAD, &unread) == 0 && unread > 0);
}

/* 0: none is known. */
static int failure_of(const weir_transport *t)
{
    socklen_t length = sizeof(int);
    int code = 0;

    if (t->file.no_socket || getsockopt(t->file.fd, SOL_SOCKET, SO_ERROR, &code, &length) != 0)
        code = 0;
    return code ? code : -t->file.result;
}

void weir__transport_hangup(weir_transport *t)
{
    if (t->status != TRANSPORT_OPEN || t->reason || t->read_only || t->spliced || !has_hung_up(t))
        return; /* the end of a pipe is an orderly one, for the next read to find */
    if (t->write_only) {
        weir__transport_lose(t, t->queued ? weir__raise_errno(-EPIPE, "send") : NULL);
        return;
    }
    /* Paused: nobody would look for a long time. With bytes unread the next read finds out. When we
       have ended too, the peer's end is an orderly one, and comes after what the pause holds back. */
    if ((t->stops & (STOP_PROTOCOL | STOP_CHUNKS)) && !t->eof_seen && !has_unread(t)) {
        int code = failure_of(t);

        if (code || !t->eof_sent)
            weir__transport_lose(t, weir__raise_errno(code ? -code : -EPIPE, "the peer left"));
    }
}

void weir_transport_pause_reading(weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t) || (t->stops & STOP_PROTOCOL))
        return;
    TRANSPORT_TRACE(t, "pauses reading");
    weir__transport_stop(t, STOP_PROTOCOL);
}

void weir_transport_resume_reading(weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t) || !(t->stops & STOP_PROTOCOL))
        return;
    TRANSPORT_TRACE(t, "resumes reading");
    weir__transport_unstop(t, STOP_PROTOCOL);
}

bool weir_transport_is_reading(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->status == TRANSPORT_OPEN && !(t->stops & (STOP_PROTOCOL | STOP_EOF));
}

weir_error *weir__transport_put_back(weir_transport *t, weir_slice rest)
{
    weir_chunk *chunk = weir_chunk_of(rest);
    struct input *first = NULL, **end = &first;

    while (rest.len) {
        size_t n = chunk || rest.len < WEIR_CHUNK_SIZE ? rest.len : WEIR_CHUNK_SIZE;
        weir_chunk *mine = chunk ? weir_chunk_ref(chunk) : weir__chunk_take(net_pool(t->net));
        size_t offset = chunk ? (size_t)((const char *)rest.data - chunk_bytes(chunk)) : 0;

        *end = mine ? weir__input_new(mine, offset, n) : NULL;
        if (!*end)
            goto fail;
        if (!chunk)
            memcpy(chunk_bytes(mine), rest.data, n);
        end = &(*end)->next;
        rest = weir_slice_skip(rest, n);
    }
    *end = t->input;
    t->input = first;
    return NULL;

fail:
    while (first) {
        struct input *input = first;

        first = input->next;
        weir__input_free(input);
    }
    return weir_raise(WEIR_ENOMEM, "set_protocol");
}

weir_error *weir_transport_set_protocol(weir_transport *t, const weir_protocol *protocol,
                                        const void *config, weir_slice rest, void **ret_state)
{
    weir_error *error;

    weir_check(t, TRANSPORT_MAGIC);
    WEIR_TRY(weir__loop_check_thread(t->net->loop));
    if (t->status != TRANSPORT_OPEN)
        return WEIR_RAISE_FAST(WEIR_ECLOSED, "set_protocol on a closed connection");
    if (t->has_file)
        return WEIR_RAISE_FAST(WEIR_EBUSY, "set_protocol while a file is being sent");
    WEIR_TRY(weir__transport_put_back(t, rest));
    error = weir__transport_install(t, protocol, config);
    if (error) {
        weir__transport_lose(t, weir_raise(WEIR_ENOMEM, "set_protocol"));
        return error;
    }
    if (ret_state)
        *ret_state = t->state;
    t->eof_told = t->write_only; /* the new one hears of the end itself, after the rest */
    if (t->input)
        weir__transport_stop(t, STOP_HANDOVER);
    if (t->protocol->connection_made)
        error = t->protocol->connection_made(t, t->state, config);
    if (error) {
        weir__transport_callback_failed(t, error);
        return NULL;
    }
    t->write_paused = false;
    weir__transport_marks(t);
    if (!t->delivering && (t->input || (t->eof_seen && !t->eof_told)))
        weir__loop_ready(t->net->loop, &t->timer.job);
    return NULL;
}
