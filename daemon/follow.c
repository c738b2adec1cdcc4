/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `logs -f` and `access -f`: records go from the log's writer thread, or from the traffic loops that have
 * them, to clients that read along.
 *
 *     writer thread, loops ──▶ queue (bounded, a mutex) ──▶ control loop ──▶ each follower's socket
 *
 * Neither the log nor a loop waits for a follower: what does not fit is dropped and counted, and the
 * follower is told how much it missed. The mutex is held for a few stores only. The log's sink stays for
 * the life of the daemon once it was needed.
 */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/run.h"

#define QUEUE_BYTES ((size_t)1024 * 1024)

struct record {
    struct record *next;
    int level;
    uint64_t only; /* for the follower of this number; 0: whose level it has */
    size_t len;
    char text[];
};

struct follower {
    struct follower *next;
    struct follow *follow;
    struct control_client *client;
    json_t *id;
    int level;
    unsigned long long dropped;
    /* Of the access log: */
    uint64_t number; /* 0: of the log */
    weir_access_follower *tap;
    unsigned long long missed; /* atomic: what found no room in the queue */
};

struct follow {
    struct daemon *daemon;
    weir_log_sink *sink;
    struct follower *followers; /* control loop */
    unsigned n_followers;       /* of the log; atomic */
    uint64_t last_number;
    pthread_mutex_t mutex;
    struct record *first, **last;
    size_t bytes;
    unsigned long long dropped;
    bool posted;
};

static struct follow *the_follow; /* control loop */

/* Sends; the follower may be gone afterwards: false. */
static bool send_to(struct follower *follower, const char *text, size_t len)
{
    struct control_client *client = follower->client;
    bool sent, there;

    control_hold(client);
    sent = control_stream(client, follower->id, text, len);
    there = control_daemon(client) != NULL;
    control_release(client);
    if (there && !sent)
        follower->dropped++;
    return there && sent;
}

static void tell(struct follower *follower, const struct record *record)
{
    char text[80];
    int n;

    if (record->only != follower->number || record->level < follower->level)
        return;
    follower->dropped += __atomic_exchange_n(&follower->missed, 0, __ATOMIC_RELAXED);
    if (follower->dropped) {
        n = snprintf(text, sizeof text, "{\"dropped\":%llu}", follower->dropped);
        if (!send_to(follower, text, (size_t)n))
            return;
        follower->dropped = 0;
    }
    (void)send_to(follower, record->text, record->len);
}

static weir_error *hand_out(void *arg)
{
    struct follow *follow = arg;
    struct record *record, *next;
    unsigned long long dropped;

    pthread_mutex_lock(&follow->mutex);
    record = follow->first;
    follow->first = NULL;
    follow->last = &follow->first;
    follow->bytes = 0;
    follow->posted = false;
    dropped = follow->dropped;
    follow->dropped = 0;
    pthread_mutex_unlock(&follow->mutex);
    for (struct follower *f = follow->followers; f; f = f->next)
        f->dropped += f->number ? 0 : dropped;
    for (; record; record = next) {
        struct follower *after;

        next = record->next;
        for (struct follower *f = follow->followers; f; f = after) {
            after = f->next; /* telling may end it */
            tell(f, record);
        }
        free(record);
    }
    return NULL;
}

/* Any thread. False: there was no room. */
static bool put(struct follow *follow, struct record *record)
{
    bool fits, post = false;

    pthread_mutex_lock(&follow->mutex);
    fits = follow->bytes + record->len <= QUEUE_BYTES;
    if (fits) {
        *follow->last = record;
        follow->last = &record->next;
        follow->bytes += record->len;
        post = !follow->posted;
        follow->posted = true;
    }
    pthread_mutex_unlock(&follow->mutex);
    if (post)
        weir_ignore(weir_loop_call_soon_threadsafe(follow->daemon->loop, hand_out, follow, NULL));
    return fits;
}

static bool put_line(struct follow *follow, uint64_t only, int level, const char *line, size_t len)
{
    struct record *record = malloc(sizeof *record + len);

    if (!record)
        return false;
    record->next = NULL;
    record->level = level;
    record->only = only;
    record->len = len;
    memcpy(record->text, line, len);
    if (put(follow, record))
        return true;
    free(record);
    return false;
}

