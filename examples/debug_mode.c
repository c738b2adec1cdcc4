/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug mode is off by default.  The environment switches it on (WEIR_DEBUG=1, or WEIR_DEV=1 with its
 * companions); the options of a loop or of weir_run() overrule the environment, both ways; and it
 * can be switched while the loop runs.  Prints what is in force after each.
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *show(void *what)
{
    int on = weir_loop_get_debug(weir_loop_current());

    printf("%s: %s\n", (const char *)what, on ? "on" : "off");
    return NULL;
}

static weir_error *switch_it(void *arg)
{
    weir_loop *loop = weir_loop_current();

    weir_loop_set_debug(loop, true);
    WEIR_TRY(show("weir_loop_set_debug(loop, true)"));
    weir_loop_set_debug(loop, false);
    WEIR_TRY(show("weir_loop_set_debug(loop, false)"));
    return arg;
}

int main(void)
{
    weir_run_options with = {WEIR_SIZED(weir_run_options), .debug = WEIR_DEBUG_ON};
    weir_run_options without = {WEIR_SIZED(weir_run_options), .debug = WEIR_DEBUG_OFF};

    weir_ignore(weir_run(show, "as the environment says", NULL));
    weir_ignore(weir_run(show, "with the option of weir_run()", &with));
    weir_ignore(weir_run(show, "with the option of the loop", &without));
    weir_ignore(weir_run(switch_it, NULL, NULL));
    return 0;
}
