/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exchanges: their life, and what views show of the request. The response is in response.c.
 */
#include "config.h"

#include "http/connection/exchange.h"

#include <stdalign.h>
#include <stdlib.h>

weir_http_limits weir__http_limits(const weir_http_server_options *options)
{
    uint64_t head = options->max_header;
    weir_http_limits limits = {.size = sizeof limits,
                               .head = head > UINT32_MAX ? UINT32_MAX : (uint32_t)head};

    return limits;
}

struct exchange *weir__http_exchange_new(struct server *server)
{
    uint16_t capacity = server->options->max_fields ? server->options->max_fields : DEFAULT_FIELDS;
    weir_loop *loop = weir_transport_loop(server->transport);
    weir_http_limits limits;
    size_t used = sizeof(struct exchange) + capacity * sizeof(weir_http_field);
    struct exchange *exchange = weir__http_block_get(used + 2048);

    if (!exchange)
        return NULL;
    memset((char *)exchange + sizeof exchange->block, 0,
           offsetof(struct exchange, head) - sizeof exchange->block);
    exchange->server = server;
    exchange->references = 1;
    exchange->root.exchange = exchange->end.exchange = exchange;
    exchange->changes_tail = &exchange->changes;
    exchange->started_ns = weir_loop_time(loop).ns;
    weir_callback_init(&exchange->settle, loop, weir__http_settle_later, exchange);
    used = (used + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    exchange->arena.at = (char *)exchange + used;
    exchange->arena.end = (char *)exchange + exchange->block.size;
    limits = weir__http_limits(server->options);
    weir_http_head_init(&exchange->head, exchange->fields, capacity, &limits);
    return exchange;
}

void weir__http_exchange_ref(struct exchange *exchange)
{
    exchange->references++;
}

void weir__http_exchange_unref(struct exchange *exchange)
{
    if (--exchange->references)
        return;
    if (exchange->reason)
        weir_ignore(exchange->reason);
    weir__http_collected_done(&exchange->collected);
    weir__http_arena_done(&exchange->arena);
    weir__http_block_put(exchange);
}

void weir__http_exchange_end(struct exchange *exchange, const weir_error *reason)
{
    struct server *server = exchange->server;
    const weir_http_server_events *events = server->events;

    if (!reason)
        reason = exchange->reason;
    weir__http_file_stop(exchange);
    server->exchange = NULL;
    weir_callback_cancel(&exchange->settle);
    if (exchange->begun) {
        exchange->begun = false;
        if (exchange->reader)
            weir__http_reader_ended(exchange);
        if (exchange->end.action->ended)
            exchange->end.action->ended(&exchange->end, reason);
    }
    if (events->ended) {
        int64_t now = weir_loop_time(weir_transport_loop(server->transport)).ns;
        weir_http_summary summary = {
            .size = sizeof summary,
            .outcome = exchange->outcome,
            .reason = reason,
            .status = exchange->status,
            .bytes_in = exchange->bytes_in,
            .bytes_out = exchange->bytes_out,
            .head_bytes_out = exchange->head_bytes_out,
            .duration_ns = now - exchange->started_ns,
        };

        events->ended(&exchange->root, &summary, server->arg);
    }
    exchange->server = NULL;
    weir__http_exchange_unref(exchange);
}

bool weir__http_exchange_finished(const struct exchange *exchange)
{
    return exchange->response_phase == RESPONSE_ENDED && !exchange->tunnel && !exchange->reader &&
           (exchange->request_phase == REQUEST_COMPLETE || exchange->close_after);
}

weir_error *weir__http_exchange_body(struct exchange *exchange, weir_slice data, bool last)
{
    weir_error *error = NULL;

    if (last)
        exchange->request_phase = REQUEST_COMPLETE;
    /* Nobody wants it: not begun, answered already, or an action without a taste for bodies. */
    if (!exchange->begun || exchange->response_phase == RESPONSE_ENDED)
        return NULL;
    if (exchange->reader)
        return weir__http_reader_body(exchange, data, last);
    if (exchange->end.action->on_request_body)
        error = exchange->end.action->on_request_body(&exchange->end, data, last);
    return error ? weir_error_trace(error, WEIR_HERE) : NULL;
}

weir_error *weir_http_begin(weir_http *x, const weir_http_action *action, const void *config,
                            weir_instance *instance, void *context)
{
    struct exchange *exchange = x->exchange;
    struct weir_http *view = &exchange->end;

    if (!exchange_is_live(exchange))
        return weir_raise(WEIR_ECLOSED, "the exchange has ended");
    if (exchange->begun)
        return weir_raise(WEIR_EINVALSTATE, "the exchange has its action already");
    if (action->state_size) {
        view->state = weir__http_arena_alloc(&exchange->arena, action->state_size);
        if (!view->state)
            return weir_raise(WEIR_ENOMEM, "state of an action");
    }
    view->action = action;
    view->config = config;
    view->instance = instance;
    view->context = context;
    exchange->begun = true;
    if (action->handle) {
        WEIR_TRY(weir__http_reader_start(exchange));
    } else {
        WEIR_TRY(action->start(view));
    }
    return NULL;
}

const void *weir_http_config(const weir_http *x)
{
    return x->config;
}

void *weir_http_state(const weir_http *x)
{
    return x->state;
}

void *weir_http_alloc(weir_http *x, size_t size)
{
    return weir__http_arena_alloc(&x->exchange->arena, size);
}

weir_instance *weir_http_instance(const weir_http *x)
{
    return x->instance;
}

weir_transport *weir_http_transport(const weir_http *x)
{
    return x->exchange->server ? x->exchange->server->transport : NULL;
}

void *weir_http_context(const weir_http *x)
{
    return x->context;
}

void *weir_http_begun_context(const weir_http *x)
{
    return x->exchange->end.context;
}

weir_slice weir_http_request_method(const weir_http *x)
{
    return x->exchange->head.method_text;
}

weir_slice weir_http_request_target(const weir_http *x)
{
    return x->exchange->head.target;
}

weir_slice weir_http_request_path(const weir_http *x)
{
    return x->exchange->path;
}

weir_slice weir_http_request_query(const weir_http *x)
{
    return x->exchange->head.query;
}

/* In lower case, made when first asked for: many a configuration never does. */
weir_slice weir_http_request_authority(const weir_http *x)
{
    struct exchange *exchange = x->exchange;
    weir_slice host = exchange->head.host;
    const char *from = host.data;
    char *to = WEIR_TAKE(exchange->authority_room);

    if (to) {
        for (size_t i = 0; i < host.len; i++)
            to[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] | 0x20) : from[i];
        exchange->authority = weir_slice_of(to, host.len);
    }
    return exchange->authority;
}

