/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request asks for: the daemon's own methods first, then the host's questions.
 *
 * Every method that changes something is logged with who asked. A method that waits for traffic loops
 * gives them LOOP_LIMIT; one that does not answer is named in the answer instead.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/run.h"

#define LOOP_LIMIT WEIR_S(1)

int exit_code_of(const weir_error *error)
{
    switch (weir_error_code(error)) {
    case WEIR_EUNSUPPORTED:
    case WEIR_EINVALSTATE:
        return EXIT_UNAVAILABLE;
    case WEIR_EINVAL:
    case ENOENT:
        return EXIT_USAGE;
    case WEIR_EBUSY:
        return EXIT_TEMPFAIL;
    case EACCES:
    case EPERM:
        return EXIT_NOPERM;
    default:
        return EXIT_OSERR;
    }
}

void method_fail(struct control_client *client, json_t *take_id, weir_error *take_error)
{
    char text[500];
    int code = exit_code_of(take_error);

    weir_error_message(take_error, text, sizeof text);
    weir_error_unref(take_error);
    control_fail(client, take_id, code, text);
}

/* A question to the host whose answer goes to a client, perhaps with more to say. */
struct asked {
    struct control_client *client;
    json_t *id, *params;
    void (*finish)(struct daemon *daemon, const json_t *params, json_t *answer);
};

static void answered(void *arg, char *take_json, weir_error *take_error)
{
    struct asked *asked = arg;
    json_t *answer = take_json ? json_loads(take_json, 0, NULL) : NULL;
    struct daemon *daemon = control_daemon(asked->client);

    free(take_json);
    if (!answer) {
        method_fail(asked->client, asked->id,
                    take_error ? take_error : weir_raise(WEIR_ENOMEM, "no memory for the answer"));
    } else {
        if (asked->finish && daemon)
            asked->finish(daemon, asked->params, answer);
        control_result(asked->client, asked->id, answer);
    }
    json_decref(asked->params);
    free(asked);
}

static void ask(struct control_client *client, const char *question, json_t *take_id,
                json_t *take_params,
                void (*finish)(struct daemon *daemon, const json_t *params, json_t *answer))
{
    struct asked *asked = calloc(1, sizeof *asked);
    char *params = json_dumps(take_params, JSON_COMPACT);
    weir_error *error;

    if (!asked || !params) {
        json_decref(take_params);
        method_fail(client, take_id, weir_raise(WEIR_ENOMEM, "question"));
        free(asked);
        free(params);
        return;
    }
    *asked = (struct asked){client, take_id, take_params, finish};
    error =
        weir_host_ask(control_daemon(client)->host, question, params, LOOP_LIMIT, answered, asked);
    free(params);
    if (!error)
        return;
    json_decref(take_params);
    free(asked);
    method_fail(client, take_id, error);
}

/* status, health */

static void finish_status(struct daemon *daemon, const json_t *params, json_t *answer)
{
    double up = (double)(weir_now().ns - daemon->started.ns) / 1e9;
    const char *state = daemon->stopping                          ? "draining"
                        : json_object_get(answer, "blocked") != 0 ? "degraded"
                                                                  : "serving";

    (void)params;
    json_object_set_new(answer, "version", json_string(weir_version()));
    json_object_set_new(answer, "pid", json_integer(getpid()));
    json_object_set_new(answer, "uptime", json_real(up));
    json_object_set_new(answer, "state", json_string(state));
    reloads_status(daemon, answer);
    json_object_set_new(answer, "debug", json_boolean(weir_host_settings_of(daemon->host)->debug));
    json_object_set_new(answer, "overrides", temporary_list(daemon));
    json_object_set_new(answer, "log_dropped", json_integer((json_int_t)weir_log_dropped()));
}

static void call_status(struct control_client *client, json_t *take_id, json_t *take_params)
{
    ask(client, "summary", take_id, take_params, finish_status);
}

