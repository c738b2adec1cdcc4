/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing. A write into an empty queue goes to the kernel at once, from where the caller has it:
 * one system call, nothing allocated, nothing copied. Only what the kernel does not take is queued.
 * From then on `sending` holds the vectors of the pending send, and its completion sends what has
 * been queued meanwhile, up to SEND_VECTORS pieces in one call.
 *
 * A send that fails means that the peer is gone, but not that it said nothing: while the protocol
 * reads, what has come is still delivered, and the failure comes as the reason of connection_lost.
 */
#include "config.h"

#include <errno.h>

#include "core/base/error.h"
#include "core/net/send_file.h"
#include "core/net/tls.h"
#include "core/net/transport.h"

/* Slices of one write that are handled without the heap. */
#define WRITE_SLICES SEND_VECTORS

weir_error *weir__transport_writable(const weir_transport *t, const char *operation)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (t->net->loop)
        WEIR_TRY(weir__loop_check_call(t->net->loop, operation, NULL));
    if (weir_likely(t->status == TRANSPORT_OPEN && !t->eof_queued && !t->reason && !t->has_file))
        return NULL;
    if (t->has_file && t->status == TRANSPORT_OPEN && !t->reason)
        return WEIR_RAISE_FAST(WEIR_EBUSY, "write while a file is being sent");
    if (t->read_only)
        return WEIR_RAISE_FAST(WEIR_EUNSUPPORTED, "write on a pipe's reading side");
    if (t->status == TRANSPORT_OPEN && t->eof_queued)
        return WEIR_RAISE_FAST(WEIR_ECLOSED, "write after write_eof");
    if (t->status < TRANSPORT_OPEN)
        return WEIR_RAISE_FAST(WEIR_ENOTREADY, "write before the connection is made");
    return WEIR_RAISE_FAST(WEIR_ECLOSED, "write on a closed connection");
}

static void send_failed(weir_transport *t, int code)
{
    weir_error *error = weir__raise_errno(code, "send");

    weir__queue_drop(t);
    if (t->status != TRANSPORT_OPEN || t->stops || t->reason ||
        (code != -EPIPE && code != -ECONNRESET)) {
        weir__transport_lose(t, error);
        return;
    }
    t->reason = error;
    if (t->has_file)
        weir__file_failed(t);
}

static void sent_bytes(weir_transport *t, size_t n)
{
    t->sent += n;
    transport_active(t);
}

/* The queue has been emptied: what was to come after it. */
static void flushed(weir_transport *t)
{
    if (t->has_file && !t->reason)
        return;
    if (t->eof_queued && !t->eof_sent) {
        t->eof_sent = true;
        t->net->io->ops->shutdown(t->net->io, &t->file);
    }
    if (t->status == TRANSPORT_CLOSING && t->tls && weir__tls_waits_for_end(t->tls))
        return;
    if (t->status == TRANSPORT_CLOSING || (t->eof_sent && t->eof_told))
        weir__transport_lose(t, NULL);
}

void weir__transport_flush(weir_transport *t)
{
    struct io_backend *io = t->net->io;
    struct send_vector *vector;
    ssize_t n = 0;

    if (t->sending || t->corks || t->status >= TRANSPORT_LOST)
        return;
    if (t->queue) {
        vector = weir__net_vector(t->net);
        if (!vector) {
            weir__transport_lose(t, weir_raise(WEIR_ENOMEM, "send"));
            return;
        }
        do {
            int count = weir__queue_vector(t, vector->iov);

            n = io->ops->send(io, &t->file, vector->iov, count);
            if (n > 0) {
                sent_bytes(t, (size_t)n);
                weir__queue_consume(t, (size_t)n);
            }
        } while (n > 0 && t->queue);
        if (n == -EINPROGRESS) {
            t->sending = vector;
            return;
        }
        weir__net_vector_free(t->net, vector);
        if (n < 0) {
            send_failed(t, (int)n);
            return;
        }
    }
    flushed(t);
}

void weir__transport_marks(weir_transport *t)
{
    if (weir_unlikely(t->has_file)) {
        weir__file_room(t);
        return;
    }
    if (t->status != TRANSPORT_OPEN)
        return;
    if (!t->write_paused && t->queued > t->high) {
        t->write_paused = true;
        TRANSPORT_TRACE(t, "pauses writing");
        if (t->protocol->pause_writing)
            t->protocol->pause_writing(t, t->state);
    } else if (t->write_paused && t->queued <= t->low) {
        t->write_paused = false;
        TRANSPORT_TRACE(t, "resumes writing");
        if (t->protocol->resume_writing)
            t->protocol->resume_writing(t, t->state);
    }
}

