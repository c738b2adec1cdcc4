/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings that an operator made at run time: levels of loggers, debug mode. With a time they go back
 * by themselves (forgotten debug logging fills disks); all of them are listed in `status`.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/run.h"

#define MAX_TEMPORARIES 256

struct temporary {
    struct temporary *next;
    struct daemon *daemon;
    char *logger; /* NULL: debug mode */
    int level, before;
    bool limited;
    weir_instant until;
    weir_timer timer;
};

static void forget(struct temporary *temporary)
{
    struct temporary **at = &temporary->daemon->temporaries;

    while (*at != temporary)
        at = &(*at)->next;
    *at = temporary->next;
    weir_timer_stop(&temporary->timer);
    free(temporary->logger);
    free(temporary);
}

static void ignore_answer(void *arg, char *take_json, weir_error *take_error)
{
    (void)arg;
    free(take_json);
    weir_ignore(take_error);
}

static weir_error *expired(void *arg)
{
    struct temporary *temporary = arg;
    struct daemon *daemon = temporary->daemon;

    if (temporary->logger) {
        weir_logger_set_level(weir_logger_get(temporary->logger), temporary->before);
        weir_log(daemon->logger, WEIR_LOG_INFO, "the level of %s is %s again", temporary->logger,
                 weir_log_level_name(temporary->before));
    } else {
        const char *params = temporary->before ? "{\"on\":true}" : "{\"on\":false}";

        weir_ignore(weir_host_ask(daemon->host, "debug", params, WEIR_S(1), ignore_answer, NULL));
        weir_log(daemon->logger, WEIR_LOG_INFO, "debug mode is %s again",
                 temporary->before ? "on" : "off");
    }
    forget(temporary);
    return NULL;
}

static struct temporary *find(struct daemon *daemon, const char *logger)
{
    for (struct temporary *t = daemon->temporaries; t; t = t->next)
        if (logger ? t->logger && strcmp(t->logger, logger) == 0 : !t->logger)
            return t;
    return NULL;
}

/* Keeps what was before the first of several changes. */
static struct temporary *remember(struct daemon *daemon, const char *logger, int before)
{
    struct temporary *temporary = find(daemon, logger);
    size_t n = 0;

    if (temporary)
        return temporary;
    for (struct temporary *t = daemon->temporaries; t; t = t->next)
        n++;
    temporary = n < MAX_TEMPORARIES ? calloc(1, sizeof *temporary) : NULL;
    if (!temporary)
        return NULL;
    temporary->daemon = daemon;
    temporary->logger = logger ? strdup(logger) : NULL;
    temporary->before = before;
    if (logger && !temporary->logger) {
        free(temporary);
        return NULL;
    }
    weir_timer_init(&temporary->timer, daemon->loop, expired, temporary);
    temporary->next = daemon->temporaries;
    daemon->temporaries = temporary;
    return temporary;
}

static void limit(struct temporary *temporary, weir_duration time)
{
    weir_timer_stop(&temporary->timer);
    temporary->limited = time.ns > 0;
    if (!temporary->limited)
        return;
    temporary->until = weir_instant_after(weir_now(), time);
    weir_timer_start(&temporary->timer, time);
}

static weir_duration time_of(const json_t *params)
{
    double seconds = json_number_value(json_object_get(params, "for"));

    return seconds > 0 && seconds < 1e9 ? WEIR_NS((int64_t)(seconds * 1e9)) : WEIR_NS(0);
}

weir_error *temporary_level(struct daemon *daemon, const json_t *params, json_t **ret)
{
    const char *said = json_string_value(json_object_get(params, "logger"));
    const char *word = json_string_value(json_object_get(params, "level"));
    struct temporary *temporary;
    weir_logger *logger;
    char name[200];
    int level;

    if (!word || !weir_log_level_parse(word, &level))
        return weir_raise(WEIR_EINVAL,
                          "level is trace, debug, info, warning, error, critical or off");
    said = said ? said : "weir";
    (void)snprintf(name, sizeof name, "%s%s",
                   strncmp(said, "weir", 4) == 0 || strncmp(said, "plugin", 6) == 0 ? "" : "weir.",
                   said);
    logger = weir_logger_get(name);
    if (strcmp(weir_logger_name(logger), name) != 0)
        return weir_raise(WEIR_EINVAL, "`%s` is not the name of a logger", said);
    temporary = remember(daemon, name, weir_logger_level(logger));
    if (!temporary)
        return weir_raise(WEIR_ELIMIT, "more than %d levels are set", MAX_TEMPORARIES);
    temporary->level = level;
    weir_logger_set_level(logger, level);
    *ret = json_pack("{s:s, s:s, s:s}", "logger", name, "level", weir_log_level_name(level),
                     "before", weir_log_level_name(temporary->before));
    limit(temporary, time_of(params));
    if (!temporary->limited && level == temporary->before)
        forget(temporary);
    return NULL;
}

void temporary_keep_debug(struct daemon *daemon)
{
    (void)remember(daemon, NULL, weir_host_settings_of(daemon->host)->debug);
}

void temporary_debug(struct daemon *daemon, bool on, weir_duration time)
{
    struct temporary *temporary =
        remember(daemon, NULL, weir_host_settings_of(daemon->host)->debug);

    if (!temporary)
        return;
    temporary->level = on;
    limit(temporary, time);
    if (!temporary->limited && on == (temporary->before != 0))
        forget(temporary);
}

json_t *temporary_list(const struct daemon *daemon)
{
    json_t *list = json_array();

    for (const struct temporary *t = daemon->temporaries; t; t = t->next) {
        json_t *one = t->logger ? json_pack("{s:s, s:s}", "logger", t->logger, "level",
                                            weir_log_level_name(t->level))
                                : json_pack("{s:b}", "debug", t->level);

        if (t->limited)
            json_object_set_new(one, "seconds_left",
                                json_real((double)(t->until.ns - weir_now().ns) / 1e9));
        json_array_append_new(list, one);
    }
    return list;
}

void temporary_free(struct daemon *daemon)
{
    while (daemon->temporaries)
        forget(daemon->temporaries);
}
