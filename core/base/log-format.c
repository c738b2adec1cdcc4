/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as a line:
 *
 *   text    2026-11-21T01:49:23.123456Z WARNING weir.loop: message name=value
 *               error: … on the lines below, indented
 *   logfmt  time=… level=warning logger=weir.loop msg="message" name="value" error="…"
 *   json    {"time":"…","level":"warning","logger":"weir.loop","message":"…","name":"value"}
 *
 * Everything that came from outside is escaped: one record is one line (an error's lines come from
 * weir_error_print(), which escapes its parts).
 */
#include "config.h"

#include <stdio.h>

#include "core/base/backtrace.h"
#include "core/base/log.h"

/* Not gmtime_r(): it takes a lock of libc, which a forked child may find held for ever. */
static void add_time(struct text *text, int64_t ns)
{
    int64_t seconds = ns / 1000000000, days = seconds / 86400, of_day = seconds % 86400;
    /* Years that begin in March: the leap day is the last one. 400 years are 146,097 days. */
    int64_t from_march = days + 719468;
    int64_t era = from_march / 146097, of_era = from_march % 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * of_year + 2) / 153;
    int64_t day = of_year - (153 * march_month + 2) / 5 + 1;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    int64_t year = era * 400 + year_of_era + (month <= 2);

    text_printf(text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", (int)year, (int)month, (int)day,
                (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60),
                (int)(ns % 1000000000 / 1000));
}

int weir__log_priority(int level)
{
    if (level >= WEIR_LOG_CRITICAL)
        return 2;
    if (level >= WEIR_LOG_ERROR)
        return 3;
    if (level >= WEIR_LOG_WARNING)
        return 4;
    return level >= WEIR_LOG_INFO ? 6 : 7;
}

static const char *color_of(int level)
{
    if (level >= WEIR_LOG_ERROR)
        return "\033[31m";
    if (level >= WEIR_LOG_WARNING)
        return "\033[33m";
    return level >= WEIR_LOG_INFO ? "\033[32m" : "\033[2m";
}

static void add_level(struct text *text, const struct log_style *style, int level)
{
    const char *name = weir_log_level_name(level);

    if (style->color)
        text_add(text, color_of(level));
    for (const char *c = name; *c; c++) {
        char big = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;

        text_add_bytes(text, &big, 1);
    }
    if (style->color)
        text_add(text, "\033[0m");
    for (size_t n = strlen(name); n < 7; n++)
        text_add_bytes(text, " ", 1);
}

struct log_field_reader weir__log_fields(const struct log_record *record)
{
    const char *texts = (const char *)(record + 1);

    return (struct log_field_reader){texts + record->message_size + record->body_size,
                                     record->nfields};
}

bool weir__log_next_field(struct log_field_reader *reader, const char **ret_name,
                          const char **ret_value)
{
    if (reader->left == 0)
        return false;
    reader->left--;
    *ret_name = reader->at;
    *ret_value = *ret_name + strlen(*ret_name) + 1;
    reader->at = *ret_value + strlen(*ret_value) + 1;
    return true;
}

/* Without what only the journal has. */
static bool next_field(struct log_field_reader *reader, const char **ret_name,
                       const char **ret_value)
{
    bool found;

    do
        found = weir__log_next_field(reader, ret_name, ret_value);
    while (found && strcmp(*ret_name, LOG_MESSAGE_ID) == 0);
    return found;
}

static void add_key(struct text *text, const char *name)
{
    for (const char *c = name; *c; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '_' || *c == '.' || *c == '-';

        text_add_bytes(text, plain ? c : "_", 1);
    }
}

static void add_quoted(struct text *text, const char *value)
{
    bool plain = *value != '\0';

    for (const unsigned char *c = (const unsigned char *)value; *c; c++)
        plain = plain && *c > ' ' && *c < 0x7F && *c != '"' && *c != '=' && *c != '\\';
    if (plain) {
        text_add(text, value);
        return;
    }
    text_add(text, "\"");
    text_add_escaped(text, value, strlen(value), "\"\\");
    text_add(text, "\"");
}

