/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warnings: a message, a category, and what the user wants of that category. "Once" is by the site
 * of the object that the warning is about. The environment has its say before the first question.
 */
#include "config.h"

#include "core/base/warning.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <weir/error.h>
#include <weir/log.h>
#include <weir/time.h>

#include "core/base/backtrace.h"
#include "core/base/env.h"
#include "core/base/log.h"
#include "core/base/sites.h"

#define CATEGORIES 3

static const char *const category_names[CATEGORIES] = {"resource", "runtime", "deprecation"};
static const char *const category_tags[CATEGORIES] = {"RESOURCE", NULL, "DEPRECATION"};
static const char *const action_names[] = {"ignore", "once", "always", "abort"};

static _Atomic int actions[CATEGORIES] = {WEIR_WARNING_ONCE, WEIR_WARNING_ONCE, WEIR_WARNING_ONCE};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int find_word(const char *const *words, int count, const char *text, size_t len)
{
    for (int i = 0; i < count; i++) {
        if (strlen(words[i]) == len && strncasecmp(words[i], text, len) == 0)
            return i;
    }
    return -1;
}

/* "resource=always" or "always" into `wanted`. */
static weir_error *parse_setting(const char *text, size_t len, int wanted[CATEGORIES])
{
    const char *equals = memchr(text, '=', len);
    const char *word = equals ? equals + 1 : text;
    size_t word_len = len - (size_t)(word - text);
    int action = find_word(action_names, 4, word, word_len);
    int category =
        equals ? find_word(category_names, CATEGORIES, text, (size_t)(equals - text)) : 0;

    if (category < 0)
        return weir_raise(WEIR_EINVAL,
                          "unknown warning category \"%.*s\": expected resource, runtime or "
                          "deprecation",
                          (int)(equals - text), text);
    if (action < 0)
        return weir_raise(WEIR_EINVAL,
                          "unknown warning action \"%.*s\": expected ignore, once, always or abort",
                          (int)word_len, word);
    for (int i = 0; i < CATEGORIES; i++) {
        if (!equals || i == category)
            wanted[i] = action;
    }
    return NULL;
}

static weir_error *configure(const char *words)
{
    int wanted[CATEGORIES] = {-1, -1, -1};

    while (*words) {
        size_t len = strcspn(words, ",");

        if (len)
            WEIR_TRY(parse_setting(words, len, wanted));
        words += len + (words[len] == ',');
    }
    for (int i = 0; i < CATEGORIES; i++) {
        if (wanted[i] >= 0)
            atomic_store(&actions[i], wanted[i]);
    }
    return NULL;
}

static void read_environment(void)
{
    const char *words = secure_getenv("WEIR_WARNINGS");
    weir_error *error;

    if (weir__env_dev()) {
        atomic_store(&actions[WEIR_WARNING_RESOURCE], WEIR_WARNING_ALWAYS);
        atomic_store(&actions[WEIR_WARNING_RUNTIME], WEIR_WARNING_ALWAYS);
    }
    error = words ? configure(words) : NULL;
    if (error)
        weir_log_error(weir_logger_get("weir"), WEIR_LOG_WARNING, error,
                       "WEIR_WARNINGS=%s is not understood and ignored", words);
}

void weir__warnings_reread(void)
{
    for (int i = 0; i < CATEGORIES; i++)
        atomic_store(&actions[i], WEIR_WARNING_ONCE);
    read_environment();
}

weir_error *weir_warnings_configure(const char *words)
{
    pthread_once(&once, read_environment);
    if (!words)
        return weir_raise(WEIR_EINVAL, "warnings: words are needed, not NULL");
    return configure(words);
}

void weir_warnings_set(weir_warning category, weir_warning_action action)
{
    pthread_once(&once, read_environment);
    if ((unsigned)category < CATEGORIES && (unsigned)action <= WEIR_WARNING_ABORT)
        atomic_store(&actions[category], (int)action);
}

weir_warning_action weir_warnings_get(weir_warning category)
{
    pthread_once(&once, read_environment);
    if ((unsigned)category >= CATEGORIES)
        return WEIR_WARNING_IGNORE;
    return (weir_warning_action)atomic_load(&actions[category]);
}

static void warn(const weir_site *site, weir_warning category, const char *body, const char *format,
                 va_list args) WEIR_PRINTF(4, 0);

static void warn(const weir_site *site, weir_warning category, const char *body, const char *format,
                 va_list args)
{
    weir_warning_action action = weir_warnings_get(category);
    char message[1024];

    if (action == WEIR_WARNING_IGNORE)
        return;
    if (action == WEIR_WARNING_ONCE && site && !weir__site_first_time(site))
        return;
    vsnprintf(message, sizeof(message), format, args);
    weir__log_tagged(site, weir_logger_get("weir"), WEIR_LOG_WARNING, category_tags[category], body,
                     message);
    if (action == WEIR_WARNING_ABORT) {
        (void)weir_log_flush(WEIR_S(2));
        abort();
    }
}

void weir__warn_body_at(const weir_site *site, weir_warning category, const char *body,
                        const char *format, ...)
{
    va_list args;

    va_start(args, format);
    warn(site, category, body, format, args);
    va_end(args);
}

void weir_warn_at(const weir_site *site, weir_warning category, const weir_backtrace *created,
                  const char *format, ...)
{
    char body[1024] = "";
    struct text text = TEXT_INIT(body);
    va_list args;

    if (created) {
        text_add(&text, "Object created at (most recent call last):\n");
        weir__backtrace_defer(&text, created);
    }
    va_start(args, format);
    warn(site, category, body, format, args);
    va_end(args);
}
