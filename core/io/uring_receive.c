/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving. A ring of chunks is shared with the kernel, which takes one for whatever receive has
 * bytes; what it took is handed on as it is, and another chunk of the pool takes its place. So an
 * idle connection holds none, and nothing is copied.
 *
 *   stopped       a stop costs nothing: only when bytes come all the same are they held and the
 *                 receive is cancelled; what had completed by then is held too
 *   above budget  held likewise, and served in the next iteration, so that one fast sender does not
 *                 keep the others waiting
 *   ENOBUFS       the ring was dry and the receive has ended: it is armed again when there are chunks,
 *                 in the order in which the receives ended
 *
 * Held bytes are delivered before anything newer. The end of the stream comes after them.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/invariant.h"
#include "core/io/uring.h"

/* So many pieces are held for a file above its budget before its receive is cancelled. */
#define HELD_ENOUGH 4

/* The ring of buffers */

/* A chunk in the ring is nobody's: it does not count as live. */
static void place_chunk(struct uring_backend *ur, unsigned id, weir_chunk *chunk, int offset)
{
    ur->chunks[id] = chunk;
    chunk->pool->live--;
    io_uring_buf_ring_add(ur->buffers, chunk_bytes(chunk), WEIR_CHUNK_SIZE, (unsigned short)id,
                          io_uring_buf_ring_mask(URING_BUFFERS), offset);
}

static weir_chunk *take_out(struct uring_backend *ur, unsigned id)
{
    weir_chunk *chunk = WEIR_TAKE(ur->chunks[id]);

    chunk->pool->live++;
    return chunk;
}

int weir__uring_buffers_create(struct uring_backend *ur)
{
    int code = weir__uring_register_buffers(&ur->ring, URING_BUFFERS, &ur->buffers);

    if (code)
        return code;
    for (unsigned id = 0; id < URING_BUFFERS; id++)
        ur->empty[ur->nempty++] = (uint16_t)id;
    return 0;
}

void weir__uring_buffers_destroy(struct uring_backend *ur)
{
    if (!ur->buffers)
        return;
    weir__uring_unregister_buffers(&ur->ring, URING_BUFFERS, ur->buffers);
    ur->buffers = NULL;
    for (unsigned id = 0; id < URING_BUFFERS; id++) {
        if (ur->chunks[id])
            weir_chunk_unref(take_out(ur, id));
    }
}

