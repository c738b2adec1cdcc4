/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration front end, as the rest of host/ and the daemon use it.
 *
 *     settings = {.path = "weir.yaml", .sets = sets, .n_sets = n};
 *     WEIR_TRY(weir__config_new(&settings, &c));
 *     weir__config_set_lookup(c, look_up_extension, registry);
 *     if (weir__config_load(c)) {
 *         weir__config_parse(c, weir__config_root(c), top_options, &top);
 *         weir__config_resolve(c);
 *         … checks of instances: weir__config_check(c, ops->check, config,
 * field) …
 *     }
 *     weir__config_report(c, stderr, CONFIG_FORMAT_TEXT, isatty(2));
 *     weir__config_summary(c, stderr, "nothing was changed");
 *     rc = weir__config_exit_code(c);
 *
 * Several parses may follow one load (plugins first, then what their tables
 * describe): keys are consumed by whoever parses the map. All memory (nodes,
 * texts, structs) is the context's, which is counted: a generation keeps a
 * reference. Reading, parsing and checking happen on one thread; later use is
 * read-only but for reports, which the owner serialises.
 */
#ifndef WEIR_HOST_CONFIG_CONFIG_H
#define WEIR_HOST_CONFIG_CONFIG_H

#include <stdio.h>

#include <weir/config.h>
#include <weir/error.h>

struct config_settings {
    const char *path;             /* the main file */
    const char *text;             /* not NULL: parse this instead of reading `path` */
    const char *const *sets;      /* "log.level=debug", from --set */
    const char *const *set_names; /* NULL, or how each was written: "--log-level" */
    size_t n_sets;
    bool trace;          /* keep what weir__config_print() and weir__config_diff() show */
    size_t memory_limit; /* bytes; 0: 1 GiB */
    int64_t version;     /* not 0: `version` must not be greater, and stand in the main file */
    const char *(*getenv)(void *arg, const char *name); /* NULL: the process's */
    void *getenv_arg;
};

/* What a registry answers about an entry of an extension kind ("http.filter",
 * "headers"). */
struct config_entry {
    const weir_option *const *options; /* a map of these fills `config_size` bytes … */
    const weir_option *value;          /* … or, when not NULL, one value does, at its offset */
    size_t config_size;
    const void *table; /* to weir_choice.table */
    void *host;        /* to weir_choice.host */
    const char *owner; /* "plugin `http`", for messages; may be NULL */
    bool planned;      /* known, not built */
};

struct config_lookup {
    /* False: no such entry. */
    bool (*find)(void *arg, const char *kind, const char *name, struct config_entry *ret);
    /* The i-th name of the kind, for suggestions; NULL after the last. */
    const char *(*name_at)(void *arg, const char *kind, size_t i);
    void *arg;
};

/* An entry that a ONE_OF, ANY_OF or inlined key chose, in order of appearance: its instance is the
 * host's to make and check (weir__config_check(c, ops->check, choice->config, choice)). */
struct config_choice {
    const char *kind; /* "http.filter" */
    weir_choice *choice;
    const weir_config_node *node, *value;
    bool good; /* parsed without a mistake, and refers to nothing that may be missing */
};

/* A REF field, in order of appearance. The host stores the part's address
 * through `field`. */
struct config_reference {
    void **field;
    const char *kind;
    const char *name;            /* NULL when it is an address */
    const char *scheme;          /* "http", "https" or "" */
    weir_option_address address; /* when name is NULL */
    const char *url_path;        /* after the authority of a URL; "" or "/…" */
    const void *target;          /* the NAMED entry's struct, after weir__config_resolve() */
    const weir_config_node *node;
};

enum config_format { CONFIG_FORMAT_TEXT, CONFIG_FORMAT_GCC, CONFIG_FORMAT_JSON };

/* One reference. Errors: WEIR_ENOMEM. */
weir_error *weir__config_new(const struct config_settings *settings,
                             weir_config_context **ret) WEIR_MUST_USE;
weir_config_context *weir__config_ref(weir_config_context *context);
void weir__config_unref(weir_config_context *context);
WEIR_DEFINE_CLEANUP(weir_config_context, weir__config_unref)

/* Runs `fn(arg)`, in which running out of memory for this configuration is an error in its report
 * (W0012) instead of the end of the process: then what was under way is given up where it was, and
 * this gives false. Everything that fills a configuration belongs into one; guards may nest. */
