/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process-wide settings: the log, debug mode, how many threads and descriptors. Processors are those
 * that the process may use: its affinity, and the quota of each cgroup above it.
 */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weir/debug.h>
#include <weir/log.h>

#include "host/access/access.h"
#include "host/generation/generation.h"
#include "host/metrics/metrics.h"

unsigned weir__cpu_quota(const char *cpu_max)
{
    char *end;
    unsigned long long quota = strtoull(cpu_max, &end, 10), period;

    if (end == cpu_max || *end != ' ')
        return 0; /* "max 100000" */
    period = strtoull(end + 1, NULL, 10);
    if (!period)
        return 0;
    quota = (quota + period - 1) / period;
    return quota > 100000 ? 0 : quota < 1 ? 1 : (unsigned)quota;
}

static bool read_line(const char *path, const char *prefix, char *buffer, size_t size)
{
    FILE *file = fopen(path, "re");
    bool found = false;

    if (!file)
        return false;
    while (!found && fgets(buffer, (int)size, file))
        found = !strncmp(buffer, prefix, strlen(prefix));
    fclose(file);
    if (found)
        buffer[strcspn(buffer, "\n")] = '\0';
    return found;
}

/* The smallest quota of the process's cgroup and those above it (version 2). */
static unsigned cgroup_quota(void)
{
    char path[4200], line[4096], text[4300];
    unsigned least = 0;

    if (!read_line("/proc/self/cgroup", "0::", line, sizeof line))
        return 0;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s", line + 3);
    for (;;) {
        char *slash;
        unsigned quota;

        snprintf(text, sizeof text, "%s/cpu.max", path);
        quota = read_line(text, "", line, sizeof line) ? weir__cpu_quota(line) : 0;
        if (quota && (!least || quota < least))
            least = quota;
        slash = strrchr(path, '/');
        if (!slash || strlen(path) <= strlen("/sys/fs/cgroup"))
            return least;
        *slash = '\0';
    }
}

unsigned weir__processor_count(void)
{
    cpu_set_t *set = CPU_ALLOC(4096);
    size_t size = CPU_ALLOC_SIZE(4096);
    unsigned count = 1, quota = cgroup_quota();

    if (set && sched_getaffinity(0, size, set) == 0)
        count = (unsigned)CPU_COUNT_S(size, set);
    if (set)
        CPU_FREE(set);
    if (quota && quota < count)
        count = quota;
    return count < 1 ? 1 : count >= HOST_MAX_LOOPS ? HOST_MAX_LOOPS - 1 : count;
}

void weir__generation_settle(struct generation *g)
{
    const struct config_top *top = g->top;
    int64_t threads = top->runtime.threads;

    g->settings = (weir_host_settings){
        WEIR_SIZED(weir_host_settings),
        .shutdown_grace = top->runtime.shutdown_grace,
        .restart_grace = top->runtime.restart_grace,
        .threads = threads < 1 ? weir__processor_count() : (unsigned)threads,
        .backend = top->runtime.backend == BACKEND_EPOLL      ? "epoll"
                   : top->runtime.backend == BACKEND_IO_URING ? "io_uring"
                                                              : "auto",
        .debug = top->debug ? top->debug->enabled : weir_debug_default(),
        .control_socket = top->admin.control.socket,
        .control_mode = top->admin.control.mode,
        .control_group = top->admin.control.group,
    };
    /* One share of every part for each traffic loop. */
    g->n_loops = g->settings.threads;
}

/* Each client connection may have one to a server; some are left for files and the rest. */
static void set_connection_limit(weir_host *host)
{
    const struct limits_config *limits = &host->generation->top->runtime.limits;
    struct rlimit files = {.rlim_cur = 1024};
    uint64_t limit;

    (void)getrlimit(RLIMIT_NOFILE, &files);
    limit = limits->connections != WEIR_SIZE_WORD(0) ? limits->connections
            : files.rlim_cur > 256                   ? (files.rlim_cur - 128) / 2
                                                     : files.rlim_cur / 2;
    __atomic_store_n(&host->limit.limit, limit, __ATOMIC_RELAXED);
}