static void arm(struct uring_backend *ur, struct io_file *file)
{
    struct uring_file *uf = uring_file_of(file);
    struct io_uring_sqe *sqe;

    if (uring_inflight(uf, URING_RECEIVE) || uf->ended || file->draining)
        return;
    sqe = weir__uring_entry(ur);
    io_uring_prep_recv_multishot(sqe, file->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_GROUP;
    weir__uring_begin(uf, sqe, URING_RECEIVE);
    uf->cancelling = false;
    ur->receives = true;
}

static void starve(struct uring_backend *ur, struct io_file *file)
{
    list_remove(&file->ready);
    list_append(&ur->starved, &file->ready);
}

void weir__uring_buffers_refill(struct uring_backend *ur)
{
    int placed = 0;

    while (ur->receives && ur->nempty > 0) {
        weir_chunk *chunk = weir__chunk_take(ur->base.pool);

        if (!chunk)
            break;
        place_chunk(ur, ur->empty[--ur->nempty], chunk, placed++);
    }
    if (placed)
        io_uring_buf_ring_advance(ur->buffers, placed);
    if (weir_likely(list_empty(&ur->starved)) || ur->nempty == URING_BUFFERS)
        return;
    while (!list_empty(&ur->starved)) {
        struct io_file *file = container_of(ur->starved.next, struct io_file, ready);

        list_remove(&file->ready);
        if (file->no_socket || file->draining)
            weir__uring_serve_later(ur, file); /* reads itself, or no more */
        else
            arm(ur, file);
    }
}

/* Held bytes */

/* A little that comes behind a little goes with it: many small pieces do not hold a chunk each. */
static bool join(struct uring_file *uf, weir_chunk *chunk, size_t len)
{
    struct uring_held *last = uf->last_held;

    if (!uf->held || len > WEIR_CHUNK_SIZE / 4 || last->len + len > WEIR_CHUNK_SIZE)
        return false;
    memcpy(chunk_bytes(last->chunk) + last->len, chunk_bytes(chunk), len);
    last->len += len;
    weir_chunk_unref(chunk);
    return true;
}

static bool hold(struct uring_backend *ur, struct uring_file *uf, weir_chunk *chunk, size_t len)
{
    struct uring_held *held = ur->spare;

    if (join(uf, chunk, len))
        return true;
    if (held)
        ur->spare = held->next;
    else
        held = weir__malloc(sizeof(*held));
    if (!held)
        return false;
    *held = (struct uring_held){.chunk = chunk, .len = len};
    if (uf->held)
        uf->last_held->next = held;
    else
        uf->held = held;
    uf->last_held = held;
    uf->nheld++;
    return true;
}

static struct uring_held unhold(struct uring_backend *ur, struct uring_file *uf)
{
    struct uring_held *first = uf->held, held = *first;

    uf->held = first->next;
    uf->nheld--;
    first->next = ur->spare;
    ur->spare = first;
    return held;
}

void weir__uring_held_drop(struct uring_backend *ur, struct uring_file *uf)
{
    while (uf->held)
        weir_chunk_unref(unhold(ur, uf).chunk);
}

/* Delivering */

/* Whether the file has had its share of this iteration. */
static bool had_its_share(const struct uring_backend *ur, struct uring_file *uf)
{
    unsigned iteration = ur->iteration & URING_ITERATION_MASK;

    if (uf->took_at != iteration) {
        uf->took_at = iteration & URING_ITERATION_MASK;
        uf->taken = 0;
    }
    return uf->taken >= IO_RECEIVE_BUDGET;
}

static bool deliver(struct uring_backend *ur, struct io_file *file, weir_chunk *take_chunk,
                    size_t len)
{
    struct uring_file *uf = uring_file_of(file);

    (void)had_its_share(ur, uf);
    uf->taken = (uf->taken + (unsigned)len) & URING_TAKEN_MASK;
    return URING_CALL_OUT(ur, file, file->ops->received(file, take_chunk, 0, len));
}

static void tell_end(struct uring_backend *ur, struct io_file *file)
{
    int result = uring_file_of(file)->result;

    file->receiving = 0;
    (void)URING_CALL_OUT(ur, file, file->ops->receive_ended(file, result));
}

/* Pipes and terminals, by read(2). */
static void read_plain(struct uring_backend *ur, struct io_file *file)
{
    while (file->receiving) {
        weir_chunk *chunk;
        ssize_t n;

        if (had_its_share(ur, uring_file_of(file))) {
            weir__uring_serve_later(ur, file);
            return;
        }
        chunk = weir__chunk_take(ur->base.pool);
        if (!chunk) {
            starve(ur, file);
            return;
        }
        do {
            n = read(file->fd, chunk_bytes(chunk), WEIR_CHUNK_SIZE);
        } while (n < 0 && errno == EINTR);
        if (n <= 0) {
            int code = n < 0 ? errno : 0;

            weir_chunk_unref(chunk);
            if (code == EAGAIN) {
                weir__uring_poll_plain(ur, file);
                return;
            }
            uring_file_of(file)->ended = true;
            uring_file_of(file)->result = -code;
            tell_end(ur, file);
            return;
        }
        if (!deliver(ur, file, chunk, (size_t)n))
            return;
    }
}

void weir__uring_receive_serve(struct uring_backend *ur, struct io_file *file)
{
    struct uring_file *uf = uring_file_of(file);

    if (file->no_socket) {
        if (file->receiving)
            read_plain(ur, file);
        return;
    }
    while (file->receiving && uf->held) {
        struct uring_held held;

        if (had_its_share(ur, uf)) {
            weir__uring_serve_later(ur, file);
            return;
        }
        held = unhold(ur, uf);
        if (!deliver(ur, file, held.chunk, held.len))
            return;
    }
    if (!file->receiving)
        return;
    if (uf->ended) {
        tell_end(ur, file);
    } else if (file->draining && !uring_inflight(uf, URING_RECEIVE)) {
        file->draining = 0;
        (void)URING_CALL_OUT(ur, file, file->ops->drained(file));
    } else {
        arm(ur, file);
    }
}

static void stop_the_flow(struct uring_backend *ur, struct uring_file *uf)
{
    if (uring_inflight(uf, URING_RECEIVE) && !uf->cancelling) {
        uf->cancelling = true;
        weir__uring_cancel(ur, uf, URING_RECEIVE);
    }
}

static void received_bytes(struct uring_backend *ur, struct uring_file *uf, weir_chunk *chunk,
                           size_t len)
{
    struct io_file *file = uf->file;

    if (!file) {
        weir_chunk_unref(chunk);
        return;
    }
    if (file->receiving && !uf->held && !had_its_share(ur, uf)) {
        (void)deliver(ur, file, chunk, len);
        return;
    }
    if (!hold(ur, uf, chunk, len)) {
        /* Bytes cannot be left out: the stream is over. */
        weir_chunk_unref(chunk);
        uf->ended = true;
        uf->result = -ENOMEM;
    }
    if (!file->receiving || uf->nheld >= HELD_ENOUGH)
        stop_the_flow(ur, uf);
    if (file->receiving)
        weir__uring_serve_later(ur, file);
}

/* The receive has ended, for now or for good. */
static void received_last(struct uring_backend *ur, struct uring_file *uf, int result)
{
    struct io_file *file = uf->file;

    uf->cancelling = false;
    if (!file)
        return;
    if (result == -ENOBUFS || result > 0 || result == -ECANCELED || result == -EINTR) {
        if (!file->receiving)
            weir__uring_idle(ur, file);
        else if (uf->held || file->draining)
            weir__uring_serve_later(ur, file); /* and then armed again, or not */
        else if (result == -ENOBUFS)
            starve(ur, file);
        else
            arm(ur, file);
        return;
    }
    uf->ended = true;
    uf->result = result;
    if (!file->receiving) {
        uf->hung = result < 0;
        if (weir__uring_hung_up(ur, file, result))
            weir__uring_idle(ur, file);
        return;
    }
    if (uf->held)
        weir__uring_serve_later(ur, file);
    else
        tell_end(ur, file);
}

void weir__uring_received(struct uring_backend *ur, struct uring_file *uf,
                          const struct io_uring_cqe *cqe)
{
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        weir_chunk *chunk = take_out(ur, id);
        weir_chunk *fresh = weir__chunk_take(ur->base.pool);

        if (weir_likely(fresh != NULL)) {
            place_chunk(ur, id, fresh, 0);
            io_uring_buf_ring_advance(ur->buffers, 1);
        } else {
            ur->empty[ur->nempty++] = (uint16_t)id;
        }
        if (cqe->res > 0)
            received_bytes(ur, uf, chunk, (size_t)cqe->res);
        else
            weir_chunk_unref(chunk);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE))
        received_last(ur, uf, cqe->res);
}