static void add_fields(struct text *text, const struct log_record *record)
{
    struct log_field_reader reader = weir__log_fields(record);
    const char *name, *value;

    while (next_field(&reader, &name, &value)) {
        text_add(text, " ");
        add_key(text, name);
        text_add(text, "=");
        add_quoted(text, value);
    }
}

static void format_text(struct text *text, const struct log_style *style,
                        const struct log_record *record, const char *body)
{
    const char *message = (const char *)(record + 1);

    if (style->priority_prefix)
        text_printf(text, "<%d>", weir__log_priority(record->level));
    else {
        add_time(text, record->time);
        text_add(text, " ");
        add_level(text, style, record->level);
        text_add(text, " ");
    }
    text_add(text, weir_logger_name(record->logger));
    if (record->tag)
        text_printf(text, " [%s]", record->tag);
    text_add(text, ": ");
    text_add_escaped(text, message, strlen(message), "");
    add_fields(text, record);
    text_add(text, "\n");
    while (*body) {
        size_t len = strcspn(body, "\n");

        if (style->priority_prefix)
            text_printf(text, "<%d>", weir__log_priority(record->level));
        text_add(text, "    ");
        text_add_escaped(text, body, len, "");
        text_add(text, "\n");
        body += len + (body[len] == '\n');
    }
}

static void format_logfmt(struct text *text, const struct log_style *style,
                          const struct log_record *record, const char *body)
{
    const char *message = (const char *)(record + 1);

    if (style->priority_prefix)
        text_printf(text, "<%d>", weir__log_priority(record->level));
    text_add(text, "time=");
    add_time(text, record->time);
    text_printf(text, " level=%s logger=%s msg=", weir_log_level_name(record->level),
                weir_logger_name(record->logger));
    add_quoted(text, message);
    if (record->tag)
        text_printf(text, " category=%s", record->tag);
    add_fields(text, record);
    if (*body) {
        text_add(text, " error=");
        add_quoted(text, body);
    }
    text_add(text, "\n");
}

static void add_member(struct text *text, const char *name, const char *value)
{
    text_add(text, ",");
    text_add_json(text, name, strlen(name));
    text_add(text, ":");
    text_add_json(text, value, strlen(value));
}

static void format_json(struct text *text, const struct log_style *style,
                        const struct log_record *record, const char *body)
{
    struct log_field_reader reader = weir__log_fields(record);
    const char *message = (const char *)(record + 1);
    const char *name, *value;

    if (style->priority_prefix)
        text_printf(text, "<%d>", weir__log_priority(record->level));
    text_add(text, "{\"time\":\"");
    add_time(text, record->time);
    text_add(text, "\"");
    add_member(text, "level", weir_log_level_name(record->level));
    add_member(text, "logger", weir_logger_name(record->logger));
    if (record->tag)
        add_member(text, "category", record->tag);
    add_member(text, "message", message);
    while (next_field(&reader, &name, &value))
        add_member(text, name, value);
    if (*body)
        add_member(text, "error", body);
    if (record->site)
        text_printf(text, ",\"source\":\"%s:%d\"", text_site_file(record->site),
                    record->site->line);
    text_add(text, "}\n");
}

void weir__log_format(struct text *text, const struct log_style *style,
                      const struct log_record *record)
{
    const char *body = (const char *)(record + 1) + record->message_size;
    char expanded[LOG_EXPANDED_MAX];

    if (backtrace_deferred(body)) {
        struct text lines = TEXT_INIT(expanded);

        weir__backtrace_expand(&lines, body);
        body = expanded;
    }
    switch (style->format) {
    case WEIR_LOG_LOGFMT:
        format_logfmt(text, style, record, body);
        break;
    case WEIR_LOG_JSON:
        format_json(text, style, record, body);
        break;
    case WEIR_LOG_JOURNAL:
        weir__log_format_journal(text, record, body);
        break;
    case WEIR_LOG_TEXT:
        format_text(text, style, record, body);
        break;
    }
}
