/* SPDX-License-Identifier: Apache-2.0 */
/* weirctl: asks the daemon over its control socket, and prints answers for people or programs. */
#ifndef WEIR_DAEMON_CTL_H
#define WEIR_DAEMON_CTL_H

#include <jansson.h>

#include "daemon/daemon.h"

/* What stands behind the verb. */
struct ctl_arguments {
    const char *words[8]; /* what is not a flag */
    int n_words;
    const char *socket, *config, *time, *top, *limit, *level, *from, *filter;
    const char *fields[32]; /* of -H */
    size_t n_fields;
    const char *verb, *wait; /* the verb's name; --wait */
    const char *confirm;
    bool dry_run, json, tree, stack, now, cache, follow, help, debug, reset;
};

struct ctl_verb {
    const char *name, *alias;
    const char *synopsis, *summary, *help;
    int min_words, max_words;
    const char *flags; /* those it takes, of "json tree stack …" */
    const char *method;
    /* False after saying what is wrong. NULL: no parameters. */
    bool (*params)(const struct ctl_arguments *arguments, json_t *into);
    /* What people see; gives the exit code. NULL: "done". */
    int (*print)(const struct ctl_arguments *arguments, const json_t *answer);
};

extern const struct ctl_verb ctl_verbs[];
/* The i-th flag, "--json"; "" when that verb does not take it, NULL past the last. */
const char *ctl_flag_at(const char *word, size_t index);

/* ctl_print.c: tables. */
enum ctl_cell { CELL_TEXT, CELL_COUNT, CELL_BYTES, CELL_SECONDS, CELL_SHARE, CELL_YES };

struct ctl_column {
    const char *title, *key;
    enum ctl_cell cell;
};

#define CTL_COLUMNS_MAX 12

void ctl_table(const json_t *rows, const struct ctl_column *columns, size_t n);
/* A cell's text; the result is `buffer`. */
const char *ctl_cell(const json_t *value, enum ctl_cell cell, char *buffer, size_t size);
/* Says which loops did not answer. */
void ctl_blocked(const json_t *answer);

/* ctl_verbs.c: "90s", "10m", "1h" in seconds. */
bool ctl_read_time(const char *text, double *ret);

/* ctl_servers.c */
int ctl_print_upstreams(const struct ctl_arguments *arguments, const json_t *answer);
bool ctl_server_params(const struct ctl_arguments *arguments, json_t *into);
int ctl_print_server(const struct ctl_arguments *arguments, const json_t *answer);
int ctl_print_waiting(const json_t *record);
/* Their lines of the status screen. True: every server is up, or taken out by hand. */
bool ctl_print_upstream_lines(const json_t *answer);
/* `title` is for the first line, and empty afterwards. */
void ctl_print_server_overrides(const json_t *answer, const char **title);

/* ctl_screens.c */
int ctl_print_status(const struct ctl_arguments *arguments, const json_t *answer);
int ctl_print_tasks(const struct ctl_arguments *arguments, const json_t *answer);
int ctl_print_memory(const struct ctl_arguments *arguments, const json_t *answer);
int ctl_print_record(const json_t *record);
int ctl_print_access(const json_t *record);
int ctl_print_tls(const struct ctl_arguments *arguments, const json_t *answer);

/* ctl_reload.c */
bool ctl_reload_params(const struct ctl_arguments *arguments, json_t *into);
int ctl_print_reload(const struct ctl_arguments *arguments, const json_t *answer);
int ctl_print_confirm(const struct ctl_arguments *arguments, const json_t *answer);
void ctl_print_reloads(const json_t *answer);

/* route.c */
bool ctl_route_params(const struct ctl_arguments *arguments, json_t *into);
int ctl_print_route(const struct ctl_arguments *arguments, const json_t *answer);

#endif
