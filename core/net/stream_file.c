/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending a file from a task: weir_transport_send_file(), and a wait for its end. Other tasks' writes
 * wait meanwhile as for any write in parts.
 */
#include "config.h"

#include "core/net/stream.h"

struct call {
    weir_stream *stream;
    bool done;
    uint64_t sent;
    weir_error *error;
};

static void sent_it(weir_transport *t, uint64_t sent, weir_error *take_error, void *arg)
{
    struct call *call = arg;

    (void)t;
    call->done = true;
    call->sent = sent;
    call->error = take_error;
    weir__stream_wake_writers(call->stream);
}

/* `call` holds the outcome afterwards. */
static void wait_for_it(struct call *call)
{
    weir_error *error = NULL;

    while (!call->done && !error)
        error = weir__stream_wait_to_write(call->stream);
    if (!call->done)
        call->sent = weir_transport_cancel_file(call->stream->transport);
    if (!call->error)
        call->error = error;
    else
        weir_ignore(error);
}

weir_error *weir_stream_send_file(weir_stream *stream, int fd, uint64_t offset, uint64_t len,
                                  uint64_t *ret_sent)
{
    struct call call = {.stream = stream};
    weir_send_file_options options = {WEIR_SIZED(weir_send_file_options),
                                      .fd = fd,
                                      .offset = offset,
                                      .length = len,
                                      .done = sent_it,
                                      .arg = &call};

    WEIR_TRY(weir__stream_enter_write(stream, __func__));
    WEIR_TRY(weir__stream_wait_for_room(stream));
    WEIR_TRY(weir_transport_send_file(stream->transport, &options));
    stream->writing = true;
    wait_for_it(&call);
    stream->writing = false;
    stream->broken |= call.error && call.sent;
    weir__stream_wake_writers(stream);
    if (!call.error && ret_sent)
        *ret_sent = call.sent;
    return call.error;
}
