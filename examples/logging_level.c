/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loggers form a tree by their dotted names.  The default level is INFO; a level that is set holds for
 * the loggers below as well, and one of their own wins.  Shows the first, third and fifth record.
 */
#include <weir/weir.h>

static weir_error *run(void *arg)
{
    weir_logger *weir = weir_logger_get("weir"), *net = weir_logger_get("weir.net");

    weir_log(net, WEIR_LOG_INFO, "shown: INFO is the default");
    weir_log(net, WEIR_LOG_DEBUG, "hidden: DEBUG is below it");
    weir_logger_set_level(weir, WEIR_LOG_WARNING);
    weir_log(net, WEIR_LOG_WARNING, "shown: a warning");
    weir_log(net, WEIR_LOG_INFO, "hidden: weir.net takes the level of weir");
    weir_logger_set_level(net, WEIR_LOG_DEBUG);
    weir_log(net, WEIR_LOG_DEBUG, "shown: weir.net has a level of its own");
    weir_log(weir, WEIR_LOG_INFO, "hidden: weir has not");
    return arg;
}

int main(void)
{
    weir_error *error = weir_run(run, NULL, NULL);

    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
