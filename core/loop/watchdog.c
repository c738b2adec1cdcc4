/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread looks at the step numbers of all loops. A number that is odd (a step runs) and does not
 * change from look to look is a step that blocks; the loop itself never reads a clock for it.
 *
 * Over a limit the watchdog signals the loop's thread and waits a moment for the handler, which runs
 * on the alternate stack, through the interrupted libc, plugin and coroutine, and only copies: return
 * addresses, the task's name, the number of the step. Functions and lines are looked up here, not on
 * the loop. A step that ended meanwhile is not reported.
 *
 * When the watchdog itself was not run for long (a debugger, a suspended machine, an overloaded one),
 * the loops were not either: that time does not count.
 */
#include "config.h"

#include "core/loop/watchdog.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <weir/event.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/base/crash.h"
#include "core/base/log.h"
#include "core/base/symbol.h"
#include "core/loop/loop.h"

#define LOOPS_MAX      256
#define ADDRESSES_MAX  48
#define WHERE_MAX      256
#define SAMPLE_WAIT_NS ((int64_t)200 * 1000000)
#define LIMIT_MIN_NS   ((int64_t)10 * 1000000)
#define LOOKS          5 /* per warn limit */

enum said { SAID_NOTHING, SAID_WARNING, SAID_ERROR };

/* What the watchdog knows of a loop. Of its thread alone. */
struct watched {
    const weir_loop *loop; /* an identity, not looked into */
    pid_t tid;
    uint32_t number;
    int64_t since; /* ns, when the number was first seen */
    enum said said, due;
    bool seen, ended;
    int64_t blocked; /* ns, what `due` or `ended` is about */
    char name[64];
    char where[WHERE_MAX];
};

/* Held by whoever starts or ends the thread; the thread itself never takes it. */
static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running, started; /* by weir_watchdog_start() */
    unsigned holds;
    int64_t warn, error;
    struct watched loops[LOOPS_MAX];
    size_t nloops;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What the handler fills in; one sample at a time. */
static struct {
    _Atomic pid_t wanted; /* of this thread; 0: none */
    sem_t taken;
    uint32_t number;
    int count;
    bool in_task;
    const weir_site *site;
    char task[64];
    void *addresses[ADDRESSES_MAX];
} sample;

static struct sigaction previous;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* In the signal handler */

static uintptr_t interrupted_at(const void *context)
{
#if defined(__x86_64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

/* Without the frames of the handler. */
static void take_addresses(const void *context)
{
    uintptr_t pc = interrupted_at(context);
    int count = backtrace(sample.addresses, ADDRESSES_MAX), first = 0;

    while (first < count && (uintptr_t)sample.addresses[first] != pc)
        first++;
    if (first == count)
        first = count > 2 ? 2 : 0;
    memmove(sample.addresses, sample.addresses + first,
            (size_t)(count - first) * sizeof(sample.addresses[0]));
    sample.count = count - first;
}

static void take_sample(const void *context)
{
    const struct step *step = weir__thread_loop ? weir__loop_step(weir__thread_loop) : NULL;

    sample.number = step ? atomic_load_explicit(&step->number, memory_order_relaxed) : 0;
    sample.site = step ? atomic_load_explicit(&step->site, memory_order_relaxed) : NULL;
    sample.in_task =
        weir__running_task && weir__running_task(sample.task, sizeof(sample.task), &sample.site);
    take_addresses(context);
}

static void on_signal(int signum, siginfo_t *info, void *context)
{
    int saved = errno;
    pid_t self = gettid();

    if (info->si_code == SI_TKILL && atomic_compare_exchange_strong(&sample.wanted, &self, 0)) {
        take_sample(context);
        sem_post(&sample.taken);
    } else if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(signum, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signum);
    }
    errno = saved;
}

/* Whoever set a handler meanwhile is called by ours. */
static void install_handler(void)
{
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    struct sigaction present;

    sigaction(SIGURG, NULL, &present);
    if (present.sa_flags & SA_SIGINFO && present.sa_sigaction == on_signal)
        return;
    previous = present;
    sigemptyset(&action.sa_mask);
    sigaction(SIGURG, &action, NULL);
}

/* On the watchdog's thread */

static bool wait_for_sample(void)
{
    struct timespec end;
    int64_t ns;

    clock_gettime(CLOCK_REALTIME, &end); /* sem_clockwait is unknown to clang 14's TSan */
    ns = end.tv_nsec + SAMPLE_WAIT_NS;
    end.tv_sec += ns / 1000000000;
    end.tv_nsec = ns % 1000000000;
    while (sem_timedwait(&sample.taken, &end) != 0) {
        if (errno != EINTR)
            return false;
    }
    return true;
}

