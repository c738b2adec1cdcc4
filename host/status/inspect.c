/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions of plugins: from a traffic loop to the control loop, and the answer back.
 *
 *   traffic loop: weir_inspect() ──▶ control loop: weir_host_ask() ──▶ … ──▶ traffic loop: answer()
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/status/status.h"

struct errand {
    weir_host *host;
    weir_loop *loop; /* a reference: of the loop that asked */
    char *name, *params;
    weir_duration limit;
    weir_host_answer_fn answer;
    void *arg;
    char *text;
    weir_error *error;
};

static void errand_free(struct errand *errand)
{
    weir_loop_unref(errand->loop);
    free(errand->name);
    free(errand->params);
    free(errand->text);
    free(errand);
}

static void give(struct errand *errand, char *take_text, weir_error *take_error)
{
    weir_host_answer_fn answer = errand->answer;
    void *arg = errand->arg;

    errand->text = NULL;
    errand_free(errand);
    answer(arg, take_text, take_error);
}

/* Nobody will run it: a loop ends. */
static void lost(void *arg)
{
    struct errand *errand = arg;

    weir_ignore(errand->error);
    free(errand->text);
    give(errand, NULL, weir_raise(WEIR_ECLOSED, "the loop ends"));
}

static weir_error *come_back(void *arg)
{
    struct errand *errand = arg;

    give(errand, errand->text, errand->error);
    return NULL;
}

/* Control loop. */
static void answered(void *arg, char *take_json, weir_error *take_error)
{
    struct errand *errand = arg;
    weir_error *error;

    errand->text = take_json;
    errand->error = take_error ? weir_error_detach(take_error) : NULL;
    error = weir_loop_call_soon_threadsafe(errand->loop, come_back, errand, lost);
    if (error) {
        weir_ignore(error);
        lost(errand);
    }
}

static weir_error *ask(void *arg)
{
    struct errand *errand = arg;
    weir_error *error =
        weir_host_ask(errand->host, errand->name, errand->params, errand->limit, answered, errand);

    if (error)
        answered(errand, NULL, error);
    return NULL;
}

static weir_error *may_ask(const char *name)
{
    weir_host_question question;

    for (size_t i = 0; weir_host_question_at(i, &question); i++) {
        if (strcmp(question.name, name) != 0)
            continue;
        if (question.changes || question.role != WEIR_HOST_READER)
            return weir_raise(EACCES, "`%s` is not only a look", name);
        return NULL;
    }
    return weir_raise(ENOENT, "there is no question `%s`", name);
}

weir_error *weir_inspect(const char *name, const char *params, weir_duration limit,
                         weir_host_answer_fn answer, void *arg)
{
    struct traffic *traffic = weir__traffic();
    struct traffic_thread *thread = HLIST_ENTRY(traffic, struct traffic_thread, traffic);
    struct errand *errand;
    weir_error *error;

    if (!traffic)
        return weir_raise(WEIR_ETHREAD, "only traffic loops may ask");
    WEIR_TRY(may_ask(name));
    errand = calloc(1, sizeof *errand);
    if (!errand)
        return weir_raise(WEIR_ENOMEM, "question");
    *errand = (struct errand){.host = thread->host,
                              .loop = weir_loop_ref(traffic->loop),
                              .name = strdup(name),
                              .params = params ? strdup(params) : NULL,
                              .limit = limit,
                              .answer = answer,
                              .arg = arg};
    error = errand->name && (!params || errand->params)
                ? weir_loop_call_soon_threadsafe(thread->host->control, ask, errand, lost)
                : weir_raise(WEIR_ENOMEM, "question");
    if (error)
        errand_free(errand);
    return error;
}
