/* SPDX-License-Identifier: Apache-2.0 */
/* Who would serve a request: {"request": "GET https://…", "from": "192.0.2.1", "fields": ["A: b"]}. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/route/explain.h"
#include "host/status/status.h"

/* Lines of the list's texts; NULL after an error. */
static weir_error *join(const json_t *list, char **ret)
{
    const json_t *item;
    size_t size = 1, used = 0, i;
    char *lines;

    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(item);

        if (!text || strpbrk(text, "\r\n") || !strchr(text, ':'))
            return weir_raise(WEIR_EINVAL, "`fields` are texts such as \"X-Version: 2\"");
        size += strlen(text) + 1;
    }
    lines = malloc(size);
    if (!lines)
        return weir_raise(WEIR_ENOMEM, "fields");
    json_array_foreach(list, i, item) used +=
        (size_t)snprintf(lines + used, size - used, "%s\n", json_string_value(item));
    lines[used] = '\0';
    *ret = lines;
    return NULL;
}

weir_error *weir__status_route(const struct generation *g, const json_t *params, json_t **ret)
{
    const json_t *request = json_object_get(params, "request");
    const json_t *fields = json_object_get(params, "fields");
    struct route_question question = {
        .request = json_string_value(request),
        .from = json_string_value(json_object_get(params, "from")),
    };
    struct explanation *explanation;
    weir_error *error;
    char *lines = NULL;

    if (!question.request || (fields && !json_is_array(fields)))
        return weir_raise(WEIR_EINVAL, "`request` is a text such as \"GET https://example.com/\"");
    WEIR_TRY(join(fields, &lines));
    question.fields = lines;
    error = weir__route_explain(g, &question, &explanation);
    free(lines);
    if (error && weir_error_code(error) != WEIR_EINVAL)
        return weir_wrap(error, WEIR_EINVAL, "the request cannot be looked at");
    if (error)
        return error;
    *ret = weir__explanation_json(explanation);
    weir__explanation_free(explanation);
    return NULL;
}

static weir_error *begin_route(struct question *question)
{
    json_t *answer;

    WEIR_TRY(weir__status_route(question->generation, question->params, &answer));
    question->found = answer;
    return NULL;
}

static json_t *route(const struct question *question, json_t *const *shares, unsigned n)
{
    (void)shares, (void)n;
    return question->found;
}

const struct question_kind weir__ask_route = {
    .question = {.name = "route"},
    .begin = begin_route,
    .finish = route,
};

weir_error *weir_host_route(weir_host *host, const char *params, char **ret)
{
    json_t *parsed = json_loads(params, 0, NULL), *answer = NULL;
    weir_error *error;

    if (!parsed)
        return weir_raise(WEIR_EINVAL, "the parameters are not JSON");
    error = weir__status_route(host->generation, parsed, &answer);
    json_decref(parsed);
    if (error)
        return error;
    *ret = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    return *ret ? NULL : weir_raise(WEIR_ENOMEM, "answer");
}