bool weir__config_guard(weir_config_context *context, void (*fn)(void *arg), void *arg);

void weir__config_set_lookup(weir_config_context *context, const struct config_lookup *lookup);

/* Whether a word is so like another that it was probably meant. */
bool weir__config_is_near(const char *word, const char *meant);

/* The lookup's `arg`, for `extend` and `parse` functions. */
void *weir__config_lookup_arg(const weir_config_context *context);

/* Reads the file, its includes and the overlays. False when there is nothing to
 * parse; what is wrong has been reported. True also with errors, so that the
 * rest can be checked. */
bool weir__config_load(weir_config_context *context);
const weir_config_node *weir__config_root(const weir_config_context *context);

/* Parses a map into `base`, which should be zeroed memory of the context
 * (weir_config_alloc). Keys that the tables do not know are errors. Gives false
 * when it reported any. */
bool weir__config_parse(weir_config_context *context, const weir_config_node *map,
                        const weir_option *const *options, void *base);
/* The same with the keys of other providers allowed: parses only the named key.
 * False on errors; true also when it is absent (defaults are filled). */
bool weir__config_parse_key(weir_config_context *context, const weir_config_node *map,
                            const weir_option *const *options, const char *key, void *base);

/* Names entries that are not written in a NAMED option, so that references may
 * mean them. */
void weir__config_define(weir_config_context *context, const char *kind, const char *name,
                         const void *target);
/* Points every reference at its entry, or reports W0211. References added later
 * need a new call. */
bool weir__config_resolve(weir_config_context *context);
size_t weir__config_reference_count(const weir_config_context *context);
struct config_reference *weir__config_reference_at(weir_config_context *context, size_t index);

size_t weir__config_choice_count(const weir_config_context *context);
const struct config_choice *weir__config_choice_at(const weir_config_context *context,
                                                   size_t index);
/* The one that filled `config`; NULL: none. After everything was parsed. */
const struct config_choice *weir__config_choice_of(weir_config_context *context,
                                                   const void *config);

/* Runs an instance's check; errors at NULL go to where `field` was written. */
void weir__config_check(weir_config_context *context,
                        void (*check)(weir_config_context *, const void *), const void *config,
                        const void *field);
/* An error with a code of the table in codes.h, e.g. 211; `field` as in
 * weir_config_error(). */
void weir__config_error_code(weir_config_context *context, int code, const void *field,
                             const char *format, ...) WEIR_PRINTF(4, 5);
/* Where `field` was written: "weir.yaml:12:5" into `buffer`; "" when unknown.
 */
const char *weir__config_where(const weir_config_context *context, const void *field, char *buffer,
                               size_t size);
const char *weir__config_where_node(const weir_config_context *context,
                                    const weir_config_node *node, char *buffer, size_t size);

/* Effective values, of a context that traces. */
struct config_print {
    const char *path; /* "listeners.web", "listeners.web.routes[0]"; NULL: everything */
    bool only_set;    /* not what has its default */
    bool json;
};

/* False: there is nothing at that path. */
bool weir__config_print(weir_config_context *context, FILE *out, const struct config_print *how);

struct config_changes {
    size_t hot, sockets, restart;
};

/* A line for each setting that differs. */
struct config_changes weir__config_diff(weir_config_context *from, weir_config_context *to,
                                        FILE *out);

size_t weir__config_error_count(const weir_config_context *context);
/* A configuration that was right is tried again: what the system refused the last time is past. */
void weir__config_forget_errors(weir_config_context *context);
size_t weir__config_warning_count(const weir_config_context *context);
size_t weir__config_file_count(const weir_config_context *context);
/* Diagnostics, sorted; colours only when asked for and NO_COLOR is not set. */
void weir__config_report(weir_config_context *context, FILE *out, enum config_format format,
                         bool colour);
/* "weir: 2 errors, 0 warnings in 3 files; nothing was changed". */
void weir__config_summary(const weir_config_context *context, FILE *out, const char *consequence);
/* What a code means, "W0103: …"; NULL for a code that does not exist. */
const char *weir__config_explain(int code);
/* The i-th code, 0 past the last. */
int weir__config_code_at(size_t index);
/* 0; 78 for anything wrong in a file; 66 the main file cannot be read; 64 a
 * --set does not parse. */
int weir__config_exit_code(const weir_config_context *context);

#endif