void weir__transport_sent(weir_transport *t, ssize_t result)
{
    weir__net_vector_free(t->net, t->sending);
    t->sending = NULL;
    if (result < 0) {
        send_failed(t, (int)result);
        return;
    }
    sent_bytes(t, (size_t)result);
    weir__queue_consume(t, (size_t)result);
    weir__transport_flush(t);
    weir__transport_marks(t);
}

/* The pending send points at the caller's slices: queues them and points it at what stays. */
static bool keep_pending(weir_transport *t, struct send_vector *vector, int count)
{
    for (int i = 0; i < count; i++) {
        const void *place =
            weir__queue_add(t, weir_slice_of(vector->iov[i].iov_base, vector->iov[i].iov_len));

        if (!place)
            return false;
        vector->iov[i].iov_base = (void *)(uintptr_t)place;
    }
    return true;
}

static bool queue_slices(weir_transport *t, const weir_slice *slices, size_t count, size_t skip)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = skip < slices[i].len ? skip : slices[i].len;
        weir_slice rest = weir_slice_skip(slices[i], n);

        skip -= n;
        if (rest.len && !weir__queue_add(t, rest))
            return false;
    }
    return true;
}

/* Part of a write may be with the kernel, and the rest cannot be kept. */
static weir_error *lost_without_memory(weir_transport *t)
{
    weir__transport_lose(t, weir_raise(WEIR_ENOMEM, "write"));
    return weir_raise(WEIR_ENOMEM, "write");
}

/* The queue is empty and no send is pending. */
static weir_error *write_through(weir_transport *t, const weir_slice *slices, size_t count,
                                 size_t total)
{
    struct io_backend *io = t->net->io;
    struct send_vector *vector = weir__net_vector(t->net);
    size_t done = 0;
    int used = 0;
    ssize_t n;

    if (!vector)
        return weir_raise(WEIR_ENOMEM, "write");
    for (size_t i = 0; i < count && used < SEND_VECTORS; i++) {
        if (!slices[i].len)
            continue;
        vector->iov[used].iov_base = (void *)(uintptr_t)slices[i].data;
        vector->iov[used].iov_len = slices[i].len;
        done += slices[i].len;
        used++;
    }
    n = io->ops->send(io, &t->file, vector->iov, used);
    if (n == -EINPROGRESS) {
        t->sending = vector;
        if (!keep_pending(t, vector, used) || !queue_slices(t, slices, count, done))
            return lost_without_memory(t);
        return NULL;
    }
    weir__net_vector_free(t->net, vector);
    if (n < 0) {
        send_failed(t, (int)n);
        return NULL;
    }
    sent_bytes(t, (size_t)n);
    if ((size_t)n == total)
        return NULL;
    if (!queue_slices(t, slices, count, (size_t)n))
        return lost_without_memory(t);
    weir__transport_flush(t);
    return NULL;
}

static weir_error *too_much(const weir_transport *t, size_t more)
{
    return WEIR_RAISE_FAST(WEIR_EFULL, "write of %lld bytes: %lld are queued, the limit is %lld",
                           (int64_t)more, (int64_t)t->queued, (int64_t)t->hard);
}

static weir_error *check_write(weir_transport *t, size_t total, const char *operation)
{
    weir_error *error;

    weir_check(t, TRANSPORT_MAGIC);
    if (weir_likely(t->net->loop == weir__thread_loop && t->status == TRANSPORT_OPEN &&
                    !t->eof_queued && !t->has_file && !t->reason && !t->queued && total <= t->hard))
        return NULL;
    error = weir__transport_writable(t, operation);
    if (weir_unlikely(error != NULL))
        return error;
    if (weir_unlikely(total > t->hard || t->queued > t->hard - total))
        return too_much(t, total);
    return NULL;
}

weir_error *weir__transport_put(weir_transport *t, const weir_slice *slices, size_t count,
                                size_t total)
{
    weir_error *error = NULL;

    if (t->tls)
        return weir__tls_write(t->tls, slices, count, total);
    if (weir__transport_write_soon(t, slices, count, total)) {
        /* with the others' */
    } else if (weir_likely(!t->queue && !t->corks && !t->sending)) {
        error = write_through(t, slices, count, total);
    } else {
        if (!queue_slices(t, slices, count, 0))
            return lost_without_memory(t);
        weir__transport_flush(t);
    }
    if (weir_unlikely(t->queued > t->high || t->write_paused))
        weir__transport_marks(t);
    return error;
}

