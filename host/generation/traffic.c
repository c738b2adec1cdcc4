/* SPDX-License-Identifier: Apache-2.0 */
/* The number of this thread's traffic loop, kept in one thread-local variable. */
#include "config.h"

#include "host/generation/traffic.h"

#include "host/upstream/upstream.h"

static __thread struct traffic *current __attribute__((tls_model("initial-exec")));

struct traffic *weir__traffic(void)
{
    return current;
}

void weir__traffic_enter(struct traffic *traffic)
{
    current = traffic;
}

void weir__traffic_leave(struct traffic *traffic)
{
    weir__lease_cache_free(&traffic->leases);
    current = NULL;
}
