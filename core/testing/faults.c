/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults: when an operation of a file fails, waits or moves less than it could, and the inbox in which
 * bytes wait for their time.
 *
 * All that is random comes from the kit's own generator, which starts from the test's seed; what
 * counts operations counts those of one file. So a fault happens again in the next run.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "core/testing/kit.h"

void weir__faults_copy(weir_test_faults *to, const weir_test_faults *given)
{
    *to = (weir_test_faults){WEIR_SIZED(weir_test_faults)};
    if (given)
        memcpy(to, given, given->size && given->size < sizeof(*to) ? given->size : sizeof(*to));
    to->size = sizeof(*to);
}

bool weir__faults_hold(const struct kit_file *file)
{
    const weir_test_faults *f = &file->faults;

    return file->inbox->first || f->delay.ns > 0 || f->bytes_per_second || f->max_read ||
           f->starve_every || f->fail_receive || f->reset_after_received;
}

static int failing(struct kit_file *file, size_t number, size_t wanted)
{
    if (!wanted || number != wanted)
        return 0;
    file->io->counts.failed++;
    return file->faults.code ? file->faults.code : ECONNRESET;
}

int weir__faults_send(struct kit_file *file)
{
    return failing(file, ++file->sends, file->faults.fail_send);
}

int weir__faults_receive(struct kit_file *file)
{
    return failing(file, ++file->receives, file->faults.fail_receive);
}

int weir__faults_accept(struct kit_file *file)
{
    return failing(file, ++file->accepts, file->faults.fail_accept);
}

size_t weir__faults_part(struct kit_file *file, size_t most, size_t n)
{
    size_t part = most && most < n ? most : n;

    if (part > 1 && most && file->faults.vary)
        part = 1 + weir__kit_random(file->io) % part;
    return part;
}

/* The inbox */

static int64_t arrival(struct kit_io *io, struct inbox *inbox, const weir_test_faults *faults,
                       size_t n)
{
    int64_t now = weir__loop_now(io->loop), due = now + faults->delay.ns;

    if (faults->bytes_per_second) {
        int64_t takes = (int64_t)((double)n * 1e9 / (double)faults->bytes_per_second);

        if (inbox->busy_until < now)
            inbox->busy_until = now;
        inbox->busy_until += takes;
        due = inbox->busy_until + faults->delay.ns;
    }
    if (due > now)
        io->counts.delayed++;
    return due;
}

void weir__inbox_push(struct kit_io *io, struct inbox *inbox, const weir_test_faults *faults,
                      const void *bytes, size_t n)
{
    struct held *held = weir__kit_alloc(sizeof(*held) + n);

    held->due = arrival(io, inbox, faults, n);
    held->len = n;
    memcpy(held->bytes, bytes, n);
    if (inbox->last)
        inbox->last->next = held;
    else
        inbox->first = held;
    inbox->last = held;
    inbox->bytes += n;
}

static void drop_first(struct inbox *inbox)
{
    struct held *held = inbox->first;

    inbox->first = held->next;
    if (!inbox->first)
        inbox->last = NULL;
    weir__free(held);
}

void weir__inbox_drop(struct inbox *inbox)
{
    while (inbox->first)
        drop_first(inbox);
    inbox->bytes = 0;
}

void weir__inbox_end(struct inbox *inbox, int result)
{
    if (inbox->ended)
        return;
    inbox->ended = true;
    inbox->result = result;
}

size_t weir__inbox_due(const struct inbox *inbox, int64_t now)
{
    size_t n = 0;

    for (const struct held *held = inbox->first; held && held->due <= now; held = held->next)
        n += held->len - held->used;
    return n;
}

size_t weir__inbox_take(struct inbox *inbox, int64_t now, void *bytes, size_t size)
{
    size_t done = 0;

    while (done < size && inbox->first && inbox->first->due <= now) {
        struct held *held = inbox->first;
        size_t n = held->len - held->used;

        if (n > size - done)
            n = size - done;
        memcpy((char *)bytes + done, held->bytes + held->used, n);
        done += n;
        held->used += n;
        inbox->bytes -= n;
        if (held->used == held->len)
            drop_first(inbox);
    }
    return done;
}
