/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened to a request or connection: counted always, and a line of the access log where that is
 * on. What failed has a line in the log too, with the outcome in words and the reason in detail, so that
 * the log says why before anyone turns the access log on.
 */
#include "config.h"

#include <stdio.h>

#include <weir/event.h>

#include "host/access/access.h"
#include "host/listener/listener.h"
#include "host/metrics/metrics.h"

static weir_logger *logger(void)
{
    static weir_logger *made;
    weir_logger *l = __atomic_load_n(&made, __ATOMIC_ACQUIRE);

    if (!l) {
        l = weir_logger_get("weir.access");
        __atomic_store_n(&made, l, __ATOMIC_RELEASE);
    }
    return l;
}

/* What clients do of their own accord is not worth a line by default. */
static int level_of(weir_outcome outcome)
{
    return outcome == WEIR_OUTCOME_OK || outcome == WEIR_OUTCOME_CLIENT_GONE ||
                   outcome == WEIR_OUTCOME_DRAINING
               ? WEIR_LOG_DEBUG
               : WEIR_LOG_INFO;
}

#define LIMITED(slice, limit) \
    (int)((slice).len < (limit) ? (slice).len : (limit)), (const char *)((slice).data)

static void log_record(const weir_listener *listener, weir_transport *transport,
                       const weir_access_record *record, int level)
{
    char client[140], status[16], duration[32], bytes_out[24], retries[16], conn[24],
        reason[300] = "";
    const char *outcome = weir_outcome_name(record->outcome);
    weir_log_field fields[12];
    size_t n = 0;

    snprintf(client, sizeof client, "%.*s", LIMITED(record->client_ip, sizeof client - 1));
    if (transport)
        snprintf(client, sizeof client, "%s", weir_transport_peer_name(transport));
    snprintf(status, sizeof status, "%d", record->status);
    snprintf(duration, sizeof duration, "%.3f", (double)record->duration_ns / 1e6);
    snprintf(bytes_out, sizeof bytes_out, "%llu", (unsigned long long)record->bytes_out);
    snprintf(conn, sizeof conn, "%llu",
             transport ? (unsigned long long)weir_transport_id(transport) : 0ull);
    snprintf(retries, sizeof retries, "%u", record->retries);
    fields[n++] = (weir_log_field){"listener", listener->name};
    fields[n++] = (weir_log_field){"client", client};
    fields[n++] = (weir_log_field){"outcome", outcome};
    if (record->status)
        fields[n++] = (weir_log_field){"status", status};
    if (record->route)
        fields[n++] = (weir_log_field){"route", record->route};
    if (record->upstream)
        fields[n++] = (weir_log_field){"upstream", record->upstream};
    if (record->server)
        fields[n++] = (weir_log_field){"server", record->server};
    fields[n++] = (weir_log_field){"duration_ms", duration};
    fields[n++] = (weir_log_field){"bytes_out", bytes_out};
    if (transport)
        fields[n++] = (weir_log_field){"conn", conn};
    if (record->retries)
        fields[n++] = (weir_log_field){"retries", retries};
    if (record->outcome == WEIR_OUTCOME_PLUGIN_ERROR)
        fields[n++] = (weir_log_field){"message_id", WEIR_EVENT_PLUGIN_ERROR};
    if (record->reason) {
        reason[0] = ':';
        reason[1] = ' ';
        weir_error_message(record->reason, reason + 2, sizeof reason - 2);
    }
    if (record->method.len)
        weir_log_at(WEIR_HERE, logger(), level, fields, n, "%.*s %.*s%.*s: %s%s",
                    LIMITED(record->method, 32), LIMITED(record->host, 128),
                    LIMITED(record->path, 256), outcome, reason);
    else
        weir_log_at(WEIR_HERE, logger(), level, fields, n, "connection: %s%s", outcome, reason);
}

/* The share of this loop; NULL on threads that are none. */
static struct listener_counters *counters_of(weir_listener *listener)
{
    struct traffic *traffic = weir__traffic();

    return traffic ? &listener->slot->loops[traffic->index].counters : NULL;
}

void weir_listener_request_begins(weir_listener *listener)
{
    struct listener_counters *counters = counters_of(listener);

    if (counters)
        HOST_COUNT(counters->requests, 1);
}

void weir_listener_request_ends(weir_listener *listener)
{
    struct listener_counters *counters = counters_of(listener);

    if (counters)
        HOST_COUNT(counters->requests, -1);
}

/* What is ended when the grace is over was not the client's doing. */
static weir_outcome outcome_of(const struct traffic *traffic, const weir_access_record *record)
{
    return traffic && traffic->aborting && record->outcome == WEIR_OUTCOME_CLIENT_GONE
               ? WEIR_OUTCOME_DRAINING
               : record->outcome;
}

bool weir_listener_count(weir_listener *listener, const weir_access_record *record)
{
    struct traffic *traffic = weir__traffic();
    weir_outcome outcome = outcome_of(traffic, record);

    if (traffic && traffic->rehearsal)
        return true;
    if (traffic && (unsigned)outcome < WEIR_OUTCOME_COUNT) {
        HOST_COUNT(listener->slot->loops[traffic->index].counters.outcomes[outcome], 1);
        weir__metrics_count(traffic, listener->slot, record);
    }
    return !weir__access_on() && !weir_logger_enabled(logger(), level_of(outcome));
}

void weir_listener_log(weir_listener *listener, weir_transport *transport,
                       const weir_access_record *record)
{
    weir_outcome outcome = outcome_of(weir__traffic(), record);
    weir_access_record other;
    int level = level_of(outcome);

    if (outcome != record->outcome) {
        other = *record;
        other.outcome = outcome;
        record = &other;
    }
    if (weir__access_on())
        weir__access_record(listener->name, transport, record);
    if (weir_logger_enabled(logger(), level))
        log_record(listener, transport, record, level);
}

void weir_listener_record(weir_listener *listener, weir_transport *transport,
                          const weir_access_record *record)
{
    if (!weir_listener_count(listener, record))
        weir_listener_log(listener, transport, record);
}

/* Counted where it is refused; the log says it once in a while. */
void weir__record_refused(const struct slot *slot, weir_transport *transport)
{
    weir_access_record record = {.size = sizeof record, .outcome = WEIR_OUTCOME_LIMIT_CONNECTIONS};

    if (weir__access_on())
        weir__access_record(slot->name, transport, &record);
}
