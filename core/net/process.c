/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subprocesses: a child, the pidfd by which its loop learns of its end, and who waits for that.
 *
 * The pidfd becomes readable when the child exits. The job that follows reaps it with
 * waitid(P_PIDFD), wakes the waiting tasks and calls `exited`. A process that is dropped while it
 * runs is killed and stays, without references, until that job frees it; a loop that closes first
 * kills and reaps what is left on the spot.
 */
#include "config.h"

#include "core/net/process.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/log.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/base/error.h"
#include "core/base/mutate.h"
#include "core/exec/spawn.h"
#include "core/task/wait.h"

struct wait {
    struct waiter waiter;
    struct list link;
};

struct processes {
    struct list all; /* that have not been reaped, or whose loop lives */
};

size_t weir_process_repr(const weir_process *process, char *buffer, size_t size)
{
    int n;

    if (process->exited)
        n = snprintf(buffer, size, "<Process pid=%d returncode=%d>", process->pid, process->code);
    else
        n = snprintf(buffer, size, "<Process pid=%d running>", process->pid);
    return n > 0 ? (size_t)n : 0;
}

static void process_free(weir_process *p)
{
    weir__job_cancel(&p->job);
    list_remove(&p->link);
    weir__process_pipes_end(p);
    weir__backtrace_free(p->origin);
    weir_magic_clear(p);
    weir__free(p);
}

static void wake_waits(weir_process *p)
{
    while (!list_empty(&p->waits)) {
        struct wait *wait = container_of(p->waits.next, struct wait, link);

        list_remove(&wait->link);
        weir__wait_wake(&wait->waiter);
    }
}

/* The child is no more: everything but telling. */
static void process_ended(weir_process *p, int code, bool lost)
{
    struct io_backend *io = weir__loop_io(p->loop);

    p->exited = true;
    p->code = code;
    io->ops->close(io, &p->file, false);
    p->file.fd = -1;
    weir__loop_external_end(p->loop);
    if (lost)
        weir_log(weir_logger_get("weir"), WEIR_LOG_WARNING,
                 "child process %d was reaped by somebody else: return code 255 is assumed",
                 p->pid);
}

static weir_error *process_run(struct job *job)
{
    weir_process *p = container_of(job, weir_process, job);
    weir_error *error = NULL;
    int code = 0;
    bool lost = false;

    if (p->exited || !weir__spawn_reap(p->file.fd, false, &code, &lost))
        return NULL;
    process_ended(p, code, lost);
    if (p->refs == 0) {
        process_free(p);
        return NULL;
    }
    wake_waits(p);
    if (p->on_exit) {
        weir_process_ref(p);
        error = p->on_exit(p, p->arg);
        weir_process_unref(p);
    }
    return error;
}

static void process_polled(struct io_file *file, unsigned events)
{
    weir_process *p = container_of(file, weir_process, file);

    if (events)
        weir__loop_ready(p->loop, &p->job);
}

static const struct io_file_ops file_ops = {.polled = process_polled};

static void warn_unclosed(const weir_process *p)
{
    char repr[64];

    if (MUTATED(K1))
        return;
    weir_process_repr(p, repr, sizeof(repr));
    weir_warn_at(p->site, WEIR_WARNING_RESOURCE, p->origin, "unclosed process %s created at %s:%d",
                 repr, text_site_file(p->site), p->site->line);
}

static void close_processes(weir_loop *loop, void *state)
{
    struct processes *processes = state;

    (void)loop;
    weir_list_foreach_safe(p, &processes->all, weir_process, link) {
        int code = 0;
        bool lost = false;

        if (!p->exited) {
            if (p->refs)
                warn_unclosed(p);
            (void)weir__spawn_signal(p->file.fd, SIGKILL);
            (void)weir__spawn_reap(p->file.fd, true, &code, &lost);
            process_ended(p, code, lost);
        }
        weir__job_cancel(&p->job);
        list_remove(&p->link);
        if (p->refs == 0)
            process_free(p);
        else
            p->loop = NULL;
    }
    weir__free(processes);
}

static const struct loop_slot_ops slot_ops = {.destroy = close_processes};

