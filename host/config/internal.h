/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the configuration front end share.
 *
 *   text ──document.c──▶ nodes ──include.c, overlay.c──▶ one tree ──fill.c──▶ structs
 *                          │                                          │
 *                          └──────────── spans ──▶ diagnostic.c ◀─────┘ position.c
 *
 * A node is never changed once its file is read, but for the lazy expansion of its `${…}`: aliases
 * and merges share nodes instead of copying them.
 */
#ifndef WEIR_HOST_CONFIG_INTERNAL_H
#define WEIR_HOST_CONFIG_INTERNAL_H

#include <glob.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <weir/slice.h>

#include "host/config/codes.h"
#include "host/config/config.h"

/* Limits against hostile files. */
#define CONFIG_MAX_FILE          ((size_t)16 * 1024 * 1024)
#define CONFIG_MAX_NODES         ((size_t)1000000) /* of all files together */
#define CONFIG_MAX_MEMORY        ((size_t)1 << 30)
#define CONFIG_MAX_DEPTH         64
#define CONFIG_MAX_INCLUDE_DEPTH 8
#define CONFIG_MAX_FILES         4096
#define CONFIG_MAX_SHOWN         20
#define CONFIG_MAX_KEPT          200
#define CONFIG_MAX_SECRET_FILE   ((size_t)64 * 1024)
#define CONFIG_MAX_PARTS         12
#define CONFIG_MAX_FIELDS        256

/* arena.c: memory that goes all at once. When there is no more, or more than the limit is taken,
 * control goes back to weir__config_guard(), which makes a report of it; without a guard the process
 * ends with a message. */
struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used, room;
    size_t total, limit; /* bytes of all blocks; a limit of 0 is none */
    jmp_buf *escape;
};

_Noreturn void weir__arena_exhausted(struct arena *arena, size_t size);

void *weir__arena_alloc(struct arena *arena, size_t size); /* zeroed, aligned for anything */
char *weir__arena_dup(struct arena *arena, const char *text, size_t len);
char *weir__arena_format(struct arena *arena, const char *format, ...) WEIR_PRINTF(2, 3);
char *weir__arena_vformat(struct arena *arena, const char *format, va_list args) WEIR_PRINTF(2, 0);
void weir__arena_done(struct arena *arena);
/* Makes room for one more element of a growing array (old memory stays until the end). */
void *weir__arena_grow(struct arena *arena, void *items, size_t count, size_t *capacity,
                       size_t element);

enum node_origin { ORIGIN_FILE, ORIGIN_ENV, ORIGIN_CLI, ORIGIN_DEFAULT };

/* A text that was read: a file, a --set, a default. `lines` are the offsets where lines begin. */
struct source {
    const char *name;   /* as shown: the path as it was given */
    const char *folder; /* absolute, "" for texts that have none */
    const char *real;   /* canonical path, for the loop check; NULL */
    const char *text;
    size_t len;
    size_t *lines;
    size_t n_lines;
    enum node_origin origin;
    bool broken; /* a syntax error ended its reading */
    const struct source *parent;
};

/* A stretch of text; lines and columns count from 0, in code points, the end is exclusive. */
struct span {
    const struct source *source;
    uint32_t line, column, end_line, end_column;
};

struct weir_config_node {
    weir_config_node_kind kind;
    bool plain : 1;     /* a scalar without quotes */
    bool flow : 1;      /* a list or map in brackets */
    bool recursive : 1; /* stands for an alias that contains itself */
    bool expanded : 1;  /* `text` is what the `${…}` gave */
    bool failed : 1;    /* its expansion was reported */
    bool open : 1;      /* its end is not read yet: an alias to it contains itself */
    bool secret : 1;    /* is not shown */
    uint16_t height;    /* levels below */
    struct span span;
    const char *text; /* of a scalar, NUL-ended */
    size_t len;
    const char *redaction;           /* "cred:site.key" where the text came from such a place */
    const char *variable;            /* "LOG_LEVEL" where it came from the environment */
    size_t weight;                   /* nodes, with aliases counted as often as they are used */
    struct weir_config_node **items; /* of a list; of a map the values */
    struct weir_config_node **keys;
    size_t count, capacity;
    uint32_t *slots; /* of a large map: hash table of places in `keys` plus 1, 0 is free */
    size_t n_slots;
    const weir_config_node *duplicate_of; /* of a key: the first one */
};

/* diagnostic.c */
struct label {
    struct span span;
    const char *text;
};

#define DIAGNOSTIC_LABELS 3
#define DIAGNOSTIC_HELPS  4

struct diagnostic {
    int code;
    bool warning;
    bool cut; /* show the line only up to its value */
    unsigned order;
    const char *message;
    struct label primary;
    struct label also[DIAGNOSTIC_LABELS];
    size_t n_also;
    const char *help[DIAGNOSTIC_HELPS];
    size_t n_help;
    const char *see; /* NULL, or a section of the manual page */
};
/* Adds one; never NULL. Above the limit it is a scratch object that is not shown. */
struct diagnostic *weir__diagnose(weir_config_context *c, int code, struct span span,
                                  const char *format, ...) WEIR_PRINTF(4, 5);
