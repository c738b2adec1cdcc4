/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running daemon, as its parts see it: signals (run.c), the control socket (control.c), what it
 * answers (methods.c), temporary settings (temporary.c), log followers (follow.c), systemd (notify.c).
 * All of it lives on the control loop.
 */
#ifndef WEIR_DAEMON_RUN_H
#define WEIR_DAEMON_RUN_H

#include <jansson.h>

#include <weir/inspect.h>
#include <weir/weir.h>

#include "daemon/daemon.h"

struct control;
struct notify;
struct temporary;
struct follow;
struct reloads;

struct daemon {
    weir_host *host;
    weir_loop *loop;
    weir_logger *logger;
    const struct arguments *arguments;
    struct control *control; /* NULL: no socket */
    struct notify *notify;
    struct temporary *temporaries;
    struct reloads *reloads;
    weir_instant started, stopping_until;
    bool stopping, control_failed;
};

/* run.c */
/* Drains and stops; a second call ends at once. `why` is for the log: "SIGTERM". */
void daemon_stop(struct daemon *daemon, const char *why, weir_duration grace);
void daemon_reopen(struct daemon *daemon, const char *why);

/* reload.c */
weir_error *reloads_new(struct daemon *daemon, struct reloads **ret) WEIR_MUST_USE;
void reloads_free(struct reloads *reloads);
/* Begins one; `back`: to the generation before. The answer holds the client (NULL: nobody waits);
 * when it cannot begin, `take_id` stays with the caller. */
struct control_client;
weir_error *daemon_reload(struct daemon *daemon, const char *why, bool back,
                          struct control_client *client, json_t *take_id,
                          const json_t *params) WEIR_MUST_USE;
weir_error *daemon_confirm(struct daemon *daemon) WEIR_MUST_USE;
void reloads_status(const struct daemon *daemon, json_t *into);
/* Why the last one was rejected; NULL: it was not. */
const char *reloads_rejected(const struct daemon *daemon);

/* store.c: systemd keeps the listening sockets as they are now; after the start and each reload. */
void store_sockets(const struct daemon *daemon);

/* restart.c: the manager's job for our unit is a restart; false too when it does not say so within
 * 100 ms. */
bool systemd_restarts_us(void);

/* control.c: a client, and who it is. */
struct control_client;

weir_error *control_open(struct daemon *daemon, struct control **ret) WEIR_MUST_USE;
void control_free(struct control *control);
const char *control_path(const struct control *control);
struct daemon *control_daemon(const struct control_client *client);
/* Answers hold the client; each of the three ends one hold. `id` is a new reference. */
void control_hold(struct control_client *client);
void control_result(struct control_client *client, json_t *take_id, json_t *take_result);
void control_fail(struct control_client *client, json_t *take_id, int exit_code,
                  const char *message);
void control_release(struct control_client *client);
/* One more line of a streaming answer; false: the client does not read, nothing was queued. */
bool control_stream(struct control_client *client, const json_t *id, const char *record,
                    size_t len);
bool control_is_followed(const struct control_client *client);
/* Called when the client goes while it follows; NULL: it does not. */
void control_on_gone(struct control_client *client, void (*gone)(void *arg), void *arg);

/* methods.c: answers a request, now or later. */
void method_call(struct control_client *client, weir_host_role role, const char *who,
                 const char *method, json_t *take_id, json_t *take_params);
/* Answers with an error, in words and as an exit code. */
void method_fail(struct control_client *client, json_t *take_id, weir_error *take_error);
int exit_code_of(const weir_error *error);

/* override.c: what operators say of servers. */
/* Puts down who says it. `who` is the client's. */
void override_sign(json_t *params, const char *who);
/* Drains, then follows until no connection is left, at most `wait` seconds. */
void override_drain_and_wait(struct control_client *client, json_t *take_id, json_t *take_params);

/* temporary.c: settings that go back by themselves. */
weir_error *temporary_level(struct daemon *daemon, const json_t *params,
                            json_t **ret) WEIR_MUST_USE;
/* Debug mode is going to be switched: what it is now is remembered. */
void temporary_keep_debug(struct daemon *daemon);
/* Debug mode has been switched on or off for so long; 0: until it is switched again. */
void temporary_debug(struct daemon *daemon, bool on, weir_duration time);
json_t *temporary_list(const struct daemon *daemon);
void temporary_free(struct daemon *daemon);

/* follow.c */
weir_error *follow_start(struct daemon *daemon, struct control_client *client, json_t *take_id,
                         int level) WEIR_MUST_USE;
/* Records of the access log; `filter` NULL: all. */
weir_error *follow_access(struct daemon *daemon, struct control_client *client, json_t *take_id,
                          const char *filter) WEIR_MUST_USE;
/* No client is left; then what the loop may still have been told can go when it is closed. */
void follow_end(void);
void follow_free(void);

/* notify.c: systemd; does nothing where there is none. */
weir_error *notify_new(struct daemon *daemon, struct notify **ret) WEIR_MUST_USE;
void notify_free(struct notify *notify);
void notify_ready(struct notify *notify);
void notify_stopping(struct notify *notify);
void notify_reloading(struct notify *notify);
/* `rejected`: why; NULL: it went well. systemd has read it when this returns, as far as it can be. */
void notify_reloaded(struct notify *notify, const char *rejected);
void notify_status(struct notify *notify, const char *text);

#endif
