/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The event loop: one loop, one thread.
 *
 * An iteration, in this order:
 *
 *   1. the backend waits: not at all when callbacks are queued or a stop is requested, else at most
 *      until the next timer. Calls from other threads and signals join the queue, in order.
 *   2. what is queued at this moment runs, once through, in FIFO order.
 *   3. what the wait brought is delivered: readers, writers, the callbacks of transports.
 *   4. timers that were due when the wait returned fire, by deadline; equal ones in the order in
 *      which they were started.
 *   5. when the queue was empty after (2): what (3) and (4) queued, once through. Else it waits for
 *      the next iteration, behind what (2) queued.
 *
 * So a chain of callbacks never starves I/O or timers, each of which has its turn in every iteration,
 * and the clock is read once for all of them. A callback that is cancelled before its turn does not
 * run. weir_loop_stop() lets the iteration end; what it queued stays for a later run.
 *
 * Everything not marked "any thread" checks that it is called on the loop's own thread and returns
 * WEIR_ETHREAD otherwise. A loop inherited by fork() answers WEIR_EFORKED.
 *
 * Example:
 *
 *     static weir_error *hello(void *arg)
 *     {
 *         printf("hello\n");
 *         weir_loop_stop(arg);
 *         return NULL;
 *     }
 *
 *     int main(void) // weir_run() does all of this, and more, for a task
 *     {
 *         weir_loop *loop;
 *         weir_error *error = weir_loop_new(NULL, &loop);
 *
 *         if (!error)
 *             error = weir_loop_call_later(loop, WEIR_MS(10), hello, loop, NULL, NULL);
 *         if (!error)
 *             error = weir_loop_run_forever(loop);
 *         if (!error)
 *             error = weir_loop_close(loop);
 *         weir_ignore(error);
 *         return 0;
 *     }
 */
#ifndef WEIR_LOOP_H
#define WEIR_LOOP_H

#include <weir/chunk.h>
#include <weir/debug.h>
#include <weir/error.h>
#include <weir/log.h>
#include <weir/time.h>

WEIR_BEGIN_DECLS

typedef struct weir_loop weir_loop;
typedef struct weir_future weir_future;
typedef struct weir_task weir_task;

/** A scheduled callback that may be cancelled. Unreferencing a handle does not cancel it. */
typedef struct weir_handle weir_handle;

/** Zero leaves it to WEIR_DEBUG and WEIR_DEV; both other values override them. */
enum weir_debug_switch { WEIR_DEBUG_DEFAULT = 0, WEIR_DEBUG_ON = 1, WEIR_DEBUG_OFF = -1 };

typedef struct weir_loop_options {
    size_t size;
    /** Who does the I/O: "epoll", "io_uring", or "auto" (the default), which is epoll unless
     *  WEIR_BACKEND in the environment says otherwise. Programs see no difference but one: io_uring
     *  sends at the end of the iteration, epoll also at once. */
    const char *backend;
    size_t max_chunks; /**< of the chunk pool; 0: 16,384 (256 MiB of address space) */
    size_t stack_size; /**< of a task, bytes; 0: 64 KiB (256 KiB under sanitizers) */
    /** Stacks without guard pages: as many tasks as memory holds where guards cost mappings (before
     *  Linux 6.13). An overflow is then seen at the next switch away from the task, by what lies below
     *  its stack having been written to, and ends the process with the same report. */
    bool no_stack_guards;
    const char *name; /**< in logs; copied */
    int debug;        /**< enum weir_debug_switch. A3 */
} weir_loop_options;

/** What an exception handler is told. Borrowed for the call, `error` too. */
typedef struct weir_exception_context {
    size_t size;
    const char *message;
    const weir_error *error;
    const weir_site *site; /**< where the failed callback or task was created; may be NULL */
    weir_task *task;
    weir_future *future;
    const char *subject_key; /**< "task", "future", "handle", "transport", …: what `subject` is */
    const char *subject;     /**< its repr, "<Task finished name='Task-2' …>"; may be NULL */
    const weir_backtrace *source_traceback; /**< debug mode: where the subject was made */
    const weir_backtrace *handle_traceback; /**< debug mode: where the running callback was made */
} weir_exception_context;

/**
 * Makes a loop for the calling thread. `options` NULL: all defaults.
 * Errors: WEIR_EBUSY this thread has a loop already, WEIR_EUNSUPPORTED no such backend, errno.
 */
#define weir_loop_new(options, ret) weir_loop_new_at(WEIR_HERE, (options), (ret))
WEIR_PUBLIC weir_error *weir_loop_new_at(const weir_site *site, const weir_loop_options *options,
                                         weir_loop **ret) WEIR_MUST_USE;
