/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of site addresses: open addressing over a fixed table of atomic pointers, insert only.
 * Sites are static objects, so an address is an identity and nothing is ever freed.
 */
#include "config.h"

#include "core/base/sites.h"

#include <stdatomic.h>

static _Atomic(const weir_site *) seen[SITES_MAX];

bool weir__site_first_time(const weir_site *site)
{
    size_t start = ((uintptr_t)site >> 4) * 0x9E3779B97F4A7C15u >> 20;

    for (size_t i = 0; i < SITES_MAX; i++) {
        _Atomic(const weir_site *) *slot = &seen[(start + i) % SITES_MAX];
        const weir_site *there = atomic_load_explicit(slot, memory_order_relaxed);

        if (!there && atomic_compare_exchange_strong(slot, &there, site))
            return true;
        if (there == site)
            return false;
    }
    return false;
}

void weir__site_forget(void)
{
    for (size_t i = 0; i < SITES_MAX; i++)
        atomic_store(&seen[i], NULL);
}
