/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library to preload: tells libweir which pthread mutexes the running task holds, so that a task
 * that suspends with one is reported (weir_lock_taken()). It stands in front of the C library's
 * functions; those that the C library calls itself (stdio, malloc) do not come by here.
 */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <weir/task.h>

#ifndef WEIR_SANITIZE /* they stand there themselves */

typedef int (*mutex_fn)(pthread_mutex_t *);
typedef int (*timed_fn)(pthread_mutex_t *, const struct timespec *);

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

/* ISO C has no conversion from void * to a function; POSIX wants it to work like this. */
#    define REAL(type, name)                \
        static _Atomic(type) function;      \
        if (!function) {                    \
            union {                         \
                void *data;                 \
                type function;              \
            } found = {.data = real(name)}; \
            function = found.function;      \
        }

static int told(int result, pthread_mutex_t *mutex)
{
    if (result == 0 || result == EOWNERDEAD)
        weir_lock_taken(mutex);
    return result;
}

WEIR_PUBLIC int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    REAL(mutex_fn, "pthread_mutex_lock")
    return told(function(mutex), mutex);
}

WEIR_PUBLIC int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    REAL(mutex_fn, "pthread_mutex_trylock")
    return told(function(mutex), mutex);
}

WEIR_PUBLIC int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *abstime)
{
    REAL(timed_fn, "pthread_mutex_timedlock")
    return told(function(mutex, abstime), mutex);
}

WEIR_PUBLIC int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    REAL(mutex_fn, "pthread_mutex_unlock")
    weir_lock_released(mutex);
    return function(mutex);
}

#endif
