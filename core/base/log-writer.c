/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer thread. It takes records from all rings in the order of their times, makes lines of
 * them, and writes batches of at most PIPE_BUF bytes when poll() says that the sink takes them: a
 * write of that size does not block on a pipe that polled writable, and lines of several processes
 * do not mix. A sink that nobody reads stalls this thread, in poll() for slices of a second in which
 * it notices a shutdown; producers fill their rings and count what they drop.
 *
 * It is started by the first record and sleeps on a semaphore. A producer posts only when it finds
 * the writer asleep: it commits its record, then looks; the writer says that it sleeps, then looks.
 *
 * fork(): the child has no writer thread and nothing queued; its first record starts one.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <weir/error.h>
#include <weir/event.h>

#include "core/base/alloc.h"
#include "core/base/invariant.h"
#include "core/base/log.h"
#include "core/base/symbol.h"

#define POLL_SLICE_MS    50
#define EXIT_FLUSH       WEIR_S(2)
#define SYNCHRONOUS_WAIT WEIR_S(5)

enum writer_state { WRITER_NONE, WRITER_RUNNING, WRITER_STUCK };

static struct {
    pthread_mutex_t lock; /* of what is below, up to `stop` */
    pthread_cond_t written;
    pthread_t thread;
    atomic_int state;
    atomic_bool synchronous;
    atomic_bool stop;
    atomic_bool asleep;
    sem_t wake;
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t writer_once = PTHREAD_ONCE_INIT;

/* Of the writer thread alone; kept so that a new one goes on where the last stopped. */
static struct {
    char data[LOG_LINE_MAX];
    size_t len, sent;
} batch;

/* Writing */

/* False: given up, the writer is to stop. */
static bool wait_writable(int fd)
{
    struct pollfd sink = {.fd = fd, .events = POLLOUT};

    for (;;) {
        int n = poll(&sink, 1, POLL_SLICE_MS);

        if (n > 0)
            return true;
        if (atomic_load(&writer.stop))
            return false;
    }
}

/* Writes the batch, from where an earlier try was given up. */
static bool write_out(int fd)
{
    while (batch.sent < batch.len) {
        size_t left = batch.len - batch.sent;
        ssize_t n;

        if (!wait_writable(fd))
            return false;
        n = write(fd, batch.data + batch.sent, left < PIPE_BUF ? left : PIPE_BUF);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return true; /* a broken sink: there is nobody to tell */
        batch.sent += (size_t)n;
    }
    return true;
}

/* The batch is out, or can never be: its room in the rings is free. */
static bool batch_end(int fd)
{
    if (!write_out(fd))
        return false;
    batch.len = batch.sent = 0;
    pthread_mutex_lock(&writer.lock);
    for (struct log_ring *ring = weir__log_rings(); ring; ring = ring->next)
        atomic_store_explicit(&ring->tail, ring->read, memory_order_release);
    pthread_cond_broadcast(&writer.written);
    pthread_mutex_unlock(&writer.lock);
    return true;
}

/* Where records go now. */
struct target {
    int fd, journal; /* -1: none */
    struct log_style style;
};

/* A datagram of its own. False: given up, the writer is to stop. `ret_sent` false: there is no journal,
   the record is to be written as a line. */
static bool send_to_journal(const struct log_record *record, struct target *target, bool *ret_sent)
{
    static char datagram[LOG_LINE_MAX];
    struct text text = text_over(datagram, sizeof(datagram));
    enum log_sent sent;
    bool renewed = false;

    weir__log_format(&text, &target->style, record);
    for (;;) {
        sent = weir__log_journal_send(target->journal, datagram, text_length(&text));
        if (sent == LOG_SEND_LATER && !wait_writable(target->journal))
            return false;
        /* It may have been started anew since. */
        if (sent == LOG_SEND_NEVER && !renewed)
            renewed = weir__log_sink_renew_journal(&target->journal);
        else if (sent != LOG_SEND_LATER)
            break;
        if (sent == LOG_SEND_NEVER && !renewed)
            break;
    }
    *ret_sent = sent == LOG_SENT;
    return true;
}

static bool batch_add(const struct log_record *record, struct target *target)
{
    static char line[LOG_LINE_MAX];
    struct text text = text_over(line, sizeof(line));
    struct log_style style = target->style;
    int fd = target->fd;
    bool sent = false;
    size_t len;

    if (target->journal >= 0) {
        if (!send_to_journal(record, target, &sent))
            return false;
        style = (struct log_style){.format = WEIR_LOG_TEXT, .priority_prefix = true};
    }
    weir__log_sinks_call(record);
    if (sent)
        return true;
    weir__log_format(&text, &style, record);
    len = text_length(&text);
    if (text_truncated(&text))
        line[len - 1] = '\n';
    if (batch.len + len > PIPE_BUF && batch.len > 0 && !batch_end(fd))
        return false;
    memcpy(batch.data + batch.len, line, len);
    batch.len += len;
    return true;
}

/* Merging */

static struct log_ring *oldest_ring(const struct log_record **ret_record)
{
    struct log_ring *oldest = NULL;
    const struct log_record *first = NULL;