weir_slice weir_http_request_scheme(const weir_http *x)
{
    weir_tls_info tls;

    return x->exchange->server && weir_transport_tls_info(x->exchange->server->transport, &tls)
               ? WEIR_SLICE("https")
               : WEIR_SLICE("http");
}

const weir_http_head *weir_http_request_head(const weir_http *x)
{
    return &x->exchange->head;
}

int weir_http_status(const weir_http *x)
{
    return x->exchange->status;
}

bool weir_http_header(const weir_http *x, weir_http_side side, const char *name,
                      weir_slice *ret_value)
{
    const struct exchange *exchange = x->exchange;
    weir_slice wanted = weir_slice_str(name);
    const weir_http_field *field;
    bool removed = false;

    for (const struct change *change = exchange->changes; change; change = change->next) {
        if (change->side != side || !weir_slice_equal_nocase(change->name, wanted))
            continue;
        if (change->kind == CHANGE_REMOVE) {
            removed = true;
            continue;
        }
        *ret_value = change->value;
        return true;
    }
    if (removed || side == WEIR_HTTP_RESPONSE)
        return false;
    field = weir_http_head_find(&exchange->head, wanted);
    if (!field)
        return false;
    *ret_value = weir_http_field_value(field);
    return true;
}

/* A copy in the exchange's arena; data NULL without memory. */
static weir_slice keep(struct exchange *exchange, weir_slice text)
{
    char *copy = weir__http_arena_alloc(&exchange->arena, text.len + 1);

    if (copy && text.len)
        memcpy(copy, text.data, text.len);
    return weir_slice_of(copy, text.len);
}

