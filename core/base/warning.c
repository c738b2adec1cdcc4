/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warnings: a message, a category, and what the user wants of that category. "Once" is by the site
 * of the object that the warning is about.
 */
#include "config.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/log.h>
#include <weir/time.h>

#include "core/base/backtrace.h"
#include "core/base/sites.h"

#define CATEGORIES 3

static _Atomic int actions[CATEGORIES] = {WEIR_WARNING_ONCE, WEIR_WARNING_ONCE, WEIR_WARNING_ONCE};

void weir_warnings_set(weir_warning category, weir_warning_action action)
{
    if ((unsigned)category < CATEGORIES)
        atomic_store(&actions[category], (int)action);
}

weir_warning_action weir_warnings_get(weir_warning category)
{
    if ((unsigned)category >= CATEGORIES)
        return WEIR_WARNING_IGNORE;
    return (weir_warning_action)atomic_load(&actions[category]);
}

void weir_warn_at(const weir_site *site, weir_warning category, const weir_backtrace *created,
                  const char *format, ...)
{
    static const char *const tags[] = {" [RESOURCE]", "", " [DEPRECATION]"};
    weir_warning_action action = weir_warnings_get(category);
    char message[1024], stack[2048] = "";
    struct text text = TEXT_INIT(stack);
    va_list args;

    if (action == WEIR_WARNING_IGNORE)
        return;
    if (action == WEIR_WARNING_ONCE && site && !weir__site_first_time(site))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (created) {
        text_add(&text, "\nObject created at (most recent call last):\n");
        weir__backtrace_print(&text, created);
    }
    weir_log(weir_logger_get("weir"), WEIR_LOG_WARNING, "%s%s%s", tags[category], message, stack);
    if (action == WEIR_WARNING_ABORT) {
        weir_log_flush(WEIR_S(1));
        abort();
    }
}
