/* SPDX-License-Identifier: Apache-2.0 */
/* `weir explain`: what a diagnostic's code means. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/daemon.h"

static int list_codes(void)
{
    int code;

    for (size_t i = 0; (code = weir_host_code_at(i)); i++)
        printf("W%04d  %s\n", code, weir_host_explain(code));
    return EXIT_OK;
}

static int run_explain(const struct arguments *arguments)
{
    const char *name, *text;
    char *end;
    long code;

    if (!arguments->rest_count)
        return list_codes();
    name = arguments->rest[0];
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
    .synopsis = "[CODE]",
    .summary = "explain a diagnostic, or list them",
    .help = "  weir explain W0103\n",
    .run = run_explain,
};
