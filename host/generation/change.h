/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one generation to the next on the traffic loops.
 *
 *   control loop: begin   counts what is entered ──▶ each loop: enters parts, serves new sockets
 *   control loop: all well? ──▶ each loop, in one callback: slots, servers     no ──▶ all back
 *   control loop: end     counts what is left    ──▶ each loop: leaves parts
 *
 * A loop works on parts in portions, so that no connection waits for a large configuration.
 */
#ifndef WEIR_HOST_GENERATION_CHANGE_H
#define WEIR_HOST_GENERATION_CHANGE_H

#include "host/generation/generation.h"

struct change;

struct change_share {
    struct change *change;
    struct traffic_thread *thread;
    size_t at; /* the next part */
    weir_error *error;
};

struct change {
    weir_host *host;
    struct generation *from, *to; /* `from` NULL: the start */
    struct part **parts;          /* to be entered, or left */
    size_t n_parts;
    struct slot **gone, **fresh; /* of listeners that only `from` has, and only `to` */
    size_t n_gone, n_fresh;
    unsigned waiting;
    weir_error *error;   /* the first of a loop */
    weir_error *failure; /* why all goes back */
    void (*next)(struct change *change);
    void (*done)(void *arg, weir_error *take_error);
    void *arg;
    struct change_share shares[];
};

/* control side: change.c. For `from` NULL it only counts what the loops are going to enter. */
weir_error *weir__change_new(weir_host *host, struct generation *from, struct generation *to,
                             struct change **ret) WEIR_MUST_USE;
void weir__change_free(struct change *change);
/* Takes the change. `done` comes by the control loop: with an error nothing is changed. */
void weir__change_start(struct change *change, void (*done)(void *arg, weir_error *take_error),
                        void *arg);

/* Loops' side: loop.c. */
weir_error *weir__loop_enter(struct change_share *share, bool *ret_more) WEIR_MUST_USE;
void weir__loop_swap(struct change_share *share);
/* The other way, after weir__loop_enter() on some loop failed. */
void weir__loop_restore(struct change_share *share);
void weir__loop_leave(struct change_share *share, bool *ret_more);
/* Stops accepting, lets connections end. */
void weir__loop_drain(struct traffic_thread *thread);
/* Everything that was entered, at the loop's end. */
void weir__loop_leave_all(struct traffic_thread *thread);
void weir__loop_abort_connections(struct traffic_thread *thread);
/* References to servers, when the loop is about to be closed. */
void weir__loop_forget_servers(struct traffic_thread *thread);

#endif
