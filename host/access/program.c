/* SPDX-License-Identifier: Apache-2.0 */
/* Formats, compiled once so that a record takes no look-up of names. Settings are right by now. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "host/access/access.h"

static const struct {
    const char *name, *text;
} named[] = {
    {"common", "${client_ip} - - [${time}] \"${request}\" ${status} ${body_bytes_out}"},
    {"combined",
     "${client_ip} - - [${time}] \"${request}\" ${status} ${body_bytes_out} \"${referer}\" "
     "\"${user_agent}\""},
    {"vhost_combined",
     "${vhost} ${client_ip} - - [${time}] \"${request}\" ${status} ${body_bytes_out} "
     "\"${referer}\" \"${user_agent}\""},
};

const char *weir__access_named_template(const char *format)
{
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (strcmp(named[i].name, format) == 0)
            return named[i].text;
    return NULL;
}

bool weir__access_template_next(const char **at, weir_slice *ret_part, bool *ret_is_field)
{
    const char *start = *at, *end;

    if (!*start)
        return false;
    *ret_is_field = start[0] == '$' && start[1] == '{' && (end = strchr(start, '}'));
    if (*ret_is_field) {
        *ret_part = weir_slice_of(start + 2, (size_t)(end - start - 2));
        *at = end + 1;
        return true;
    }
    /* `$$` is a dollar sign. */
    if (start[0] == '$' && start[1] == '$') {
        *ret_part = weir_slice_of(start, 1);
        *at = start + 2;
        return true;
    }
    end = start + 1;
    while (*end && !(end[0] == '$' && (end[1] == '{' || end[1] == '$')))
        end++;
    *ret_part = weir_slice_of(start, (size_t)(end - start));
    *at = end;
    return true;
}

/* Literals and fields in a row. */
static weir_error *compile_template(struct access_program *program, const char *text)
{
    const char *at;
    weir_slice part;
    bool is_field;

    program->text = strdup(text);
    /* Each part takes a byte at least. */
    program->parts = calloc(strlen(text) + 1, sizeof *program->parts);
    if (!program->text || !program->parts)
        return weir_raise(WEIR_ENOMEM, "access log");
    at = program->text;
    while (weir__access_template_next(&at, &part, &is_field)) {
        struct access_part *into = &program->parts[program->n_parts++];

        into->literal = is_field ? weir_slice_of("", 0) : part;
        into->field = is_field ? weir__access_field(part.data, part.len) : ACCESS_FIELD_COUNT;
    }
    return NULL;
}

/* `"status":` or `status=` */
static weir_error *compile_keys(struct access_program *program, const int *fields, size_t n)
{
    bool json = program->style == ACCESS_STYLE_JSON;
    size_t room = LINE_SHORT, used = 0;

    for (size_t i = 0; i < n; i++)
        room += strlen(weir__access_field_names[fields[i]]) + 4;
    program->text = calloc(room + 1, 1);
    program->parts = calloc(n + 1, sizeof *program->parts);
    if (!program->text || !program->parts)
        return weir_raise(WEIR_ENOMEM, "access log");
    for (size_t i = 0; i < n; i++) {
        char *key = program->text + used;
        int len = snprintf(key, room + 1 - used,
                           json ? ",\"%s\":" : " %s=", weir__access_field_names[fields[i]]);

        program->parts[i] = (struct access_part){.literal = weir_slice_of(key, (size_t)len),
                                                 .field = (enum access_field)fields[i]};
        used += (size_t)len;
    }
    program->n_parts = n;
    return NULL;
}

static weir_error *compile_format(struct access_program *program,
                                  const struct access_config *config)
{
    bool json = strcmp(config->format, "json") == 0, logfmt = strcmp(config->format, "logfmt") == 0;
    const char *text = weir__access_named_template(config->format);
    int fields[ACCESS_DEFAULT_FIELDS];

    if (!json && !logfmt) {
        program->style = ACCESS_STYLE_TEMPLATE;
        return compile_template(program, text ? text : config->format);
    }
    program->style = json ? ACCESS_STYLE_JSON : ACCESS_STYLE_LOGFMT;
    if (config->fields.count)
        return compile_keys(program, config->fields.items, config->fields.count);
    for (int i = 0; i < ACCESS_DEFAULT_FIELDS; i++)
        fields[i] = i;
    return compile_keys(program, fields, ACCESS_DEFAULT_FIELDS);
}

static weir_error *compile_exclude(struct access_program *program, const weir_array *exclude)
{
    const char *const *texts = exclude->items, *meant;
    char why[200];

    program->exclude = calloc(exclude->count + 1, sizeof *program->exclude);
    if (!program->exclude)
        return weir_raise(WEIR_ENOMEM, "access log");
    for (size_t i = 0; i < exclude->count; i++) {
        program->exclude[i] = weir__access_filter_new(texts[i], why, sizeof why, &meant);
        if (!program->exclude[i])
            return weir_raise(WEIR_EINVAL, "log.access.exclude: %s", why);
        program->n_exclude++;
    }
    return NULL;
}

weir_error *weir__access_program_new(const struct access_config *config,
                                     struct access_program **ret)
{
    struct access_program *program = calloc(1, sizeof *program);
    weir_error *error;

    if (!program)
        return weir_raise(WEIR_ENOMEM, "access log");
    program->sample = (uint32_t)(config->sample * UINT32_MAX);
    error = compile_format(program, config);
    if (!error)
        error = compile_exclude(program, &config->exclude);
    if (error) {
        weir__access_program_free(program);
        return error;
    }
    for (size_t i = 0; i < program->n_parts; i++)
        program->wants_tls |=
            program->parts[i].field == ACCESS_SNI || program->parts[i].field == ACCESS_ALPN;
    /* A condition may ask too. */
    program->wants_tls |= program->n_exclude > 0;
    *ret = program;
    return NULL;
}

void weir__access_program_free(struct access_program *program)
{
    if (!program)
        return;
    for (size_t i = 0; i < program->n_exclude; i++)
        weir__access_filter_free(program->exclude[i]);
    free(program->exclude);
    free(program->parts);
    free(program->text);
    free(program);
}

/* xorshift64*: which records are taken must not follow a rhythm of theirs. */
static uint32_t next_random(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (uint32_t)((x * 0x2545F4914F6CDD1DULL) >> 32);
}

bool weir__access_program_wants(const struct access_program *program, struct access_entry *entry,
                                uint64_t *random)
{
    if (program->sample != UINT32_MAX && entry->record->outcome == WEIR_OUTCOME_OK &&
        next_random(random) >= program->sample)
        return false;
    for (size_t i = 0; i < program->n_exclude; i++)
        if (weir__access_filter_fits(program->exclude[i], entry))
            return false;
    return true;
}