WEIR_PUBLIC weir_loop *weir_loop_ref(weir_loop *loop);
/** Any thread. The last reference closes a loop that was not closed, and reports it as a RESOURCE
 *  warning "unclosed event loop <Loop …> created at t.c:3"; so does the end of the process. K2 */
WEIR_PUBLIC void weir_loop_unref(weir_loop *loop);

/** The loop of this thread while it runs; NULL elsewhere. Any thread. */
WEIR_PUBLIC weir_loop *weir_loop_current(void);
/** The clock as read at the start of this iteration. */
WEIR_PUBLIC weir_instant weir_loop_time(const weir_loop *loop);
/** "epoll" or "io_uring"; "closed" after weir_loop_close(). */
WEIR_PUBLIC const char *weir_loop_backend(const weir_loop *loop);
/** Why that one, in a few words for a log: "auto: it works here", "as asked for", "io_uring does not
 *  work here: …". Static. */
WEIR_PUBLIC const char *weir_loop_backend_reason(const weir_loop *loop);
/** "<Loop running=0 closed=0 debug=1>", as snprintf; with `name=` when its options gave one. */
WEIR_PUBLIC size_t weir_loop_repr(const weir_loop *loop, char *buffer, size_t size);

/** Runs until weir_loop_stop(). Errors: WEIR_EBUSY a loop runs in this thread, WEIR_ECLOSED. */
WEIR_PUBLIC weir_error *weir_loop_run_forever(weir_loop *loop) WEIR_MUST_USE;
/** Runs until the future is done and returns its error; the result stays with the future.
 *  Errors: as run_forever; WEIR_EINVALSTATE the loop was stopped before. */
WEIR_PUBLIC weir_error *weir_loop_run_until_complete(weir_loop *loop,
                                                     weir_future *future) WEIR_MUST_USE;
/** Ends the run after the current iteration. Any thread. */
WEIR_PUBLIC void weir_loop_stop(weir_loop *loop);
/** Closes a loop that does not run; queued callbacks are dropped. Closing twice is fine.
 *  Errors: WEIR_EBUSY it runs, or tasks or transports live (named in the message). */
WEIR_PUBLIC weir_error *weir_loop_close(weir_loop *loop) WEIR_MUST_USE;
/** Cancels every task, aborts every transport, runs the loop at most `grace`, then closes. What
 *  ignored it is named in the log and leaked rather than corrupted. */
WEIR_PUBLIC void weir_loop_close_force(weir_loop *loop, weir_duration grace);

/**
 * Calls `fn(arg)` in the next iteration, in FIFO order. `drop(arg)`, when given, is called instead
 * if the loop closes first or the handle is cancelled. An error of `fn` goes to the exception
 * handler. `ret_handle` NULL: not cancellable.
 */
