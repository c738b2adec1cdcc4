/* SPDX-License-Identifier: Apache-2.0 */
/*
 * communicate: one child task for each pipe, so that neither side waits for a full pipe of the
 * other, while the caller waits for the exit. Then the pipes have `linger` to come to their end:
 * a grandchild may hold them for ever.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <weir/scope.h>

#include "core/net/process.h"
#include "core/task/wait.h"

#define LIMIT_DEFAULT  ((size_t)16 * 1024 * 1024)
#define LINGER_DEFAULT WEIR_S(1)
#define REAP_LIMIT     WEIR_S(10) /* after SIGKILL; only a process stuck in the kernel takes it */

struct collector {
    weir_stream *stream;
    weir_buffer *buffer;
};

struct talk {
    weir_process *process;
    weir_communicate_options options;
    struct collector outputs[2];
};

static weir_error *feed(void *arg)
{
    struct talk *talk = arg;
    weir_slice input = talk->options.input;
    weir_error *error = NULL;

    if (input.len)
        error = weir_stream_write(talk->process->streams[STDIN_FILENO], input.data, input.len);
    if (!error)
        error = weir_process_close_input(talk->process);
    if (error && (weir_error_has(error, EPIPE) || weir_error_has(error, ECONNRESET) ||
                  weir_error_has(error, WEIR_ECLOSED))) {
        weir_ignore(error); /* it does not want to read */
        return NULL;
    }
    return error;
}

static weir_error *collect(void *arg)
{
    struct collector *collector = arg;
    weir_slice data;

    for (;;) {
        WEIR_TRY(weir_stream_read_slice(collector->stream, &data));
        if (data.len == 0)
            return NULL;
        WEIR_TRY(weir_buffer_append(collector->buffer, data));
    }
}

static weir_error *drain(weir_group *group, weir_duration linger)
{
    WEIR_TIMEOUT(limit, linger);
    weir_error *error = weir_group_join(group);

    if (weir_error_is(error, WEIR_ETIMEDOUT) && weir_timeout_expired(&limit)) {
        weir_ignore(error);
        return NULL;
    }
    return error;
}

static weir_error *talk(struct talk *talk)
{
    WEIR_GROUP(group);

    if (talk->process->streams[STDIN_FILENO])
        WEIR_TRY(weir_group_spawn(&group, feed, talk, NULL));
    for (int i = 0; i < 2; i++)
        if (talk->outputs[i].stream)
            WEIR_TRY(weir_group_spawn(&group, collect, &talk->outputs[i], NULL));
    WEIR_TRY(weir_process_wait(talk->process, NULL));
    return drain(&group, talk->options.linger);
}

static void kill_and_reap(weir_process *process)
{
    WEIR_SHIELD(cleanup, REAP_LIMIT);

    weir_process_kill(process);
    weir_ignore(weir_process_wait(process, NULL));
}

static void read_options(weir_communicate_options *options, const weir_communicate_options *given)
{
    *options = (weir_communicate_options){WEIR_SIZED(weir_communicate_options)};
    if (given)
        memcpy(options, given, given->size < sizeof(*options) ? given->size : sizeof(*options));
    if (!options->limit)
        options->limit = LIMIT_DEFAULT;
    if (options->linger.ns <= 0)
        options->linger = LINGER_DEFAULT;
}

weir_error *weir_process_communicate(weir_process *process, const weir_communicate_options *options,
                                     weir_buffer **ret_output, weir_buffer **ret_error)
{
    weir_auto(weir_process) held = NULL;
    weir_auto(weir_buffer) output = NULL;
    weir_auto(weir_buffer) errors = NULL;
    struct talk t = {.process = process};
    weir_error *error;

    if (!weir_task_current())
        return weir_raise(WEIR_ENOTASK, "suspending call outside a task");
    if (process->loop)
        WEIR_TRY(weir__loop_check_thread(process->loop));
    held = weir_process_ref(process);
    read_options(&t.options, options);
    error = weir_buffer_new(t.options.limit, &output);
    if (!error)
        error = weir_buffer_new(t.options.limit, &errors);
    t.outputs[0] = (struct collector){process->streams[STDOUT_FILENO], output};
    t.outputs[1] = (struct collector){process->streams[STDERR_FILENO], errors};
    if (!error)
        error = talk(&t);
    if (error) {
        kill_and_reap(process);
        return error;
    }
    if (ret_output)
        *ret_output = WEIR_TAKE(output);
    if (ret_error)
        *ret_error = WEIR_TAKE(errors);
    return NULL;
}
