/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs of the process pools' tests: in the test program itself, and in a module. */
#ifndef WEIR_TESTS_WORKER_JOBS_H
#define WEIR_TESTS_WORKER_JOBS_H

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/weir.h>

static weir_error *job_echo(weir_slice argument, weir_buffer *result)
{
    return weir_buffer_append(result, argument);
}

static weir_error *job_pid(weir_slice argument, weir_buffer *result)
{
    int pid = getpid();

    (void)argument;
    return weir_buffer_append(result, weir_slice_of(&pid, sizeof(pid)));
}

static weir_error *job_fails(weir_slice argument, weir_buffer *result)
{
    (void)result;
    return weir_raise(ENOENT, "no %.*s here", (int)argument.len, (const char *)argument.data);
}

static weir_error *job_crash(weir_slice argument, weir_buffer *result)
{
    (void)argument;
    (void)result;
    raise(SIGKILL);
    return NULL;
}

static weir_error *job_exit(weir_slice argument, weir_buffer *result)
{
    (void)argument;
    (void)result;
    _exit(3);
}

static weir_error *job_until_asked(weir_slice argument, weir_buffer *result)
{
    (void)argument;
    while (!weir_job_cancelled())
        sched_yield();
    return weir_buffer_append(result, WEIR_SLICE("asked"));
}

static weir_error *job_for_ever(weir_slice argument, weir_buffer *result)
{
    (void)argument;
    while (result)
        pause();
    return NULL;
}

/* Its descriptors, and the masks of its signals. */
static weir_error *job_look(weir_slice argument, weir_buffer *result)
{
    sigset_t blocked;
    char text[64];
    int n = 0, masked = 0;

    (void)argument;
    for (int fd = 0; fd < 64; fd++) {
        snprintf(text, sizeof(text), "/proc/self/fd/%d", fd);
        n += access(text, F_OK) == 0;
    }
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (int signum = 1; signum < 32; signum++)
        masked += sigismember(&blocked, signum) == 1;
    snprintf(text, sizeof(text), "%d descriptors, %d masked", n, masked);
    return weir_buffer_append(result, weir_slice_str(text));
}

static const weir_named_job worker_jobs[] = {
    {"echo", job_echo},   {"pid", job_pid},           {"fails", job_fails},
    {"crash", job_crash}, {"exit", job_exit},         {"until_asked", job_until_asked},
    {"look", job_look},   {"for_ever", job_for_ever}, {NULL, NULL}};
WEIR_WORKER_JOBS(.jobs = worker_jobs);

#endif
