/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A relay moves bytes between two connections until both directions have ended. Both belong to the
 * calling thread's loop; on another thread nothing happens but WEIR_ETHREAD (B2). Chunks are passed
 * on without a copy; what comes in bulk between plain TCP connections is moved inside the kernel by
 * splice(2), through a pipe (two descriptors) for each direction while it lasts.
 *
 * Example:
 *
 *     static weir_error *join(weir_transport *client, weir_transport *origin)
 *     {
 *         const weir_relay_options options = {
 *             WEIR_SIZED(weir_relay_options),
 *             .idle_timeout = WEIR_S(300),
 *         };
 *
 *         return weir_relay_start(client, WEIR_SLICE(""), origin, WEIR_SLICE(""), &options);
 *     }
 */
#ifndef WEIR_RELAY_H
#define WEIR_RELAY_H

#include <weir/transport.h>

WEIR_BEGIN_DECLS

typedef struct weir_relay_options {
    size_t size;
    weir_duration idle_timeout; /**< without a byte in either direction; 0: none */
    /** Both ends are lost. `reason`: of the first that failed, NULL when both ended in order.
     *  Borrowed. `first`: 0 when `a` ended first, 1 for `b`. */
    void (*done)(void *arg, int first, const weir_error *reason);
    void *arg;
    bool no_splice; /**< every byte through this process, also in bulk */
} weir_relay_options;

/**
 * Joins `a` and `b`, transports of this loop that their present protocols give up. `rest_a` and
 * `rest_b` are bytes already received from them, passed on first. A half-close of one side is
 * passed on to the other; back-pressure too: each direction holds at most the write buffer of
 * its receiver. When one side fails the other is aborted. Options are copied. On failure `done`
 * does not come and both transports are to be aborted by the caller.
 *
 * Errors: WEIR_ECLOSED one of them is lost or closing, WEIR_EBUSY one sends a file, WEIR_ETHREAD,
 * WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_relay_start(weir_transport *a, weir_slice rest_a, weir_transport *b,
                                         weir_slice rest_b,
                                         const weir_relay_options *options) WEIR_MUST_USE;

WEIR_END_DECLS

#endif
