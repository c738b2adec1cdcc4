/* SPDX-License-Identifier: Apache-2.0 */
/* `weir check`: says what is wrong with a configuration, or what is in it. */
#include "config.h"

#include <unistd.h>

#include "daemon/daemon.h"

/* In the child: plugins are loaded here. */
static int check(weir_host *host, void *arg)
{
    const struct arguments *arguments = arg;
    bool good = weir_host_load(host);

    if (good && arguments->deep)
        good = weir_host_prepare(host);
    if (good)
        good = weir_host_test(host);
    weir_host_report(host, stderr, arguments->format, use_color(arguments));
    if (good && !arguments->quiet && !arguments->deep && arguments->format == WEIR_HOST_TEXT)
        printf("not checked without --deep: certificates and keys, folders, "
               "whether addresses are free\n");
    if (arguments->format == WEIR_HOST_TEXT && (!good || !arguments->quiet))
        weir_host_summary(host, good ? stdout : stderr);
    return weir_host_exit_code(host);
}

static int run_check(const struct arguments *arguments)
{
    weir_host *host = open_host(arguments);
    int code;

    if (!host)
        return EXIT_SOFTWARE;
    code = weir_host_run_apart(host, check, (void *)arguments);
    if (code < 0) { /* the child did not live to tell */
        weir_host_report(host, stderr, arguments->format, use_color(arguments));
        if (arguments->format == WEIR_HOST_TEXT)
            weir_host_summary(host, stderr);
        code = weir_host_exit_code(host);
    }
    weir_host_free(host);
    return code;
}

const struct command command_check = {
    .name = "check",
    .synopsis = "[-f FILE] [--deep] [--format text|gcc|json]",
    .summary = "check a configuration",
    .help = "  weir check                       check the default configuration\n"
            "  weir check -f site.yaml          check a file\n"
            "  weir check --deep -f site.yaml   open certificates and bind addresses as well\n"
            "\n"
            "The requests of `tests` are tried too; see weir help route.\n"
            "\n"
            "Exit status: 0 right, 78 something is wrong in a file, 66 the file cannot be read,\n"
            "71 the system refuses what is asked (--deep), 64 a --set does not parse.\n",
    .run = run_check,
};
