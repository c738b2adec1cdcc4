/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of the log, put into force: where records go, in which format, and the levels.
 *
 *   systemd's journal: native records with fields, where `log` says so, or where nothing is said and
 *   stderr is the journal's own stream ($JOURNAL_STREAM). Text that goes to that stream all the same
 *   has "<3>" and the like in front, which the journal understands.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/log.h>

#include "host/generation/generation.h"

/* Whether a descriptor is the stream that systemd gave: "device:inode". */
static bool is_journal_stream(int fd)
{
    const char *said = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    return said && sscanf(said, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &status) == 0 &&
           status.st_dev == device && status.st_ino == inode;
}

/* A file is the log's own, which can open it again; NULL: stderr, or the journal. */
static const char *path_of(const struct log_config *log)
{
    const char *output = log->output;

    return !output || !strcmp(output, "auto") || !strcmp(output, "stderr") ||
                   !strcmp(output, "journal")
               ? NULL
               : output;
}

static weir_log_format format_of(const struct log_config *log, bool terminal)
{
    switch (log->format) {
    case LOG_FORMAT_JSON:
        return WEIR_LOG_JSON;
    case LOG_FORMAT_LOGFMT:
        return WEIR_LOG_LOGFMT;
    case LOG_FORMAT_TEXT:
        return WEIR_LOG_TEXT;
    default:
        return terminal ? WEIR_LOG_TEXT : WEIR_LOG_LOGFMT;
    }
}

/* Where the journal listens; tests have one of their own. */
static const char *journal_socket(void)
{
    return secure_getenv("WEIR_JOURNAL_SOCKET");
}

static weir_error *configure(const struct log_config *log)
{
    weir_log_options options = {WEIR_SIZED(weir_log_options), .fd = STDERR_FILENO};
    const char *path = path_of(log);
    bool stream = !path && is_journal_stream(STDERR_FILENO);
    bool asked = log->format == LOG_FORMAT_JOURNAL || !strcmp(log->output, "journal");
    bool terminal = !path && isatty(STDERR_FILENO);
    weir_error *error;

    if (asked || (stream && log->format == LOG_FORMAT_AUTO)) {
        options.format = WEIR_LOG_JOURNAL;
        options.path = journal_socket();
        error = weir_log_configure(&options);
        if (!error || asked)
            return error;
        weir_log_error(weir_logger_get("weir.log"), WEIR_LOG_WARNING, error,
                       "text instead of records of the journal");
    }
    options.path = path;
    options.priority_prefix = stream;
    options.color = terminal && !getenv("NO_COLOR");
    options.format =
        stream && log->format == LOG_FORMAT_AUTO ? WEIR_LOG_TEXT : format_of(log, terminal);
    return weir_log_configure(&options);
}

static void set_levels(const struct log_config *log)
{
    weir_logger_set_level(weir_logger_get("weir"), weir__log_level_at(log->level));
    weir_logger_set_level(weir_logger_get("plugin"), weir__log_level_at(log->level));
    WEIR_ARRAY_EACH(const struct log_level_config, said, log->levels)
    {
        bool full = !strncmp(said->name, "weir.", 5) || !strncmp(said->name, "plugin.", 7) ||
                    !strcmp(said->name, "weir") || !strcmp(said->name, "plugin");
        char name[200];

        snprintf(name, sizeof name, "%s%s", full ? "" : "weir.", said->name);
        weir_logger_set_level(weir_logger_get(name), weir__log_level_at(said->level));
    }
}

weir_error *weir__log_apply(const struct log_config *log)
{
    WEIR_TRY(configure(log));
    set_levels(log);
    return NULL;
}
