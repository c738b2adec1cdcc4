/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A timer of the control loop, and a job in the executor that asks for the files' dates. A file that
 * has just changed gets one more period to rest: whoever replaces a certificate replaces its key a
 * moment later. A look that fails is told once and tried again when something changes again.
 */
#include "config.h"

#include "host/generation/tls_watch.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <weir/callback.h>
#include <weir/event.h>

#define LOOK_EVERY     WEIR_S(1)
#define LOOK_AT_MANY   WEIR_S(10)
#define MANY           256
#define DAY            ((time_t)86400)
#define WARN_DAYS      14
#define WARN_AGAIN     DAY
#define TIME_TEXT_SIZE 32

struct print { /* of a file: what changes when it does */
    uint64_t device, inode;
    int64_t size, seconds, nanoseconds;
};

struct tls_watched {
    struct tls_watched *next;
    struct tls_watch *watch; /* a reference */
    unsigned refs;           /* the list's, and the one of whom it was made for; the mutex's */
    bool listed, busy, over; /* the mutex's; a look has it; it is wanted no more */
    char *what;
    weir_tls_context *context;
    weir_config_context *config; /* where `arg` lives */
    tls_make_fn make;
    const void *arg;
    char **paths;
    struct print *used, *seen; /* of what the context is made of; at the last look */
    size_t count;
    bool told;         /* `seen` did not work */
    int64_t warned_at; /* of expiry */
};

struct tls_watch {
    pthread_mutex_t mutex; /* of the list; never held while files are read */
    struct tls_watched *first;
    size_t files;
    unsigned refs; /* the host's, a job's, and of each that is watched; atomic */
    bool running;
    weir_timer timer;
    weir_executor *executor;
    weir_future *look;
};

static weir_logger *logger(void)
{
    return weir_logger_get("weir.tls");
}

static struct print print_of(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return (struct print){0};
    return (struct print){.device = status.st_dev,
                          .inode = status.st_ino,
                          .size = status.st_size,
                          .seconds = status.st_mtim.tv_sec,
                          .nanoseconds = status.st_mtim.tv_nsec};
}

static bool same(const struct print *a, const struct print *b, size_t count)
{
    return memcmp(a, b, count * sizeof(*a)) == 0;
}

static void drop(void *arg)
{
    struct tls_watch *watch = arg;

    if (__atomic_sub_fetch(&watch->refs, 1, __ATOMIC_ACQ_REL))
        return;
    pthread_mutex_destroy(&watch->mutex);
    free(watch);
}

static void free_watched(struct tls_watched *w)
{
    for (size_t i = 0; w->paths && i < w->count; i++)
        free(w->paths[i]);
    free(w->paths);
    free(w->used);
    free(w->seen);
    free(w->what);
    weir_tls_context_unref(w->context);
    weir__config_unref(w->config);
    drop(w->watch);
    free(w);
}

/* Under the mutex, and no look has it. True: it is to be freed. */
static bool take_out(struct tls_watched *w)
{
    struct tls_watched **place = &w->watch->first;

    if (!w->listed)
        return false;
    while (*place != w)
        place = &(*place)->next;
    *place = w->next;
    w->listed = false;
    w->watch->files -= w->count;
    return --w->refs == 0;
}

/* In the executor. */

static void time_text(int64_t when, char *buffer)
{
    time_t t = (time_t)when;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || !strftime(buffer, TIME_TEXT_SIZE, "%Y-%m-%d %H:%M UTC", &tm))
        buffer[0] = '\0';
}

static void warn_of_expiry(struct tls_watched *w)
{
    int64_t now = (int64_t)time(NULL), until = weir_tls_context_not_after(w->context);
    char text[TIME_TEXT_SIZE];

    if (until - now > WARN_DAYS * DAY || (w->warned_at && now - w->warned_at < WARN_AGAIN))
        return;
    w->warned_at = now;
    time_text(until, text);
    if (until <= now)
        weir_log_with(logger(), WEIR_LOG_ERROR,
                      WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_CERTIFICATE_EXPIRES}),
                      "%s: a certificate has expired: %s", w->what, text);
    else
        weir_log_with(logger(), WEIR_LOG_WARNING,
                      WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_CERTIFICATE_EXPIRES}),
                      "%s: a certificate expires in %" PRId64 " days: %s", w->what,
                      (until - now) / DAY, text);
}

static void make_again(struct tls_watched *w)
{
    weir_tls_context *newer = NULL;
    weir_error *error = w->make(w->arg, &newer);
    char text[TIME_TEXT_SIZE];
    int64_t until;

    if (!error)
        error = weir_tls_context_replace(w->context, newer);
    weir_tls_context_unref(newer);
    if (error) {
        weir_log_error_with(logger(), WEIR_LOG_ERROR,
                            WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_CERTIFICATE_REFUSED}), error,
                            "%s: its changed files cannot be used, and the old certificates go on",
                            w->what);
        w->told = true;
        return;
    }
    memcpy(w->used, w->seen, w->count * sizeof(*w->used));
    w->warned_at = 0;
    until = weir_tls_context_not_after(w->context);
    time_text(until, text);
    weir_log_with(logger(), WEIR_LOG_INFO,
                  WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_CERTIFICATE_READ}),
                  "%s: certificates read again%s%s", w->what,
                  until == INT64_MAX ? "" : "; the first expires ", until == INT64_MAX ? "" : text);
}

static void look_at(struct tls_watched *w)
{
    bool rests = true;

    for (size_t i = 0; i < w->count; i++) {
        struct print now = print_of(w->paths[i]);

        rests = same(&now, &w->seen[i], 1) && rests;
        w->seen[i] = now;
    }
    if (!rests)
        w->told = false;
    else if (!w->told && !same(w->seen, w->used, w->count))
        make_again(w);
    warn_of_expiry(w);
}