static weir_error *apply_limits(weir_host *host)
{
    const struct limits_config *limits = &host->generation->top->runtime.limits;
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files))
        return weir_raise(errno, "cannot read the limit of open files");
    files.rlim_cur = limits->open_files == WEIR_SIZE_WORD(0) ? files.rlim_max : limits->open_files;
    if (files.rlim_cur > files.rlim_max)
        return weir_raise(EPERM,
                          "runtime.limits.open_files is %llu, the hard limit of this process %llu",
                          (unsigned long long)files.rlim_cur, (unsigned long long)files.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &files))
        return weir_raise(errno, "cannot set the limit of open files");
    set_connection_limit(host);
    return NULL;
}

/* The watchdog runs in every mode: it costs a few looks a second. */
static weir_error *apply_debug(weir_host *host)
{
    const struct debug_config *debug = host->generation->top->debug;

    if (debug && debug->enabled) {
        weir_debug_set_backtrace_depth(debug->backtrace_depth);
        /* The default leaves what WEIR_DEV and WEIR_WARNINGS say. */
        for (int i = WEIR_WARNING_RESOURCE; i <= WEIR_WARNING_DEPRECATION; i++) {
            if (debug->warnings != WEIR_WARNING_ONCE)
                weir_warnings_set((weir_warning)i, (weir_warning_action)debug->warnings);
        }
    }
    return weir_watchdog_start(NULL);
}

/* Says where the file was asked for, as a rejected configuration does. */
static weir_error *apply_access(const struct generation *g)
{
    const struct access_config *access = g->top->log.access;
    weir_error *error = weir__access_apply(access);
    char place[600];

    if (!error)
        return NULL;
    return weir_wrap(error, weir_error_code(error), "%s",
                     weir__config_where(g->config, &access->format, place, sizeof place));
}

weir_error *weir_host_apply(weir_host *host)
{
    if (host->state < HOST_LOADED)
        return weir_raise(WEIR_EINVALSTATE, "the configuration is not loaded");
    WEIR_TRY(weir__process_become(&host->generation->top->runtime));
    WEIR_TRY(weir__log_apply(&host->generation->top->log));
    weir__process_tell(&host->generation->top->runtime);
    WEIR_TRY(apply_access(host->generation));
    host->logs_access = true;
    weir__metrics_loaded(1, true);
    WEIR_TRY(apply_debug(host));
    return apply_limits(host);
}

weir_error *weir_host_reopen(weir_host *host)
{
    weir_error *error = weir_log_reopen();
    weir_error *access = host->logs_access ? weir__access_reopen() : NULL;

    if (error)
        weir_ignore(access);
    return error ? error : access;
}

weir_error *weir__loop_settings(struct traffic_thread *thread, const struct generation *from,
                                const struct generation *to)
{
    const struct debug_config *debug = to->top->debug;
    weir_loop *loop = thread->traffic.loop;

    if (!from || from->executor != to->executor)
        weir_loop_set_default_executor(loop, to->executor);
    if (debug && debug->enabled && (!from || !weir__content_equal(&from->debug, &to->debug)))
        weir_loop_set_slow_callback(loop, debug->slow_callback);
    if (from && weir__content_equal(&from->resolver, &to->resolver))
        return NULL; /* what it remembers stays */
    return weir__resolver_configure(&to->top->resolver, loop);
}

weir_error *weir__host_reapply(weir_host *host, const struct generation *from,
                               struct generation *to)
{
    struct log_config log = to->top->log;

    if (to->access)
        weir__access_commit(WEIR_TAKE(to->access));
    log.output = from->top->log.output;
    if (!weir__content_equal(&from->log, &to->log)) {
        /* Levels for a while hold until the file says something else. */
        WEIR_TRY(weir__log_apply(&log));
    }
    if (!weir__content_equal(&from->debug, &to->debug)) {
        for (unsigned i = 0; i < host->n_threads; i++)
            weir_loop_set_debug(host->threads[i].traffic.loop, to->settings.debug);
        weir_loop_set_debug(host->control, to->settings.debug);
        WEIR_TRY(apply_debug(host));
    } else {
        to->settings.debug = from->settings.debug;
    }
    set_connection_limit(host);
    return NULL;
}