/* False: no sample could be had (the thread does not take signals now). */
static bool ask_for_sample(const struct watched *watched)
{
    pid_t tid = watched->tid;

    while (sem_trywait(&sample.taken) == 0) {
    }
    install_handler();
    atomic_store(&sample.wanted, tid);
    if (syscall(SYS_tgkill, getpid(), tid, SIGURG) == 0 && wait_for_sample())
        return true;
    /* The handler has begun after all: its memory is not ours before it ends. */
    if (!atomic_compare_exchange_strong(&sample.wanted, &tid, 0))
        return wait_for_sample();
    return false;
}

/* The innermost frame that is not of libc, with a line when there is one. */
static const struct frame *frame_to_blame(const struct frame *frames, size_t count)
{
    const struct frame *fallback = NULL;

    for (size_t i = 0; i < count; i++) {
        if (frames[i].system)
            continue;
        if (frames[i].file[0])
            return &frames[i];
        if (!fallback && strcmp(frames[i].function, "?") != 0)
            fallback = &frames[i];
    }
    return fallback;
}

static void describe_place(struct watched *watched, bool sampled, const struct frame *frames,
                           size_t count)
{
    struct text where = text_over(watched->where, sizeof(watched->where));
    const struct frame *blamed = frame_to_blame(frames, count);

    if (sampled && sample.in_task)
        text_printf(&where, "task '%s'", sample.task);
    else
        text_add(&where, "a callback");
    if (blamed) {
        text_printf(&where, " (fn=%s", blamed->function);
        if (blamed->file[0])
            text_printf(&where, " at %s:%d", blamed->file, blamed->line);
        text_add(&where, ")");
    } else if (sampled && sample.site) {
        text_printf(&where, " (created at %s:%d)", text_site_file(sample.site), sample.site->line);
    }
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static void print_stack(struct text *body, const struct frame *frames, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        text_printf(body, "  #%zu ", i);
        weir__frame_print(body, &frames[i]);
        text_add(body, "\n");
    }
}

static void report_blocked(struct watched *watched)
{
    static struct frame frames[FRAMES_MAX];
    int level = watched->due == SAID_ERROR ? WEIR_LOG_ERROR : WEIR_LOG_WARNING;
    bool sampled = ask_for_sample(watched);
    char body[LOG_BODY_MAX] = "";
    struct text text = TEXT_INIT(body);
    size_t count = 0;

    if (sampled && sample.number != watched->number)
        return; /* it ended in time */
    if (sampled)
        count =
            weir__symbols_find(sample.addresses, (size_t)sample.count, false, frames, FRAMES_MAX);
    describe_place(watched, sampled, frames, count);
    print_stack(&text, frames, count);
    watched->said = watched->due;
    weir__log_body(weir_logger_get("weir.watchdog"), level, NULL, body,
                   "loop '%s' blocked for %.*f s in %s; stack%s", watched->name,
                   watched->blocked < 1000000000 ? 3 : 1, seconds(watched->blocked), watched->where,
                   count ? ":" : " not known");
}

static void report_ended(struct watched *watched)
{
    weir_log_with(weir_logger_get("weir.watchdog"),
                  watched->said == SAID_ERROR ? WEIR_LOG_ERROR : WEIR_LOG_WARNING,
                  WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_LOOP_STUCK}, {"loop", watched->name}),
                  "loop '%s' was blocked for %.*f s in %s", watched->name,
                  watched->blocked < 1000000000 ? 3 : 1, seconds(watched->blocked), watched->where);
    watched->said = SAID_NOTHING;
}

static struct watched *find_watched(const weir_loop *loop, pid_t tid)
{
    struct watched *watched;

    for (size_t i = 0; i < dog.nloops; i++) {
        if (dog.loops[i].loop == loop && dog.loops[i].tid == tid)
            return &dog.loops[i];
    }
    if (dog.nloops == LOOPS_MAX)
        return NULL;
    watched = &dog.loops[dog.nloops++];
    *watched = (struct watched){.loop = loop, .tid = tid};
    return watched;
}

struct limits {
    int64_t warn, error;
};

struct looking {
    int64_t now;
    const struct limits *limits;
    bool busy; /* some loop ran since the last look, or runs */
};

/* Under the lock of the list of loops: only looks. */
static void look_at(weir_loop *loop, void *arg)
{
    struct looking *looking = arg;
    int64_t now = looking->now;
    struct watched *watched = find_watched(loop, weir__loop_tid(loop));
    uint32_t number;

    if (!watched)
        return;
    watched->seen = true;
    number = atomic_load_explicit(&weir__loop_step(loop)->number, memory_order_relaxed);
    if (number != watched->number || (number & 1))
        looking->busy = true;
    if (number != watched->number || !(number & 1)) {
        watched->ended = watched->said != SAID_NOTHING;
        watched->blocked = now - watched->since;
        watched->number = number;
        watched->since = now;
        return;
    }
    watched->blocked = now - watched->since;
    watched->due = watched->blocked >= looking->limits->error  ? SAID_ERROR
                   : watched->blocked >= looking->limits->warn ? SAID_WARNING
                                                               : SAID_NOTHING;
    snprintf(watched->name, sizeof(watched->name), "%s", weir__loop_name(loop));
}

