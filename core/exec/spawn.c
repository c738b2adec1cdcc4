/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD): the child borrows the memory of this thread, which
 * sleeps until the exec, so that starting costs the same however large the process is, no atfork
 * handler runs, and an error comes back through memory. posix_spawn() cannot close all descriptors
 * but some, nor give a pidfd before somebody else reaps.
 *
 * Between clone and exec only raw system calls: libc's wrappers are interposed by sanitizers, whose
 * state the child would share with its parent. All signals are blocked meanwhile, so that no handler
 * of the parent runs in the child; the child resets them before it unblocks.
 */
#include "config.h"

#include "core/exec/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/alloc.h"

#ifdef WEIR_SANITIZE_THREAD
/* ThreadSanitizer's clone() takes the child for a fork with memory of its own, and dies. */
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#    define clone __clone
#endif

#define CHILD_STACK      ((size_t)32 * 1024)
#define KERNEL_SIGSET    8
#define KERNEL_SIGNALS   64
#define REAPED_ELSEWHERE 255

#if defined(__clang__)
#    define IN_CHILD __attribute__((disable_sanitizer_instrumentation))
#else
#    define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))
#endif

enum stage { STAGE_SESSION, STAGE_FDS, STAGE_CWD, STAGE_EXEC };

struct child {
    const struct spawn *spawn;
    char *const *candidates; /* paths to try, NULL at the end */
    char *const *argv, *const *env;
    int above;                  /* descriptors from here on are free for moving others about */
    int order[SPAWN_FDS_MAX];   /* targets, ascending */
    int sources[SPAWN_FDS_MAX]; /* moved out of the way */
    long parent;
    enum stage stage;
    int error;
};

IN_CHILD static bool child_descriptors(struct child *c)
{
    const struct spawn *spawn = c->spawn;
    long previous = -1;

    for (size_t i = 0; i < spawn->nfds; i++) {
        c->sources[i] =
            (int)syscall(SYS_fcntl, spawn->fds[i].source, F_DUPFD_CLOEXEC, (long)c->above);
        if (c->sources[i] < 0)
            return false;
    }
    for (size_t i = 0; i < spawn->nfds; i++)
        if (syscall(SYS_dup3, c->sources[i], spawn->fds[i].target, 0) < 0)
            return false;
    for (size_t i = 0; i < spawn->nfds; i++) {
        if (c->order[i] > previous + 1)
            (void)syscall(SYS_close_range, previous + 1, (long)c->order[i] - 1, 0);
        previous = c->order[i];
    }
    return syscall(SYS_close_range, previous + 1, 0xFFFFFFFFL, 0) == 0;
}

IN_CHILD static void child_signals(void)
{
    unsigned long nothing[4] = {0, 0, 0, 0}; /* the kernel's sigaction: SIG_DFL */
    unsigned long none = 0;

    for (long signum = 1; signum <= KERNEL_SIGNALS; signum++)
        (void)syscall(SYS_rt_sigaction, signum, nothing, NULL, KERNEL_SIGSET);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SIGSET);
}

IN_CHILD static bool child_prepare(struct child *c)
{
    const struct spawn *spawn = c->spawn;

    c->stage = STAGE_SESSION;
    if (spawn->new_session && syscall(SYS_setsid) < 0)
        return false;
    if (spawn->new_group && syscall(SYS_setpgid, 0, 0) < 0)
        return false;
    if (spawn->death_signal) {
        (void)syscall(SYS_prctl, PR_SET_PDEATHSIG, (long)spawn->death_signal, 0, 0, 0);
        if (syscall(SYS_getppid) != c->parent)
            return false;
    }
    c->stage = STAGE_FDS;
    if (!child_descriptors(c))
        return false;
    c->stage = STAGE_CWD;
    return !spawn->cwd || syscall(SYS_chdir, spawn->cwd) == 0;
}

IN_CHILD static int child_main(void *arg)
{
    struct child *c = arg;
    int denied = 0;

    if (!child_prepare(c)) {
        c->error = errno;
        return 127;
    }
    c->stage = STAGE_EXEC;
    child_signals();
    for (char *const *path = c->candidates; *path; path++) {
        (void)syscall(SYS_execve, *path, c->argv, c->env);
        if (errno == EACCES)
            denied = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            break;
    }
    c->error = denied && (errno == ENOENT || errno == ENOTDIR) ? denied : errno;
    return 127;
}

static const char *search_path(const struct spawn *spawn)
{
    if (!spawn->env)
        return getenv("PATH") ? getenv("PATH") : "/bin:/usr/bin";
    for (const char *const *e = spawn->env; *e; e++)
        if (strncmp(*e, "PATH=", 5) == 0)
            return *e + 5;
    return "/bin:/usr/bin";
}

