/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain with `wait`: the server is drained, then the client is told, as a stream, how many connections
 * are left there, until there is none or the time is over. One wait for each connection to the socket.
 *
 *     {"id":1,"more":true,"record":{"server":"app/10.0.0.11:8080","connections":12}}
 *     {"id":1,"result":{…,"connections":0,"waited":3.2}}
 */
#include "config.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/run.h"

#define LOOK_AGAIN WEIR_MS(100)
#define LOOP_LIMIT WEIR_S(1)

struct waiting {
    struct control_client *client; /* held; NULL: it has gone */
    json_t *id, *params;
    weir_instant started;
    weir_duration limit;
    weir_timer timer;
    json_int_t told; /* connections; -1: none yet */
    bool asking;     /* an answer of the host is to come */
};

static void waiting_free(struct waiting *waiting)
{
    weir_timer_stop(&waiting->timer);
    json_decref(waiting->id);
    json_decref(waiting->params);
    free(waiting);
}

/* The client has left. */
static void gone(void *arg)
{
    struct waiting *waiting = arg;
    struct control_client *client = WEIR_TAKE(waiting->client);

    weir_timer_stop(&waiting->timer);
    if (!waiting->asking)
        waiting_free(waiting);
    control_release(client);
}

static struct control_client *end(struct waiting *waiting)
{
    struct control_client *client = WEIR_TAKE(waiting->client);

    control_on_gone(client, NULL, NULL);
    return client;
}

static double waited(const struct waiting *waiting)
{
    return (double)(weir_now().ns - waiting->started.ns) / 1e9;
}

static void tell(struct waiting *waiting, json_int_t connections)
{
    char *text;
    json_t *record;

    if (connections == waiting->told)
        return;
    waiting->told = connections;
    record = json_pack("{s:O, s:I, s:f}", "server", json_object_get(waiting->params, "server"),
                       "connections", connections, "waited", waited(waiting));
    text = json_dumps(record, JSON_COMPACT);
    if (text)
        (void)control_stream(waiting->client, waiting->id, text, strlen(text));
    free(text);
    json_decref(record);
}

static void finish(struct waiting *waiting, json_t *take_answer, weir_error *take_error)
{
    struct control_client *client = end(waiting);

    if (take_answer) {
        json_object_set_new(take_answer, "waited", json_real(waited(waiting)));
        control_result(client, json_incref(waiting->id), take_answer);
    } else {
        method_fail(client, json_incref(waiting->id),
                    take_error ? take_error : weir_raise(WEIR_ENOMEM, "no memory for the answer"));
    }
    waiting_free(waiting);
}

static void answered(void *arg, char *take_json, weir_error *take_error)
{
    struct waiting *waiting = arg;
    json_t *answer = take_json ? json_loads(take_json, 0, NULL) : NULL;
    json_int_t connections = json_integer_value(json_object_get(answer, "connections"));
    bool over = waited(waiting) * 1e9 >= (double)waiting->limit.ns;

    free(take_json);
    if (waiting->client && (!answer || !connections || over)) {
        finish(waiting, answer, take_error);
        return;
    }
    if (waiting->client)
        tell(waiting, connections); /* which the client may not outlive */
    waiting->asking = false;
    if (waiting->client)
        weir_timer_start(&waiting->timer, LOOK_AGAIN);
    else
        waiting_free(waiting);
    weir_ignore(take_error);
    json_decref(answer);
}

static weir_error *ask(struct waiting *waiting, const char *question)
{
    struct daemon *daemon = control_daemon(waiting->client);
    char *params = json_dumps(waiting->params, JSON_COMPACT);
    weir_error *error;

    if (!params)
        return weir_raise(WEIR_ENOMEM, "question");
    waiting->asking = true;
    error = weir_host_ask(daemon->host, question, params, LOOP_LIMIT, answered, waiting);
    free(params);
    return error;
}

static weir_error *look_again(void *arg)
{
    struct waiting *waiting = arg;
    weir_error *error = ask(waiting, "server");

    if (error)
        finish(waiting, NULL, error);
    return NULL;
}

void override_drain_and_wait(struct control_client *client, json_t *take_id, json_t *take_params)
{
    double seconds = json_number_value(json_object_get(take_params, "wait"));
    struct waiting *waiting = control_is_followed(client) ? NULL : calloc(1, sizeof *waiting);
    weir_error *error;

    if (!waiting) {
        json_decref(take_params);
        method_fail(client, take_id,
                    weir_raise(WEIR_EBUSY, "this connection follows something already"));
        return;
    }
    *waiting = (struct waiting){
        .client = client,
        .id = take_id,
        .params = take_params,
        .started = weir_now(),
        .limit = WEIR_NS(seconds < 1e9 ? (int64_t)(seconds * 1e9) : INT64_MAX / 2),
        .told = -1,
    };
    weir_timer_init(&waiting->timer, control_daemon(client)->loop, look_again, waiting);
    control_on_gone(client, gone, waiting);
    error = ask(waiting, "drain");
    if (error)
        finish(waiting, NULL, error);
}

void override_sign(json_t *params, const char *who)
{
    const struct passwd *user = NULL;
    unsigned uid;

    if (sscanf(who, "uid %u", &uid) == 1)
        user = getpwuid((uid_t)uid);
    json_object_set_new(params, "by", json_string(user ? user->pw_name : who));
}