/* Whether some loop is busy. */
static bool look(int64_t now, int64_t late, const struct limits *limits)
{
    struct looking looking = {now, limits, false};

    for (size_t i = 0; i < dog.nloops; i++) {
        dog.loops[i].seen = dog.loops[i].ended = false;
        dog.loops[i].due = SAID_NOTHING;
        dog.loops[i].since += late;
    }
    weir__loops_each(look_at, &looking);
    for (size_t i = 0; i < dog.nloops; i++) {
        struct watched *watched = &dog.loops[i];

        if (!watched->seen) { /* closed: it does not block now */
            watched->blocked = now - watched->since;
            if (watched->said != SAID_NOTHING)
                report_ended(watched);
            *watched = dog.loops[--dog.nloops];
            i--;
        } else if (watched->ended) {
            report_ended(watched);
        } else if (watched->due > watched->said) {
            report_blocked(watched);
        }
    }
    return looking.busy;
}

static struct timespec at_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static void *watch(void *arg)
{
    int64_t last = now_ns();
    struct limits limits;
    bool busy = true;

    (void)arg;
    pthread_mutex_lock(&dog.lock);
    dog.nloops = 0;
    while (dog.running) {
        /* Looked at less often, so that an idle process sleeps. */
        int64_t period = busy ? dog.warn / LOOKS : dog.warn, now;
        struct timespec end = at_ns(last + period);

        if (pthread_cond_timedwait(&dog.changed, &dog.lock, &end) != ETIMEDOUT)
            continue;
        /* Not with the lock: a fork() has the one of the list of loops while it waits for this. */
        limits = (struct limits){dog.warn, dog.error};
        pthread_mutex_unlock(&dog.lock);
        now = now_ns();
        busy = look(now, now - last > 2 * period ? now - last - period : 0, &limits);
        last = now_ns();
        pthread_mutex_lock(&dog.lock);
    }
    pthread_mutex_unlock(&dog.lock);
    return NULL;
}

/* Life */

static void lock_both(void)
{
    pthread_mutex_lock(&life);
    pthread_mutex_lock(&dog.lock);
}

static void unlock_both(void)
{
    pthread_mutex_unlock(&dog.lock);
    pthread_mutex_unlock(&life);
}

static void in_child(void)
{
    dog.running = dog.started = false;
    dog.holds = 0;
    atomic_store(&sample.wanted, 0);
    unlock_both();
}

static void init(void)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&dog.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    sem_init(&sample.taken, 0, 0);
    dog.warn = WEIR_MS(250).ns;
    dog.error = WEIR_S(5).ns;
    weir__backtrace_prime();
    pthread_atfork(lock_both, unlock_both, in_child);
}

static void lock_all(void)
{
    pthread_once(&once, init);
    lock_both();
}

/* With the lock. The thread takes no signals. */
static weir_error *run_thread(void)
{
    sigset_t all, old;
    int failed;

    if (dog.running) {
        pthread_cond_signal(&dog.changed);
        return NULL;
    }
    install_handler();
    dog.running = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    failed = pthread_create(&dog.thread, NULL, watch, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        dog.running = false;
        return weir_raise(failed, "the watchdog's thread");
    }
    pthread_setname_np(dog.thread, "weir-watchdog");
    return NULL;
}

/* With the locks, which it gives back. */
static void end_thread(void)
{
    pthread_t thread = dog.thread;
    bool end = dog.running && !dog.started && dog.holds == 0;

    if (end) {
        dog.running = false;
        pthread_cond_signal(&dog.changed);
    }
    pthread_mutex_unlock(&dog.lock);
    if (end)
        pthread_join(thread, NULL);
    pthread_mutex_unlock(&life);
}

weir_error *weir_watchdog_start(const weir_watchdog_options *given)
{
    weir_watchdog_options options = {0};
    weir_error *error;

    if (given)
        memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    if (options.warn.ns == 0)
        options.warn = WEIR_MS(250);
    if (options.error.ns == 0)
        options.error = options.warn.ns > WEIR_S(5).ns ? options.warn : WEIR_S(5);
    if (options.warn.ns < LIMIT_MIN_NS || options.error.ns < options.warn.ns)
        return weir_raise(WEIR_EINVAL,
                          "limits of the watchdog: warn %lld ns, error %lld ns; expected at least "
                          "10 ms, and error no less than warn",
                          (long long)options.warn.ns, (long long)options.error.ns);
    lock_all();
    dog.warn = options.warn.ns;
    dog.error = options.error.ns;
    error = run_thread();
    dog.started = !error;
    unlock_both();
    return error;
}

void weir_watchdog_stop(void)
{
    lock_all();
    dog.started = false;
    end_thread();
}

weir_error *weir__watchdog_hold(void)
{
    weir_error *error;

    lock_all();
    error = run_thread();
    if (!error)
        dog.holds++;
    unlock_both();
    return error;
}

void weir__watchdog_release(void)
{
    lock_all();
    if (dog.holds > 0)
        dog.holds--;
    end_thread();
}
