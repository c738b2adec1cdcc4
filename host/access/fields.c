/* SPDX-License-Identifier: Apache-2.0 */
/* What can stand in a line, and where each value comes from. */
#include "config.h"

#include <stdio.h>
#include <time.h>

#include "host/access/access.h"

const char *const weir__access_field_names[] = {
#define ACCESS_FIELD_NAME(name, text) text,
    ACCESS_FIELDS(ACCESS_FIELD_NAME)
#undef ACCESS_FIELD_NAME
        NULL,
};

const char *const weir__access_field_planned[] = {"queue_ms", "dns_ms",   "tls_ms",
                                                  "user",     "trace_id", NULL};

enum access_field weir__access_field(const char *name, size_t len)
{
    enum access_field field = 0;

    while (field < ACCESS_FIELD_COUNT && (strlen(weir__access_field_names[field]) != len ||
                                          memcmp(weir__access_field_names[field], name, len) != 0))
        field++;
    return field;
}

bool weir__access_field_is_number(enum access_field field)
{
    switch (field) {
    case ACCESS_STATUS:
    case ACCESS_BYTES_IN:
    case ACCESS_BYTES_OUT:
    case ACCESS_BODY_BYTES_OUT:
    case ACCESS_DURATION_MS:
    case ACCESS_CONNECT_MS:
    case ACCESS_FIRST_BYTE_MS:
    case ACCESS_RETRIES:
    case ACCESS_CONN:
        return true;
    default:
        return false;
    }
}

static struct access_value text_of(weir_slice text)
{
    return (struct access_value){.kind = text.len ? ACCESS_TEXT : ACCESS_NOTHING, .text = text};
}

static struct access_value string_of(const char *text)
{
    return text_of(weir_slice_str(text));
}

static struct access_value number_of(uint64_t number)
{
    return (struct access_value){.kind = ACCESS_NUMBER, .number = number};
}

/* 0 is a time that was not taken. */
static struct access_value time_of(int64_t ns)
{
    return (struct access_value){.kind = ns > 0 ? ACCESS_MILLISECONDS : ACCESS_NOTHING,
                                 .number = ns > 0 ? (uint64_t)ns : 0};
}

static void stamp(struct access_stamps *stamps, int64_t second)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t time = (time_t)second;
    struct tm tm;

    if (stamps->second == second)
        return;
    stamps->second = second;
    gmtime_r(&time, &tm);
    (void)strftime(stamps->iso, sizeof stamps->iso, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(stamps->clf, sizeof stamps->clf, "%02d/%s/%04d:%02d:%02d:%02d +0000",
                   tm.tm_mday % 100, months[tm.tm_mon % 12], (tm.tm_year + 1900) % 10000,
                   tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
}

/* "2026-11-21T08:00:00.123Z" */
static struct access_value iso_time(struct access_entry *entry)
{
    struct line line = {entry->scratch, entry->scratch + ACCESS_VALUE_MAX};
    unsigned ms = (unsigned)(entry->wall_ns / 1000000 % 1000);
    char rest[5] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10),
                    'Z'};

    stamp(entry->stamps, entry->wall_ns / 1000000000);
    line_put(&line, entry->stamps->iso, 19);
    line_put(&line, rest, sizeof rest);
    return (struct access_value){.kind = ACCESS_PLAIN,
                                 .text = weir_slice_of(entry->scratch, 19 + sizeof rest)};
}

static struct access_value clf_time(struct access_entry *entry)
{
    stamp(entry->stamps, entry->wall_ns / 1000000000);
    return (struct access_value){.kind = ACCESS_PLAIN, .text = weir_slice_str(entry->stamps->clf)};
}

/* Path and query as the client wrote them: they stand beside each other where there is a query. */
static weir_slice uri_of(const weir_access_record *record)
{
    const char *path = record->path.data, *query = record->query.data;

    if (!record->query.len || query != path + record->path.len + 1)
        return record->path;
    return weir_slice_of(path, record->path.len + 1 + record->query.len);
}

/* "GET /x?y HTTP/1.1", cut at what fits: for the formats that know it as one word. */
static struct access_value request_line(struct access_entry *entry)
{
    const weir_access_record *record = entry->record;
    struct line line = {entry->scratch, entry->scratch + ACCESS_VALUE_MAX};
    weir_slice uri = uri_of(record);
    size_t room = ACCESS_VALUE_MAX - 64;

    if (!record->method.len)
        return (struct access_value){.kind = ACCESS_NOTHING};
    line_put(&line, record->method.data, record->method.len < 16 ? record->method.len : 16);
    line_char(&line, ' ');
    line_put(&line, uri.data, uri.len < room ? uri.len : room);
    line_char(&line, ' ');
    line_put(&line, record->proto.data, record->proto.len < 15 ? record->proto.len : 15);
    return text_of(weir_slice_of(entry->scratch, (size_t)(line.at - entry->scratch)));
}

