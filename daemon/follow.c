/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `logs -f`: records go from the log's writer thread to clients that read along.
 *
 *     writer thread ──▶ queue (bounded, a mutex) ──▶ control loop ──▶ each follower's socket
 *
 * Neither the log nor a loop waits for a follower: what does not fit is dropped and counted, and the
 * follower is told how much it missed. The sink stays for the life of the daemon once it was needed.
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
};

struct follow {
    struct daemon *daemon;
    weir_log_sink *sink;
    struct follower *followers; /* control loop */
    unsigned n_followers;       /* atomic */
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

    if (record->level < follower->level)
        return;
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
        f->dropped += dropped;
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

/* The writer's thread: one record a call, as a line of JSON. */
static void take(void *arg, int level, const char *lines, size_t len)
{
    struct follow *follow = arg;
    struct record *record;
    bool post = false;

    if (!__atomic_load_n(&follow->n_followers, __ATOMIC_RELAXED))
        return;
    while (len && lines[len - 1] == '\n')
        len--;
    record = len ? malloc(sizeof *record + len) : NULL;
    pthread_mutex_lock(&follow->mutex);
    if (!record || follow->bytes + len > QUEUE_BYTES) {
        follow->dropped++;
        free(record);
    } else {
        record->next = NULL;
        record->level = level;
        record->len = len;
        memcpy(record->text, lines, len);
        *follow->last = record;
        follow->last = &record->next;
        follow->bytes += len;
        post = !follow->posted;
        follow->posted = true;
    }
    pthread_mutex_unlock(&follow->mutex);
    if (post)
        weir_ignore(weir_loop_call_soon_threadsafe(follow->daemon->loop, hand_out, follow, NULL));
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
    weir_error *error = weir_log_add_sink(take, follow, WEIR_LOG_JSON, &follow->sink);

    if (error) {
        pthread_mutex_destroy(&follow->mutex);
        free(follow);
        return error;
    }
    the_follow = follow;
    return NULL;
}

static void gone(void *arg)
{
    struct follower *follower = arg;
    struct follower **at = &follower->follow->followers;

    while (*at != follower)
        at = &(*at)->next;
    *at = follower->next;
    __atomic_sub_fetch(&follower->follow->n_followers, 1, __ATOMIC_RELAXED);
    json_decref(follower->id);
    control_release(follower->client);
    free(follower);
}

weir_error *follow_start(struct daemon *daemon, struct control_client *client, json_t *take_id,
                         int level)
{
    struct follower *follower;

    if (control_is_followed(client))
        return weir_raise(WEIR_EBUSY, "this connection follows the log already");
    WEIR_TRY(begin(daemon));
    follower = calloc(1, sizeof *follower);
    if (!follower)
        return weir_raise(WEIR_ENOMEM, "follower");
    *follower = (struct follower){.next = the_follow->followers,
                                  .follow = the_follow,
                                  .client = client,
                                  .id = take_id,
                                  .level = level};
    the_follow->followers = follower;
    __atomic_add_fetch(&the_follow->n_followers, 1, __ATOMIC_RELAXED);
    control_on_gone(client, gone, follower);
    return NULL;
}

void follow_end(void)
{
    if (the_follow)
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
