/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs by name. A call owns copies of its name and argument until its job has ended; the result
 * crosses back as a weir_buffer of plain memory, never of a loop's chunks; an error as its code and
 * text, from which a new one is made at home.
 */
#include "config.h"

#include "core/exec/named.h"

#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"

__thread void *weir__isolate_state;

void *weir_isolate_state(void)
{
    return weir__isolate_state;
}

const weir_named_job *weir__named_find(const weir_job_table *table, const char *name)
{
    for (const weir_named_job *job = table ? table->jobs : NULL; job && job->name; job++)
        if (strcmp(job->name, name) == 0)
            return job;
    return NULL;
}

weir_error *weir__named_call_new(void *pool, const char *name, weir_slice argument, size_t limit,
                                 struct named_call **ret)
{
    size_t name_size = strlen(name) + 1;
    struct named_call *call;

    if (argument.len > limit)
        return weir_raise(WEIR_ELIMIT, "argument of job \"%s\": %zu bytes, at most %zu", name,
                          argument.len, limit);
    call = weir__malloc(sizeof(*call) + name_size + argument.len);
    if (!call)
        return weir_raise(WEIR_ENOMEM, "job");
    *call = (struct named_call){.pool = pool, .pidfd = -1, .limit = limit, .len = argument.len};
    list_init(&call->link);
    call->argument = call->data;
    if (argument.len)
        memcpy(call->argument, argument.data, argument.len);
    call->name = memcpy(call->data + argument.len, name, name_size);
    *ret = call;
    return NULL;
}

void weir__named_call_free(void *arg)
{
    struct named_call *call = arg;

    weir_buffer_unref(call->result);
    weir__free(call);
}

weir_error *weir__named_call(weir_executor *executor, const weir_site *site, weir_fn run,
                             void (*ask)(struct exec_job *job), struct named_call *take_call,
                             weir_buffer **ret_result)
{
    weir_error *error = weir__executor_call(executor, site, take_call->name, run, take_call, ask);

    if (!error && ret_result)
        *ret_result = WEIR_TAKE(take_call->result);
    weir__named_call_free(take_call);
    return error;
}

static void drop_buffer(void *buffer)
{
    weir_buffer_unref(buffer);
}

/* In the worker: the result becomes the future's. */
struct submitted {
    weir_fn run;
    struct named_call *call;
};

struct named_call *weir__named_submitted(void *arg)
{
    return ((struct submitted *)arg)->call;
}

static void submitted_free(void *arg)
{
    struct submitted *submitted = arg;

    weir__named_call_free(submitted->call);
    weir__free(submitted);
}

static weir_error *run_submitted(void *arg)
{
    struct submitted *submitted = arg;

    WEIR_TRY(submitted->run(submitted->call));
    weir_job_set_result(WEIR_TAKE(submitted->call->result), drop_buffer);
    return NULL;
}

weir_error *weir__named_submit(weir_executor *executor, const weir_site *site, weir_fn run,
                               void (*ask)(struct exec_job *job), struct named_call *take_call,
                               weir_future **ret)
{
    struct submitted *submitted = weir__malloc(sizeof(*submitted));
    weir_error *error;

    if (!submitted) {
        weir__named_call_free(take_call);
        return weir_raise(WEIR_ENOMEM, "job");
    }
    *submitted = (struct submitted){run, take_call};
    error = weir__executor_submit(executor, site, take_call->name, run_submitted, submitted,
                                  submitted_free, ask, ret);
    if (error)
        submitted_free(submitted);
    return error;
}

weir_code weir__named_flatten(weir_error *take_error, char *text, size_t size)
{
    const weir_site *site = weir_error_site(take_error);
    weir_code code = weir_error_code(take_error);
    struct text out = text_over(text, size);
    char message[NAMED_ERROR_MAX / 2];

    weir_error_message(take_error, message, sizeof(message));
    text_add(&out, message);
    if (site)
        text_printf(&out, "\n%s:%d in %s()", text_site_file(site), site->line, site->function);
    weir_error_unref(take_error);
    return code;
}

weir_error *weir__named_restore(weir_code code, char *text, const char *where)
{
    char *site = strrchr(text, '\n');
    weir_error *error;

    if (site)
        *site++ = '\0';
    error = weir_raise(code, "%s", text);
    return site ? weir_error_hint(error, "raised in %s at %s", where, site) : error;
}
