/* SPDX-License-Identifier: Apache-2.0 */
/* How the TLS handshakes of a listener ended: counted by each loop, added up by whoever looks. */
#include "config.h"

#include <string.h>

#include "host/listener/listener.h"

void weir__listener_handshake_over(weir_transport *transport, weir_tls_result result,
                                   weir_duration took, void *slot)
{
    struct listener_handshakes *counted =
        &((struct slot *)slot)->loops[weir__traffic()->index].handshakes;
    weir_tls_info info;

    if (result != WEIR_TLS_DONE || !weir_transport_tls_info(transport, &info)) {
        HOST_COUNT(counted->failed[result], 1);
        return;
    }
    HOST_COUNT(counted->done[strcmp(info.version, "TLSv1.3") == 0][info.resumed], 1);
    HOST_COUNT(counted->nanoseconds, (uint64_t)took.ns);
}

struct listener_handshakes weir__slot_handshakes(const struct slot *slot)
{
    struct listener_handshakes sum = {.nanoseconds = 0};

    for (unsigned i = 0; i < slot->n_loops; i++) {
        const struct listener_handshakes *one = &slot->loops[i].handshakes;

        for (unsigned j = 0; j < 4; j++)
            sum.done[j / 2][j % 2] += __atomic_load_n(&one->done[j / 2][j % 2], __ATOMIC_RELAXED);
        for (unsigned j = 0; j < WEIR_TLS_RESULT_COUNT; j++)
            sum.failed[j] += __atomic_load_n(&one->failed[j], __ATOMIC_RELAXED);
        sum.nanoseconds += __atomic_load_n(&one->nanoseconds, __ATOMIC_RELAXED);
    }
    return sum;
}
