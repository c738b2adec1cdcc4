/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field lines, for heads and trailers alike.
 *
 *     name ":" OWS value OWS CR LF          … and an empty line ends the section
 *
 * A small state machine whose position is two offsets from the start of the message, so that it can
 * stop after any byte and go on later, in other memory, without looking at a byte again. Within a
 * call everything runs on local pointers; state is written only where the bytes end.
 */
#include "config.h"

#include "http/message/head.h"

#include "http/message/names.h"
#include "http/message/scan.h"

weir_http_error weir__head_bad_byte(char c, weir_http_error otherwise)
{
    switch (c) {
    case '\0':
        return WEIR_HTTP_BAD_NUL;
    case '\n':
        return WEIR_HTTP_BAD_LINE_END;
    case '\r':
        return WEIR_HTTP_BAD_BARE_CR;
    default:
        return otherwise;
    }
}

/* Takes over the field that is complete in fields[field_count]. */
static void keep(weir_http_head *head, uint64_t drop)
{
    weir_http_field *field = &head->fields[head->field_count];
    uint64_t bit;

    field->id = (uint8_t)weir__http_name_of(field->name, field->name_len);
    bit = UINT64_C(1) << field->id;
    if (drop & (bit | WEIR__NAME_BIT(UNKNOWN)))
        return;
    if (bit & weir__http_hop_names)
        field->flags |= WEIR_HTTP_FIELD_HOP;
    if (!(head->present & bit))
        head->first[field->id] = head->field_count;
    head->repeated |= head->present & bit;
    head->present |= bit;
    head->field_count++;
}

/* At the start of a line. MORE and BAD as usual; DONE: the empty line is there, or (state NAME) a
 * name begins. */
static weir_http_result line_start(weir_http_head *head, const char *p, const char *end)
{
    if (p == end)
        return weir__head_wait(head, p);
    if (*p == '\r') {
        if (end - p < 2)
            return weir__head_wait(head, p);
        if (p[1] != '\n')
            return weir__head_fail(head, WEIR_HTTP_BAD_BARE_CR);
        head->at_ = head->length = (uint32_t)(p + 2 - head->base_);
        head->state_ = WEIR__HEAD_DONE;
        return WEIR_HTTP_DONE;
    }
    if (weir__is_blank(*p))
        return weir__head_fail(head, WEIR_HTTP_BAD_FOLD);
    if (head->field_count == head->field_capacity)
        return weir__head_fail(head, WEIR_HTTP_BAD_FIELDS_MANY);
    head->mark_ = (uint32_t)(p - head->base_);
    head->state_ = WEIR__HEAD_NAME;
    return WEIR_HTTP_DONE;
}

static weir_http_result bad_name(weir_http_head *head, const char *p)
{
    if (weir__is_blank(*p))
        return weir__head_fail(head, WEIR_HTTP_BAD_FIELD_SPACE);
    if (*p == '\r')
        return weir__head_fail(head, WEIR_HTTP_BAD_FIELD_NO_COLON);
    return weir__head_fail(head, weir__head_bad_byte(*p, WEIR_HTTP_BAD_FIELD_NAME));
}

/* `p` stands behind what was scanned of a value; *ret_next is the next line when DONE. */
static weir_http_result value_end(weir_http_head *head, const char *p, const char *end,
                                  const char **ret_next)
{
    weir_http_field *field = &head->fields[head->field_count];
    const char *last = p;

    if (p == end)
        return weir__head_wait(head, p);
    if (*p != '\r')
        return weir__head_fail(head, weir__head_bad_byte(*p, WEIR_HTTP_BAD_FIELD_VALUE));
    if (end - p < 2)
        return weir__head_wait(head, p);
    if (p[1] != '\n')
        return weir__head_fail(head, WEIR_HTTP_BAD_BARE_CR);
    while (last > field->value && weir__is_blank(last[-1]))
        last--;
    if (last != p)
        field->flags = 0;
    field->value_len = (uint32_t)(last - field->value);
    *ret_next = p + 2;
    return WEIR_HTTP_DONE;
}

