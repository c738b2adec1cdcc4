/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which program is in force, and a record's way into its thread's ring.
 *
 * Programs are replaced while loops format with them. A thread says in its ring which one it reads, and
 * then looks whether that is still the one in force; who replaces one waits until no ring says it, a
 * few microseconds at most: nothing blocks while a line is made.
 */
#include "config.h"

#include "host/access/access.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static _Atomic(struct access_program *) current;
static _Atomic(uint64_t) lost; /* records of threads without a ring */

struct access_change {
    struct access_program *program; /* NULL: off */
    int fd;
    char *path;
    bool made; /* the file was not there before */
};

static bool is_written(void)
{
    return atomic_load_explicit(&current, memory_order_relaxed) != NULL;
}

bool weir__access_on(void)
{
    return is_written() || weir__access_tapped();
}

/* Terminals are looked at, servers are not. */
static const char *output_of(const struct access_config *config)
{
    if (strcmp(config->output, "auto") != 0)
        return config->output;
    return isatty(STDERR_FILENO) ? "stderr" : WEIR_ACCESS_LOG;
}

weir_error *weir__access_prepare(const struct access_config *config, struct access_change **ret)
{
    struct access_change *change = calloc(1, sizeof *change);
    weir_error *error = NULL;

    if (!change)
        return weir_raise(WEIR_ENOMEM, "access log");
    change->fd = -1;
    if (config && !weir__access_is_off(config)) {
        error = weir__access_program_new(config, &change->program);
        change->made = access(output_of(config), F_OK) != 0;
        if (!error)
            error = weir__access_output_open(output_of(config), &change->fd, &change->path);
    }
    if (error) {
        weir__access_discard(change);
        return error;
    }
    *ret = change;
    return NULL;
}

void weir__access_discard(struct access_change *take_change)
{
    if (!take_change)
        return;
    weir__access_program_free(take_change->program);
    if (take_change->path && take_change->fd > STDERR_FILENO) {
        close(take_change->fd);
        /* A dry run leaves nothing behind. */
        if (take_change->made)
            unlink(take_change->path);
    }
    free(take_change->path);
    free(take_change);
}

static void put_into_force(struct access_program *program)
{
    struct access_program *old = atomic_exchange(&current, program);

    for (struct access_ring *ring = weir__access_rings(); ring && old; ring = ring->next)
        while (atomic_load(&ring->reading) == old)
            sched_yield();
    weir__access_program_free(old);
}

void weir__access_commit(struct access_change *take_change)
{
    weir_error *error = NULL;

    /* Lines in the old format belong to the old output. */
    (void)weir__access_writer_flush(WEIR_S(1));
    if (take_change->program)
        error = weir__access_writer_output(take_change->fd, WEIR_TAKE(take_change->path));
    if (error)
        weir_log_error(weir_logger_get("weir.access"), WEIR_LOG_ERROR, error,
                       "the access log is off");
    else
        put_into_force(WEIR_TAKE(take_change->program));
    weir__access_discard(take_change);
}

weir_error *weir__access_apply(const struct access_config *config)
{
    struct access_change *change;

    WEIR_TRY(weir__access_prepare(config, &change));
    weir__access_commit(change);
    return NULL;
}

weir_error *weir__access_reopen(void)
{
    return is_written() ? weir__access_writer_reopen() : NULL;
}

void weir__access_shutdown(weir_duration limit)
{
    put_into_force(NULL);
    weir__access_writer_stop(limit);
}

bool weir__access_flush(weir_duration limit)
{
    return weir__access_writer_flush(limit);
}

static const struct access_program *begin_reading(struct access_ring *ring)
{
    const struct access_program *program;

    do {
        program = atomic_load_explicit(&current, memory_order_relaxed);
        atomic_store(&ring->reading, program);
    } while (atomic_load(&current) != program);
    return program;
}

static void ask_tls(struct access_entry *entry)
{
    if (entry->transport)
        (void)weir_transport_tls_info(entry->transport, &entry->tls);
}

static void write_record(struct access_ring *ring, struct access_entry *entry)
{
    const struct access_program *program = begin_reading(ring);

    if (program && program->wants_tls)
        ask_tls(entry);
    if (program && weir__access_program_wants(program, entry, &ring->random)) {
        size_t len = weir__access_format(program, entry, ring->line, sizeof ring->line);

        (void)weir__access_ring_put(ring, ring->line, len);
        weir__access_writer_poke(ring);
    }
    atomic_store_explicit(&ring->reading, NULL, memory_order_release);
}

void weir__access_record(const char *listener, weir_transport *transport,
                         const weir_access_record *record)
{
    struct access_ring *ring = weir__access_ring();
    struct access_entry entry;
    struct timespec now;

    if (!ring) {
        atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    entry = (struct access_entry){.listener = listener,
                                  .transport = transport,
                                  .record = record,
                                  .wall_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
                                  .stamps = &ring->stamps,
                                  .scratch = ring->scratch};
    if (is_written())
        write_record(ring, &entry);
    if (weir__access_tapped()) {
        ask_tls(&entry);
        weir__access_tap(ring, &entry);
    }
}

uint64_t weir__access_records(void)
{
    uint64_t n = 0;

    for (struct access_ring *ring = weir__access_rings(); ring; ring = ring->next)
        n += atomic_load_explicit(&ring->records, memory_order_relaxed);
    return n;
}

uint64_t weir__access_dropped(void)
{
    uint64_t n = atomic_load_explicit(&lost, memory_order_relaxed);

    for (struct access_ring *ring = weir__access_rings(); ring; ring = ring->next)
        n += atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    return n;
}
