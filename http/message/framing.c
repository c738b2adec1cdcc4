/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decides where a message ends and whether another may follow: Content-Length,
 * Transfer-Encoding, Connection. Whatever two implementations could read differently is an error
 * here, also where RFC 9112 would allow to repair it.
 */
#include "config.h"

#include <weir/http-values.h>

#include "http/message/chars.h"
#include "http/message/head.h"
#include "http/message/names.h"

/* Connection options that name fields of this message; nobody needs more. */
#define NOMINATIONS_MAX 32

weir_http_error weir__head_length(weir_http_head *head)
{
    const weir_http_field *field = weir_http_head_field(head, WEIR_HTTP_CONTENT_LENGTH);
    uint64_t length = 0;

    if (!field)
        return WEIR_HTTP_BAD_NONE;
    if (head->repeated & WEIR__NAME_BIT(CONTENT_LENGTH))
        return WEIR_HTTP_BAD_LENGTH_REPEATED;
    if (head->present & WEIR__NAME_BIT(TRANSFER_ENCODING))
        return WEIR_HTTP_BAD_LENGTH_AND_CODING;
    if (field->value_len == 0 || field->value_len > 19)
        return WEIR_HTTP_BAD_LENGTH;
    for (uint32_t i = 0; i < field->value_len; i++) {
        if (!weir__is(field->value[i], WEIR__DIGIT))
            return WEIR_HTTP_BAD_LENGTH;
        length = length * 10 + (uint64_t)(field->value[i] - '0');
    }
    if (length > INT64_MAX)
        return WEIR_HTTP_BAD_LENGTH;
    head->content_length = length;
    head->has_content_length = true;
    return WEIR_HTTP_BAD_NONE;
}

static bool is_coding(weir_slice item)
{
    const char *semicolon = memchr(item.data, ';', item.len);

    if (semicolon)
        item.len = (size_t)(semicolon - (const char *)item.data);
    while (semicolon && item.len && weir__is_blank(((const char *)item.data)[item.len - 1]))
        item.len--;
    return weir_http_is_token(item);
}

/* Anything but one field that says `chunked`: to tell what cannot be read from what could be read
 * but is not supported. Never accepted. */
static weir_http_error judge_codings(const weir_http_head *head)
{
    const weir_http_field *field = NULL;
    bool last_chunked = false;
    unsigned chunked = 0;

    while ((field = weir_http_head_next(head, WEIR_HTTP_TRANSFER_ENCODING, field))) {
        weir_slice rest = weir_http_field_value(field), item;

        while (weir_http_list_next(&rest, &item)) {
            if (!is_coding(item))
                return WEIR_HTTP_BAD_CODING;
            last_chunked = weir_slice_equal_nocase(item, WEIR_SLICE("chunked"));
            chunked += last_chunked;
        }
    }
    return last_chunked && chunked == 1 ? WEIR_HTTP_BAD_CODING_UNSUPPORTED : WEIR_HTTP_BAD_CODING;
}

weir_http_error weir__head_codings(weir_http_head *head, bool *ret_chunked)
{
    const weir_http_field *field = weir_http_head_field(head, WEIR_HTTP_TRANSFER_ENCODING);

    *ret_chunked = false;
    if (!field)
        return WEIR_HTTP_BAD_NONE;
    if (head->minor_version == 0)
        return WEIR_HTTP_BAD_CODING_VERSION;
    if ((head->repeated & WEIR__NAME_BIT(TRANSFER_ENCODING)) ||
        !weir_slice_equal_nocase(weir_http_field_value(field), WEIR_SLICE("chunked")))
        return judge_codings(head);
    *ret_chunked = true;
    return WEIR_HTTP_BAD_NONE;
}

/*
 * A known name cannot be nominated away: those that are hop-by-hop are marked anyway, and of the
 * others (Host, Authorization, X-Forwarded-For, …) it would only be an attack, see RFC 9110 7.6.1.
 */
static void nominate(weir_http_head *head, weir_slice name)
{
    if (weir__http_name_of(name.data, name.len))
        return;
    for (size_t i = 0; i < head->field_count; i++) {
        weir_http_field *field = &head->fields[i];

        if (field->id == WEIR_HTTP_UNKNOWN && field->name_len == name.len &&
            weir_slice_equal_nocase(weir_http_field_name(field), name))
            field->flags |= WEIR_HTTP_FIELD_HOP;
    }
}

/* keep_alive means here: it said so. */
static bool take_option(weir_http_head *head, weir_slice option, unsigned *nominations)
{
    if (weir_slice_equal_nocase(option, WEIR_SLICE("keep-alive")))
        head->keep_alive = true;
    else if (weir_slice_equal_nocase(option, WEIR_SLICE("close")))
        head->close_seen = true;
    else if (weir_slice_equal_nocase(option, WEIR_SLICE("upgrade")))
        head->upgrade_asked = true;
    else if (!weir_http_is_token(option) || ++*nominations > NOMINATIONS_MAX)
        return false;
    else
        nominate(head, option);
    return true;
}

weir_http_error weir__head_connection(weir_http_head *head)
{
    const weir_http_field *field = NULL;
    unsigned nominations = 0;

    while ((field = weir_http_head_next(head, WEIR_HTTP_CONNECTION, field))) {
        weir_slice rest = weir_http_field_value(field), option;

        while (weir_http_list_next(&rest, &option)) {
            if (!take_option(head, option, &nominations))
                return WEIR_HTTP_BAD_CONNECTION;
        }
    }
    head->keep_alive = !head->close_seen && (head->minor_version == 1 || head->keep_alive);
    field = weir_http_head_field(head, WEIR_HTTP_UPGRADE);
    if (field)
        head->upgrade = weir_http_field_value(field);
    head->upgrade_asked = head->upgrade_asked && head->upgrade.len > 0 && head->minor_version == 1;
    return WEIR_HTTP_BAD_NONE;
}