/* The writer's thread: one record a call, as a line of JSON. */
static void take(void *arg, int level, const char *lines, size_t len)
{
    struct follow *follow = arg;

    if (!__atomic_load_n(&follow->n_followers, __ATOMIC_RELAXED))
        return;
    while (len && lines[len - 1] == '\n')
        len--;
    if (!len || put_line(follow, 0, level, lines, len))
        return;
    pthread_mutex_lock(&follow->mutex);
    follow->dropped++;
    pthread_mutex_unlock(&follow->mutex);
}

/* A traffic loop. */
static void take_access(void *arg, const char *line, size_t len)
{
    struct follower *follower = arg;

    if (!put_line(follower->follow, follower->number, WEIR_LOG_CRITICAL, line, len))
        __atomic_add_fetch(&follower->missed, 1, __ATOMIC_RELAXED);
}

static weir_error *begin(struct daemon *daemon)
{
    struct follow *follow;

    if (the_follow)
        return NULL;
    follow = calloc(1, sizeof *follow);
    if (!follow)
        return weir_raise(WEIR_ENOMEM, "followers");
    follow->daemon = daemon;
    follow->last = &follow->first;
    pthread_mutex_init(&follow->mutex, NULL);
    the_follow = follow;
    return NULL;
}

static void gone(void *arg)
{
    struct follower *follower = arg;
    struct follower **at = &follower->follow->followers;

    if (follower->tap)
        weir_host_unfollow_access(WEIR_TAKE(follower->tap));
    while (*at != follower)
        at = &(*at)->next;
    *at = follower->next;
    if (!follower->number)
        __atomic_sub_fetch(&follower->follow->n_followers, 1, __ATOMIC_RELAXED);
    json_decref(follower->id);
    control_release(follower->client);
    free(follower);
}

static weir_error *follower_new(struct daemon *daemon, struct control_client *client,
                                struct follower **ret)
{
    struct follower *follower;

    if (control_is_followed(client))
        return weir_raise(WEIR_EBUSY, "this connection follows something already");
    WEIR_TRY(begin(daemon));
    follower = calloc(1, sizeof *follower);
    if (!follower)
        return weir_raise(WEIR_ENOMEM, "follower");
    follower->follow = the_follow;
    follower->client = client;
    *ret = follower;
    return NULL;
}

static void follower_join(struct follower *follower, json_t *take_id)
{
    follower->id = take_id;
    follower->next = the_follow->followers;
    the_follow->followers = follower;
    control_on_gone(follower->client, gone, follower);
}

weir_error *follow_start(struct daemon *daemon, struct control_client *client, json_t *take_id,
                         int level)
{
    struct follower *follower;
    weir_error *error;

    WEIR_TRY(follower_new(daemon, client, &follower));
    error = the_follow->sink
                ? NULL
                : weir_log_add_sink(take, the_follow, WEIR_LOG_JSON, &the_follow->sink);
    if (error) {
        free(follower);
        return error;
    }
    follower->level = level;
    __atomic_add_fetch(&the_follow->n_followers, 1, __ATOMIC_RELAXED);
    follower_join(follower, take_id);
    return NULL;
}

weir_error *follow_access(struct daemon *daemon, struct control_client *client, json_t *take_id,
                          const char *filter)
{
    struct follower *follower;
    weir_error *error;

    WEIR_TRY(follower_new(daemon, client, &follower));
    follower->number = ++the_follow->last_number;
    error = weir_host_follow_access(filter, take_access, follower, &follower->tap);
    if (error) {
        free(follower);
        return error;
    }
    follower_join(follower, take_id);
    return NULL;
}

void follow_end(void)
{
    if (the_follow && the_follow->sink)
        weir_log_remove_sink(the_follow->sink);
}

void follow_free(void)
{
    struct follow *follow = WEIR_TAKE(the_follow);
    struct record *next;

    if (!follow)
        return;
    for (struct record *record = follow->first; record; record = next) {
        next = record->next;
        free(record);
    }
    pthread_mutex_destroy(&follow->mutex);
    free(follow);
}
