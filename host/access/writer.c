/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that writes. It takes what the rings hold, whole lines at a time, and sleeps:
 *
 *   idle   nothing was there; the next record wakes it
 *   lazy   for at most FLUSH_MS, so that records come together; a ring that is half full wakes it
 *   stalled  the output does not take lines: it is tried again every RETRY_MS
 *
 * An output that does not take them (a full disk, a pipe that nobody reads) stalls this thread only:
 * rings fill, and what does not fit is counted where it is dropped. It is said once, and again when
 * lines are taken anew. A line begun is finished before any other: none is torn.
 *
 * The descriptor is this thread's. A new output is laid down for it and taken between two lines.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <weir/event.h>

#include "host/access/access.h"

#define SAY_AGAIN WEIR_S(10)
#define FLUSH_MS  50
#define LEAST_MS  2
#define RETRY_MS  100

enum { AWAKE, LAZY, IDLE, STALLED };

static struct {
    pthread_mutex_t lock; /* of what is below, up to `wake` */
    pthread_cond_t written;
    bool running;
    pthread_t thread;
    int next_fd; /* -1: none is laid down */
    char *next_path;
    bool next_is_ours;
    char *path;     /* of the last output; NULL: not a file */
    uint64_t turns; /* how often all rings were looked at */
    sem_t wake;
    atomic_bool stop;
    atomic_int sleep;
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER, .next_fd = -1};

/* Of the thread. */
static struct {
    int fd;
    bool is_ours, is_file;
    char *path;
    struct access_ring *unfinished; /* a line of it is begun */
    int failed;                     /* errno of the last write; 0: it was taken */
    bool said;
    uint64_t said_dropped;
    weir_instant say_next; /* not before, of what is only slow */
} out = {.fd = -1};

static pthread_once_t writer_once = PTHREAD_ONCE_INIT;

static weir_logger *logger(void)
{
    return weir_logger_get("weir.access");
}

/* Writing */

static bool takes(int limit_ms)
{
    struct pollfd sink = {.fd = out.fd, .events = POLLOUT};

    return poll(&sink, 1, limit_ms) > 0;
}

/* What of a ring goes out in one call: all of it to a file, else at most PIPE_BUF up to the end of a
   line, which a pipe that polls writable takes at once. */
static size_t piece_of(const struct access_ring *ring, uint64_t tail, uint64_t head)
{
    size_t left = (size_t)(head - tail), n = left < PIPE_BUF ? left : PIPE_BUF;

    if (out.is_file || left <= PIPE_BUF)
        return left;
    for (size_t i = n; i > 0; i--)
        if (ring->data[(tail + i - 1) % ACCESS_RING_SIZE] == '\n')
            return i;
    return n;
}

static ssize_t write_piece(const struct access_ring *ring, uint64_t tail, size_t len)
{
    size_t at = tail % ACCESS_RING_SIZE;
    size_t first = len < ACCESS_RING_SIZE - at ? len : ACCESS_RING_SIZE - at;
    struct iovec pieces[2] = {{(void *)(uintptr_t)(ring->data + at), first},
                              {(void *)(uintptr_t)ring->data, len - first}};

    if (!out.is_file && !takes(0)) {
        errno = EAGAIN;
        return -1;
    }
    return writev(out.fd, pieces, len > first ? 2 : 1);
}

/* False: the output does not take it now. */
static bool write_ring(struct access_ring *ring)
{
    uint64_t head = atomic_load(&ring->head);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    while (tail < head) {
        ssize_t n = write_piece(ring, tail, piece_of(ring, tail, head));

        if (n < 0 && errno == EINTR)
            continue;
        out.failed = n < 0 ? errno : 0;
        if (n <= 0)
            return false;
        tail += (uint64_t)n;
        out.unfinished = ring->data[(tail - 1) % ACCESS_RING_SIZE] == '\n' ? NULL : ring;
        atomic_store_explicit(&ring->tail, tail, memory_order_release);
    }
    return true;
}

static bool write_rings(void)
{
    if (out.unfinished && !write_ring(out.unfinished))
        return false;
    for (struct access_ring *ring = weir__access_rings(); ring; ring = ring->next)
        if (!write_ring(ring))
            return false;
    return true;
}

static bool anything_queued(void)
{
    for (struct access_ring *ring = weir__access_rings(); ring; ring = ring->next)
        if (atomic_load(&ring->head) != atomic_load_explicit(&ring->tail, memory_order_relaxed))
            return true;
    return false;
}