/* Ready: it serves, and every loop turns. */
static void finish_health(struct daemon *daemon, const json_t *params, json_t *answer)
{
    const json_t *blocked = json_object_get(answer, "blocked");
    char why[200];

    (void)params;
    if (daemon->stopping)
        (void)snprintf(why, sizeof why, "draining");
    else if (blocked)
        (void)snprintf(why, sizeof why, "loop %s does not turn%s",
                       json_string_value(json_array_get(blocked, 0)),
                       json_array_size(blocked) > 1 ? ", and others" : "");
    else
        (void)snprintf(why, sizeof why, "serving");
    json_object_set_new(answer, "ready", json_boolean(!daemon->stopping && !blocked));
    json_object_set_new(answer, "why", json_string(why));
}

static void call_health(struct control_client *client, json_t *take_id, json_t *take_params)
{
    ask(client, "ping", take_id, take_params, finish_health);
}

/* log.level, debug, logs */

static void call_log_level(struct control_client *client, json_t *take_id, json_t *take_params)
{
    json_t *result;
    weir_error *error = temporary_level(control_daemon(client), take_params, &result);

    json_decref(take_params);
    if (error)
        method_fail(client, take_id, error);
    else
        control_result(client, take_id, result);
}

static void finish_debug(struct daemon *daemon, const json_t *params, json_t *answer)
{
    double seconds = json_number_value(json_object_get(params, "for"));

    (void)answer;
    temporary_debug(daemon, json_is_true(json_object_get(params, "on")),
                    WEIR_NS(seconds > 0 && seconds < 1e9 ? (int64_t)(seconds * 1e9) : 0));
}

static void call_debug(struct control_client *client, json_t *take_id, json_t *take_params)
{
    struct daemon *daemon = control_daemon(client);

    /* What was before is kept before it changes. */
    if (json_is_boolean(json_object_get(take_params, "on")))
        temporary_keep_debug(daemon);
    ask(client, "debug", take_id, take_params, finish_debug);
}

static void call_logs(struct control_client *client, json_t *take_id, json_t *take_params)
{
    const char *word = json_string_value(json_object_get(take_params, "level"));
    int level = WEIR_LOG_TRACE;
    weir_error *error;

    if (word && !weir_log_level_parse(word, &level))
        error = weir_raise(WEIR_EINVAL, "`%s` is not a level", word);
    else
        error = follow_start(control_daemon(client), client, take_id, level);
    json_decref(take_params);
    if (error)
        method_fail(client, take_id, error);
}

static void call_access(struct control_client *client, json_t *take_id, json_t *take_params)
{
    const json_t *filter = json_object_get(take_params, "filter");
    weir_error *error;

    if (filter && !json_is_string(filter))
        error = weir_raise(WEIR_EINVAL, "filter is a text, as status>=500 route=app");
    else
        error = follow_access(control_daemon(client), client, take_id, json_string_value(filter));
    json_decref(take_params);
    if (error)
        method_fail(client, take_id, error);
}

/* reopen, stop */

static void call_reopen(struct control_client *client, json_t *take_id, json_t *take_params)
{
    weir_error *error = weir_host_reopen(control_daemon(client)->host);

    json_decref(take_params);
    if (error)
        method_fail(client, take_id, error);
    else
        control_result(client, take_id, json_pack("{s:b}", "reopened", 1));
}

static void call_stop(struct control_client *client, json_t *take_id, json_t *take_params)
{
    struct daemon *daemon = control_daemon(client);
    bool now = json_is_true(json_object_get(take_params, "now"));

    json_decref(take_params);
    control_result(client, take_id,
                   json_pack("{s:I}", "draining", (json_int_t)weir_host_connections(daemon->host)));
    daemon_stop(daemon, "weirctl stop",
                now ? WEIR_NS(0) : weir_host_settings_of(daemon->host)->shutdown_grace);
}

/* drain */

static void call_drain(struct control_client *client, json_t *take_id, json_t *take_params)
{
    if (json_number_value(json_object_get(take_params, "wait")) > 0)
        override_drain_and_wait(client, take_id, take_params);
    else
        ask(client, "drain", take_id, take_params, NULL);
}

/* reload, rollback, confirm */

