/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Logging that never blocks a loop: records go through bounded per-thread rings to one writer
 * thread; what does not fit is counted and reported ("1234 records dropped (sink stderr slow)" by
 * logger `weir.log`). The last quarter of a ring is for records of ERROR and above. Loggers form a
 * tree by their dotted names (`weir`, `weir.tls`, `plugin.echo`) and take the level of the nearest
 * ancestor that has one; the default is INFO. Times are those of the call. At exit() records get 2 s
 * to be written; a forked child starts with nothing queued. Everything here: any thread. (F1-F4)
 *
 * Example:
 *
 *     static weir_error *deliver(int attempt)
 *     {
 *         weir_logger *logger = weir_logger_get("mailer.queue"); // below "mailer", takes its level
 *         weir_error *error = weir_raise(ETIMEDOUT, "no answer from the relay");
 *
 *         weir_log(logger, WEIR_LOG_INFO, "attempt %d", attempt);
 *         weir_log_error(logger, WEIR_LOG_WARNING, error, "will try again"); // with the way it came
 *         weir_logger_set_level(weir_logger_get("mailer"), WEIR_LOG_WARNING); // no INFO from now on
 *         return NULL;
 *     }
 */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

#include <weir/base.h>
#include <weir/time.h>

WEIR_BEGIN_DECLS

typedef enum weir_log_level {
    WEIR_LOG_TRACE = 5,
    WEIR_LOG_DEBUG = 10,
    WEIR_LOG_INFO = 20,
    WEIR_LOG_WARNING = 30,
    WEIR_LOG_ERROR = 40,
    WEIR_LOG_CRITICAL = 50,
    WEIR_LOG_OFF = 100,
} weir_log_level;

typedef enum weir_log_format {
    WEIR_LOG_TEXT,
    WEIR_LOG_LOGFMT,
    WEIR_LOG_JSON,
    WEIR_LOG_JOURNAL, /**< native records of systemd's journal; fields have WEIR_ in front */
} weir_log_format;

/** A named logger. Lives as long as the process. */
typedef struct weir_logger weir_logger;

/** A name and its value, kept apart from the message in structured formats. "message_id" is for the
 *  journal, see <weir/event.h>; other formats leave it out. */
typedef struct weir_log_field {
    const char *name;
    const char *value;
} weir_log_field;

typedef struct weir_log_options {
    size_t size;
    int fd; /**< where records go; not closed by weir; 2 by default */
    weir_log_format format;
    bool priority_prefix; /**< "<3>" before each line, for the journal's stderr */
    bool color;
    /** A file to append to instead of `fd`: opened by weir, created with mode 0640; see
     *  weir_log_reopen(). Of the journal: its socket; NULL: where systemd has it. `fd` is then where
     *  text goes while nobody listens there. Borrowed for the call. */
    const char *path;
    /** Each record is written before the call that logs it returns (at most 5 s): for tests and for
     *  programs that are expected to crash. Blocks loops. */
    bool synchronous;
} weir_log_options;

/** A further place for records; see weir_log_add_sink(). */
typedef struct weir_log_sink weir_log_sink;

/** Gets one formatted record, newlines included, not ended by a NUL of its own. Runs on the log's
 *  writer thread: while it blocks, records wait in their rings, then are dropped and counted. It may
 *  log, and must not remove sinks. */
typedef void (*weir_log_sink_fn)(void *arg, int level, const char *lines, size_t len);

/** Finds or makes the logger of a name. Never NULL: without memory it is the root. */
WEIR_PUBLIC weir_logger *weir_logger_get(const char *name);
WEIR_PUBLIC const char *weir_logger_name(const weir_logger *logger);
/** Sets the level of a logger and of those below that have none of their own; 0 inherits again. */
WEIR_PUBLIC void weir_logger_set_level(weir_logger *logger, int level);
/** Levels of several loggers, as WEIR_LOG has them: "info" is the root's, "weir.tls=debug" a logger's,
 *  separated by commas. WEIR_EINVAL names the first wrong part, and nothing is changed. The environment
 *  variable is read before the first logger is handed out. (F3) */
