/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of files under test, both ways. What the real backend received, or the other end in memory
 * sent, is delivered at once when no fault speaks against it, else from the inbox, piece by piece and
 * at its time. A send is given to the real backend, or to the other end, as far as faults let it; one
 * that must wait is tried again in the next dispatch.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/chunk.h"
#include "core/base/invariant.h"
#include "core/testing/kit.h"

#define CUT_VECTORS 64
#define REAL_HELD   ((size_t)256 * 1024) /* held before the kernel has to keep them */

/* Receiving */

static void hold_or_start_real(struct kit_file *file)
{
    struct io_backend *real = file->io->real;
    bool wanted = file->user->receiving && !file->inbox->ended && file->inbox->bytes < REAL_HELD;

    if (file->in_memory || wanted == file->real.receiving)
        return;
    if (wanted)
        real->ops->receive_start(real, &file->real);
    else
        real->ops->receive_stop(real, &file->real);
}

void weir__kit_receive_start(struct io_backend *backend, struct io_file *user)
{
    struct kit_file *file = weir__kit_file(container_of(backend, struct kit_io, base), user);

    if (user->closed || user->receiving)
        return;
    user->receiving = 1;
    if (file->inbox->first || file->inbox->ended)
        weir__kit_schedule(file);
    hold_or_start_real(file);
}

void weir__kit_receive_stop(struct io_backend *backend, struct io_file *user)
{
    (void)backend;
    user->receiving = 0;
    if (user->backend_data)
        hold_or_start_real(user->backend_data);
}

void weir__kit_real_received(struct io_file *real, weir_chunk *take_chunk, size_t offset,
                             size_t len)
{
    struct kit_file *file = container_of(real, struct kit_file, real);

    if (!weir__faults_hold(file) && !file->reset) {
        file->received += len;
        (void)KIT_CALL(file, file->user->ops->received(file->user, take_chunk, offset, len));
        return;
    }
    weir__inbox_push(file->io, file->inbox, &file->faults, chunk_bytes(take_chunk) + offset, len);
    weir_chunk_unref(take_chunk);
    weir__kit_schedule(file);
    hold_or_start_real(file);
}

void weir__kit_real_receive_ended(struct io_file *real, int result)
{
    struct kit_file *file = container_of(real, struct kit_file, real);

    weir__inbox_end(file->inbox, result);
    weir__kit_schedule(file);
}

/* Makes the peer of a descriptor of the kernel see it: a TCP connection that is dissolved sends a
   reset, others at least end. */
static void break_real(const struct kit_file *file)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    if (connect(file->user->fd, &nobody, sizeof(nobody)) != 0)
        (void)shutdown(file->user->fd, SHUT_RDWR);
}

/* A reset in the middle of bytes: what was not received is lost, sending fails. */
static void break_connection(struct kit_file *file)
{
    file->io->counts.reset++;
    file->reset = true;
    weir__inbox_drop(file->inbox);
    weir__inbox_end(file->inbox, -ECONNRESET);
    if (file->end)
        weir__memory_reset(file->end);
    else
        break_real(file);
    weir__kit_schedule(file);
}

/* How much may be received now; 0: nothing, for whatever reason. */
static size_t may_receive(struct kit_file *file, size_t due)
{
    size_t most = due < WEIR_CHUNK_SIZE ? due : WEIR_CHUNK_SIZE, n;
    int code;

    if (file->faults.starve_every && (file->receives + 1) % file->faults.starve_every == 0) {
        file->receives++;
        file->io->counts.starved++;
        weir__kit_schedule(file);
        return 0;
    }
    code = weir__faults_receive(file);
    if (code) {
        weir__inbox_drop(file->inbox);
        weir__inbox_end(file->inbox, -code);
        return 0;
    }
    n = weir__faults_part(file, file->faults.max_read, most);
    if (n < most)
        file->io->counts.shortened++;
    if (file->faults.reset_after_received && n > file->faults.reset_after_received - file->received)
        n = file->faults.reset_after_received - file->received;
    return n;
}

/* One completion. False: the file is gone, or nothing more can be received now. */
static bool receive_one(struct kit_file *file, size_t due)
{
    struct kit_io *io = file->io;
    weir_chunk *chunk;
    size_t n = may_receive(file, due);

    if (!n)
        return false;
    chunk = weir__chunk_take(io->base.pool);
    if (!chunk) {
        file->starved = true;
        return false;
    }
    n = weir__inbox_take(file->inbox, weir__loop_now(io->loop), chunk_bytes(chunk), n);
    file->received += n;
    if (file->end)
        weir__memory_taken(file->end);
    if (file->faults.reset_after_received && file->received >= file->faults.reset_after_received &&
        !file->reset)
        break_connection(file);
    if (!KIT_CALL(file, file->user->ops->received(file->user, chunk, 0, n)))
        return false;
    return !file->faults.max_read;
}

static void wait_for_held(struct kit_file *file)
{
    struct kit_io *io = file->io;
    const struct held *first = file->inbox->first;
    unsigned long plan = kit_unplan();

    if (first->due <= weir__loop_now(io->loop))
        weir__kit_schedule(file);
    else if (weir__timer_start(io->loop, &file->timer, (weir_instant){first->due}) != NULL)
        abort();
    weir__alloc_fail_nth = plan;
}