static void call_reload_or_back(struct control_client *client, json_t *take_id, json_t *take_params,
                                bool back)
{
    weir_error *error =
        daemon_reload(control_daemon(client), back ? "weirctl rollback" : "weirctl reload", back,
                      client, take_id, take_params);

    json_decref(take_params);
    if (error)
        method_fail(client, take_id, error);
}

static void call_reload(struct control_client *client, json_t *take_id, json_t *take_params)
{
    call_reload_or_back(client, take_id, take_params, false);
}

static void call_rollback(struct control_client *client, json_t *take_id, json_t *take_params)
{
    call_reload_or_back(client, take_id, take_params, true);
}

static void call_confirm(struct control_client *client, json_t *take_id, json_t *take_params)
{
    weir_error *error = daemon_confirm(control_daemon(client));

    json_decref(take_params);
    if (error)
        method_fail(client, take_id, error);
    else
        control_result(client, take_id, json_pack("{s:b}", "confirmed", 1));
}

static const struct method {
    const char *name;
    weir_host_role role;
    bool changes;
    void (*call)(struct control_client *client, json_t *take_id, json_t *take_params);
} methods[] = {
    {"status", WEIR_HOST_READER, false, call_status},
    {"health", WEIR_HOST_READER, false, call_health},
    {"log.level", WEIR_HOST_OPERATOR, true, call_log_level},
    {"debug", WEIR_HOST_OPERATOR, true, call_debug},
    {"logs", WEIR_HOST_OPERATOR, false, call_logs},
    {"access", WEIR_HOST_OPERATOR, false, call_access},
    {"drain", WEIR_HOST_OPERATOR, true, call_drain},
    {"reload", WEIR_HOST_OPERATOR, true, call_reload},
    {"rollback", WEIR_HOST_OPERATOR, true, call_rollback},
    {"confirm", WEIR_HOST_OPERATOR, true, call_confirm},
    {"reopen", WEIR_HOST_OPERATOR, true, call_reopen},
    {"stop", WEIR_HOST_ADMIN, true, call_stop},
};

static bool find_question(const char *name, weir_host_question *ret)
{
    for (size_t i = 0; weir_host_question_at(i, ret); i++)
        if (strcmp(ret->name, name) == 0)
            return true;
    return false;
}

static bool may(struct control_client *client, weir_host_role has, weir_host_role needs, json_t *id)
{
    static const char *const names[] = {"read", "operate", "admin"};
    char text[160];

    if (has >= needs)
        return true;
    (void)snprintf(text, sizeof text,
                   "this needs the role %s, and you may only %s: see admin.control.group",
                   names[needs], names[has]);
    control_fail(client, id, EXIT_NOPERM, text);
    return false;
}

static void note(struct control_client *client, const char *who, const char *method,
                 const json_t *params)
{
    char *text = json_dumps(params, JSON_COMPACT);

    weir_log(control_daemon(client)->logger, WEIR_LOG_INFO, "control: %s %s by %s", method,
             text ? text : "", who);
    free(text);
}

void method_call(struct control_client *client, weir_host_role role, const char *who,
                 const char *method, json_t *take_id, json_t *take_params)
{
    const struct method *own = NULL;
    weir_host_question question = {0};
    char text[200];

    for (size_t i = 0; i < sizeof methods / sizeof *methods && !own; i++)
        own = strcmp(methods[i].name, method) == 0 ? &methods[i] : NULL;
    if (!own && !find_question(method, &question)) {
        bool later = is_not_built(method);

        (void)snprintf(text, sizeof text, later ? "`%s` is not built yet" : "no method `%s`",
                       method);
        json_decref(take_params);
        control_fail(client, take_id, later ? EXIT_UNAVAILABLE : EXIT_USAGE, text);
        return;
    }
    if (!may(client, role, own ? own->role : question.role, take_id)) {
        json_decref(take_params);
        return;
    }
    if (own ? own->changes : question.changes) {
        note(client, who, method, take_params);
        override_sign(take_params, who);
    }
    if (own)
        own->call(client, take_id, take_params);
    else
        ask(client, method, take_id, take_params, NULL);
}
