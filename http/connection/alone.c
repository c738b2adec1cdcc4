/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that came over no connection: an exchange without a server, whose head is there and to which
 * nothing else ever happens. What answers on it is told that it has ended.
 */
#include "config.h"

#include <stdalign.h>

#include "http/connection/exchange.h"

static weir_error *parse(struct exchange *exchange, weir_slice text)
{
    char *copy = weir__http_arena_take(&exchange->arena, text.len + 1);

    if (!copy)
        return weir_raise(WEIR_ENOMEM, "request");
    memcpy(copy, text.data, text.len);
    switch (weir_http_parse_request(&exchange->head, weir_slice_of(copy, text.len))) {
    case WEIR_HTTP_DONE:
        break;
    case WEIR_HTTP_MORE:
        return weir_raise(WEIR_EPROTOCOL, "not a request: its head does not end");
    case WEIR_HTTP_BAD:
        return weir_raise(WEIR_EPROTOCOL, "not a request: %s",
                          weir_http_error_text(exchange->head.error));
    }
    exchange->request_phase = REQUEST_COMPLETE;
    if (!weir__http_canonicalise(exchange))
        return weir_raise(WEIR_EPROTOCOL, "not a request: invalid path");
    return NULL;
}

weir_error *weir_http_request_new(weir_slice head, weir_http **ret)
{
    size_t used = sizeof(struct exchange) + DEFAULT_FIELDS * sizeof(weir_http_field);
    struct exchange *exchange;
    weir_error *error;

    used = (used + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    exchange = weir__http_block_get(used + 2048);
    if (!exchange)
        return weir_raise(WEIR_ENOMEM, "request");
    memset((char *)exchange + sizeof exchange->block, 0,
           offsetof(struct exchange, head) - sizeof exchange->block);
    exchange->references = 1;
    exchange->root.exchange = exchange->end.exchange = exchange;
    exchange->changes_tail = &exchange->changes;
    exchange->arena.at = (char *)exchange + used;
    exchange->arena.end = (char *)exchange + exchange->block.size;
    weir_http_head_init(&exchange->head, exchange->fields, DEFAULT_FIELDS, NULL);
    error = parse(exchange, head);
    if (error) {
        weir__http_exchange_unref(exchange);
        return error;
    }
    *ret = &exchange->root;
    return NULL;
}

void weir_http_request_free(weir_http *take_request)
{
    if (take_request)
        weir__http_exchange_unref(take_request->exchange);
}
