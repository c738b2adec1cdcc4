/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may come next on a command line, for completion in shells: `weir complete -- weir config` prints
 * words, from the tables that parse and explain the line. The shell's part is conf/completion.bash.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "daemon/ctl.h"

/* Words that are no command, verb or flag: what the last one takes. */
static const struct {
    const char *after, *words;
} values[] = {
    {"config", "print diff init schema"},
    {"log", "level"},
    {"debug", "on off"},
    {"level", "trace debug info warning error critical off"},
    {"--log-level", "trace debug info warning error critical off"},
    {"--level", "trace debug info warning error critical off"},
    {"--format", "text gcc json"},
    {"--color", "auto always never"},
    {"--top", "bytes age"},
    {"-s", "reload reopen quit stop"},
    {"route", "GET HEAD POST PUT PATCH DELETE OPTIONS http:// https://"},
};

static void print_words(const char *words)
{
    for (; *words; words++)
        putchar(*words == ' ' ? '\n' : *words);
    putchar('\n');
}

static bool print_values(const char *after)
{
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (strcmp(values[i].after, after) == 0)
            return print_words(values[i].words), true;
    return false;
}

static void print_verbs(void)
{
    for (const struct ctl_verb *verb = ctl_verbs; verb->name; verb++)
        printf("%s\n", verb->name);
    printf("help\n");
}

static void print_commands(void)
{
    for (size_t i = 0; commands[i]; i++)
        printf("%s\n", commands[i]->name);
    printf("ctl\n");
}

static void print_flags(bool ctl, const char *verb)
{
    const char *flag;

    for (size_t i = 0; (flag = ctl ? ctl_flag_at(verb, i) : command_flag_at(i)); i++)
        if (*flag)
            printf("%s%s\n", ctl ? "" : "--", flag);
}

/* The first word that is no flag, nor a flag's value. */
static const char *first_word(char *const *words, int n)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(words[i], "-f") == 0 || strcmp(words[i], "-c") == 0 ||
            strcmp(words[i], "--socket") == 0)
            i++;
        else if (*words[i] != '-')
            return words[i];
    }
    return NULL;
}

/* "weir", or "weirctl", and what has been typed behind it, without the word that is being typed. */
static int run_complete(const struct arguments *arguments)
{
    int n = arguments->rest_count - 1;
    char *const *words = arguments->rest + 1;
    const char *name = n >= 0 ? strrchr(arguments->rest[0], '/') : NULL, *first;
    bool ctl;

    if (n < 0)
        return fprintf(stderr, "weir: complete takes the words of a command line\n"), EXIT_USAGE;
    ctl = strcmp(name ? name + 1 : arguments->rest[0], "weirctl") == 0;
    if (!ctl && n && strcmp(words[0], "ctl") == 0) {
        ctl = true;
        words++;
        n--;
    }
    if (n && print_values(words[n - 1]))
        return EXIT_OK;
    first = first_word(words, n);
    if (!first || strcmp(first, "help") == 0)
        ctl ? print_verbs() : print_commands();
    print_flags(ctl, first);
    return EXIT_OK;
}

const struct command command_complete = {
    .name = "complete",
    .synopsis = "-- WORD…",
    .summary = "print what may come next on a command line, for shells",
    .help = "  weir complete -- weirctl log     level\n",
    .run = run_complete,
};
