/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Composing heads. Every call asks `reserve` for all the room it needs and then fills it, so a head
 * is never cut inside a line; the first failure makes all later calls do nothing.
 */
#include "config.h"

#include <weir/http-values.h>

#include "http/message/names.h"
#include "http/message/scan.h"

#define UINT64_DIGITS 20

static const weir_slice line_end = WEIR_SLICE_INIT("\r\n");
static const weir_slice version_end = WEIR_SLICE_INIT(" HTTP/1.1\r\n");

static char *reserve(weir_http_writer *writer, size_t len)
{
    char *place = writer->data + writer->len;

    if (weir_http_writer_failed(writer))
        return NULL;
    if (len > writer->capacity - writer->len) {
        writer->overflow = true;
        return NULL;
    }
    writer->len += len;
    return place;
}

static char *put(char *to, weir_slice bytes)
{
    if (bytes.len)
        memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

static bool all(weir_slice text, unsigned classes)
{
    const char *begin = text.data, *end = begin + text.len;

    return weir__scan_class(begin, end, classes) == end;
}

void weir_http_write_status(weir_http_writer *writer, int status, weir_slice reason)
{
    char line[13] = "HTTP/1.1 000 ", *to;

    if (reason.len == 0)
        reason = weir_slice_str(weir_http_reason(status));
    if (status < 100 || status > 999 || !weir_http_is_value(reason)) {
        writer->invalid = true;
        return;
    }
    line[9] = (char)('0' + status / 100);
    line[10] = (char)('0' + status / 10 % 10);
    line[11] = (char)('0' + status % 10);
    to = reserve(writer, sizeof(line) + reason.len + 2);
    if (!to)
        return;
    to = put(put(to, weir_slice_of(line, sizeof(line))), reason);
    put(to, line_end);
}

void weir_http_write_status_of(weir_http_writer *writer, const weir_http_head *head)
{
    char *line;

    if (head->reason.len == 0) { /* its line may lack the space that everybody expects */
        weir_http_write_status(writer, head->status, head->reason);
        return;
    }
    line = reserve(writer, head->fields_begin);
    if (!line)
        return;
    memcpy(line, head->base_, head->fields_begin);
    line[sizeof("HTTP/1.") - 1] = '1';
}

void weir_http_write_request(weir_http_writer *writer, weir_slice method, weir_slice target)
{
    weir_http_write_request_path(writer, method, target, false, WEIR_SLICE(""));
}

void weir_http_write_request_path(weir_http_writer *writer, weir_slice method, weir_slice path,
                                  bool has_query, weir_slice query)
{
    size_t len = method.len + 1 + path.len + (has_query ? 1 + query.len : 0);
    char *to;

    if (!weir_http_is_token(method) || path.len == 0 || !all(path, WEIR__TARGET) ||
        !all(query, WEIR__TARGET)) {
        writer->invalid = true;
        return;
    }
    to = reserve(writer, len + version_end.len);
    if (!to)
        return;
    to = put(to, method);
    *to++ = ' ';
    to = put(to, path);
    if (has_query) {
        *to++ = '?';
        to = put(to, query);
    }
    put(to, version_end);
}

/* name and value were checked */
static void write_field(weir_http_writer *writer, weir_slice name, weir_slice value)
{
    char *to = reserve(writer, name.len + value.len + 4);

    if (!to)
        return;
    to = put(to, name);
    *to++ = ':';
    *to++ = ' ';
    to = put(to, value);
    put(to, line_end);
}

void weir_http_write_field(weir_http_writer *writer, weir_slice name, weir_slice value)
{
    if (!weir_http_is_token(name) || !weir_http_is_value(value))
        writer->invalid = true;
    else
        write_field(writer, name, value);
}

void weir_http_write_field_uint(weir_http_writer *writer, weir_slice name, uint64_t value)
{
    char digits[UINT64_DIGITS], *p = digits + sizeof(digits);

    do {
        *--p = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    weir_http_write_field(writer, name, weir_slice_of(p, (size_t)(digits + sizeof(digits) - p)));
}

void weir_http_write_date(weir_http_writer *writer, int64_t seconds)
{
    char date[WEIR_HTTP_DATE_LEN];

    weir_http_date_format(date, seconds);
    write_field(writer, WEIR_SLICE("Date"), weir_slice_of(date, sizeof(date)));
}

void weir_http_write_end_to_end(weir_http_writer *writer, const weir_http_head *head,
                                uint64_t except)
{
    const weir_http_field *field = head->fields, *end = field + head->field_count, *run;

    while (field < end) {
        if ((field->flags & WEIR_HTTP_FIELD_HOP) || (except >> field->id & 1)) {
            field++;
            continue;
        }
        if (!(field->flags & WEIR_HTTP_FIELD_PLAIN)) { /* parsed, so sound, but oddly spaced */
            write_field(writer, weir_http_field_name(field), weir_http_field_value(field));
            field++;
            continue;
        }
        for (run = field++;
             field < end && field->flags == WEIR_HTTP_FIELD_PLAIN && !(except >> field->id & 1);)
            field++;
        weir_http_write_raw(writer, weir_http_field_run(run, field - 1));
    }
}

void weir_http_write_end(weir_http_writer *writer)
{
    weir_http_write_raw(writer, line_end);
}

size_t weir_http_chunk_head(char buffer[WEIR_HTTP_CHUNK_HEAD_MAX], uint64_t size)
{
    size_t digits = size ? (size_t)(67 - __builtin_clzll(size)) / 4 : 1;

    for (size_t i = digits; i-- > 0; size >>= 4)
        buffer[i] = "0123456789abcdef"[size & 15];
    buffer[digits] = '\r';
    buffer[digits + 1] = '\n';
    return digits + 2;
}
