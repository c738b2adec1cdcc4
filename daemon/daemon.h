/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's commands: one file each, with its `struct command` at the end. */
#ifndef WEIR_DAEMON_DAEMON_H
#define WEIR_DAEMON_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/host.h>

/* sysexits, which systemd prints by name. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_NO = 1,           /* a check said no */
    EXIT_USAGE = 64,       /* the command line */
    EXIT_NOINPUT = 66,     /* the configuration is missing or unreadable */
    EXIT_UNAVAILABLE = 69, /* the daemon is not reachable */
    EXIT_SOFTWARE = 70,    /* internal error */
    EXIT_OSERR = 71,       /* bind, fork, limits */
    EXIT_CANTCREAT = 73,
    EXIT_TEMPFAIL = 75,
    EXIT_NOPERM = 77,
    EXIT_CONFIG = 78, /* the file was rejected */
};

#define MAX_SETS 64

/* What stands on the command line, for every command alike. */
struct arguments {
    const char *config_path;
    const char *sets[MAX_SETS];      /* --set and its short forms */
    const char *set_names[MAX_SETS]; /* how each was written */
    size_t set_count;
    const char *plugin_dir;
    weir_host_format format;
    int color;              /* 1, 0, -1: as the terminal is */
    const char *path;       /* --path */
    const char *from;       /* --from */
    const char *fields[32]; /* of -H */
    size_t field_count;
    const char *signal; /* -s */
    bool quiet, verbose, deep, only_set;
    bool inspect; /* the host keeps effective values */
    char **rest;  /* what is not a flag */
    int rest_count;
};

struct command {
    const char *name;
    const char *synopsis; /* flags of its own */
    const char *summary;  /* one line */
    const char *help;     /* examples first */
    int (*run)(const struct arguments *arguments);
};

/* The verbs of weirctl that the design has and this weir has not yet. */
extern const char *const verbs_not_built[];
bool is_not_built(const char *verb);

/* ctl.c: `weir ctl VERB …` and `weirctl VERB …`, from the verb on. */
int ctl_main(int argc, char **argv);

extern const struct command command_run, command_check, command_config, command_route,
    command_explain, command_version, command_help;
extern const struct command *const commands[];
/* aliases.c: what people know from elsewhere. Not in the table. */
extern const struct command command_signal, command_dump;
/* complete.c: for shells. Not in the table. */
extern const struct command command_complete;
/* The i-th flag, "deep"; NULL past the last. */
const char *command_flag_at(size_t index);
/* Says so, and what was probably meant; gives the exit code. */
int no_such_command(const char *word);
/* ctl.c: whether weirctl has such a verb, now or later. */
bool ctl_has_verb(const char *word);
/* How many letters differ, roughly. */
size_t words_differ(const char *a, const char *b);

/* The command of a name, NULL when there is none. */
const struct command *find_command(const char *name);
/* A host for the configuration that the arguments name; prints why and gives NULL otherwise. */
weir_host *open_host(const struct arguments *arguments);
bool use_color(const struct arguments *arguments);

#endif
