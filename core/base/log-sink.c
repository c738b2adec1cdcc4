/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where lines go: one descriptor, given or of a file that is opened here, and any number of callbacks.
 * A file is opened again under the same descriptor number, so that the writer thread needs to know
 * nothing of it. Callbacks run on the writer's thread under a lock, which removing one waits for.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/error.h>

#include "core/base/alloc.h"
#include "core/base/list.h"
#include "core/base/log.h"

struct weir_log_sink {
    struct list link;
    weir_log_sink_fn fn;
    void *arg;
    struct log_style style;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of `sink` */
static pthread_mutex_t calls = PTHREAD_MUTEX_INITIALIZER;

static struct {
    int fd;
    char *path;  /* NULL: the descriptor is somebody else's */
    int journal; /* a socket; -1: lines go to `fd` */
    char *journal_path;
    struct log_style style;
} sink = {.fd = STDERR_FILENO, .journal = -1};

static struct list sinks = LIST_INIT(sinks);
static char sink_line[LOG_LINE_MAX]; /* with `calls` */

void weir__log_sinks_lock(void)
{
    pthread_mutex_lock(&calls);
    pthread_mutex_lock(&lock);
}

void weir__log_sinks_unlock(void)
{
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&calls);
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
}

/* What an output needs opened: a file, or the journal's socket. */
static weir_error *open_sink(const weir_log_options *options, char **ret_path, int *ret_fd)
{
    char *path = NULL;
    int fd = -1;

    if (options->path) {
        path = weir__strdup(options->path);
        if (!path)
            return weir_raise(WEIR_ENOMEM, "log");
    }
    if (options->format == WEIR_LOG_JOURNAL) {
        weir_error *error = weir__log_journal_open(path, &fd);

        if (error) {
            weir__free(path);
            return error;
        }
    } else if (path) {
        fd = open_file(path);
        if (fd < 0) {
            weir_error *error = weir_raise(errno, "cannot open the log %s", path);

            weir__free(path);
            return error;
        }
    }
    *ret_path = path;
    *ret_fd = fd;
    return NULL;
}

weir_error *weir__log_sink_set(const weir_log_options *options)
{
    bool journal = options->format == WEIR_LOG_JOURNAL;
    char *path = NULL, *old_path, *old_journal_path;
    int fd = -1, old_fd, old_journal;

    WEIR_TRY(open_sink(options, &path, &fd));
    pthread_mutex_lock(&lock);
    old_path = sink.path;
    old_fd = sink.fd;
    old_journal = sink.journal;
    old_journal_path = sink.journal_path;
    sink.fd = path && !journal ? fd : options->fd;
    sink.path = journal ? NULL : path;
    sink.journal = journal ? fd : -1;
    sink.journal_path = journal ? path : NULL;
    sink.style = (struct log_style){options->format, options->priority_prefix, options->color};
    pthread_mutex_unlock(&lock);
    if (old_path) {
        /* The writer has what was queued before behind it, unless that file stalls. */
        close(old_fd);
        weir__free(old_path);
    }
    if (old_journal >= 0)
        close(old_journal);
    weir__free(old_journal_path);
    return NULL;
}

void weir__log_sink_get(int *ret_fd, int *ret_journal, struct log_style *ret_style)
{
    pthread_mutex_lock(&lock);
    *ret_fd = sink.fd;
    *ret_journal = sink.journal;
    *ret_style = sink.style;
    pthread_mutex_unlock(&lock);
}

bool weir__log_sink_renew_journal(int *ret_journal)
{
    weir_error *error = NULL;
    int fd;

    pthread_mutex_lock(&lock);
    if (sink.journal >= 0) {
        error = weir__log_journal_open(sink.journal_path, &fd);
        if (!error) {
            close(sink.journal);
            sink.journal = fd;
        }
    }
    *ret_journal = sink.journal;
    pthread_mutex_unlock(&lock);
    weir_ignore(error);
    return !error;
}

void weir__log_sink_name(char *name, size_t size)
{
    pthread_mutex_lock(&lock);
    if (sink.journal >= 0)
        snprintf(name, size, "the journal");
    else if (sink.path)
        snprintf(name, size, "%s", sink.path);
    else if (sink.fd == STDERR_FILENO)
        snprintf(name, size, "stderr");
    else
        snprintf(name, size, "fd %d", sink.fd);
    pthread_mutex_unlock(&lock);
}

weir_error *weir_log_reopen(void)
{
    weir_error *error = NULL;
    int fd;

    (void)weir_log_flush(WEIR_S(1));
    pthread_mutex_lock(&lock);
    if (sink.path) {
        fd = open_file(sink.path);
        if (fd < 0 || dup3(fd, sink.fd, O_CLOEXEC) < 0)
            error = weir_raise(errno, "cannot open the log %s again", sink.path);
        if (fd >= 0)
            close(fd);
    }
    pthread_mutex_unlock(&lock);
    return error;
}

weir_error *weir_log_add_sink(weir_log_sink_fn fn, void *arg, weir_log_format format,
                              weir_log_sink **ret_sink)
{
    weir_log_sink *added;

    if (!fn || format > WEIR_LOG_JOURNAL)
        return weir_raise(WEIR_EINVAL, "a log sink needs a function and a format");
    added = weir__calloc(1, sizeof(*added));
    if (!added)
        return weir_raise(WEIR_ENOMEM, "log sink");
    added->fn = fn;
    added->arg = arg;
    added->style.format = format;
    pthread_mutex_lock(&calls);
    list_append(&sinks, &added->link);
    pthread_mutex_unlock(&calls);
    *ret_sink = added;
    return NULL;
}

void weir_log_remove_sink(weir_log_sink *take_sink)
{
    if (!take_sink)
        return;
    (void)weir_log_flush(WEIR_S(1));
    pthread_mutex_lock(&calls);
    list_remove(&take_sink->link);
    pthread_mutex_unlock(&calls);
    weir__free(take_sink);
}

void weir__log_sinks_call(const struct log_record *record)
{
    pthread_mutex_lock(&calls);
    weir_list_foreach(to, &sinks, weir_log_sink, link) {
        struct text text = text_over(sink_line, sizeof(sink_line));

        weir__log_format(&text, &to->style, record);
        to->fn(to->arg, record->level, sink_line, text_length(&text));
    }
    pthread_mutex_unlock(&calls);
}
