/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Posts: the callbacks of call_soon_threadsafe that nobody can cancel. One is one cache line, and a
 * thread's posts to a loop lie side by side in a block that the thread fills and the loop empties:
 * a post neither allocates nor frees, and the loop reads them in the order of their addresses.
 *
 *     thread's table ──> block (not full)     only its thread fills it
 *     loop           ──> posts in the queue   counts what it has done; the last of a full block
 *                                             frees it
 *
 * A thread that ends posts a last one, which stands for the places that it leaves empty.
 */
#ifndef WEIR_CORE_LOOP_POST_BLOCK_H
#define WEIR_CORE_LOOP_POST_BLOCK_H

#include "core/loop/internal.h"

struct post {
    struct job job; /* link.next: the one posted before, until it is queued */
    weir_fn fn;
    void *arg;
    weir_drop_fn drop;
    const char *name; /* of fn */
};

WEIR_STATIC_ASSERT(sizeof(struct post) == 64, "one cache line");

/* A post of this thread to the loop. NULL: without memory, or too many loops at once: the caller
   makes a handle instead. */
struct post *weir__post_take(weir_loop *loop);
/* The one just taken, which the loop refused. */
void weir__post_untake(weir_loop *loop, struct post *post);
/* For post.c: pushes a job onto the loop's posts. False: the loop is closed. */
bool weir__post_push(weir_loop *loop, struct job *job);

weir_error *weir__post_run(struct job *job);
/* Ends one that will not run; its drop function runs. */
void weir__post_drop(struct job *job);
/* What threads that ended left while the loop was being closed; when no thread finds it any more. */
void weir__post_blocks_free(weir_loop *loop);
void weir__post_kind_register(void);

#endif
