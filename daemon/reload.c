/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reloads, as they are asked for: over the control socket and by SIGHUP, one at a time.
 *
 *   RELOADING=1 ──▶ the host's transaction ──▶ READY=1, always ──▶ the answer to the client
 *
 * With a time to confirm, the generation before comes back unless `confirm` arrives in it.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/event.h>

#include "daemon/run.h"

struct outcome {
    int64_t when; /* CLOCK_REALTIME, ns; 0: there was none */
    bool good;
    double took;
    char text[440];
};

struct reloads {
    struct daemon *daemon;
    struct outcome last, before;
    weir_timer confirm;
    weir_instant confirm_until;
    bool confirming;
    /* Of the one under way: */
    bool running, dry_run, back, drains;
    double confirm_for;
    char why[120];
    struct control_client *client; /* NULL: nobody waits */
    json_t *id;
    json_t *waiting; /* an answer until connections have gone */
    weir_timer drained;
};

static double seconds(weir_duration time)
{
    return (double)time.ns / 1e9;
}

static void note(struct reloads *reloads, const weir_host_reload_result *result)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    reloads->before = reloads->last;
    reloads->last = (struct outcome){.when = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
                                     .good = result->exit_code == 0,
                                     .took = seconds(result->took)};
    (void)snprintf(reloads->last.text, sizeof reloads->last.text, "%s", result->message);
}

static void log_result(struct reloads *reloads, const weir_host_reload_result *result)
{
    weir_logger *logger = reloads->daemon->logger;
    const char *what = reloads->back ? "rollback" : "reload";

    if (result->exit_code == 0 && result->committed)
        weir_log_with(logger, WEIR_LOG_INFO, WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_RELOADED}),
                      "%s: ok, generation %u serves after %.0f ms (%s)", what, result->generation,
                      seconds(result->took) * 1e3, reloads->why);
    else if (result->exit_code == 0)
        weir_log(logger, WEIR_LOG_INFO, "%s: a dry run went well, generation %u serves on (%s)",
                 what, result->generation, reloads->why);
    else
        weir_log_with(logger, WEIR_LOG_ERROR,
                      WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_RELOAD_REJECTED}),
                      "%s: REJECTED, generation %u serves on, nothing was changed: %s (%s)", what,
                      result->generation, result->message, reloads->why);
    for (const char *line = result->exit_code ? result->diagnostics : ""; *line;) {
        size_t len = strcspn(line, "\n");

        if (len && !reloads->client)
            weir_log(logger, WEIR_LOG_ERROR, "%.*s", (int)len, line);
        line += len + (line[len] != '\0');
    }
}

static json_t *describe(const struct reloads *reloads, const weir_host_reload_result *result)
{
    weir_host_generation generation = {0};
    json_t *answer;

    (void)weir_host_generation_of(reloads->daemon->host, &generation);
    answer = json_pack("{s:i, s:b, s:b, s:b, s:i, s:I, s:f, s:f, s:f}", "exit", result->exit_code,
                       "committed", result->committed, "checked", result->checked, "rollback",
                       reloads->back, "generation", (int)result->generation, "loaded",
                       (json_int_t)(generation.loaded_at / 1000000000), "checking",
                       seconds(result->checking), "preparing", seconds(result->preparing), "took",
                       seconds(result->took));
    json_object_set_new(answer, "message", json_string(result->message));
    json_object_set_new(answer, "diagnostics", json_string(result->diagnostics));
    json_object_set_new(answer, "diff", json_string(result->diff));
    json_object_set_new(answer, "changes",
                        json_pack("{s:I, s:I, s:I}", "hot", (json_int_t)result->changes.hot,
                                  "sockets", (json_int_t)result->changes.sockets, "restart",
                                  (json_int_t)result->changes.restart));
    json_object_set_new(answer, "files", json_integer((json_int_t)result->files));
    json_object_set_new(answer, "certificates", json_integer((json_int_t)result->certificates));
    json_object_set_new(answer, "plugins", json_integer((json_int_t)result->plugins));
    json_object_set_new(answer, "new_sockets", json_integer((json_int_t)result->new_sockets));
    json_object_set_new(answer, "config", json_string(reloads->daemon->arguments->config_path));
    if (reloads->confirming)
        json_object_set_new(answer, "confirm_within", json_real(reloads->confirm_for));
    return answer;
}

/* Confirming */

static weir_error *not_confirmed(void *arg)
{
    struct reloads *reloads = arg;
    weir_error *error;

    if (reloads->running) { /* after it */
        weir_timer_start(&reloads->confirm, WEIR_MS(100));
        return NULL;
    }
    reloads->confirming = false;
    weir_log(reloads->daemon->logger, WEIR_LOG_WARNING,
             "reload: not confirmed in time, the generation before comes back");
    error = daemon_reload(reloads->daemon, "not confirmed", true, NULL, NULL, NULL);
    if (error)
        weir_log_error(reloads->daemon->logger, WEIR_LOG_ERROR, error, "rollback");
    return NULL;
}

static void begin_confirming(struct reloads *reloads)
{
    weir_duration time = WEIR_NS((int64_t)(reloads->confirm_for * 1e9));

    reloads->confirming = true;
    reloads->confirm_until = weir_instant_after(weir_now(), time);
    weir_timer_start(&reloads->confirm, time);
}

