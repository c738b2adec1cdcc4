/* SPDX-License-Identifier: Apache-2.0 */
/**
 * How a request or connection ended, in words: of access logs, metrics and passive health.
 *  The one list; dotted, so that a prefix groups. Appended, never renamed.
 *
 * Example:
 *
 *     static const char *what_to_log(const weir_error *connect_error)
 *     {
 *         return weir_outcome_name(weir_outcome_of_connect(connect_error)); // "upstream.connect.refused"
 *     }
 */
#ifndef WEIR_OUTCOME_H
#define WEIR_OUTCOME_H

#include <weir/error.h>

WEIR_BEGIN_DECLS

#define WEIR_OUTCOMES(X)                                                       \
    X(WEIR_OUTCOME_OK, "ok")                                                   \
    X(WEIR_OUTCOME_CLIENT_GONE, "client.gone")                                 \
    X(WEIR_OUTCOME_CLIENT_TIMEOUT, "client.timeout")                           \
    X(WEIR_OUTCOME_CLIENT_BAD_REQUEST, "client.bad_request")                   \
    X(WEIR_OUTCOME_ROUTE_NONE, "route.none")                                   \
    X(WEIR_OUTCOME_UPSTREAM_DNS, "upstream.dns")                               \
    X(WEIR_OUTCOME_UPSTREAM_CONNECT_REFUSED, "upstream.connect.refused")       \
    X(WEIR_OUTCOME_UPSTREAM_CONNECT_TIMEOUT, "upstream.connect.timeout")       \
    X(WEIR_OUTCOME_UPSTREAM_TLS, "upstream.tls")                               \
    X(WEIR_OUTCOME_UPSTREAM_RESPONSE_TIMEOUT, "upstream.response.timeout")     \
    X(WEIR_OUTCOME_UPSTREAM_RESPONSE_TRUNCATED, "upstream.response.truncated") \
    X(WEIR_OUTCOME_UPSTREAM_RESPONSE_BAD, "upstream.response.bad")             \
    X(WEIR_OUTCOME_UPSTREAM_RESET, "upstream.reset")                           \
    X(WEIR_OUTCOME_UPSTREAM_NONE_AVAILABLE, "upstream.none_available")         \
    X(WEIR_OUTCOME_LIMIT_RATE, "limit.rate")                                   \
    X(WEIR_OUTCOME_LIMIT_CONNECTIONS, "limit.connections")                     \
    X(WEIR_OUTCOME_DENIED, "denied")                                           \
    X(WEIR_OUTCOME_PLUGIN_ERROR, "plugin.error")                               \
    X(WEIR_OUTCOME_DRAINING, "draining")

typedef enum weir_outcome {

#define WEIR_OUTCOME_ENUM_(name, text) name,
    WEIR_OUTCOMES(WEIR_OUTCOME_ENUM_)
#undef WEIR_OUTCOME_ENUM_
        WEIR_OUTCOME_COUNT
} weir_outcome;

/** "upstream.connect.refused". Never NULL. Any thread. */
WEIR_PUBLIC const char *weir_outcome_name(weir_outcome outcome);
/** What a failed connection attempt is called: WEIR_EDNS → upstream.dns, ECONNREFUSED →
 *  upstream.connect.refused, WEIR_ETIMEDOUT → upstream.connect.timeout, WEIR_ETLS → upstream.tls,
 *  WEIR_ENOSERVER → upstream.none_available. Marks the error read. */
WEIR_PUBLIC weir_outcome weir_outcome_of_connect(const weir_error *error);

WEIR_END_DECLS

#endif