/* One block: the array, then the paths. */
static char **make_candidates(const struct spawn *spawn)
{
    const char *path = strchr(spawn->file, '/') ? NULL : search_path(spawn);
    size_t count = 1, file_len = strlen(spawn->file) + 1;
    char **all, *text;

    for (const char *p = path; p && *p; p++)
        count += *p == ':';
    all = weir__malloc((count + 1) * sizeof(all[0]) + (path ? strlen(path) : 0) +
                       count * (file_len + 2));
    if (!all)
        return NULL;
    text = (char *)(all + count + 1);
    if (!path) {
        memcpy(text, spawn->file, file_len);
        all[0] = text;
        all[1] = NULL;
        return all;
    }
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(path, ":");

        all[i] = text;
        memcpy(text, len ? path : ".", len ? len : 1);
        text += len ? len : 1;
        *text++ = '/';
        memcpy(text, spawn->file, file_len);
        text += file_len;
        path += len + (path[len] == ':');
    }
    all[count] = NULL;
    return all;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static weir_error *prepare(struct child *c, const struct spawn *spawn)
{
    *c = (struct child){.spawn = spawn, .parent = getpid(), .above = 3};
    if (spawn->nfds > SPAWN_FDS_MAX)
        return weir_raise(WEIR_ELIMIT, "%zu descriptors for a child", spawn->nfds);
    for (size_t i = 0; i < spawn->nfds; i++) {
        c->order[i] = spawn->fds[i].target;
        if (c->order[i] >= c->above)
            c->above = c->order[i] + 1;
    }
    qsort(c->order, spawn->nfds, sizeof(c->order[0]), compare);
    c->argv = (char *const *)spawn->argv;
    c->env = spawn->env ? (char *const *)spawn->env : environ;
    c->candidates = make_candidates(spawn);
    return c->candidates ? NULL : weir_raise(WEIR_ENOMEM, "spawn");
}

static weir_error *child_failed(const struct child *c)
{
    static const char *const what[] = {"start a session for", "pass descriptors to", NULL, "run"};

    if (c->stage == STAGE_CWD)
        return weir_raise(c->error, "change to directory \"%s\" for %s", c->spawn->cwd,
                          c->spawn->file);
    return weir_raise(c->error, "%s \"%s\"", what[c->stage], c->spawn->file);
}

weir_error *weir__spawn_process(const struct spawn *spawn, pid_t *ret_pid, int *ret_pidfd)
{
    struct child c;
    sigset_t all, old;
    char *stack = weir__malloc(CHILD_STACK);
    weir_error *error = stack ? prepare(&c, spawn) : weir_raise(WEIR_ENOMEM, "spawn");
    int pidfd = -1, failure;
    pid_t pid;

    if (error) {
        weir__free(stack);
        return error;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    pid = clone(child_main, stack + CHILD_STACK, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &c,
                &pidfd);
    failure = pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    weir__free((void *)c.candidates);
    weir__free(stack);
    if (pid < 0)
        return weir_raise(failure, "start a process for \"%s\"", spawn->file);
    if (c.error) {
        int code;
        bool lost;

        (void)weir__spawn_reap(pidfd, true, &code, &lost);
        close(pidfd);
        return child_failed(&c);
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return NULL;
}

bool weir__spawn_reap(int pidfd, bool block, int *ret_code, bool *ret_lost)
{
    siginfo_t info = {.si_pid = 0};
    int result;

    do
        result = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | (block ? 0 : WNOHANG));
    while (result < 0 && errno == EINTR);
    *ret_lost = result < 0;
    if (result < 0) {
        *ret_code = REAPED_ELSEWHERE;
        return true;
    }
    if (info.si_pid == 0)
        return false;
    *ret_code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return true;
}

int weir__spawn_signal(int pidfd, int signum)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signum, NULL, 0) < 0 && errno != ESRCH ? errno : 0;
}

void weir__spawn_ask(int pidfd, int number)
{
    siginfo_t info = {.si_signo = SIGTERM, .si_code = SI_QUEUE};

    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = number;
    (void)syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, &info, 0);
}

size_t weir__spawn_describe(int code, char *buffer, size_t size)
{
    const char *name = code < 0 ? sigabbrev_np(-code) : NULL;
    int n;

    if (name)
        n = snprintf(buffer, size, "was killed by SIG%s", name);
    else if (code < 0)
        n = snprintf(buffer, size, "was killed by signal %d", -code);
    else
        n = snprintf(buffer, size, "exited with status %d", code);
    return n > 0 ? (size_t)n : 0;
}