static void forget_changes(struct exchange *exchange, weir_http_side side, weir_slice name)
{
    struct change **link = &exchange->changes;

    while (*link) {
        struct change *change = *link;

        if (change->side == side && weir_slice_equal_nocase(change->name, name))
            *link = change->next;
        else
            link = &change->next;
    }
    exchange->changes_tail = link;
}

static weir_error *change_field(weir_http *x, weir_http_side side, enum change_kind kind,
                                const char *name, weir_slice value)
{
    struct exchange *exchange = x->exchange;
    weir_slice key = weir_slice_str(name);
    struct change *change;

    if (!exchange_is_live(exchange) || (side == WEIR_HTTP_RESPONSE && exchange->response_phase))
        return weir_raise(WEIR_ECLOSED, "the head with field %s has left", name);
    if (!weir_http_is_token(key) || !weir_http_is_value(value))
        return weir_raise(WEIR_EINVAL, "not a legal HTTP field: %s", name);
    if (value.len > 65536)
        return weir_raise(WEIR_ELIMIT, "value of HTTP field %s has %zu bytes", name, value.len);
    change = weir__http_arena_alloc(&exchange->arena, sizeof *change);
    if (!change)
        return weir_raise(WEIR_ENOMEM, "HTTP field");
    change->side = (uint8_t)side;
    change->kind = (uint8_t)kind;
    change->id = (uint8_t)weir_http_name_of(key);
    change->name = keep(exchange, key);
    change->value = keep(exchange, value);
    if (!change->name.data || !change->value.data)
        return weir_raise(WEIR_ENOMEM, "HTTP field");
    if (kind != CHANGE_ADD)
        forget_changes(exchange, side, key);
    *exchange->changes_tail = change;
    exchange->changes_tail = &change->next;
    return NULL;
}

weir_error *weir_http_set_header(weir_http *x, weir_http_side side, const char *name,
                                 weir_slice value)
{
    return change_field(x, side, CHANGE_SET, name, value);
}

weir_error *weir_http_add_header(weir_http *x, weir_http_side side, const char *name,
                                 weir_slice value)
{
    return change_field(x, side, CHANGE_ADD, name, value);
}

weir_error *weir_http_remove_header(weir_http *x, weir_http_side side, const char *name)
{
    return change_field(x, side, CHANGE_REMOVE, name, weir_slice_of(NULL, 0));
}

void weir_http_pause(weir_http *x, weir_http_side side)
{
    struct exchange *exchange = x->exchange;

    /* Once the response has ended, the rest of the request is nobody's and flows away. */
    if (side != WEIR_HTTP_REQUEST || !exchange_is_live(exchange) ||
        exchange->response_phase == RESPONSE_ENDED)
        return;
    exchange->request_paused = true;
    weir__http_server_update_reading(exchange->server);
}

void weir_http_unpause(weir_http *x, weir_http_side side)
{
    struct exchange *exchange = x->exchange;
    struct server *server = exchange->server;

    if (side != WEIR_HTTP_REQUEST || !exchange_is_live(exchange) || !exchange->request_paused)
        return;
    exchange->request_paused = false;
    if (exchange->request_phase == REQUEST_BODY)
        weir__http_server_arm_body(server);
    weir__http_server_enter(server);
    weir__http_server_leave(server);
}

void weir_http_resume(weir_http *x, weir_error *take_error)
{
    if (take_error)
        weir_http_fail(x, 500, WEIR_OUTCOME_PLUGIN_ERROR, take_error);
    else
        weir_http_unpause(x, WEIR_HTTP_REQUEST);
}

void weir_http_set_outcome(weir_http *x, weir_outcome outcome)
{
    x->exchange->outcome = outcome;
}