/* Said once: an error at its first sight, a slow reader with the first record that is lost. */
static void report(bool taken)
{
    uint64_t dropped = weir__access_dropped();
    bool broken = !taken && out.failed && out.failed != EAGAIN;
    char text[128];

    if (taken && out.said) {
        weir_log(logger(), WEIR_LOG_WARNING,
                 "the access log goes on in %s; %llu records were dropped", out.path,
                 (unsigned long long)(dropped - out.said_dropped));
        out.said = false;
        out.said_dropped = dropped;
        return;
    }
    if (out.said || (!broken && (dropped == out.said_dropped || weir_now().ns < out.say_next.ns)))
        return;
    out.said = true;
    out.say_next = weir_instant_after(weir_now(), SAY_AGAIN);
    if (broken)
        weir_log_with(
            logger(), WEIR_LOG_ERROR, WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_ACCESS_DROPPED}),
            "the access log cannot be written to %s: %s; what does not fit into memory is "
            "dropped and counted",
            out.path, strerror_r(out.failed, text, sizeof text));
    else
        weir_log_with(
            logger(), WEIR_LOG_WARNING, WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_ACCESS_DROPPED}),
            "records of the access log are dropped and counted: %s does not take them as fast "
            "as they come",
            out.path);
}

/* The output */

/* The rest of a line that another output has the beginning of. */
static void drop_unfinished(void)
{
    struct access_ring *ring = out.unfinished;
    uint64_t tail, head;

    out.unfinished = NULL;
    if (!ring)
        return;
    tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    head = atomic_load(&ring->head);
    while (tail < head && ring->data[tail++ % ACCESS_RING_SIZE] != '\n') {
    }
    atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail, memory_order_release);
}

static void take_output(void)
{
    struct stat status;

    pthread_mutex_lock(&writer.lock);
    if (writer.next_fd >= 0) {
        if (out.is_ours)
            close(out.fd);
        free(out.path);
        out.fd = writer.next_fd;
        out.path = writer.next_path;
        out.is_ours = writer.next_is_ours;
        out.is_file = fstat(out.fd, &status) == 0 && S_ISREG(status.st_mode);
        writer.next_fd = -1;
        writer.next_path = NULL;
        drop_unfinished();
    }
    pthread_mutex_unlock(&writer.lock);
}

weir_error *weir__access_output_open(const char *output, int *ret_fd, char **ret_path)
{
    int flags = O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    bool is_path = strcmp(output, "stderr") != 0 && strcmp(output, "stdout") != 0;
    int fd = strcmp(output, "stdout") == 0 ? STDOUT_FILENO : STDERR_FILENO;
    char *path = strdup(output);

    if (!path)
        return weir_raise(WEIR_ENOMEM, "access log");
    if (is_path) {
        fd = open(output, O_WRONLY | flags, 0640);
        /* A pipe that nobody reads yet: one end is held here, so that readers may come and go. */
        if (fd < 0 && errno == ENXIO)
            fd = open(output, O_RDWR | flags, 0640);
    }
    if (fd < 0) {
        weir_error *error = weir_raise(errno, "cannot open the access log %s", output);

        free(path);
        return error;
    }
    *ret_fd = fd;
    *ret_path = path;
    return NULL;
}

/* The thread */

static void sleep_until(int state, int limit_ms)
{
    struct timespec end;

    atomic_store(&writer.sleep, state);
    if (state == IDLE && (anything_queued() || atomic_load(&writer.stop))) {
        atomic_store(&writer.sleep, AWAKE);
        return;
    }
    if (state == IDLE) {
        while (sem_wait(&writer.wake) != 0) {
        }
    } else {
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_nsec += (long)limit_ms * 1000000;
        end.tv_sec += end.tv_nsec / 1000000000;
        end.tv_nsec %= 1000000000;
        while (sem_timedwait(&writer.wake, &end) != 0 && errno == EINTR) {
        }
    }
    atomic_store(&writer.sleep, AWAKE);
}

static void tell_written(void)
{
    pthread_mutex_lock(&writer.lock);
    writer.turns++;
    pthread_cond_broadcast(&writer.written);
    pthread_mutex_unlock(&writer.lock);
}

/* How long to sleep, so that the fullest ring is a quarter full then: the wake by a ring that is half
   full, which costs its loop more than a line, is for sudden crowds. */
static int next_interval(int ms)
{
    uint64_t most = 1;

    for (struct access_ring *ring = weir__access_rings(); ring; ring = ring->next)
        if (weir__access_ring_used(ring) > most)
            most = weir__access_ring_used(ring);
    ms = (int)((uint64_t)ms * (ACCESS_RING_SIZE / 4) / most) + 1;
    return ms < LEAST_MS ? LEAST_MS : ms > FLUSH_MS ? FLUSH_MS : ms;
}

static void *writer_main(void *arg)
{
    const struct sched_param usual = {.sched_priority = 0};
    int interval = FLUSH_MS;
    bool taken = true;

    (void)arg;
    /* Whoever wakes it goes on: a loop does not lose its processor to it. Refused in some sandboxes. */
    (void)sched_setscheduler(0, SCHED_BATCH, &usual);
    while (!atomic_load(&writer.stop) || (taken && anything_queued())) {
        take_output();
        interval = next_interval(interval);
        taken = write_rings();
        report(taken);
        tell_written();
        if (atomic_load(&writer.stop))
            continue;
        if (!taken) {
            sleep_until(STALLED, RETRY_MS);
        } else {
            if (!anything_queued())
                sleep_until(IDLE, 0);
            sleep_until(LAZY, interval);
        }
    }
    tell_written();
    return NULL;
}

