/* SPDX-License-Identifier: Apache-2.0 */
/* What operators say of a server: drain, disable, enable, weight. Parameters: server, by, reset. */
#include "config.h"

#include <stdlib.h>

#include <weir/event.h>
#include <weir/log.h>

#include "host/health/health.h"
#include "host/status/status.h"

static const char *by(const struct question *question)
{
    const char *name = json_string_value(json_object_get(question->params, "by"));

    return name ? name : "an operator";
}

static void tell(const struct question *question, const struct server *server, const char *what)
{
    weir_log_with(weir_logger_get("weir.upstream"), WEIR_LOG_INFO,
                  WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_SERVER_OVERRIDDEN},
                                  {"upstream", server->upstream}, {"server", server->address},
                                  {"by", by(question)}),
                  "server %s/%s %s, says %s", server->upstream, server->address, what,
                  by(question));
}

static weir_error *find(struct question *question, weir_upstream **ret_upstream, size_t *ret_index)
{
    WEIR_TRY(weir__status_find_server(question, ret_upstream, ret_index));
    if (!question->host->health)
        return weir_raise(WEIR_EINVALSTATE, "weir is stopping");
    question->found = (*ret_upstream)->servers[*ret_index];
    return NULL;
}

/* True: that was all. */
static bool reset(struct question *question)
{
    if (!json_is_true(json_object_get(question->params, "reset")))
        return false;
    weir__override_reset(question->found);
    tell(question, question->found, "is as the configuration says");
    return true;
}

static weir_error *set_state(struct question *question, enum server_override state,
                             const char *what)
{
    weir_upstream *upstream;
    size_t index;

    WEIR_TRY(find(question, &upstream, &index));
    if (reset(question))
        return NULL;
    WEIR_TRY(weir__override_state(&question->host->health->overrides, upstream, index, state,
                                  by(question)));
    tell(question, question->found, what);
    return NULL;
}

static weir_error *drain(struct question *question)
{
    return set_state(question, SERVER_DRAINED, "is drained");
}

static weir_error *disable(struct question *question)
{
    return set_state(question, SERVER_DISABLED, "is disabled");
}

/* Back to what its health says, which starts anew. */
static weir_error *enable(struct question *question)
{
    WEIR_TRY(set_state(question, SERVER_NO_OVERRIDE, "is in use"));
    weir__server_forgive(question->found);
    weir__health_forgive(question->found);
    return NULL;
}

static bool read_weight(const json_t *value, uint32_t *ret)
{
    const char *text = json_string_value(value);
    char *end = NULL;
    long long number = text ? strtoll(text, &end, 10) : json_integer_value(value);

    if ((text ? end == text || *end : !json_is_integer(value)) || number < 0 || number > 1000)
        return false;
    *ret = (uint32_t)number;
    return true;
}

static weir_error *weight(struct question *question)
{
    weir_upstream *upstream;
    uint32_t number;
    size_t index;
    char what[60];

    WEIR_TRY(find(question, &upstream, &index));
    if (reset(question))
        return NULL;
    if (!read_weight(json_object_get(question->params, "weight"), &number))
        return weir_raise(WEIR_EINVAL, "a weight is a number from 0 to 1000");
    WEIR_TRY(weir__override_weight(&question->host->health->overrides, upstream, index, number,
                                   by(question)));
    (void)snprintf(what, sizeof what, "has weight %u", number);
    tell(question, question->found, what);
    return NULL;
}

/* Connections that nobody uses need not be kept. */
static json_t *close_idle(const struct question *question, struct traffic_thread *thread)
{
    const struct server *server = question->found;

    if (__atomic_load_n(&server->override, __ATOMIC_RELAXED))
        weir__pool_close_idle(&((struct server *)question->found)->pools[thread->traffic.index]);
    return json_true();
}

static json_t *finish(const struct question *question, json_t *const *shares, unsigned n)
{
    (void)shares, (void)n;
    return weir__status_server(question);
}

static weir_error *look(struct question *question)
{
    weir_upstream *upstream;
    size_t index;

    return weir__status_find_server(question, &upstream, &index);
}

const struct question_kind weir__ask_server = {
    .question = {.name = "server"},
    .begin = look,
    .finish = finish,
};
const struct question_kind weir__ask_drain = {
    .question = {.name = "drain", .role = WEIR_HOST_OPERATOR, .changes = true},
    .begin = drain,
    .on_loop = close_idle,
    .finish = finish,
};
const struct question_kind weir__ask_disable = {
    .question = {.name = "disable", .role = WEIR_HOST_OPERATOR, .changes = true},
    .begin = disable,
    .on_loop = close_idle,
    .finish = finish,
};
const struct question_kind weir__ask_enable = {
    .question = {.name = "enable", .role = WEIR_HOST_OPERATOR, .changes = true},
    .begin = enable,
    .finish = finish,
};
const struct question_kind weir__ask_weight = {
    .question = {.name = "weight", .role = WEIR_HOST_OPERATOR, .changes = true},
    .begin = weight,
    .finish = finish,
};
