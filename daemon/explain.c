/* SPDX-License-Identifier: Apache-2.0 */
/* `weir explain`: what a diagnostic's code means, or what a setting is. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"

static int list_codes(void)
{
    int code;

    for (size_t i = 0; (code = weir_host_code_at(i)); i++)
        printf("W%04d  %s\n", code, weir_host_explain(code));
    return EXIT_OK;
}

static int explain_setting(const struct arguments *arguments, const char *path)
{
    weir_host *host = open_host(arguments);
    bool known;

    if (!host)
        return EXIT_SOFTWARE;
    known = weir_host_explain_setting(host, path, stdout);
    weir_host_free(host);
    return known ? EXIT_OK : EXIT_USAGE;
}

/* W0103, w103 or 103; anything else is a setting. */
static bool is_code(const char *name)
{
    name += *name == 'W' || *name == 'w';
    return *name && strspn(name, "0123456789") == strlen(name);
}

static int run_explain(const struct arguments *arguments)
{
    const char *name, *text;
    char *end;
    long code;

    if (!arguments->rest_count)
        return list_codes();
    name = arguments->rest[0];
    if (!is_code(name))
        return explain_setting(arguments, name);
    code = strtol(*name == 'W' || *name == 'w' ? name + 1 : name, &end, 10);
    text = *end || code <= 0 || code > 9999 ? NULL : weir_host_explain((int)code);
    if (!text) {
        fprintf(stderr, "weir: there is no diagnostic %s; `weir explain` lists them\n", name);
        return EXIT_USAGE;
    }
    printf("W%04ld  %s\n", code, text);
    return EXIT_OK;
}

const struct command command_explain = {
    .name = "explain",
    .synopsis = "[CODE|KEY.PATH]",
    .summary = "explain a diagnostic or a setting",
    .help = "  weir explain                     lists the diagnostics\n"
            "  weir explain W0103               what a diagnostic means\n"
            "  weir explain upstreams.retries   what a setting is\n",
    .run = run_explain,
};
