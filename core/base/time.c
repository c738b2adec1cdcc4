/* SPDX-License-Identifier: Apache-2.0 */
/* The monotonic clock: one vDSO call. Loops read it once per iteration (core/loop/run.c). */
#include "config.h"

#include <time.h>

#include <weir/time.h>

weir_instant weir_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (weir_instant){(int64_t)now.tv_sec * 1000000000 + now.tv_nsec};
}