#define weir_loop_call_soon(loop, fn, arg, drop, ret_handle) \
    weir_loop_call_soon_at(WEIR_HERE, #fn, (loop), (fn), (arg), (drop), (ret_handle))
WEIR_PUBLIC weir_error *weir_loop_call_soon_at(const weir_site *site, const char *name,
                                               weir_loop *loop, weir_fn fn, void *arg,
                                               weir_drop_fn drop,
                                               weir_handle **ret_handle) WEIR_MUST_USE;
/** As call_soon, after a delay (WEIR_FOREVER: never, only its drop). Equal deadlines keep order. */
#define weir_loop_call_later(loop, delay, fn, arg, drop, ret_handle) \
    weir_loop_call_later_at(WEIR_HERE, #fn, (loop), (delay), (fn), (arg), (drop), (ret_handle))
WEIR_PUBLIC weir_error *weir_loop_call_later_at(const weir_site *site, const char *name,
                                                weir_loop *loop, weir_duration delay, weir_fn fn,
                                                void *arg, weir_drop_fn drop,
                                                weir_handle **ret_handle) WEIR_MUST_USE;
#define weir_loop_call_at(loop, when, fn, arg, drop, ret_handle) \
    weir_loop_call_at_at(WEIR_HERE, #fn, (loop), (when), (fn), (arg), (drop), (ret_handle))
WEIR_PUBLIC weir_error *weir_loop_call_at_at(const weir_site *site, const char *name,
                                             weir_loop *loop, weir_instant when, weir_fn fn,
                                             void *arg, weir_drop_fn drop,
                                             weir_handle **ret_handle) WEIR_MUST_USE;
/**
 * As call_soon, from any thread; wakes the loop. Calls of one thread keep their order; those of the
 * loop's own thread join the queue at once, in order with call_soon.
 * Errors: WEIR_ECLOSED (arg stays with the caller), WEIR_ENOMEM.
 */
#define weir_loop_call_soon_threadsafe(loop, fn, arg, drop) \
    weir_loop_call_soon_threadsafe_at(WEIR_HERE, #fn, (loop), (fn), (arg), (drop), NULL)
/** The same with a handle, which any thread may cancel and unreference. Cancelling it while the
 *  callback runs waits for its end (on the loop's own thread it does not) and says false; when it
 *  succeeds, `drop` runs in the thread that cancels. D3 */
#define weir_loop_call_soon_threadsafe_handle(loop, fn, arg, drop, ret_handle) \
    weir_loop_call_soon_threadsafe_at(WEIR_HERE, #fn, (loop), (fn), (arg), (drop), (ret_handle))
WEIR_PUBLIC weir_error *weir_loop_call_soon_threadsafe_at(const weir_site *site, const char *name,
                                                          weir_loop *loop, weir_fn fn,
                                                          void *take_arg, weir_drop_fn drop,
                                                          weir_handle **ret_handle) WEIR_MUST_USE;

/** Cancels a callback that has not started; its drop function runs. False: too late. */
WEIR_PUBLIC bool weir_handle_cancel(weir_handle *handle);
WEIR_PUBLIC bool weir_handle_cancelled(const weir_handle *handle);
WEIR_PUBLIC weir_handle *weir_handle_ref(weir_handle *handle);
WEIR_PUBLIC void weir_handle_unref(weir_handle *handle);
/** "<Handle name() created at t.c:3>", as snprintf; with `when=` for timers, and the argument in
 *  debug mode only. */
WEIR_PUBLIC size_t weir_handle_repr(const weir_handle *handle, char *buffer, size_t size);

/**
 * Calls `fn(arg)` whenever `fd` (non-blocking, not a regular file, not a transport's) is readable,
 * level-triggered, until removed. A second add for the same direction replaces the first.
 * Errors: errno (EPERM for regular files).
 */
#define weir_loop_add_reader(loop, fd, fn, arg) \
    weir_loop_add_reader_at(WEIR_HERE, #fn, (loop), (fd), (fn), (arg))
#define weir_loop_add_writer(loop, fd, fn, arg) \
    weir_loop_add_writer_at(WEIR_HERE, #fn, (loop), (fd), (fn), (arg))
WEIR_PUBLIC weir_error *weir_loop_add_reader_at(const weir_site *site, const char *name,
                                                weir_loop *loop, int fd, weir_fn fn,
                                                void *arg) WEIR_MUST_USE;
WEIR_PUBLIC weir_error *weir_loop_add_writer_at(const weir_site *site, const char *name,
                                                weir_loop *loop, int fd, weir_fn fn,
                                                void *arg) WEIR_MUST_USE;
/** False: there was none. To be called before the descriptor is closed. */
WEIR_PUBLIC bool weir_loop_remove_reader(weir_loop *loop, int fd);
WEIR_PUBLIC bool weir_loop_remove_writer(weir_loop *loop, int fd);

/**
 * Calls `fn(arg)` on this loop, which must be the main thread's, when a signal was delivered; several
 * deliveries before its turn may be one call, weir_loop_signal_count() has them all. By sigaction
 * (SA_RESTART); no thread's mask changes. One handler per signal in the process: a second one of the
 * same loop replaces the first. A child of fork() has the dispositions from before. D7
 * Errors: WEIR_ENOTMAIN the loop is another thread's; WEIR_EINVAL no such signal, or one that cannot
 * be caught; WEIR_EBUSY another loop has it.
 */
#define weir_loop_add_signal_handler(loop, signum, fn, arg) \
    weir_loop_add_signal_handler_at(WEIR_HERE, #fn, (loop), (signum), (fn), (arg))
WEIR_PUBLIC weir_error *weir_loop_add_signal_handler_at(const weir_site *site, const char *name,
                                                        weir_loop *loop, int signum, weir_fn fn,
                                                        void *arg) WEIR_MUST_USE;
/** The same for a loop of any thread, to which the signal is forwarded: the caller has decided that
 *  this loop is who answers it. */
#define weir_loop_forward_signal(loop, signum, fn, arg) \
    weir_loop_forward_signal_at(WEIR_HERE, #fn, (loop), (signum), (fn), (arg))
WEIR_PUBLIC weir_error *weir_loop_forward_signal_at(const weir_site *site, const char *name,
                                                    weir_loop *loop, int signum, weir_fn fn,
                                                    void *arg) WEIR_MUST_USE;
/** Deliveries since the handler was added; 0 when this loop has none for the signal. */
WEIR_PUBLIC uint64_t weir_loop_signal_count(const weir_loop *loop, int signum);
/** Restores what was there before the first handler was added. False: there was none. */
WEIR_PUBLIC bool weir_loop_remove_signal_handler(weir_loop *loop, int signum);

/** What takes the errors of callbacks. It may call the loop, and the default handler. An error that
 *  it returns is reported by the default handler ("Unhandled error in exception handler"), together
 *  with what it had been told; WEIR_EFATAL ends the run instead. */
typedef weir_error *(*weir_exception_handler)(weir_loop *loop,
                                              const weir_exception_context *context, void *arg);

/** Takes the errors of callbacks from now on; NULL restores the default, which logs them. */
WEIR_PUBLIC void weir_loop_set_exception_handler(weir_loop *loop, weir_exception_handler handler,
                                                 void *arg);
/** Logs a report as an ERROR of the logger `weir`: the message, the subject, in debug mode where it
 *  and the running callback were made, the error with its trace. */
WEIR_PUBLIC void weir_loop_default_exception_handler(weir_loop *loop,
                                                     const weir_exception_context *context);
/** Hands a report to that handler, as the loop does for a callback that failed. */
WEIR_PUBLIC void weir_loop_call_exception_handler(weir_loop *loop,
                                                  const weir_exception_context *context);

/** Debug mode: slow callbacks, creation backtraces, stricter checks. Any thread. */
WEIR_PUBLIC void weir_loop_set_debug(weir_loop *loop, bool on);
WEIR_PUBLIC bool weir_loop_get_debug(const weir_loop *loop);
/** A callback or task step that takes at least this long is logged in debug mode, as a WARNING
 *  "Executing <Task …> took 0.120 seconds" (100 ms; 0 logs all; WEIR_FOREVER none). B4 */
WEIR_PUBLIC void weir_loop_set_slow_callback(weir_loop *loop, weir_duration limit);
/** A wait for I/O that returns later than asked by more than this is logged as a WARNING "poll 50.000
 *  ms took 412.118 ms: …" in every mode (100 ms; WEIR_FOREVER never): the machine is overloaded or was
 *  suspended. In debug mode so is a poll that was not to wait and took this long. B3 */
WEIR_PUBLIC void weir_loop_set_poll_overshoot(weir_loop *loop, weir_duration limit);

#define WEIR_HISTOGRAM_BUCKETS 24

/** counts[0]: below 1 us; counts[n]: below 2^n us, from the one before on; the last: all above. */
typedef struct weir_histogram {
    uint64_t counts[WEIR_HISTOGRAM_BUCKETS];
} weir_histogram;

/** What a loop has done since it was made; always counted. */
typedef struct weir_loop_metrics {
    size_t size;
    uint64_t iterations;     /**< each with one poll of the backend */
    uint64_t callbacks;      /**< and steps of tasks; completions of I/O not included */
    uint64_t events;         /**< that polls brought */
    uint64_t timers;         /**< that came due */
    uint64_t posts;          /**< callbacks from other threads */
    uint64_t wakeups;        /**< times that another thread had to wake it */
    uint64_t slow_callbacks; /**< debug mode: at or above the limit */
    uint64_t overshoots;     /**< waits that returned too late */
    weir_duration idle;      /**< asleep in waits */
    weir_duration busy;      /**< the rest of its running time */
    weir_histogram wait;     /**< of each wait that may sleep */
    weir_histogram work;     /**< of what an iteration runs between waits */
    weir_histogram lag;      /**< of timers: from their deadline to the iteration that fires them */
    weir_histogram step;     /**< debug mode: of each callback and step */
    weir_duration lag_total; /**< the sum of `lag` */
} weir_loop_metrics;

/** Fills `ret_metrics`, as much of it as its `size` says. On the loop's thread. */
WEIR_PUBLIC void weir_loop_metrics_get(const weir_loop *loop, weir_loop_metrics *ret_metrics);

typedef struct weir_run_options {
    size_t size;
    const weir_loop_options *loop;
    weir_duration grace; /**< for tasks to end after main; 0: 30 s */
    bool keep_sigpipe;   /**< do not ignore SIGPIPE */
    bool keep_sigint;    /**< leave SIGINT as it is */
    bool keep_sigterm;   /**< leave SIGTERM as it is */
    int debug;           /**< enum weir_debug_switch, before that of `loop`. A3 */
} weir_run_options;

/**
 * Runs `main(arg)` as a task on a new loop: the one-line entry of a program. When main has ended,
 * what is left is cancelled and joined (its errors are reported as "unhandled exception during
 * weir_run() shutdown"), executors are shut down and the loop is closed. On the main thread the first
 * SIGINT or SIGTERM whose disposition is the default one cancels main; a second ends the process at
 * once. Returns the error of main, or WEIR_EBUSY when this thread has a loop already.
 */
#define weir_run(main, arg, options) weir_run_at(WEIR_HERE, #main, (main), (arg), (options))
WEIR_PUBLIC weir_error *weir_run_at(const weir_site *site, const char *name, weir_fn main,
                                    void *arg, const weir_run_options *options) WEIR_MUST_USE;

WEIR_DEFINE_CLEANUP(weir_loop, weir_loop_unref)
WEIR_DEFINE_CLEANUP(weir_handle, weir_handle_unref)

WEIR_END_DECLS

#endif