static weir_error *processes_of(weir_loop *loop, struct processes **ret)
{
    struct processes *processes = weir__loop_slot(loop, LOOP_SLOT_PROCESSES);

    if (!processes) {
        processes = weir__calloc(1, sizeof(*processes));
        if (!processes)
            return weir_raise(WEIR_ENOMEM, "process");
        list_init(&processes->all);
        weir__loop_set_slot(loop, LOOP_SLOT_PROCESSES, processes, &slot_ops);
    }
    *ret = processes;
    return NULL;
}

static weir_error *start_child(const weir_process_options *o, const struct process_fds *fds,
                               weir_process *p)
{
    const char *const shell[] = {"/bin/sh", "-c", o->shell, NULL};
    const char *const *argv = o->shell ? shell : o->argv;
    struct spawn_fd passed[SPAWN_FDS_MAX];
    struct spawn spawn = {.file = argv[0],
                          .argv = argv,
                          .env = o->env,
                          .cwd = o->cwd,
                          .fds = passed,
                          .new_session = o->new_session,
                          .new_group = o->new_group && !o->new_session};

    for (int i = 0; i < PROCESS_FDS; i++)
        passed[spawn.nfds++] = (struct spawn_fd){fds->child[i], i};
    for (size_t i = 0; i < o->pass_fds_count; i++)
        passed[spawn.nfds++] = (struct spawn_fd){o->pass_fds[i], o->pass_fds[i]};
    return weir__spawn_process(&spawn, &p->pid, &p->file.fd);
}

static weir_error *check_options(const weir_process_options *o)
{
    if (!o->shell == !(o->argv && o->argv[0]))
        return weir_raise(WEIR_EINVAL, "a process needs either argv or shell");
    if (o->pass_fds_count > SPAWN_FDS_MAX - PROCESS_FDS)
        return weir_raise(WEIR_EINVAL, "%zu descriptors to pass", o->pass_fds_count);
    for (size_t i = 0; i < o->pass_fds_count; i++)
        if (o->pass_fds[i] < PROCESS_FDS)
            return weir_raise(WEIR_EINVAL, "descriptor %d cannot be passed", o->pass_fds[i]);
    return NULL;
}

static weir_process *process_new(const weir_site *site, weir_loop *loop,
                                 const weir_process_options *options)
{
    weir_process *p = weir__calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->magic = PROCESS_MAGIC;
    p->refs = 1;
    p->loop = loop;
    p->site = site;
    p->on_exit = options->exited;
    p->arg = options->arg;
    list_init(&p->link);
    list_init(&p->waits);
    io_file_init(&p->file, &file_ops, -1, site);
    job_init(&p->job, process_run, site);
    if (weir__thread_debug || weir_loop_get_debug(loop))
        p->origin = weir__backtrace_capture();
    return p;
}

/* The child runs and is ours alone: watch it. It does not outlive a failure. */
static weir_error *adopt(weir_process *p, const weir_process_options *options,
                         struct process_fds *fds)
{
    struct io_backend *io = weir__loop_io(p->loop);
    weir_error *error = io->ops->poll(io, &p->file, POLLIN);
    int code;
    bool lost;

    if (!error)
        error = weir__process_pipes(p, options, fds);
    if (!error)
        return NULL;
    (void)weir__spawn_signal(p->file.fd, SIGKILL);
    (void)weir__spawn_reap(p->file.fd, true, &code, &lost);
    io->ops->close(io, &p->file, false);
    return error;
}

static weir_error *spawn_into(weir_process *p, const weir_process_options *options)
{
    struct process_fds fds;
    weir_error *error;

    WEIR_TRY(weir__process_fds_open(&fds, options));
    error = start_child(options, &fds, p);
    weir__process_fds_close_child(&fds);
    if (!error)
        error = adopt(p, options, &fds);
    weir__process_fds_close(&fds);
    return error;
}

weir_error *weir_process_spawn_at(const weir_site *site, const weir_process_options *given,
                                  weir_process **ret)
{
    weir_process_options options = {WEIR_SIZED(weir_process_options)};
    struct processes *processes = NULL;
    weir_process *p;
    weir_error *error;

    memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    if (!weir__thread_loop)
        return weir_raise(WEIR_ETHREAD, "no loop belongs to this thread");
    if (weir_task_current())
        WEIR_TRY(weir__wait_check());
    WEIR_TRY(check_options(&options));
    WEIR_TRY(processes_of(weir__thread_loop, &processes));
    p = process_new(site, weir__thread_loop, &options);
    if (!p)
        return weir_raise(WEIR_ENOMEM, "process");
    error = spawn_into(p, &options);
    if (error) {
        process_free(p);
        return error;
    }
    list_append(&processes->all, &p->link);
    weir__loop_external_begin(p->loop);
    *ret = p;
    return NULL;
}