WEIR_PUBLIC weir_error *weir_log_set_levels(const char *levels) WEIR_MUST_USE;
/** The level in force. */
WEIR_PUBLIC int weir_logger_level(const weir_logger *logger);
static inline bool weir_logger_enabled(const weir_logger *logger, int level);

/** "debug", "warning", … to a level; false when it is none. */
WEIR_PUBLIC bool weir_log_level_parse(const char *text, int *ret_level);
WEIR_PUBLIC const char *weir_log_level_name(int level);

/** Logs when the level is enabled: `weir_log(logger, WEIR_LOG_INFO, "listening on %s", name);`. */
#define weir_log(logger, level, ...)                                         \
    do {                                                                     \
        if (weir_logger_enabled((logger), (level)))                          \
            weir_log_at(WEIR_HERE, (logger), (level), NULL, 0, __VA_ARGS__); \
    } while (0)
WEIR_PUBLIC void weir_log_at(const weir_site *site, weir_logger *logger, int level,
                             const weir_log_field *fields, size_t nfields, const char *format, ...)
    WEIR_PRINTF(6, 7);

/** The same with fields: `weir_log_with(logger, WEIR_LOG_INFO, WEIR_LOG_FIELDS({"server", name}),
 *  "works again");`. C only. */
#define weir_log_with(logger, level, fields, ...)                           \
    do {                                                                    \
        if (weir_logger_enabled((logger), (level)))                         \
            weir_log_at(WEIR_HERE, (logger), (level), fields, __VA_ARGS__); \
    } while (0)
#define WEIR_LOG_FIELDS(...)               \
    (const weir_log_field[]){__VA_ARGS__}, \
        sizeof((const weir_log_field[]){__VA_ARGS__}) / sizeof(weir_log_field)

/** Logs an error with its causes and trace below the message, and ends it (marks it read). */
#define weir_log_error(logger, level, take_error, ...) \
    weir_log_error_at(WEIR_HERE, (logger), (level), (take_error), __VA_ARGS__)
WEIR_PUBLIC void weir_log_error_at(const weir_site *site, weir_logger *logger, int level,
                                   weir_error *take_error, const char *format, ...)
    WEIR_PRINTF(5, 6);

/** The same with fields, as weir_log_with(). */
#define weir_log_error_with(logger, level, fields, take_error, ...) \
    weir_log_error_fields(WEIR_HERE, (logger), (level), (take_error), fields, __VA_ARGS__)
WEIR_PUBLIC void weir_log_error_fields(const weir_site *site, weir_logger *logger, int level,
                                       weir_error *take_error, const weir_log_field *fields,
                                       size_t nfields, const char *format, ...) WEIR_PRINTF(7, 8);

/** Sets where and how records are written, from now on. */
WEIR_PUBLIC weir_error *weir_log_configure(const weir_log_options *options) WEIR_MUST_USE;
/** Opens the file of the options again, after it was moved away (logrotate). Nothing without a file.
 *  On failure the old one stays in use. */
WEIR_PUBLIC weir_error *weir_log_reopen(void) WEIR_MUST_USE;
/** Hands every record to a function too. `arg` is borrowed until the sink is removed. WEIR_EINVAL,
 *  WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_log_add_sink(weir_log_sink_fn fn, void *arg, weir_log_format format,
                                          weir_log_sink **ret_sink) WEIR_MUST_USE;
/** Removes a sink: it has got what was logged before (within a second) and is not called again. */
WEIR_PUBLIC void weir_log_remove_sink(weir_log_sink *take_sink);
/** Waits until all records queued before the call are written, at most `limit`. False: some are not. */
WEIR_PUBLIC bool weir_log_flush(weir_duration limit);
/** Flushes and ends the writer thread; later records are written by a new one. */
WEIR_PUBLIC void weir_log_shutdown(weir_duration limit);
/** Records that did not fit since the start of the process. */
WEIR_PUBLIC uint64_t weir_log_dropped(void);

/* inline definitions */

/** The part of every logger that the level check reads. */
struct weir_logger_head_ {
    int level_in_force; /* read and written atomically, relaxed */
};

static inline bool weir_logger_enabled(const weir_logger *logger, int level)
{
    return level >= __atomic_load_n(&((const struct weir_logger_head_ *)logger)->level_in_force,
                                    __ATOMIC_RELAXED);
}

WEIR_END_DECLS

#endif
