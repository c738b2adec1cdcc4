/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The straight-line style: an action's `handle` as a task that belongs to the connection.
 *
 * One piece of the request's body is held at a time; while it is, the request is paused. What the
 * task waits for is a future of its own, so that an exchange that ends under it wakes it, and the
 * exchange's memory stays until the task has returned.
 */
#include "config.h"

#include <stdlib.h>

#include <weir/task.h>

#include "http/connection/exchange.h"

/* What is written before looking whether the client takes it. */
#define PIECE ((size_t)64 * 1024)

struct reader {
    weir_future *waiting; /* of the task; NULL: it does not wait */
    weir_slice piece;     /* not read yet, or given out and valid until the next read */
    weir_chunk *chunk;    /* holds the piece … */
    char *copy;           /* … or this does */
    weir_buffer *all;     /* of read_all */
    bool have, last, ended;
};

static void drop_piece(struct reader *reader)
{
    weir_chunk_unref(reader->chunk);
    free(reader->copy);
    reader->chunk = NULL;
    reader->copy = NULL;
    reader->piece = weir_slice_of(NULL, 0);
    reader->have = false;
}

static void wake(struct reader *reader)
{
    if (reader->waiting)
        (void)weir_future_try_set_result(reader->waiting, NULL, NULL);
}

/* Suspends until something about the exchange has changed. */
static weir_error *wait_for_change(struct reader *reader)
{
    weir_auto(weir_future) future = NULL;
    weir_error *error;

    WEIR_TRY(weir_future_new(&future));
    reader->waiting = future;
    error = weir_await(future);
    reader->waiting = NULL;
    return error ? weir_error_trace(error, WEIR_HERE) : NULL;
}

weir_error *weir__http_reader_body(struct exchange *exchange, weir_slice data, bool last)
{
    struct reader *reader = exchange->reader;

    if (data.len) {
        drop_piece(reader);
        reader->chunk = weir_chunk_ref(weir_chunk_of(data));
        if (!reader->chunk) {
            reader->copy = malloc(data.len);
            if (!reader->copy)
                return weir_raise(WEIR_ENOMEM, "body of a request");
            memcpy(reader->copy, data.data, data.len);
            data.data = reader->copy;
        }
        reader->piece = data;
        reader->have = true;
        if (!last)
            weir_http_pause(&exchange->end, WEIR_HTTP_REQUEST);
    }
    reader->last |= last;
    wake(reader);
    return NULL;
}

void weir__http_reader_unpause(struct exchange *exchange)
{
    wake(exchange->reader);
}

void weir__http_reader_ended(struct exchange *exchange)
{
    exchange->reader->ended = true;
    wake(exchange->reader);
}

/* Answers for a handler that did not. */
static void conclude(struct exchange *exchange, weir_error *take_error)
{
    struct weir_http *view = &exchange->end;

    if (!exchange_is_live(exchange)) {
        weir_ignore(take_error);
    } else if (take_error) {
        weir_http_fail(view, 500, WEIR_OUTCOME_PLUGIN_ERROR, take_error);
    } else if (exchange->response_phase == RESPONSE_NONE) {
        weir_http_fail(
            view, 500, WEIR_OUTCOME_PLUGIN_ERROR,
            weir_raise(WEIR_EINVALSTATE, "the action %s did not answer", view->action->name));
    } else if (exchange->response_phase == RESPONSE_BODY) {
        weir_ignore(weir_http_respond_end(view));
    }
}

static weir_error *run_handle(void *arg)
{
    struct exchange *exchange = arg;
    weir_error *error = exchange->end.action->handle(&exchange->end);
    struct reader *reader = exchange->reader;

    conclude(exchange, error);
    exchange->reader = NULL;
    if (exchange_is_live(exchange))
        weir__http_server_settle(exchange);
    drop_piece(reader);
    weir_buffer_unref(reader->all);
    weir__http_exchange_unref(exchange);
    return NULL;
}

weir_error *weir__http_reader_start(struct exchange *exchange)
{
    weir_error *error;

    exchange->reader = weir__http_arena_alloc(&exchange->arena, sizeof *exchange->reader);
    if (!exchange->reader)
        return weir_raise(WEIR_ENOMEM, "task of an action");
    weir__http_exchange_ref(exchange);
    error = weir_transport_spawn(exchange->server->transport, run_handle, exchange);
    if (error) {
        exchange->reader = NULL;
        weir__http_exchange_unref(exchange);
    }
    return error;
}

static weir_error *check_reader(const weir_http *x)
{
    const struct reader *reader = x->exchange->reader;

    if (!reader || !weir_task_current())
        return weir_raise(WEIR_ENOTASK, "not in the handle() of an action");
    if (reader->ended || !x->exchange->server)
        return weir_raise(WEIR_ECLOSED, "the exchange has ended");
    return NULL;
}

weir_error *weir_http_read(weir_http *x, weir_http_side side, weir_slice *ret)
{
    struct reader *reader = x->exchange->reader;

    WEIR_TRY(check_reader(x));
    if (side != WEIR_HTTP_REQUEST)
        return weir_raise(WEIR_EINVAL, "an action makes the response, it cannot read it");
    WEIR_TRY(weir_check_cancelled());
    if (!reader->have) {
        drop_piece(reader);
        if (x->exchange->continue_pending && x->exchange->response_phase == RESPONSE_NONE)
            WEIR_TRY(weir_http_respond_interim(x, NULL));
        weir_http_unpause(x, side);
    }
    while (!reader->have && !reader->last) {
        WEIR_TRY(wait_for_change(reader));
        WEIR_TRY(check_reader(x));
    }
    reader->have = false;
    *ret = reader->piece;
    if (reader->last && !reader->piece.len)
        *ret = weir_slice_of(NULL, 0);
    return NULL;
}

weir_error *weir_http_read_all(weir_http *x, weir_http_side side, size_t limit, weir_slice *ret)
{
    struct reader *reader = x->exchange->reader;
    weir_slice piece;

    WEIR_TRY(check_reader(x));
    weir_buffer_unref(reader->all);
    reader->all = NULL;
    WEIR_TRY(weir_buffer_new(limit, &reader->all));
    for (;;) {
        WEIR_TRY(weir_http_read(x, side, &piece));
        if (!piece.len)
            break;
        WEIR_TRY(weir_buffer_append(reader->all, piece));
    }
    WEIR_TRY(weir_buffer_linear(reader->all, ret));
    return NULL;
}

weir_error *weir_http_write(weir_http *x, weir_slice data)
{
    struct exchange *exchange = x->exchange;

    WEIR_TRY(check_reader(x));
    WEIR_TRY(weir_check_cancelled());
    do {
        weir_slice piece = weir_slice_of(data.data, data.len < PIECE ? data.len : PIECE);

        while (exchange->server->write_paused) {
            WEIR_TRY(wait_for_change(exchange->reader));
            WEIR_TRY(check_reader(x));
        }
        WEIR_TRY(weir_http_pass(x, WEIR_HTTP_RESPONSE, piece));
        data = weir_slice_skip(data, piece.len);
    } while (data.len);
    return NULL;
}
