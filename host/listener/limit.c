/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections a listener has, over all loops, and whether it takes one more. */
#include "config.h"

#include <weir/event.h>

#include "host/listener/listener.h"

static void complain(struct slot *slot, uint64_t limit)
{
    int64_t now = weir_now().ns, last = __atomic_load_n(&slot->complained, __ATOMIC_RELAXED);

    /* Once in ten seconds, by whoever comes first. */
    if (last && now - last < (int64_t)10 * 1000 * 1000 * 1000)
        return;
    if (__atomic_compare_exchange_n(&slot->complained, &last, now, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        weir_log_with(weir_logger_get("weir.listener"), WEIR_LOG_WARNING,
                      WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_CONNECTIONS_REFUSED},
                                      {"listener", slot->name}),
                      "listener %s: connections are refused, all %llu of max_connections are open",
                      slot->name, (unsigned long long)limit);
}

weir_error *weir__slot_admit(struct slot *slot, struct slot_loop *local)
{
    uint64_t limit = local->current ? local->current->max_connections : 0;
    uint64_t open = __atomic_add_fetch(&slot->open, 1, __ATOMIC_RELAXED);

    if (!limit || open <= limit)
        return NULL;
    __atomic_sub_fetch(&slot->open, 1, __ATOMIC_RELAXED);
    HOST_COUNT(local->counters.refused, 1);
    HOST_COUNT(local->counters.outcomes[WEIR_OUTCOME_LIMIT_CONNECTIONS], 1);
    complain(slot, limit);
    return WEIR_RAISE_FAST(WEIR_ELIMIT, "all %lld connections of the listener are open",
                           (int64_t)limit);
}
