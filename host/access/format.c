/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record to a line. JSON and logfmt leave out what does not apply; a template has "-" there, so that
 * columns stay where they are.
 */
#include "config.h"

#include "host/access/access.h"

static void put_json(struct line *line, const struct access_value *value)
{
    if (value->kind == ACCESS_NUMBER)
        line_number(line, value->number);
    else if (value->kind == ACCESS_MILLISECONDS)
        line_milliseconds(line, value->number);
    else
        line_json(line, value->text, ACCESS_VALUE_MAX);
}

static void put_logfmt(struct line *line, const struct access_value *value)
{
    if (value->kind == ACCESS_NUMBER)
        line_number(line, value->number);
    else if (value->kind == ACCESS_MILLISECONDS)
        line_milliseconds(line, value->number);
    else
        line_logfmt(line, value->text, ACCESS_VALUE_MAX);
}

static void put_template(struct line *line, const struct access_value *value)
{
    switch (value->kind) {
    case ACCESS_NOTHING:
        line_char(line, '-');
        break;
    case ACCESS_NUMBER:
        line_number(line, value->number);
        break;
    case ACCESS_MILLISECONDS:
        line_milliseconds(line, value->number);
        break;
    case ACCESS_PLAIN:
        line_put(line, value->text.data, value->text.len);
        break;
    case ACCESS_TEXT:
        line_escaped(line, value->text, ACCESS_VALUE_MAX);
        break;
    }
}

/* `literal` begins with a comma or space, which the first value has not. */
static void put_keys(const struct access_program *program, struct access_entry *entry,
                     struct line *line)
{
    bool json = program->style == ACCESS_STYLE_JSON;
    size_t between = 1;

    if (json)
        line_char(line, '{');
    for (size_t i = 0; i < program->n_parts; i++) {
        const struct access_part *part = &program->parts[i];
        struct access_value value = weir__access_value(entry, part->field);

        if (value.kind == ACCESS_NOTHING)
            continue;
        line_put_short(line, (const char *)part->literal.data + between,
                       part->literal.len - between);
        between = 0;
        if (json)
            put_json(line, &value);
        else
            put_logfmt(line, &value);
    }
    if (json)
        line_char(line, '}');
}

size_t weir__access_format(const struct access_program *program, struct access_entry *entry,
                           char *buffer, size_t size)
{
    struct line line = {buffer, buffer + size - 1};

    if (program->style != ACCESS_STYLE_TEMPLATE) {
        put_keys(program, entry, &line);
    } else {
        for (size_t i = 0; i < program->n_parts; i++) {
            const struct access_part *part = &program->parts[i];
            struct access_value value;

            line_put(&line, part->literal.data, part->literal.len);
            if (part->field == ACCESS_FIELD_COUNT)
                continue;
            value = weir__access_value(entry, part->field);
            put_template(&line, &value);
        }
    }
    *line.at++ = '\n';
    return (size_t)(line.at - buffer);
}