static void init_once(void)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&writer.written, &attributes);
    pthread_condattr_destroy(&attributes);
    sem_init(&writer.wake, 0, 0);
}

/* With the lock. It gets no signals. */
static weir_error *start_thread(void)
{
    sigset_t all, old;
    int code;

    if (writer.running)
        return NULL;
    atomic_store(&writer.stop, false);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    code = pthread_create(&writer.thread, NULL, writer_main, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code)
        return weir_raise(code, "cannot start the thread of the access log");
    pthread_setname_np(writer.thread, "weir-access");
    writer.running = true;
    return NULL;
}

static void wake(void)
{
    atomic_store(&writer.sleep, AWAKE);
    sem_post(&writer.wake);
}

void weir__access_writer_poke(struct access_ring *ring)
{
    int state = atomic_load(&writer.sleep);

    if (state == AWAKE || state == STALLED ||
        (state == LAZY && weir__access_ring_used(ring) < ACCESS_RING_SIZE / 2))
        return;
    if (atomic_compare_exchange_strong(&writer.sleep, &state, AWAKE))
        sem_post(&writer.wake);
}

weir_error *weir__access_writer_output(int fd, char *take_path)
{
    weir_error *error;
    bool is_ours = strcmp(take_path, "stderr") != 0 && strcmp(take_path, "stdout") != 0;
    char *path = strdup(take_path);

    pthread_once(&writer_once, init_once);
    pthread_mutex_lock(&writer.lock);
    if (writer.next_fd >= 0 && writer.next_is_ours)
        close(writer.next_fd);
    free(writer.next_path);
    free(writer.path);
    writer.next_fd = fd;
    writer.next_path = take_path;
    writer.next_is_ours = is_ours;
    writer.path = path;
    error = start_thread();
    pthread_mutex_unlock(&writer.lock);
    wake();
    return error;
}

static bool all_written(const uint64_t *heads)
{
    size_t i = 0;

    for (struct access_ring *ring = weir__access_rings(); ring && i < 64; ring = ring->next)
        if (atomic_load_explicit(&ring->tail, memory_order_acquire) < heads[i++])
            return false;
    return true;
}

bool weir__access_writer_flush(weir_duration limit)
{
    weir_instant end = weir_instant_after(weir_now(), limit);
    struct timespec until = {.tv_sec = end.ns / 1000000000, .tv_nsec = end.ns % 1000000000};
    uint64_t heads[64];
    size_t i = 0;
    bool done = true;

    /* Rings made meanwhile stand in front, and only make this wait longer. */
    for (struct access_ring *ring = weir__access_rings(); ring && i < 64; ring = ring->next)
        heads[i++] = atomic_load(&ring->head);
    pthread_mutex_lock(&writer.lock);
    while (writer.running && done && !all_written(heads)) {
        pthread_mutex_unlock(&writer.lock);
        wake();
        pthread_mutex_lock(&writer.lock);
        if (!all_written(heads))
            done = pthread_cond_timedwait(&writer.written, &writer.lock, &until) == 0;
    }
    pthread_mutex_unlock(&writer.lock);
    return done;
}

weir_error *weir__access_writer_reopen(void)
{
    char *path = NULL, *given;
    bool running;
    int fd;

    pthread_mutex_lock(&writer.lock);
    running = writer.running && writer.path;
    if (running)
        path = strdup(writer.path);
    pthread_mutex_unlock(&writer.lock);
    if (!running || !path)
        return NULL;
    (void)weir__access_writer_flush(WEIR_S(1));
    weir_error *error = weir__access_output_open(path, &fd, &given);

    free(path);
    return error ? error : weir__access_writer_output(fd, given);
}

/* Of lines that an output never took. */
static void drop_rest(void)
{
    for (struct access_ring *ring = weir__access_rings(); ring; ring = ring->next) {
        uint64_t head = atomic_load(&ring->head);

        for (uint64_t at = atomic_load(&ring->tail); at < head; at++)
            if (ring->data[at % ACCESS_RING_SIZE] == '\n')
                atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        atomic_store_explicit(&ring->tail, head, memory_order_release);
    }
    out.unfinished = NULL;
}

void weir__access_writer_stop(weir_duration limit)
{
    struct timespec end;
    pthread_t thread;

    pthread_mutex_lock(&writer.lock);
    if (!writer.running) {
        pthread_mutex_unlock(&writer.lock);
        return;
    }
    thread = writer.thread;
    pthread_mutex_unlock(&writer.lock);
    (void)weir__access_writer_flush(limit);
    atomic_store(&writer.stop, true);
    wake();
    /* Only a disk that hangs outlasts this. clockjoin is unknown to clang 14's TSan. */
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 2;
    if (pthread_timedjoin_np(thread, NULL, &end) != 0)
        return;
    drop_rest();
    out.said = false;
    out.say_next.ns = 0;
    out.said_dropped = weir__access_dropped();
    pthread_mutex_lock(&writer.lock);
    writer.running = false;
    if (out.is_ours)
        close(out.fd);
    out.fd = -1;
    out.is_ours = false;
    free(out.path);
    out.path = NULL;
    pthread_mutex_unlock(&writer.lock);
}
