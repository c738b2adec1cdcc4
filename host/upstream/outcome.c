/* SPDX-License-Identifier: Apache-2.0 */
/* Outcomes in words, and what a failed connect is called. */
#include "config.h"

#include <errno.h>

#include <weir/error.h>
#include <weir/outcome.h>

const char *weir_outcome_name(weir_outcome outcome)
{
    static const char *const names[] = {
#define OUTCOME_NAME(name, text) text,
        WEIR_OUTCOMES(OUTCOME_NAME)
#undef OUTCOME_NAME
    };

    return (unsigned)outcome < WEIR_OUTCOME_COUNT ? names[outcome] : "unknown";
}

weir_outcome weir_outcome_of_connect(const weir_error *error)
{
    if (!error)
        return WEIR_OUTCOME_OK;
    if (weir_error_has(error, WEIR_ENOSERVER))
        return WEIR_OUTCOME_UPSTREAM_NONE_AVAILABLE;
    if (weir_error_has(error, WEIR_EDNS) || weir_error_has(error, WEIR_ENONAME))
        return WEIR_OUTCOME_UPSTREAM_DNS;
    if (weir_error_has(error, WEIR_ETLS) || weir_error_has(error, WEIR_ETLSTRUNCATED))
        return WEIR_OUTCOME_UPSTREAM_TLS;
    if (weir_error_has(error, WEIR_ETIMEDOUT) || weir_error_has(error, ETIMEDOUT))
        return WEIR_OUTCOME_UPSTREAM_CONNECT_TIMEOUT;
    if (weir_error_has(error, ECONNRESET))
        return WEIR_OUTCOME_UPSTREAM_RESET;
    if (weir_error_has(error, WEIR_ENOMEM) || weir_error_has(error, EMFILE) ||
        weir_error_has(error, ENFILE))
        return WEIR_OUTCOME_LIMIT_CONNECTIONS;
    /* Unreachable hosts and networks, missing sockets: nobody answers there either. */
    return WEIR_OUTCOME_UPSTREAM_CONNECT_REFUSED;
}
