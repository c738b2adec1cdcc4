/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switches in the environment: `WEIR_DEBUG=0` must mean off, whatever getenv() returns. A word that
 * is not understood is told once for each variable.
 */
#include "config.h"

#include "core/base/env.h"

#include <stdlib.h>
#include <strings.h>

#include <weir/debug.h>
#include <weir/log.h>

#include "core/base/sites.h"

bool weir__flag_parse(const char *text, bool *ret_value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"1", true},      {"true", true}, {"on", true},  {"yes", true}, {"0", false},
                 {"false", false}, {"off", false}, {"no", false}, {"", false}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i].word) == 0) {
            *ret_value = words[i].value;
            return true;
        }
    }
    return false;
}

static bool env_flag(const weir_site *name)
{
    const char *text = secure_getenv(name->function);
    bool value = false;

    if (text && !weir__flag_parse(text, &value) && weir__site_first_time(name))
        weir_log(weir_logger_get("weir"), WEIR_LOG_WARNING,
                 "%s=%s is taken as off: expected 1, true, on, yes, 0, false, off or no",
                 name->function, text);
    return value;
}

static const weir_site debug_variable = {"environment", "WEIR_DEBUG", 0};
static const weir_site dev_variable = {"environment", "WEIR_DEV", 0};

bool weir__env_debug(void)
{
    return env_flag(&debug_variable);
}

bool weir__env_dev(void)
{
    return env_flag(&dev_variable);
}

bool weir_debug_default(void)
{
    bool dev = weir__env_dev();

    return weir__env_debug() || dev;
}