    for (struct log_ring *ring = weir__log_rings(); ring; ring = ring->next) {
        const struct log_record *record = weir__log_ring_peek(ring);

        if (record && (!first || record->time < first->time)) {
            first = record;
            oldest = ring;
        }
    }
    *ret_record = first;
    return oldest;
}

static void report_dropped(struct target *target)
{
    static weir_logger *logger;
    static uint64_t lost_reported;
    uint64_t lost = weir__log_lost(), n = lost > lost_reported ? lost - lost_reported : 0;
    char name[256];

    struct {
        struct log_record record;
        char text[512];
    } made;

    static const char event[] = LOG_MESSAGE_ID "\0" WEIR_EVENT_LOG_DROPPED;
    int len;

    for (struct log_ring *ring = weir__log_rings(); ring; ring = ring->next) {
        uint64_t dropped = atomic_load_explicit(&ring->dropped, memory_order_relaxed);

        n += dropped - ring->reported;
        ring->reported = dropped;
    }
    lost_reported = lost;
    if (n == 0)
        return;
    weir__log_sink_name(name, sizeof(name));
    if (!logger)
        logger = weir_logger_get("weir.log");
    len = snprintf(made.text, sizeof(made.text) - sizeof(event) - 1,
                   "%llu records dropped (sink %s slow)", (unsigned long long)n, name);
    made.text[len + 1] = '\0'; /* an empty body */
    memcpy(made.text + len + 2, event, sizeof(event));
    made.record = (struct log_record){
        .level = WEIR_LOG_WARNING,
        .time = weir__wall_clock_ns(),
        .logger = logger,
        .message_size = (uint32_t)len + 1,
        .body_size = 1,
        .nfields = 1,
    };
    (void)batch_add(&made.record, target);
}

static void free_left_rings(void)
{
    for (struct log_ring *ring = weir__log_rings(); ring; ring = ring->next) {
        int left = LOG_RING_LEFT;

        if (atomic_load(&ring->state) == LOG_RING_LEFT && ring->read == atomic_load(&ring->head))
            atomic_compare_exchange_strong(&ring->state, &left, LOG_RING_FREE);
    }
}

/* Everything that is queued now. False: told to stop while the sink was stalled. */
static bool write_all(void)
{
    const struct log_record *record;
    struct target target;
    struct log_ring *ring;

    weir__log_sink_get(&target.fd, &target.journal, &target.style);
    if (batch.len > 0 && !batch_end(target.fd))
        return false;
    while ((ring = oldest_ring(&record))) {
        if (!batch_add(record, &target))
            return false;
        weir__log_ring_advance(ring, record);
        /* Datagrams make no batches: their room is free at once. */
        if (target.journal >= 0 && batch.len == 0)
            (void)batch_end(target.fd);
    }
    report_dropped(&target);
    if (!batch_end(target.fd))
        return false;
    free_left_rings();
    return true;
}

static bool anything_queued(void)
{
    for (struct log_ring *ring = weir__log_rings(); ring; ring = ring->next) {
        if (ring->read != atomic_load(&ring->head) || atomic_load(&ring->state) == LOG_RING_LEFT)
            return true;
    }
    return false;
}

static __thread bool is_writer;

static void *writer_main(void *arg)
{
    (void)arg;
    is_writer = true;
    for (;;) {
        bool all = write_all();

        if (atomic_load(&writer.stop) && (!all || !anything_queued()))
            return NULL;
        atomic_store(&writer.asleep, true);
        if (!anything_queued() && !atomic_load(&writer.stop)) {
            while (sem_wait(&writer.wake) != 0) {
            }
        }
        atomic_store(&writer.asleep, false);
    }
}

/* Life of the thread */

static void init_written(void)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&writer.written, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void before_fork(void)
{
    weir__loggers_lock();
    weir__log_sinks_lock();
    weir__symbols_lock();
    pthread_mutex_lock(&writer.lock);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&writer.lock);
    weir__symbols_unlock();
    weir__log_sinks_unlock();
    weir__loggers_unlock();
}

static void after_fork_child(void)
{
    after_fork_parent();
    atomic_store(&writer.state, WRITER_NONE);
    atomic_store(&writer.stop, false);
    atomic_store(&writer.asleep, false);
    sem_init(&writer.wake, 0, 0);
    init_written();
    batch.len = batch.sent = 0;
    weir__log_rings_forked();
}

