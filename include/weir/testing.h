/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The test kit: a loop whose time jumps, connections in memory, faults, and checks inside tasks. Part
 * of libweir; not included by <weir/weir.h>. Works with any test framework, and without one.
 *
 * A test makes a `weir_test`, which makes the loop of its thread. The test itself runs on the main
 * stack and drives the loop: it runs a task to its end, runs until nothing happens, or lets time
 * pass. Time is virtual: it stands still while anything runs, and jumps to the next timer when every
 * task waits, so a test of a minute's timeout takes no time. When every task waits, no timer runs and
 * nothing outside can come (no descriptor of the kernel is waited for, no executor's job or process
 * is under way), nothing will ever happen: the run fails and says where each task waits.
 *
 * Connections in memory behave as those of the kernel, water marks, half close, pauses and TLS
 * included, and each direction can be made slow, short, or broken. The same faults apply to
 * descriptors of the kernel. What is random follows from the test's seed, which every failure names:
 * `WEIR_TEST_SEED=4711 ./test` repeats it.
 *
 * A failing assertion must not leave a task by longjmp: the loop would stay inside of it. So tasks use
 * WEIR_CHECK and its kin, which record the failure, cancel the task and return; the run then fails on
 * the main stack, through the function given to weir_test_set_failure(), which may longjmp.
 *
 * Every call belongs to the thread of the test; checks may be made in any thread.
 *
 * Example:
 *
 *     #include <weir/testing.h>
 *
 *     static weir_error *serve_upper(weir_stream *stream, const void *config)
 *     {
 *         char line[80];
 *         size_t n;
 *
 *         (void)config;
 *         WEIR_TIMEOUT(patience, WEIR_S(30));
 *         WEIR_TRY(weir_stream_read_line(stream, line, sizeof(line), &n));
 *         for (size_t i = 0; i < n; i++)
 *             line[i] = line[i] >= 'a' && line[i] <= 'z' ? (char)(line[i] - 32) : line[i];
 *         WEIR_TRY(weir_stream_write(stream, line, n));
 *         return NULL;
 *     }
 *
 *     static const weir_protocol upper = {
 *         WEIR_SIZED(weir_protocol), .name = "upper", .serve = serve_upper,
 *     };
 *
 *     static weir_error *talks(void *arg)
 *     {
 *         weir_auto(weir_stream) peer = NULL;
 *         char answer[5];
 *
 *         WEIR_TRY(weir_test_peer(arg, &upper, NULL, &peer));
 *         WEIR_CHECK_OK(weir_stream_write(peer, "weir\n", 5));
 *         WEIR_CHECK_OK(weir_stream_read_exactly(peer, answer, 4));
 *         WEIR_CHECK(answer[0] == 'W');
 *         WEIR_CHECK_CODE(weir_stream_read_exactly(peer, answer, 1), WEIR_EEOF);
 *         return NULL;
 *     }
 *
 *     int main(void)
 *     {
 *         weir_test_options options = {WEIR_SIZED(weir_test_options)};
 *         weir_test_faults faults = {WEIR_SIZED(weir_test_faults), .max_read = 1, .max_write = 1};
 *         weir_test *test = weir_test_new(&options);
 *
 *         weir_test_set_faults(test, &faults);
 *         weir_test_run(test, talks, test);
 *         weir_test_end(test);
 *         return 0;
 *     }
 */
#ifndef WEIR_TESTING_H
#define WEIR_TESTING_H

#include <weir/executor.h>
#include <weir/scope.h>
#include <weir/server.h>
#include <weir/stream.h>
#include <weir/task.h>

WEIR_BEGIN_DECLS

typedef struct weir_test weir_test;

/* Failures */

/**
 * Where failures go, for the whole process: `fail(text)` is called on the main stack and may leave
 * by longjmp, as `fail_msg("%s", text)` of cmocka does. `text` is "file:line: what" and the seed.
 * NULL, the default: the text goes to the standard error and the process aborts. Any thread.
 */