struct diagnostic *weir__diagnose_v(weir_config_context *c, int code, struct span span,
                                    const char *format, va_list args) WEIR_PRINTF(4, 0);
void weir__diagnostic_label(weir_config_context *c, struct diagnostic *d, const char *format, ...)
    WEIR_PRINTF(3, 4);
void weir__diagnostic_also(weir_config_context *c, struct diagnostic *d, struct span span,
                           const char *format, ...) WEIR_PRINTF(4, 5);
void weir__diagnostic_help(weir_config_context *c, struct diagnostic *d, const char *format, ...)
    WEIR_PRINTF(3, 4);
/* Hides what a node's text is, in excerpts and messages. */
void weir__redact(weir_config_context *c, weir_config_node *node);
/* excerpt.c: "line | text" with carets below. */
void weir__excerpt_print(const weir_config_context *c, const struct diagnostic *d, FILE *out,
                         bool colour);
/* Text without control characters. */
void weir__print_clean(FILE *out, const char *text);
/* report.c: "weir.yaml:12:5". */
void weir__span_name(struct span span, char *buffer, size_t size);
struct span weir__span_file(const struct source *source);
/* What the span covers, on its first line, as bytes. */
weir_slice weir__span_text(struct span span);
weir_slice weir__source_line(const struct source *source, size_t line);

/* source.c */
/* NULL when it cannot be used; what is wrong has been reported at `from` (or the file). */
struct source *weir__source_read(weir_config_context *c, const char *path, const char *shown,
                                 const struct span *from);
struct source *weir__source_text(weir_config_context *c, const char *name, const char *text,
                                 enum node_origin origin);
/* Reads up to `limit` bytes; an errno, or EFBIG. */
int weir__read_file(const char *path, size_t limit, struct arena *arena, char **ret_text,
                    size_t *ret_len, unsigned *ret_mode);

/* document.c: NULL when there is nothing; a broken file gives what was complete before. */
weir_config_node *weir__document_parse(weir_config_context *c, struct source *source);
weir_config_node *weir__node_new(weir_config_context *c, weir_config_node_kind kind,
                                 struct span span);
void weir__node_append(weir_config_context *c, weir_config_node *list, weir_config_node *item);
void weir__node_put(weir_config_context *c, weir_config_node *map, weir_config_node *key,
                    weir_config_node *value);
/* The place of a key in its map, or -1. */
ptrdiff_t weir__node_index(const weir_config_node *map, const char *key);
bool weir__node_is_empty(const weir_config_node *node); /* nothing written */

/* yaml_hint.c: says better what libyaml means. */
struct yaml_problem {
    const char *problem, *context;
    uint32_t line, column, context_line, context_column;
    bool has_context;
};

void weir__yaml_report(weir_config_context *c, struct source *source,
                       const struct yaml_problem *problem);

/* include.c, overlay.c */
struct found { /* the files of a pattern, while they are read */
    glob_t glob;
    struct found *outer;
};

weir_config_node *weir__include_all(weir_config_context *c, struct source *main_source);
void weir__overlay_apply(weir_config_context *c, const char *setting, const char *name);

/* expand.c: false when it was reported. `template` leaves `${word}` alone. */
bool weir__expand(weir_config_context *c, weir_config_node *node, bool template_words);
/* The text of a scalar as it may be shown. */
const char *weir__node_shown(weir_config_context *c, const weir_config_node *node);

/* suggest.c */
unsigned weir__edit_distance(const char *a, const char *b, unsigned limit);

struct suggestion {
    const char *word; /* what was written */
    const char *best; /* NULL: none near enough */
    unsigned distance;
};

void weir__suggest_begin(struct suggestion *s, const char *word);
void weir__suggest_offer(struct suggestion *s, const char *candidate);

/* fill.c: a map being parsed. */
struct table_use {
    const weir_option *const *options;
    void *base;
    const char *owner;
    uint64_t seen[CONFIG_MAX_FIELDS / 64];
};

struct frame {
    struct frame *parent;
    const weir_config_node *node; /* NULL: absent, all defaults */
    const weir_config_node *key;  /* what named it, or NULL */
    const char *kind;             /* "upstream" or NULL */
    const char *name;             /* of the entry, or the key */
    const char *scope;
    struct table_use parts[CONFIG_MAX_PARTS];
    size_t n_parts;
    bool excused; /* an unknown key may be the choice that is missing */
};

bool weir__fill_map(weir_config_context *c, struct frame *frame);
bool weir__fill_value(weir_config_context *c, const weir_option *option,
                      const weir_config_node *key, const weir_config_node *node, void *field);
void weir__frame_push(weir_config_context *c, struct frame *frame, const weir_config_node *node,
                      const weir_config_node *key, const char *kind, const char *name);
void weir__frame_pop(weir_config_context *c);
void weir__frame_add(struct frame *frame, const weir_option *const *options, void *base,
                     const char *owner);
