/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `runtime.limits.memory`: a process that holds more takes no further connections until it holds
 * less again. Those it has go on: what one of them may hold is bounded by the limits of its protocol.
 * The look costs a system call a second; nothing on the way of a request counts bytes.
 */
#include "config.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <weir/callback.h>
#include <weir/log.h>

#include "host/process/process.h"

#define LOOK_EVERY WEIR_S(1)

struct memory_watch {
    weir_timer timer;
    uint64_t limit;
    bool *full;
};

bool weir__memory_is_full(uint64_t held, uint64_t limit, bool full)
{
    return full ? held > limit - limit / 10 : held > limit;
}

uint64_t weir__memory_held(void)
{
    unsigned long long size, resident, shared;
    char text[200];
    ssize_t n;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%llu %llu %llu", &size, &resident, &shared) != 3 || resident < shared)
        return 0;
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void tell(const struct memory_watch *watch, uint64_t held, bool full)
{
    if (full)
        weir_log(weir_logger_get("weir.host"), WEIR_LOG_WARNING,
                 "connections are refused: weir holds %llu MiB, runtime.limits.memory is %llu MiB",
                 (unsigned long long)(held >> 20), (unsigned long long)(watch->limit >> 20));
    else
        weir_log(weir_logger_get("weir.host"), WEIR_LOG_INFO,
                 "connections are accepted again: weir holds %llu MiB",
                 (unsigned long long)(held >> 20));
}

static weir_error *look(void *arg)
{
    struct memory_watch *watch = arg;
    bool before = __atomic_load_n(watch->full, __ATOMIC_RELAXED);
    uint64_t held = weir__memory_held();
    bool full = weir__memory_is_full(held, watch->limit, before);

    if (full) { /* what libc keeps of freed memory is not needed by anybody */
        malloc_trim(0);
        held = weir__memory_held();
        full = weir__memory_is_full(held, watch->limit, before);
    }
    if (full != before) {
        __atomic_store_n(watch->full, full, __ATOMIC_RELAXED);
        tell(watch, held, full);
    }
    weir_timer_start(&watch->timer, LOOK_EVERY);
    return NULL;
}

weir_error *weir__memory_watch_new(weir_loop *control, uint64_t limit, bool *full,
                                   struct memory_watch **ret)
{
    struct memory_watch *watch;

    *ret = NULL;
    __atomic_store_n(full, false, __ATOMIC_RELAXED);
    if (limit == 0 || limit >= WEIR_SIZE_WORD(0))
        return NULL;
    watch = calloc(1, sizeof *watch);
    if (!watch)
        return weir_raise(WEIR_ENOMEM, "watch over memory");
    watch->limit = limit;
    watch->full = full;
    weir_timer_init(&watch->timer, control, look, watch);
    *ret = watch;
    return look(watch);
}

void weir__memory_watch_free(struct memory_watch *watch)
{
    if (!watch)
        return;
    weir_timer_stop(&watch->timer);
    __atomic_store_n(watch->full, false, __ATOMIC_RELAXED);
    free(watch);
}