WEIR_PUBLIC void weir_test_set_failure(void (*fail)(const char *text));

/** In a function that returns weir_error *, a task's or a callback's: a condition that does not hold
 *  is recorded and ends the task, with WEIR_ECANCELED. Any thread. */
#define WEIR_CHECK(condition)                                     \
    do {                                                          \
        if (!(condition))                                         \
            return weir_test_check_failed(WEIR_HERE, #condition); \
    } while (0)
/** Likewise: `call`, which returns weir_error *, must succeed. */
#define WEIR_CHECK_OK(call)                                     \
    do {                                                        \
        if (!weir_test_check_code(WEIR_HERE, #call, (call), 0)) \
            return weir_test_check_failed(NULL, NULL);          \
    } while (0)
/** Likewise: `call` must fail with this code (0: succeed). */
#define WEIR_CHECK_CODE(call, code)                                  \
    do {                                                             \
        if (!weir_test_check_code(WEIR_HERE, #call, (call), (code))) \
            return weir_test_check_failed(NULL, NULL);               \
    } while (0)
/** Likewise: two integers must be equal; the failure tells both. */
#define WEIR_CHECK_INT(got, wanted)                                                       \
    do {                                                                                  \
        if (!weir_test_check_int(WEIR_HERE, #got, (long long)(got), (long long)(wanted))) \
            return weir_test_check_failed(NULL, NULL);                                    \
    } while (0)
/** Likewise: two texts must be equal; the failure tells both. */
#define WEIR_CHECK_TEXT(got, wanted)                                 \
    do {                                                             \
        if (!weir_test_check_text(WEIR_HERE, #got, (got), (wanted))) \
            return weir_test_check_failed(NULL, NULL);               \
    } while (0)
/** Anywhere, also where no error can be returned: records and goes on (the task, if there is one, is
 *  cancelled). Any thread. */
#define WEIR_EXPECT(condition)                                          \
    do {                                                                \
        if (!(condition))                                               \
            weir_ignore(weir_test_check_failed(WEIR_HERE, #condition)); \
    } while (0)

/** Records the failure of a check (`site` NULL: it is recorded already), cancels the running task, if
 *  there is one, and returns WEIR_ECANCELED. Any thread. */
WEIR_PUBLIC weir_error *weir_test_check_failed(const weir_site *site,
                                               const char *what) WEIR_MUST_USE;
/** Whether `take_error` has this code (0: is NULL); records a failure if not. Any thread. */
WEIR_PUBLIC bool weir_test_check_code(const weir_site *site, const char *what,
                                      weir_error *take_error, weir_code code);
/** Whether both are equal; records a failure if not. Any thread. */
WEIR_PUBLIC bool weir_test_check_int(const weir_site *site, const char *what, long long got,
                                     long long wanted);
/** Whether both are equal; NULL equals NULL. Any thread. */
WEIR_PUBLIC bool weir_test_check_text(const weir_site *site, const char *what, const char *got,
                                      const char *wanted);
/** On the main stack: fails the test if a check has recorded a failure. */
WEIR_PUBLIC void weir_test_raise_recorded(void);
/** Forgets what checks have recorded. Any thread. */
WEIR_PUBLIC void weir_test_forget_failure(void);
/** On the main stack: `call` must return this code, 0 for success; else the test fails. */
#define WEIR_TEST_CODE(call, code)                                    \
    do {                                                              \
        (void)weir_test_check_code(WEIR_HERE, #call, (call), (code)); \
        weir_test_raise_recorded();                                   \
    } while (0)
/** On the main stack: `call` must succeed. */
#define WEIR_TEST_OK(call)                                       \
    do {                                                         \
        (void)weir_test_check_code(WEIR_HERE, #call, (call), 0); \
        weir_test_raise_recorded();                              \
    } while (0)

/* A test and its loop */

typedef struct weir_test_options {
    size_t size;
    uint64_t seed; /**< of everything random; 0: 1. WEIR_TEST_SEED in the environment goes first */
    bool shuffle;  /**< ready callbacks run in an order that the seed gives, not FIFO */
    bool real_clock;     /**< time passes by itself; the deadlock detector still works */
    bool no_deadlock;    /**< wait for ever when nothing can happen (something unknown will come) */
    weir_duration limit; /**< a run that takes longer, in its loop's time, fails; 0: a day */
    weir_duration real_limit; /**< likewise in real time; 0: a minute */
    /** How long descriptors of the kernel may be silent, in real time, before time jumps over them;
     *  0: it does not, and passes as it does outside while one is waited for. */
    weir_duration io_grace;
    const weir_loop_options *loop; /**< NULL: the defaults */
} weir_test_options;

/**
 * Starts a test in this thread, with a loop whose clock begins at 1,000 s. `options` NULL: all
 * defaults. A test of this thread that a failure left behind is dropped first. Reports to the loop's
 * exception handler are counted (weir_test_reports()). Never NULL: what goes wrong fails the test.
 */
WEIR_PUBLIC weir_test *weir_test_new(const weir_test_options *options);
/**
 * Ends a test: nothing may be left of what it made. Tasks, transports and servers that live, chunks
 * that are held, futures and descriptors fail it, each by name; the loop is closed in any case.
 */
WEIR_PUBLIC void weir_test_end(weir_test *take_test);
/** Ends a test by force, without looking at what is left; for a framework's clean-up. NULL: the test
 *  of this thread, if there is one. */
WEIR_PUBLIC void weir_test_drop(weir_test *take_test);
/** Its loop, borrowed. */
WEIR_PUBLIC weir_loop *weir_test_loop(const weir_test *test);
WEIR_PUBLIC uint64_t weir_test_seed(const weir_test *test);
/** The next number of the generator that starts from the seed. */
WEIR_PUBLIC uint64_t weir_test_random(weir_test *test);

/** Runs `fn(arg)` as a task to its end. The test fails when a check did, in any task; when `fn`
 *  returned an error; when nothing can happen any more; when it took longer than the limit. */
#define weir_test_run(test, fn, arg) weir_test_run_at(WEIR_HERE, #fn, (test), (fn), (arg))
WEIR_PUBLIC void weir_test_run_at(const weir_site *site, const char *name, weir_test *test,
                                  weir_fn fn, void *arg);
/** Likewise, and returns what went wrong instead: the error of `fn`; WEIR_EDEADLK with where each
 *  task waits; WEIR_ELIMIT too long, likewise; WEIR_ECANCELED a check failed, which is still
 *  recorded (weir_test_raise_recorded()). */
#define weir_test_try(test, fn, arg) weir_test_try_at(WEIR_HERE, #fn, (test), (fn), (arg))
WEIR_PUBLIC weir_error *weir_test_try_at(const weir_site *site, const char *name, weir_test *test,
                                         weir_fn fn, void *arg) WEIR_MUST_USE;
/** Runs until nothing more happens without time passing. Does not wait for anything outside. */
WEIR_PUBLIC void weir_test_idle(weir_test *test);
/** Lets `duration` pass and does what is due in it; then runs until nothing more happens. Descriptors
 *  of the kernel do not hold it up, jobs and whatever else is external do. */
WEIR_PUBLIC void weir_test_advance(weir_test *test, weir_duration duration);
/** Lets time pass up to the next timer, inclusive. False: there is none. */
WEIR_PUBLIC bool weir_test_advance_to_timer(weir_test *test);

/** Between these something outside of the loop may still give it an event (a thread that will post,
 *  a child process): time passes really, and waiting is no deadlock. Executors and processes say so
 *  themselves. */
WEIR_PUBLIC void weir_test_external_begin(weir_test *test);
WEIR_PUBLIC void weir_test_external_end(weir_test *test);

/** What was reported to the loop's exception handler: how often, and the last message, "" if none. */
WEIR_PUBLIC size_t weir_test_reports(const weir_test *test);
WEIR_PUBLIC const char *weir_test_last_report(const weir_test *test);

/**
 * Runs `scenario(test, arg)` on the main stack under `count` seeds, each in a test of its own with
 * shuffled order, and stops at the first that fails: the error, or the failure, names the seed.
 * With WEIR_TEST_SEED in the environment only that one runs. `options` NULL: all defaults.
 * Errors: the scenario's.
 */
WEIR_PUBLIC weir_error *weir_test_explore(weir_error *(*scenario)(weir_test *test, void *arg),
                                          void *arg, unsigned count,
                                          const weir_test_options *options) WEIR_MUST_USE;

/* Connections in memory */

/**
 * Two transports, connected with each other, open and reading; `config_a` and `config_b` are borrowed
 * as long as they are. connection_made has been called for both. The outputs, which may be NULL, are
 * borrowed: a transport belongs to its protocol. Protocols with `serve` are fine.
 * Errors: of the protocols' connection_made, EMFILE, WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_test_pair(weir_test *test, const weir_protocol *protocol_a,
                                       const void *config_a, const weir_protocol *protocol_b,
                                       const void *config_b, weir_transport **ret_a,
                                       weir_transport **ret_b) WEIR_MUST_USE;
/** Two streams, connected with each other; both belong to the caller. */
WEIR_PUBLIC weir_error *weir_test_streams(weir_test *test, weir_stream **ret_a,
                                          weir_stream **ret_b) WEIR_MUST_USE;
/** A connection of `protocol`, and the stream at its other end, which belongs to the caller. */
WEIR_PUBLIC weir_error *weir_test_peer(weir_test *test, const weir_protocol *protocol,
                                       const void *config, weir_stream **ret_peer) WEIR_MUST_USE;
/** A server whose connections are made by weir_test_connect() only; as weir_server_new() otherwise.
 *  Waiting for connections to it is not waiting for something outside. */
WEIR_PUBLIC weir_error *weir_test_serve(weir_test *test, const weir_server_options *options,
                                        const weir_protocol *protocol, const void *config,
                                        weir_server **ret) WEIR_MUST_USE;
/** A connection in memory to a server of this loop, of weir_test_serve() or any other; it is accepted
 *  in the next iteration. The stream belongs to the caller. Errors: WEIR_ECLOSED, EMFILE. */
WEIR_PUBLIC weir_error *weir_test_connect(weir_test *test, weir_server *server,
                                          weir_stream **ret_peer) WEIR_MUST_USE;

/* Faults */

/**
 * What goes wrong with a descriptor. All 0: nothing. Sizes are bytes; numbers count the operations of
 * one descriptor from 1. Reading and sending are those of the descriptor that has the faults: give
 * the two ends of a connection different ones, and each direction has its own.
 */
typedef struct weir_test_faults {
    size_t size;
    bool vary; /**< max_read, max_write: a random number from 1 up to it each time */
    int code;  /**< errno of the fail_ members; 0: ECONNRESET */

    size_t max_read;           /**< received at once, and in one iteration; the rest comes later */
    weir_duration delay;       /**< between arriving and being received */
    uint64_t bytes_per_second; /**< received at most; 0: as they come */
    unsigned starve_every;     /**< each nth receive finds no buffer (ENOBUFS) and comes again */
    size_t fail_receive;       /**< the nth receive fails */
    size_t reset_after_received; /**< ECONNRESET when so many have been received */

    size_t max_write; /**< taken by one send; the next is refused once (EAGAIN) */
    unsigned refuse;  /**< each send is refused so often (EAGAIN) before it is taken */
    size_t window;    /**< in memory: sent and not yet received by the peer, at most; 0: 64 KiB */
    size_t fail_send; /**< the nth send fails */
    size_t reset_after_sent; /**< ECONNRESET, for both ends, when so many have been sent */

    size_t fail_accept; /**< of a server: accepting the nth connection fails (EMFILE, …) */
    bool fail_connect;  /**< connecting fails */
    /** Of the loop: each nth wait ends at once with nothing, as EINTR does; at least 2. */
    unsigned interrupt_every;
} weir_test_faults;

/** Faults of every descriptor that the loop takes up from now on, of the kernel or in memory; NULL:
 *  none. */
WEIR_PUBLIC void weir_test_set_faults(weir_test *test, const weir_test_faults *faults);
/** Faults of one transport from now on; NULL: none. weir_stream_transport() gives a stream's. */
WEIR_PUBLIC void weir_test_set_transport_faults(weir_test *test, weir_transport *transport,
                                                const weir_test_faults *faults);
/** Faults of a server's accepting. Its connections have those of weir_test_set_faults(). */
WEIR_PUBLIC void weir_test_set_server_faults(weir_test *test, weir_server *server,
                                             const weir_test_faults *faults);
/** Breaks a connection in memory now, as a reset would: both ends fail with ECONNRESET once what
 *  had arrived is received. */
WEIR_PUBLIC void weir_test_reset(weir_test *test, weir_transport *transport);

/** How often each kind of fault happened. */
typedef struct weir_test_fault_counts {
    size_t size;
    size_t shortened;   /**< receives and sends that moved less than they could */
    size_t delayed;     /**< pieces that had to wait for their time */
    size_t refused;     /**< sends */
    size_t starved;     /**< receives */
    size_t failed;      /**< sends, receives, accepts and connects */
    size_t reset;       /**< connections */
    size_t interrupted; /**< waits */
} weir_test_fault_counts;

/** Since the test began. */
WEIR_PUBLIC weir_test_fault_counts weir_test_faults_seen(const weir_test *test);

/* Allocations */

/** Makes the nth allocation of the library from now on fail, once, in this thread; 0: none. */
WEIR_PUBLIC void weir_test_fail_allocation(unsigned long nth);
/** Whether the allocation that was planned last has been reached and failed. */
WEIR_PUBLIC bool weir_test_allocation_failed(void);
/**
 * Runs the block that follows with `nth` = 1, 2, 3, …, until it has come through without reaching its
 * planned failure; the block calls weir_test_fail_allocation(nth) where its subject begins:
 *
 *     WEIR_TEST_EACH_ALLOCATION (nth) {
 *         setup();
 *         weir_test_fail_allocation(nth);
 *         weir_ignore(subject());
 *         weir_test_fail_allocation(0);
 *         check_and_clean_up();
 *     }
 *
 * A block that plans nothing runs once. In the end `nth` - 1 is the number of allocations.
 */
#define WEIR_TEST_EACH_ALLOCATION(nth) \
    for (unsigned long nth = 1; weir_test_next_allocation(nth); nth++)
/** The condition of that loop. */
WEIR_PUBLIC bool weir_test_next_allocation(unsigned long nth);

/* The log */

/**
 * Captures what the process logs, from now until the end, instead of writing it; warnings come each
 * time, not once per site. Not nested. Fails the test when it cannot.
 */
WEIR_PUBLIC void weir_test_log_begin(void);
/** Number of records captured so far of `logger` (NULL: any) at `level` (0: any) whose message or
 *  error contains `text` (NULL: any). Waits until what was logged has arrived. */
WEIR_PUBLIC size_t weir_test_logged(const char *logger, int level, const char *text);
/** Likewise for warnings of a category (debug.h). */
WEIR_PUBLIC size_t weir_test_warned(weir_warning category, const char *text);
/** The records captured so far as the log would show them, up to `size` - 1 bytes; returns how many
 *  there are. */
WEIR_PUBLIC size_t weir_test_log_text(char *buffer, size_t size);
/** Ends the capture; records go to the standard error again. */
WEIR_PUBLIC void weir_test_log_end(void);

WEIR_END_DECLS

#endif