void weir__uring_receive_start(struct io_backend *backend, struct io_file *file)
{
    struct uring_backend *ur = uring_of(backend);

    if (file->closed || file->receiving)
        return;
    file->receiving = 1;
    list_remove(&file->ready);
    if (file->no_socket || file->draining || uring_file_of(file)->held ||
        uring_file_of(file)->ended)
        weir__uring_serve_later(ur, file);
    else
        arm(ur, file);
}

void weir__uring_receive_stop(struct io_backend *backend, struct io_file *file)
{
    struct uring_backend *ur = uring_of(backend);

    if (!file->receiving)
        return;
    file->receiving = 0;
    list_remove(&file->ready);
    if (file->no_socket)
        weir__uring_poll_plain(ur, file);
    else if (!uring_inflight(uring_file_of(file), URING_RECEIVE))
        weir__uring_idle(ur, file);
}

void weir__uring_drain(struct io_backend *backend, struct io_file *file)
{
    struct uring_backend *ur = uring_of(backend);

    file->draining = 1;
    stop_the_flow(ur, uring_file_of(file));
    if (file->receiving)
        weir__uring_serve_later(ur, file);
}

/* While the receive is armed the kernel holds nothing, once it did what it has to do. */
bool weir__uring_has_unread(const struct io_backend *backend, const struct io_file *file)
{
    const struct uring_backend *ur =
        container_of((struct io_backend *)(uintptr_t)backend, struct uring_backend, base);
    const struct uring_file *uf = uring_file_of(file);

    if (!uf || file->no_socket || uf->ended)
        return false;
    return !uring_inflight(uf, URING_RECEIVE) || uring_kernel_has_work(ur);
}