static void deliver_end(struct kit_file *file)
{
    struct inbox *inbox = file->inbox;

    if (!file->user->receiving || inbox->end_told)
        return;
    inbox->end_told = true;
    file->user->receiving = 0;
    (void)KIT_CALL(file, file->user->ops->receive_ended(file->user, inbox->result));
}

void weir__kit_deliver(struct kit_file *file)
{
    struct kit_io *io = file->io;
    size_t budget = IO_RECEIVE_BUDGET, due;

    while (file->user->receiving && budget > 0 &&
           (due = weir__inbox_due(file->inbox, weir__loop_now(io->loop))) > 0) {
        size_t before = file->received;

        io->current = file;
        if (!receive_one(file, due)) {
            if (io->current != file)
                return;
            break;
        }
        budget -= file->received - before < budget ? file->received - before : budget;
    }
    hold_or_start_real(file);
    if (file->inbox->first && file->user->receiving && !file->starved)
        wait_for_held(file);
    else if (!file->inbox->first && file->inbox->ended)
        deliver_end(file);
}

/* Sending */

static size_t total_of(const struct iovec *iov, int count)
{
    size_t total = 0;

    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    return total;
}

void weir__kit_refresh_cut(struct kit_file *file)
{
    for (int i = 0; file->cut_of && i < file->ncut; i++)
        file->cut[i].iov_base = file->cut_of[i].iov_base;
}

static ssize_t send_real(struct kit_file *file, const struct iovec *iov, int count, size_t limit)
{
    struct io_backend *real = file->io->real;
    int used = 0;
    ssize_t n;

    if (limit == total_of(iov, count))
        return real->ops->send(real, &file->real, iov, count);
    if (!file->cut)
        file->cut = weir__kit_alloc(CUT_VECTORS * sizeof(file->cut[0]));
    for (; used < count && used < CUT_VECTORS && limit > 0; used++) {
        file->cut[used] = iov[used];
        if (file->cut[used].iov_len > limit)
            file->cut[used].iov_len = limit;
        limit -= file->cut[used].iov_len;
    }
    n = real->ops->send(real, &file->real, file->cut, used);
    file->cut_of = n == -EINPROGRESS ? iov : NULL;
    file->ncut = used;
    return n;
}

/* Bytes, -errno, -EAGAIN to be tried again, or -EINPROGRESS: the real backend has it. */
static ssize_t try_send(struct kit_file *file, const struct iovec *iov, int count)
{
    size_t total = total_of(iov, count), limit;
    size_t reset_after = file->faults.reset_after_sent;
    ssize_t n;
    int code;

    if (file->reset)
        return -ECONNRESET;
    if (file->refusals > 0) {
        file->refusals--;
        file->io->counts.refused++;
        weir__kit_schedule(file);
        return -EAGAIN;
    }
    code = weir__faults_send(file);
    if (code)
        return -code;
    limit = weir__faults_part(file, file->faults.max_write, total);
    if (reset_after && limit > reset_after - file->sent)
        limit = reset_after - file->sent;
    n = file->end ? weir__memory_send(file, iov, count, limit) : send_real(file, iov, count, limit);
    if (n <= 0)
        return n;
    file->sent += (size_t)n;
    file->refusals = file->faults.refuse;
    if ((size_t)n == limit && limit < total) {
        file->io->counts.shortened++;
        file->refusals += file->refusals == 0;
    }
    if (reset_after && file->sent >= reset_after)
        break_connection(file);
    return n;
}

ssize_t weir__kit_send(struct io_backend *backend, struct io_file *user, const struct iovec *iov,
                       int count)
{
    struct kit_file *file = weir__kit_file(container_of(backend, struct kit_io, base), user);
    ssize_t n;

    weir_assert(!user->sending && !user->closed);
    n = try_send(file, iov, count);
    if (n != -EAGAIN && n != -EINPROGRESS)
        return n;
    user->sending = 1;
    if (n == -EAGAIN) {
        file->iov = iov;
        file->count = count;
    }
    return -EINPROGRESS;
}

/* False: the file is gone. */
bool weir__kit_go_on_sending(struct kit_file *file)
{
    ssize_t n = try_send(file, file->iov, file->count);

    if (n == -EAGAIN)
        return true;
    file->iov = NULL;
    if (n == -EINPROGRESS)
        return true;
    file->user->sending = 0;
    return KIT_CALL(file, file->user->ops->sent(file->user, n));
}

void weir__kit_real_sent(struct io_file *real, ssize_t result)
{
    struct kit_file *file = container_of(real, struct kit_file, real);

    if (result > 0) {
        file->sent += (size_t)result;
        if (file->faults.reset_after_sent && file->sent >= file->faults.reset_after_sent)
            break_connection(file);
        file->refusals = file->faults.refuse;
        file->io->counts.shortened += file->cut_of != NULL;
        file->refusals += file->cut_of && !file->refusals;
    }
    file->cut_of = NULL;
    file->user->sending = 0;
    (void)KIT_CALL(file, file->user->ops->sent(file->user, result));
}

void weir__kit_shutdown(struct io_backend *backend, struct io_file *user)
{
    struct kit_io *io = container_of(backend, struct kit_io, base);
    struct kit_file *file = weir__kit_file(io, user);

    if (file->end)
        weir__memory_shutdown(file->end);
    else
        io->real->ops->shutdown(io->real, &file->real);
}