/* Host and port, as vhost_combined has them. */
static struct access_value vhost_of(struct access_entry *entry)
{
    weir_slice host = entry->record->host;
    const char *local = entry->transport ? weir_transport_local_name(entry->transport) : NULL;
    const char *port = local ? strrchr(local, ':') : NULL;
    struct line line = {entry->scratch, entry->scratch + ACCESS_VALUE_MAX};
    const char *colon = host.len ? memrchr(host.data, ':', host.len) : NULL;
    const char *bracket = host.len ? memrchr(host.data, ']', host.len) : NULL;

    if (!host.len)
        host = WEIR_SLICE("-");
    line_put(&line, host.data, host.len < 512 ? host.len : 512);
    if (!colon || (bracket && colon < bracket)) {
        line_char(&line, ':');
        line_put(&line, port ? port + 1 : "0", port ? strlen(port + 1) : 1);
    }
    return text_of(weir_slice_of(entry->scratch, (size_t)(line.at - entry->scratch)));
}

static struct access_value client_of(weir_transport *transport)
{
    weir_slice ip = weir_transport_peer_ip(transport);

    return text_of(ip.len ? ip : WEIR_SLICE("unix"));
}

static struct access_value of_connection(struct access_entry *entry, enum access_field field)
{
    const weir_access_record *record = entry->record;

    switch (field) {
    case ACCESS_CLIENT_IP:
        if (!entry->transport)
            return text_of(record->client_ip);
        return client_of(entry->transport);
    case ACCESS_SNI:
        return record->sni.len ? text_of(record->sni) : string_of(entry->tls.server_name);
    case ACCESS_ALPN:
        return record->alpn.len ? text_of(record->alpn) : string_of(entry->tls.alpn);
    case ACCESS_CONN:
        return entry->transport ? number_of(weir_transport_id(entry->transport))
                                : text_of(weir_slice_of(NULL, 0));
    default:
        return vhost_of(entry);
    }
}

/* What only requests have. */
static struct access_value of_request(struct access_entry *entry, enum access_field field)
{
    const weir_access_record *record = entry->record;

    switch (field) {
    case ACCESS_METHOD:
        return text_of(record->method);
    case ACCESS_HOST:
        return text_of(record->host);
    case ACCESS_PATH:
        return text_of(record->path);
    case ACCESS_PROTO:
        return text_of(record->proto);
    case ACCESS_STATUS:
        return record->status ? number_of((uint64_t)record->status)
                              : text_of(weir_slice_of(NULL, 0));
    case ACCESS_USER_AGENT:
        return text_of(record->user_agent);
    case ACCESS_REFERER:
        return text_of(record->referer);
    case ACCESS_REQUEST_ID:
        return text_of(record->request_id);
    case ACCESS_QUERY:
        return text_of(record->query);
    case ACCESS_URI:
        return text_of(uri_of(record));
    default:
        return request_line(entry);
    }
}

struct access_value weir__access_value(struct access_entry *entry, enum access_field field)
{
    const weir_access_record *record = entry->record;

    switch (field) {
    case ACCESS_TS:
        return iso_time(entry);
    case ACCESS_TIME:
        return clf_time(entry);
    case ACCESS_LISTENER:
        return string_of(entry->listener);
    case ACCESS_ROUTE:
        return string_of(record->route);
    case ACCESS_UPSTREAM:
        return string_of(record->upstream);
    case ACCESS_SERVER:
        return string_of(record->server);
    case ACCESS_BYTES_IN:
        return number_of(record->bytes_in);
    case ACCESS_BYTES_OUT:
        return number_of(record->bytes_out);
    case ACCESS_BODY_BYTES_OUT:
        return number_of(record->bytes_out > record->head_bytes_out
                             ? record->bytes_out - record->head_bytes_out
                             : 0);
    case ACCESS_DURATION_MS:
        return (struct access_value){
            .kind = ACCESS_MILLISECONDS,
            .number = record->duration_ns > 0 ? (uint64_t)record->duration_ns : 0};
    case ACCESS_CONNECT_MS:
        return time_of(record->connect_ns);
    case ACCESS_FIRST_BYTE_MS:
        return time_of(record->first_byte_ns);
    case ACCESS_RETRIES:
        return number_of(record->retries);
    case ACCESS_OUTCOME:
        return (struct access_value){.kind = ACCESS_PLAIN,
                                     .text = weir_slice_str(weir_outcome_name(record->outcome))};
    case ACCESS_CLIENT_IP:
    case ACCESS_SNI:
    case ACCESS_ALPN:
    case ACCESS_CONN:
    case ACCESS_VHOST:
        return of_connection(entry, field);
    default:
        return of_request(entry, field);
    }
}