/* From the colon (at `p`) on: what is known of the field before its value. */
static void begin_value(weir_http_head *head, const char *p)
{
    weir_http_field *field = &head->fields[head->field_count];

    field->name = head->base_ + head->mark_;
    field->name_len = (uint16_t)(p - field->name);
    field->value = p + 1;
    field->value_len = 0;
    field->flags = 0;
    head->state_ = WEIR__HEAD_BEFORE_VALUE;
}

weir_http_result weir__head_fields(weir_http_head *head, const char *end, uint64_t drop)
{
    const char *p = head->base_ + head->at_;
    weir_http_field *field = NULL;
    weir_http_result result;

    for (;;) {
        switch (head->state_) {
        case WEIR__HEAD_FIELD:
            result = line_start(head, p, end);
            if (result != WEIR_HTTP_DONE || head->state_ == WEIR__HEAD_DONE)
                return result;
            /* fall through */
        case WEIR__HEAD_NAME:
            p = weir__scan_name(p, end);
            if (p == end)
                return weir__head_wait(head, p);
            if (*p != ':')
                return bad_name(head, p);
            if (p == head->base_ + head->mark_ || p - head->base_ - head->mark_ > UINT16_MAX)
                return weir__head_fail(head, WEIR_HTTP_BAD_FIELD_NAME);
            begin_value(head, p++);
            /* fall through */
        case WEIR__HEAD_BEFORE_VALUE:
            field = &head->fields[head->field_count];
            while (p < end && weir__is_blank(*p))
                p++;
            field->value = p;
            if (p == end)
                return weir__head_wait(head, p);
            if (p == field->name + field->name_len + 2 && p[-1] == ' ')
                field->flags = WEIR_HTTP_FIELD_PLAIN;
            head->state_ = WEIR__HEAD_VALUE;
            /* fall through */
        default:
            result = value_end(head, weir__scan_value(p, end), end, &p);
            if (result != WEIR_HTTP_DONE)
                return result;
            keep(head, drop);
            head->state_ = WEIR__HEAD_FIELD;
        }
    }
}

static void move(weir_slice *slice, uintptr_t old, size_t extent, const char *base)
{
    uintptr_t offset = (uintptr_t)slice->data - old;

    if (slice->data && offset <= extent)
        slice->data = base + offset;
}

void weir_http_head_moved(weir_http_head *head, const void *base)
{
    uintptr_t old = (uintptr_t)head->base_;
    weir_slice *const slices[] = {&head->method_text, &head->target, &head->host,   &head->path,
                                  &head->query,       &head->reason, &head->upgrade};
    bool open = head->state_ == WEIR__HEAD_BEFORE_VALUE || head->state_ == WEIR__HEAD_VALUE;
    size_t count = (size_t)head->field_count + open;

    for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++)
        move(slices[i], old, head->at_, base);
    for (size_t i = 0; i < count; i++) {
        weir_http_field *field = &head->fields[i];

        field->name = (const char *)base + ((uintptr_t)field->name - old);
        field->value = (const char *)base + ((uintptr_t)field->value - old);
    }
    head->base_ = base;
}

bool weir__head_resume(weir_http_head *head, weir_slice so_far)
{
    if (head->state_ == WEIR__HEAD_FAILED)
        return false;
    if (so_far.len < head->at_) {
        (void)weir__head_fail(head, WEIR_HTTP_BAD_CUT_SHORT);
        return false;
    }
    if (head->base_ != so_far.data) {
        if (head->at_ > 0)
            weir_http_head_moved(head, so_far.data);
        head->base_ = so_far.data;
    }
    return true;
}

const weir_http_field *weir_http_head_next(const weir_http_head *head, weir_http_name name,
                                           const weir_http_field *field)
{
    if (!field)
        return weir_http_head_field(head, name);
    for (size_t i = (size_t)(field - head->fields) + 1; i < head->field_count; i++) {
        if (head->fields[i].id == name && name)
            return &head->fields[i];
    }
    return NULL;
}

const weir_http_field *weir_http_head_find(const weir_http_head *head, weir_slice name)
{
    weir_http_name known = weir_http_name_of(name);

    if (known)
        return weir_http_head_field(head, known);
    for (size_t i = 0; i < head->field_count; i++) {
        const weir_http_field *field = &head->fields[i];

        if (field->id == WEIR_HTTP_UNKNOWN &&
            weir_slice_equal_nocase(weir_http_field_name(field), name))
            return field;
    }
    return NULL;
}
