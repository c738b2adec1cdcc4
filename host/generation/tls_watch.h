/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates that change while weir runs. Whoever made a context from files says how to make it
 * again; when a file has changed and rests, it is made again in the executor, and new handshakes use
 * it. What cannot be used is told, and the old goes on. Calls belong to the control loop's thread.
 */
#ifndef WEIR_HOST_GENERATION_TLS_WATCH_H
#define WEIR_HOST_GENERATION_TLS_WATCH_H

#include <weir/executor.h>
#include <weir/loop.h>
#include <weir/tls.h>

struct tls_watch;

/* Makes the context anew, in a thread of the executor. */
typedef weir_error *(*tls_make_fn)(const void *arg, weir_tls_context **ret);

/* `ret` may hold one that exists. Errors: WEIR_ENOMEM. */
weir_error *weir__tls_watch_new(struct tls_watch **ret) WEIR_MUST_USE;
/* `what` is who uses it: "listener `web`"; copied, with the paths; NULL paths are skipped. References
   `context`. */
weir_error *weir__tls_watch_add(struct tls_watch *watch, const char *what,
                                weir_tls_context *context, tls_make_fn make, const void *arg,
                                const char *const *paths, size_t count) WEIR_MUST_USE;
void weir__tls_watch_start(struct tls_watch *watch, weir_loop *control, weir_executor *executor);
void weir__tls_watch_stop(struct tls_watch *watch);
/* Waits for a look that is under way; its `arg`s are not used any more. */
void weir__tls_watch_free(struct tls_watch *watch);

#endif