/* The one after it; it may end here, if it is wanted no more. */
static struct tls_watched *look_done(struct tls_watched *w)
{
    struct tls_watched *next = w->next;

    w->busy = false;
    if (w->over && take_out(w))
        free_watched(w);
    return next;
}

weir_error *weir__tls_watch_look(void *arg)
{
    struct tls_watch *watch = arg;

    pthread_mutex_lock(&watch->mutex);
    for (struct tls_watched *w = watch->first; w; w = look_done(w)) {
        w->busy = true; /* so it stays in the list */
        pthread_mutex_unlock(&watch->mutex);
        look_at(w);
        pthread_mutex_lock(&watch->mutex);
    }
    pthread_mutex_unlock(&watch->mutex);
    return NULL;
}

/* On the control loop. */

static void forget_look(struct tls_watch *watch)
{
    weir_future_unref(watch->look);
    watch->look = NULL;
}

static weir_error *tick(void *arg)
{
    struct tls_watch *watch = arg;
    weir_error *error = NULL;
    bool many;

    if (watch->look && weir_future_done(watch->look))
        forget_look(watch);
    if (!watch->look) {
        __atomic_add_fetch(&watch->refs, 1, __ATOMIC_RELAXED);
        error =
            weir_executor_submit(watch->executor, weir__tls_watch_look, watch, drop, &watch->look);
        if (error) /* a full queue: the next time */
            drop(watch);
    }
    weir_ignore(error);
    pthread_mutex_lock(&watch->mutex);
    many = watch->files > MANY;
    pthread_mutex_unlock(&watch->mutex);
    weir_timer_start(&watch->timer, many ? LOOK_AT_MANY : LOOK_EVERY);
    return NULL;
}

weir_error *weir__tls_watch_new(struct tls_watch **ret)
{
    struct tls_watch *watch;

    if (*ret)
        return NULL;
    watch = calloc(1, sizeof *watch);
    if (!watch)
        return weir_raise(WEIR_ENOMEM, "certificates");
    pthread_mutex_init(&watch->mutex, NULL);
    watch->refs = 1;
    *ret = watch;
    return NULL;
}

static bool copy_paths(struct tls_watched *w, const struct tls_watch_entry *entry)
{
    w->what = strdup(entry->what);
    w->paths = calloc(entry->n_paths + 1, sizeof *w->paths);
    w->used = calloc(entry->n_paths + 1, sizeof *w->used);
    w->seen = calloc(entry->n_paths + 1, sizeof *w->seen);
    if (!w->what || !w->paths || !w->used || !w->seen)
        return false;
    for (size_t i = 0; i < entry->n_paths; i++) {
        if (!entry->paths[i])
            continue;
        w->paths[w->count] = strdup(entry->paths[i]);
        if (!w->paths[w->count])
            return false;
        w->seen[w->count] = w->used[w->count] = print_of(entry->paths[i]);
        w->count++;
    }
    return true;
}

weir_error *weir__tls_watch_add(struct tls_watch *watch, const struct tls_watch_entry *entry,
                                struct tls_watched **ret)
{
    struct tls_watched *w = calloc(1, sizeof *w);

    if (!w)
        return weir_raise(WEIR_ENOMEM, "certificates");
    w->watch = watch;
    __atomic_add_fetch(&watch->refs, 1, __ATOMIC_RELAXED);
    w->context = weir_tls_context_ref(entry->context);
    w->config = weir__config_ref(entry->config);
    w->make = entry->make;
    w->arg = entry->arg;
    if (!copy_paths(w, entry)) {
        free_watched(w);
        return weir_raise(WEIR_ENOMEM, "certificates");
    }
    pthread_mutex_lock(&watch->mutex);
    w->refs = 2;
    w->listed = true;
    w->next = watch->first;
    watch->first = w;
    watch->files += w->count;
    pthread_mutex_unlock(&watch->mutex);
    *ret = w;
    return NULL;
}

void weir__tls_watched_end(struct tls_watched *w)
{
    struct tls_watch *watch;
    bool last;

    if (!w)
        return;
    watch = w->watch;
    pthread_mutex_lock(&watch->mutex);
    w->over = true;
    if (!w->busy)
        (void)take_out(w);
    last = --w->refs == 0;
    __atomic_add_fetch(&watch->refs, 1, __ATOMIC_RELAXED); /* while its mutex is ours */
    if (last)
        free_watched(w);
    pthread_mutex_unlock(&watch->mutex);
    drop(watch);
}

void weir__tls_watch_start(struct tls_watch *watch, weir_loop *control, weir_executor *executor)
{
    if (!watch || watch->running)
        return;
    watch->executor = weir_executor_ref(executor);
    watch->running = true;
    weir_timer_init(&watch->timer, control, tick, watch);
    weir_timer_start(&watch->timer, LOOK_EVERY);
}

void weir__tls_watch_stop(struct tls_watch *watch)
{
    if (!watch || !watch->running)
        return;
    watch->running = false;
    weir_timer_stop(&watch->timer);
    forget_look(watch);
    weir_executor_unref(watch->executor);
    watch->executor = NULL;
}

void weir__tls_watch_free(struct tls_watch *watch)
{
    struct tls_watched *next;

    if (!watch)
        return;
    weir__tls_watch_stop(watch);
    pthread_mutex_lock(&watch->mutex);
    for (struct tls_watched *w = watch->first; w; w = next) {
        next = w->next;
        w->over = true;
        if (!w->busy && take_out(w))
            free_watched(w);
    }
    pthread_mutex_unlock(&watch->mutex);
    drop(watch);
}
