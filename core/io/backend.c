/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses a backend by name. "auto" is epoll: a killed process's ring keeps listening sockets for a
 * moment after its end, so that a restart may find its address taken (more in docs/internals/io.md,
 * docs/BENCH.md). WEIR_BACKEND in the environment decides for those who leave it to "auto".
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/error.h>

#include "core/io/io.h"

#define WHY_MAX 160

#ifdef WEIR_WITH_IO_URING
static const char *hint_for(int code)
{
    switch (code) {
    case EPERM:
    case EACCES:
        return "the kernel.io_uring_disabled setting or a system call filter forbids it";
    case ENOMEM:
        return "the limit of locked memory may be too low (ulimit -l)";
    default:
        return "Linux 6.1 or later is needed";
    }
}
#endif

/* NULL: it works. Else why not. */
static const char *why_no_uring(void)
{
#ifdef WEIR_WITH_IO_URING
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char why[WHY_MAX];
    int code = weir__io_uring_probe();

    if (!code)
        return NULL;
    pthread_mutex_lock(&lock);
    if (!why[0])
        snprintf(why, sizeof(why), "io_uring does not work here: %s (%s); %s",
                 weir_code_text((weir_code)code), weir_code_name((weir_code)code), hint_for(code));
    pthread_mutex_unlock(&lock);
    return why;
#else
    return "this weir was built without io_uring";
#endif
}

static weir_error *make_uring(struct io_backend **ret)
{
    const char *why = why_no_uring();

    if (why)
        return weir_error_hint(weir_raise(WEIR_EUNSUPPORTED, "%s", why),
                               "use \"auto\", which takes the best backend that works here");
#ifdef WEIR_WITH_IO_URING
    return weir__io_uring.create(ret);
#else
    (void)ret;
    return NULL;
#endif
}

weir_error *weir__io_backend_new(const char *name, struct io_backend **ret)
{
    const char *why = "as asked for", *variable = NULL;
    weir_error *error;

    if (!name || strcmp(name, "auto") == 0)
        name = variable = secure_getenv("WEIR_BACKEND");
    if (variable && *variable)
        why = "as WEIR_BACKEND says";
    if (!name || !*name || strcmp(name, "auto") == 0) {
        why = "auto";
        error = weir__io_epoll.create(ret);
    } else if (strcmp(name, "epoll") == 0)
        error = weir__io_epoll.create(ret);
    else if (strcmp(name, "io_uring") == 0)
        error = make_uring(ret);
    else
        error = weir_raise(
            WEIR_EUNSUPPORTED,
            "no backend is called \"%s\": expected \"auto\", \"epoll\" or \"io_uring\"", name);
    if (!error)
        (*ret)->why = why;
    return error;
}