/* "upstream `app`", "`timeouts`", "the top level" */
const char *weir__frame_name(weir_config_context *c, const struct frame *frame);
struct span weir__frame_span(weir_config_context *c, const struct frame *frame);
void weir__unknown_key(weir_config_context *c, struct frame *frame, const weir_config_node *key);
/* The i-th option, copied when its struct is shorter or longer than ours. NULL after the last. */
const weir_option *weir__option_at(weir_config_context *c, const weir_option *const *options,
                                   size_t index);

/* scalar.c, address.c: text to value; false when it was reported. */
bool weir__fill_scalar(weir_config_context *c, const weir_option *option,
                       const weir_config_node *node, void *field);
bool weir__fill_address(weir_config_context *c, const weir_option *option,
                        const weir_config_node *node, weir_option_address *ret);
/* The message to give, or NULL; `shown` needs no redaction there. */
const char *weir__address_parse(weir_config_context *c, const char *text, bool listen,
                                weir_option_address *ret);
const char *weir__duration_parse(const char *text, int64_t *ret_ns);
const char *weir__size_parse(const char *text, uint64_t *ret);
bool weir__choose_word(const char *const *words, const char *text, size_t *ret_index);
struct diagnostic *weir__value_error(weir_config_context *c, int code, const weir_config_node *node,
                                     const char *format, ...) WEIR_PRINTF(4, 5);

/* choice.c: ONE_OF, ANY_OF, entries of kinds; reference.c */
bool weir__fill_one_of(weir_config_context *c, const weir_option *option,
                       const weir_config_node *node, weir_choice *ret);
bool weir__fill_any_of(weir_config_context *c, const weir_option *option,
                       const weir_config_node *node, weir_array *ret);
const weir_option *weir__option_keep(weir_config_context *c, const weir_option *on_stack);
const char *weir__full_kind(weir_config_context *c, const char *kind);
bool weir__find_entry(weir_config_context *c, const char *kind, const char *name,
                      struct config_entry *ret);
bool weir__fill_entry(weir_config_context *c, const char *kind, const struct config_entry *entry,
                      const weir_config_node *key, const weir_config_node *value, weir_choice *ret);
void weir__no_such_entry(weir_config_context *c, const char *kind, const weir_config_node *node);
bool weir__fill_reference(weir_config_context *c, const weir_option *option,
                          const weir_config_node *node, void **field);
void weir__not_built(weir_config_context *c, struct span span, const char *what);

/* A kind below a scope: "http.filter". */
struct full_kind {
    const char *scope, *kind, *full;
};

/* content.c */
size_t weir__pointer_hash(const void *pointer);

/* position.c */
struct position {
    const void *field;
    const weir_config_node *key, *node;
    unsigned rank, order;
};

/* What is checked: an error that names no field is there. */
struct checked {
    const struct checked *outer;
    const void *field;
};

void weir__position_record(weir_config_context *c, const void *field, const weir_config_node *key,
                           const weir_config_node *node);
struct span weir__position_find(const weir_config_context *c, const void *field);

struct definition {
    const char *kind, *name;
    const void *target;
    const weir_config_node *node;
};

struct weir_config_context {
    atomic_uint refs;
    struct arena arena;
    struct config_settings settings;
    struct config_lookup lookup;
    weir_config_node *root;
    struct source **sources; /* files and overlays, not defaults */
    size_t n_sources, sources_room, n_files;
    struct diagnostic **diagnostics;
    size_t n_diagnostics, diagnostics_room;
    size_t n_errors, n_warnings, n_cli_errors;
    bool incomplete;              /* a file is broken: what is missing may stand there */
    bool no_main;                 /* the main file cannot be read */
    size_t written;               /* nodes, with aliases counted as often as they are used */
    const char *memory_problem;   /* not NULL: reading ended for want of memory */
    struct yaml_parser_s *parser; /* what is open while reading, for the guard to close */
    struct yaml_event_s *events;
    size_t n_events;
    struct found *found;
    struct effective *effective, *effective_root; /* effective.h; NULL: no trace is kept */
    const char **skipped;                         /* files that an include passed over */
    size_t n_skipped, skipped_room;
    const char *lost[8]; /* kinds whose names stand below a key that is not known */
    size_t n_lost;
    struct diagnostic *last;
    struct diagnostic scratch;
    struct frame *frame;
    const char *section;   /* the top-level key being parsed */
    struct span *redacted; /* what excerpts do not show */
    size_t n_redacted, redacted_room;
    const struct checked *checking;
    struct position *positions;
    size_t n_positions, positions_room;
    bool positions_sorted;
    pthread_mutex_t
        positions_lock; /* over the sorting: any thread may ask where something stands */
    struct full_kind full_kinds[4];
    size_t n_full_kinds;
    struct config_reference **references;
    size_t n_references, references_room;
    struct definition *definitions;
    size_t n_definitions, definitions_room;
    bool definitions_sorted;
    struct config_choice *choices;
    size_t n_choices, choices_room;
    uint32_t *choice_slots; /* places in `choices` plus 1, by address of what was filled */
    size_t n_choice_slots, n_choices_indexed;
};

#define CONFIG_NEW(c, type) ((type *)weir__arena_alloc(&(c)->arena, sizeof(type)))

#endif