/* Its loop is another thread's, and not closed. */
static bool elsewhere(const weir_process *process)
{
    const weir_loop *loop = __atomic_load_n(&process->loop, __ATOMIC_RELAXED);

    return loop && loop != weir__thread_loop;
}

static weir_error *check_thread(const weir_process *process, const char *operation)
{
    return elsewhere(process) ? weir__loop_wrong_thread(process->loop, operation, NULL) : NULL;
}

weir_process *weir_process_ref(weir_process *process)
{
    if (process) {
        weir_check(process, PROCESS_MAGIC);
        if (elsewhere(process) && !weir__loop_allows(process->loop))
            return NULL;
        process->refs++;
    }
    return process;
}

static weir_error *unref_at_home(void *process)
{
    weir_process_unref(process);
    return NULL;
}

void weir_process_unref(weir_process *process)
{
    if (!process)
        return;
    weir_check(process, PROCESS_MAGIC);
    if (elsewhere(process)) {
        weir_ignore(weir_loop_call_soon_threadsafe(process->loop, unref_at_home, process, NULL));
        return;
    }
    if (--process->refs)
        return;
    if (process->exited) {
        process_free(process);
        return;
    }
    warn_unclosed(process);
    (void)weir__spawn_signal(process->file.fd, SIGKILL);
    weir__process_pipes_end(process);
}

int weir_process_pid(const weir_process *process)
{
    return process->pid;
}

bool weir_process_exited(const weir_process *process, int *ret_code)
{
    if (process->exited && ret_code)
        *ret_code = process->code;
    return process->exited;
}

static bool leave(struct waiter *waiter)
{
    list_remove(&container_of(waiter, struct wait, waiter)->link);
    return true;
}

weir_error *weir_process_wait(weir_process *process, int *ret_code)
{
    weir_auto(weir_process) held = NULL;
    struct wait wait;

    WEIR_TRY(check_thread(process, __func__));
    WEIR_TRY(weir__wait_begin(&wait.waiter));
    held = weir_process_ref(process);
    if (!process->exited) {
        if (!process->loop)
            return weir_raise(WEIR_ECLOSED, "process");
        list_init(&wait.link);
        list_append(&process->waits, &wait.link);
        WEIR_TRY(weir__wait(&wait.waiter, leave));
    }
    if (ret_code)
        *ret_code = process->code;
    return NULL;
}

weir_stream *weir_process_stream(weir_process *process, int fd)
{
    return fd >= 0 && fd < PROCESS_FDS ? process->streams[fd] : NULL;
}

weir_transport *weir_process_transport(weir_process *process, int fd)
{
    return fd >= 0 && fd < PROCESS_FDS ? process->transports[fd] : NULL;
}

weir_error *weir_process_close_input(weir_process *process)
{
    WEIR_TRY(check_thread(process, __func__));
    if (!process->streams[STDIN_FILENO])
        return NULL;
    return weir_stream_close(WEIR_TAKE(process->streams[STDIN_FILENO]));
}

weir_error *weir_process_send_signal(weir_process *process, int signum)
{
    int failure;

    weir_check(process, PROCESS_MAGIC);
    WEIR_TRY(check_thread(process, __func__));
    if (signum < 0 || signum >= NSIG)
        return weir_raise(WEIR_EINVAL, "signal %d", signum);
    if (process->exited)
        return NULL;
    failure = weir__spawn_signal(process->file.fd, signum);
    return failure ? weir_raise(failure, "signal %d to process %d", signum, process->pid) : NULL;
}

void weir_process_terminate(weir_process *process)
{
    if (elsewhere(process) && !weir__loop_allows(process->loop))
        return;
    weir_ignore(weir_process_send_signal(process, SIGTERM));
}

void weir_process_kill(weir_process *process)
{
    if (elsewhere(process) && !weir__loop_allows(process->loop))
        return;
    weir_ignore(weir_process_send_signal(process, SIGKILL));
}
