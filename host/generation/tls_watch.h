/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates that change while weir runs. Whoever made a context from files says how to make it
 * again; when a file has changed and rests, it is made again in the executor, and new handshakes use
 * it. What cannot be used is told, and the old goes on. What begins and ends the watching belongs to the
 * control loop's thread; adding and ending one is for any.
 */
#ifndef WEIR_HOST_GENERATION_TLS_WATCH_H
#define WEIR_HOST_GENERATION_TLS_WATCH_H

#include <weir/executor.h>
#include <weir/loop.h>
#include <weir/tls.h>

#include "host/config/config.h"

struct tls_watch;

/* Makes the context anew, in a thread of the executor. */
typedef weir_error *(*tls_make_fn)(const void *arg, weir_tls_context **ret);

/* `ret` may hold one that exists. Errors: WEIR_ENOMEM. */
weir_error *weir__tls_watch_new(struct tls_watch **ret) WEIR_MUST_USE;

struct tls_watch_entry {
    const char *what;            /* who uses it: "listener `web`"; copied */
    weir_tls_context *context;   /* referenced, like the next */
    weir_config_context *config; /* where `arg` lives */
    tls_make_fn make;
    const void *arg;
    const char *const *paths; /* copied; a NULL among them is skipped */
    size_t n_paths;
};

struct tls_watched;

weir_error *weir__tls_watch_add(struct tls_watch *watch, const struct tls_watch_entry *entry,
                                struct tls_watched **ret) WEIR_MUST_USE;
/* Whoever has the context has no use for newer ones any more. NULL: nothing. */
void weir__tls_watched_end(struct tls_watched *watched);
/* A look at all files, as the timer has one done; one at a time, in any thread. */
weir_error *weir__tls_watch_look(void *arg) WEIR_MUST_USE;
void weir__tls_watch_start(struct tls_watch *watch, weir_loop *control, weir_executor *executor);
void weir__tls_watch_stop(struct tls_watch *watch);
/* A look that is under way ends by itself; what is watched may be ended later still. */
void weir__tls_watch_free(struct tls_watch *watch);

#endif
