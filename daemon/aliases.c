/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people know from nginx, HAProxy, Caddy and others: some of it works (`-t`, `-T`, `-s reload`) and
 * says its name here, the rest is named when it is asked for.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "daemon/daemon.h"

/* weir -s reload */
static int run_signal(const struct arguments *arguments)
{
    static const struct {
        const char *name;
        char *verb, *flag; /* of weirctl */
    } signals[] = {{"reload", "reload", NULL},
                   {"reopen", "reopen", NULL},
                   {"quit", "stop", NULL},
                   {"stop", "stop", "--now"}};

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        char *argv[4] = {signals[i].verb, "-f", (char *)arguments->config_path, signals[i].flag};
        bool named = strcmp(arguments->config_path, WEIR_DEFAULT_CONFIG) != 0;

        if (strcmp(signals[i].name, arguments->signal) != 0)
            continue;
        fprintf(stderr, "weir: `-s %s` is `weirctl %s%s%s`\n", signals[i].name, signals[i].verb,
                signals[i].flag ? " " : "", signals[i].flag ? signals[i].flag : "");
        if (!named)
            argv[1] = signals[i].flag;
        return ctl_main((named ? 3 : 1) + (signals[i].flag != NULL), argv);
    }
    fprintf(stderr, "weir: -s takes reload, reopen, quit or stop, not `%s`\n", arguments->signal);
    return EXIT_USAGE;
}

const struct command command_signal = {.name = "-s", .run = run_signal};

/* weir -T */
static int run_dump(const struct arguments *arguments)
{
    static char *words[] = {"print"};
    struct arguments with = *arguments;

    with.rest = words;
    with.rest_count = 1;
    return command_config.run(&with);
}

const struct command command_dump = {.name = "-T", .run = run_dump};

int no_such_command(const char *word)
{
    static const struct {
        const char *word, *ours;
    } elsewhere[] = {
        {"validate", "weir check"},
        {"test", "weir check"},
        {"configtest", "weir check"},
        {"lint", "weir check"},
        {"adapt", "weir config print"},
        {"dump", "weir config print"},
        {"print", "weir config print"},
        {"show", "weirctl status"},
        {"start", "weir run"},
        {"daemon", "weir run"},
        {"restart", "systemctl restart weir"},
        {"quit", "weirctl stop"},
        {"schema", "weir config schema"},
        {"init", "weir config init"},
    };

    const char *best = NULL;
    size_t least = 3;

    fprintf(stderr, "weir: there is no command `%s`\n", word);
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (strcmp(elsewhere[i].word, word) == 0)
            return fprintf(stderr, "  help: did you mean `%s`?\n", elsewhere[i].ours), EXIT_USAGE;
    if (ctl_has_verb(word))
        return fprintf(stderr, "  help: did you mean `weirctl %s`?\n", word), EXIT_USAGE;
    for (size_t i = 0; commands[i]; i++) {
        size_t d = words_differ(word, commands[i]->name);

        if (d < least) {
            least = d;
            best = commands[i]->name;
        }
    }
    if (best)
        fprintf(stderr, "  help: did you mean `weir %s`?\n", best);
    else
        fprintf(stderr, "Try: weir help\n");
    return EXIT_USAGE;
}