weir_error *daemon_confirm(struct daemon *daemon)
{
    struct reloads *reloads = daemon->reloads;

    if (!reloads->confirming)
        return weir_raise(WEIR_EINVALSTATE, "no reload waits for a confirmation");
    reloads->confirming = false;
    weir_timer_stop(&reloads->confirm);
    weir_log(daemon->logger, WEIR_LOG_INFO, "reload: confirmed");
    return NULL;
}

/* The end */

static void answer(struct reloads *reloads, json_t *take_result)
{
    struct control_client *client = reloads->client;

    reloads->client = NULL;
    if (client)
        control_result(client, reloads->id, take_result);
    else
        json_decref(take_result);
    reloads->id = NULL;
    reloads->running = false;
}

static weir_error *look_drained(void *arg)
{
    struct reloads *reloads = arg;
    weir_host_generation generation;

    if (weir_host_generation_of(reloads->daemon->host, &generation) && generation.pinned &&
        control_daemon(reloads->client)) {
        weir_timer_start(&reloads->drained, WEIR_MS(100));
        return NULL;
    }
    answer(reloads, WEIR_TAKE(reloads->waiting));
    return NULL;
}

static void done(void *arg, const weir_host_reload_result *result)
{
    struct reloads *reloads = arg;
    json_t *text;

    note(reloads, result);
    log_result(reloads, result);
    if (result->committed) {
        if (reloads->confirming && (reloads->back || !reloads->confirm_for))
            (void)(weir_timer_stop(&reloads->confirm), reloads->confirming = false);
        if (reloads->confirm_for > 0)
            begin_confirming(reloads);
    }
    notify_reloaded(reloads->daemon->notify, result->exit_code ? result->message : NULL);
    text = describe(reloads, result);
    if (reloads->drains && result->committed) {
        reloads->waiting = text;
        weir_ignore(look_drained(reloads));
        return;
    }
    answer(reloads, text);
}

weir_error *daemon_reload(struct daemon *daemon, const char *why, bool back,
                          struct control_client *client, json_t *take_id, const json_t *params)
{
    struct reloads *reloads = daemon->reloads;
    weir_host_reload_options options = {
        WEIR_SIZED(weir_host_reload_options),
        .dry_run = json_is_true(json_object_get(params, "dry_run")),
        .format = json_is_true(json_object_get(params, "json")) ? WEIR_HOST_JSON : WEIR_HOST_TEXT,
        .colour = json_is_true(json_object_get(params, "color"))};
    weir_error *error;

    if (reloads->running)
        return weir_raise(WEIR_EBUSY, "another reload is running");
    reloads->back = back;
    reloads->dry_run = options.dry_run;
    reloads->drains = json_is_true(json_object_get(params, "drained"));
    reloads->confirm_for = json_number_value(json_object_get(params, "confirm"));
    (void)snprintf(reloads->why, sizeof reloads->why, "%s", why);
    error = back ? weir_host_rollback(daemon->host, done, reloads)
                 : weir_host_reload(daemon->host, &options, done, reloads);
    if (error)
        return error;
    reloads->running = true;
    reloads->client = client;
    reloads->id = take_id;
    notify_reloading(daemon->notify);
    return NULL;
}

/* Status */

static json_t *outcome_json(const struct outcome *one)
{
    return json_pack("{s:I, s:b, s:f, s:s}", "when", (json_int_t)(one->when / 1000000000), "ok",
                     one->good, "took", one->took, "message", one->text);
}

void reloads_status(const struct daemon *daemon, json_t *into)
{
    const struct reloads *reloads = daemon->reloads;
    weir_host_generation g = {0};

    if (weir_host_generation_of(daemon->host, &g)) {
        json_object_set_new(into, "generation", json_integer(g.number));
        json_object_set_new(into, "loaded", json_integer((json_int_t)(g.loaded_at / 1000000000)));
        json_object_set_new(into, "files", json_integer((json_int_t)g.files));
        if (g.previous)
            json_object_set_new(into, "previous_generation", json_integer(g.previous));
    }
    json_object_set_new(into, "reloading", json_boolean(reloads->running));
    if (reloads->last.when)
        json_object_set_new(into, "last_reload", outcome_json(&reloads->last));
    if (reloads->before.when)
        json_object_set_new(into, "previous_reload", outcome_json(&reloads->before));
    if (reloads->confirming)
        json_object_set_new(into, "confirm_left",
                            json_real((double)(reloads->confirm_until.ns - weir_now().ns) / 1e9));
}

const char *reloads_rejected(const struct daemon *daemon)
{
    return daemon->reloads->last.when && !daemon->reloads->last.good ? daemon->reloads->last.text
                                                                     : NULL;
}

weir_error *reloads_new(struct daemon *daemon, struct reloads **ret)
{
    struct reloads *reloads = calloc(1, sizeof *reloads);

    if (!reloads)
        return weir_raise(WEIR_ENOMEM, "reload");
    reloads->daemon = daemon;
    weir_timer_init(&reloads->confirm, daemon->loop, not_confirmed, reloads);
    weir_timer_init(&reloads->drained, daemon->loop, look_drained, reloads);
    *ret = reloads;
    return NULL;
}

void reloads_free(struct reloads *reloads)
{
    if (!reloads)
        return;
    weir_timer_stop(&reloads->confirm);
    weir_timer_stop(&reloads->drained);
    json_decref(reloads->waiting);
    if (reloads->client)
        answer(reloads, json_pack("{s:i, s:s}", "exit", EXIT_TEMPFAIL, "message", "weir stops"));
    free(reloads);
}