weir_error *weir_transport_writev(weir_transport *t, const weir_slice *slices, size_t count)
{
    weir_error *error;
    size_t total = 0;

    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(total, slices[i].len, &total))
            return weir_raise(WEIR_EINVAL, "write of more than the address space");
    }
    error = check_write(t, total, __func__);
    if (error || !total)
        return error;
    return weir__transport_put(t, slices, count, total);
}

weir_error *weir_transport_write(weir_transport *t, weir_slice data)
{
    return weir_transport_writev(t, &data, 1);
}

/* Nothing is pending: what the kernel takes now need not be queued. */
static ssize_t try_owned(weir_transport *t, weir_slice data)
{
    struct io_backend *io = t->net->io;
    struct send_vector *vector = weir__net_vector(t->net);
    ssize_t n;

    if (!vector)
        return -ENOMEM;
    vector->iov[0] = (struct iovec){(void *)(uintptr_t)data.data, data.len};
    n = io->ops->send(io, &t->file, vector->iov, 1);
    if (n == -EINPROGRESS)
        t->sending = vector;
    else
        weir__net_vector_free(t->net, vector);
    return n;
}

static weir_error *write_owned(weir_transport *t, weir_slice data, weir_drop_fn release,
                               void *owner)
{
    ssize_t n = 0;

    if (!t->queue && !t->corks && !t->sending) {
        n = try_owned(t, data);
        if (n == -EINPROGRESS)
            n = 0;
        if (n < 0 || (size_t)n == data.len) {
            if (n < 0)
                send_failed(t, (int)n);
            else
                sent_bytes(t, (size_t)n);
            release(owner);
            return NULL;
        }
        if (n > 0)
            sent_bytes(t, (size_t)n);
    }
    if (weir__queue_add_owned(t, weir_slice_skip(data, (size_t)n), release, owner)) {
        weir_error *error = lost_without_memory(t);

        release(owner);
        return error;
    }
    weir__transport_flush(t);
    weir__transport_marks(t);
    return NULL;
}

weir_error *weir__transport_put_owned(weir_transport *t, weir_slice data, weir_drop_fn release,
                                      void *owner)
{
    weir_error *error;

    if (!t->tls)
        return write_owned(t, data, release, owner);
    error = weir__tls_write(t->tls, &data, 1, data.len);
    release(owner);
    return error;
}

weir_error *weir_transport_write_owned(weir_transport *t, weir_slice data, weir_drop_fn release,
                                       void *owner)
{
    weir_error *error = check_write(t, data.len, __func__);

    if (!error && data.len)
        return weir__transport_put_owned(t, data, release, owner);
    release(owner);
    return error;
}

weir_error *weir_transport_write_eof(weir_transport *t)
{
    weir_error *error;

    weir_check(t, TRANSPORT_MAGIC);
    if (t->net->loop == weir__thread_loop && t->status == TRANSPORT_OPEN && t->eof_queued)
        return NULL;
    error = weir__transport_writable(t, __func__);
    if (error)
        return error;
    t->eof_queued = true;
    if (t->tls)
        weir__tls_close_notify(t->tls);
    weir__transport_flush(t);
    return NULL;
}

void weir_transport_cork(weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t))
        return;
    weir_require(t->corks < UINT8_MAX);
    t->corks++;
}

void weir_transport_uncork(weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t))
        return;
    weir_require(t->corks > 0);
    if (--t->corks || t->status >= TRANSPORT_LOST)
        return;
    if (t->queue || t->eof_queued || t->status == TRANSPORT_CLOSING)
        weir__transport_flush(t);
    weir__transport_marks(t);
}

void weir_transport_set_write_limits(weir_transport *t, size_t high, size_t low, size_t hard)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t))
        return;
    weir_require(low <= high);
    t->high = high > UINT32_MAX ? UINT32_MAX : (uint32_t)high;
    t->low = low > UINT32_MAX ? UINT32_MAX : (uint32_t)low;
    if (hard)
        t->hard = hard > UINT32_MAX ? UINT32_MAX : (uint32_t)hard;
    weir__transport_marks(t);
}

size_t weir_transport_write_buffer_size(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->queued;
}