static void at_exit(void)
{
    (void)weir_log_flush(EXIT_FLUSH);
}

static void init_once(void)
{
    init_written();
    sem_init(&writer.wake, 0, 0);
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
    atexit(at_exit);
}

/* The writer gets no signals: handlers run on the threads that the program knows of. */
static void start_writer(void)
{
    sigset_t all, old;

    pthread_once(&writer_once, init_once);
    pthread_mutex_lock(&writer.lock);
    if (atomic_load(&writer.state) == WRITER_NONE) {
        atomic_store(&writer.stop, false);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        if (pthread_create(&writer.thread, NULL, writer_main, NULL) == 0) {
            pthread_setname_np(writer.thread, "weir-log");
            atomic_store(&writer.state, WRITER_RUNNING);
        }
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_mutex_unlock(&writer.lock);
}

static void wake(void)
{
    if (weir_unlikely(atomic_load_explicit(&writer.state, memory_order_relaxed) == WRITER_NONE))
        start_writer();
    if (atomic_load(&writer.asleep) && atomic_exchange(&writer.asleep, false))
        sem_post(&writer.wake);
}

static struct timespec deadline_of(weir_duration limit)
{
    weir_instant end = weir_instant_after(weir_now(), limit);

    return (struct timespec){.tv_sec = end.ns / 1000000000, .tv_nsec = end.ns % 1000000000};
}

/* Until what is queued now is written. */
static bool wait_written(weir_duration limit)
{
    struct timespec end = deadline_of(limit);
    bool done = true;

    for (struct log_ring *ring = weir__log_rings(); ring && done; ring = ring->next) {
        uint64_t head = atomic_load(&ring->head);

        pthread_mutex_lock(&writer.lock);
        while (done && atomic_load_explicit(&ring->tail, memory_order_acquire) < head)
            done = pthread_cond_timedwait(&writer.written, &writer.lock, &end) == 0;
        if (atomic_load_explicit(&ring->tail, memory_order_acquire) >= head)
            done = true;
        pthread_mutex_unlock(&writer.lock);
    }
    return done;
}

void weir__log_writer_wake(void)
{
    wake();
    if (weir_unlikely(atomic_load_explicit(&writer.synchronous, memory_order_relaxed)) &&
        !is_writer)
        (void)wait_written(SYNCHRONOUS_WAIT);
}

bool weir_log_flush(weir_duration limit)
{
    if (atomic_load(&writer.state) == WRITER_NONE && !weir__log_rings())
        return true;
    wake(); /* starts one when a shutdown left records behind */
    return is_writer || wait_written(limit);
}

void weir_log_shutdown(weir_duration limit)
{
    struct timespec end;

    if (atomic_load(&writer.state) == WRITER_NONE)
        return;
    (void)weir_log_flush(limit);
    atomic_store(&writer.stop, true);
    sem_post(&writer.wake);
    /* It looks up from poll() every slice; only a write that blocks after all outlasts this. */
    clock_gettime(CLOCK_REALTIME, &end); /* clockjoin is unknown to clang 14's TSan */
    end.tv_sec += 1;
    pthread_mutex_lock(&writer.lock);
    if (atomic_load(&writer.state) == WRITER_RUNNING) {
        pthread_t thread = writer.thread;

        pthread_mutex_unlock(&writer.lock);
        if (pthread_timedjoin_np(thread, NULL, &end) == 0) {
            pthread_mutex_lock(&writer.lock);
            atomic_store(&writer.state, WRITER_NONE);
        } else {
            /* It stays the one consumer of the rings: no second one may start. */
            atomic_store(&writer.stop, false);
            pthread_mutex_lock(&writer.lock);
            atomic_store(&writer.state, WRITER_STUCK);
        }
    }
    pthread_mutex_unlock(&writer.lock);
}

uint64_t weir_log_dropped(void)
{
    uint64_t n = weir__log_lost();

    for (struct log_ring *ring = weir__log_rings(); ring; ring = ring->next)
        n += atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    return n;
}

weir_error *weir_log_configure(const weir_log_options *given)
{
    weir_log_options options = {.fd = STDERR_FILENO};

    if (given)
        memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    if ((!options.path || options.format == WEIR_LOG_JOURNAL) && options.fd < 0)
        return weir_raise(EBADF, "log to descriptor %d", options.fd);
    if (options.format > WEIR_LOG_JOURNAL)
        return weir_raise(WEIR_EINVAL, "log format %d", (int)options.format);
    /* What was queued before belongs to the old sink, if that still takes it. */
    (void)weir_log_flush(WEIR_S(1));
    WEIR_TRY(weir__log_sink_set(&options));
    atomic_store(&writer.synchronous, options.synchronous);
    return NULL;
}
