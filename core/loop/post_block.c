/* SPDX-License-Identifier: Apache-2.0 */
/* See post_block.h. */
#include "config.h"

#include "core/loop/post_block.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/loop/context.h"

#define BLOCK_SIZE  ((size_t)8192)
#define BLOCK_POSTS (BLOCK_SIZE / sizeof(struct post) - 2)
#define BLOCKS_KEPT 128 /* emptied ones: 1 MiB */
/* Loops that a thread posts to in turn without losing time. */
#define LOOPS_AT_ONCE 8

struct post_block {
    weir_loop *loop; /* not referenced: compared with `loop_id` */
    uint64_t loop_id;
    void *memory;               /* what was allocated */
    struct post_block *next;    /* of those that nobody fills */
    unsigned used;              /* places that its thread has filled */
    _Alignas(64) unsigned done; /* the loop's */
    _Alignas(64) struct post posts[BLOCK_POSTS];
};

WEIR_STATIC_ASSERT(sizeof(struct post_block) == BLOCK_SIZE, "found by the address of a post");

static __thread struct post_block *blocks[LOOPS_AT_ONCE];
/* Emptied ones, which this thread fills next. */
static __thread struct post_block *spares;

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool has_key;

static struct post_block *block_of(const struct post *post)
{
    return (struct post_block *)((uintptr_t)post & ~(uintptr_t)(BLOCK_SIZE - 1));
}

static void blocks_free(struct post_block *block)
{
    while (block) {
        struct post_block *next = block->next;

        weir__free(block->memory);
        block = next;
    }
}

static void block_free(struct post_block *block)
{
    block->next = NULL;
    blocks_free(block);
}

/* Emptied blocks go back to those who post, who take all that there are at once. */
static void block_done(struct post_block *block, unsigned count)
{
    weir_loop *loop = weir__thread_loop;

    block->done += count;
    if (block->done < BLOCK_POSTS)
        return;
    if (loop->nblocks_empty >= BLOCKS_KEPT) {
        block_free(block);
        return;
    }
    block->next = loop->blocks_empty;
    loop->blocks_empty = block;
    loop->nblocks_empty++;
    if (!atomic_load_explicit(&loop->blocks_spare, memory_order_relaxed)) {
        atomic_store(&loop->blocks_spare, loop->blocks_empty);
        loop->blocks_empty = NULL;
        loop->nblocks_empty = 0;
    }
}

static struct post_block *block_spare(weir_loop *loop)
{
    struct post_block *block;

    if (!spares && atomic_load_explicit(&loop->blocks_spare, memory_order_relaxed))
        spares = atomic_exchange(&loop->blocks_spare, NULL);
    block = spares;
    if (block)
        spares = block->next;
    return block;
}

/* The last post of a thread that has ended. */
static weir_error *end_run(struct job *job)
{
    struct post *post = container_of(job, struct post, job);
    struct post_block *block = block_of(post);

    weir__thread_loop->metrics.posts--; /* nobody's */
    block_done(block, (unsigned)(BLOCK_POSTS - (size_t)(post - block->posts)));
    return NULL;
}

static void give_up(weir_loop *loop, void *arg)
{
    struct post_block *block = *(struct post_block **)arg;
    struct post *post;

    if (!block || loop != block->loop || loop->id != block->loop_id)
        return;
    post = &block->posts[block->used++];
    job_init(&post->job, end_run, NULL);
    if (!weir__post_push(loop, &post->job)) {
        /* It is being closed, and may still have to drop what was posted before. */
        block->next = loop->blocks_left;
        loop->blocks_left = block;
    }
    *(struct post_block **)arg = NULL;
}

void weir__post_blocks_free(weir_loop *loop)
{
    blocks_free(WEIR_TAKE(loop->blocks_left));
    blocks_free(WEIR_TAKE(loop->blocks_empty));
    blocks_free(atomic_exchange(&loop->blocks_spare, NULL));
}

/* The block of a loop that lives is told with a last post. Else all that was in it has ended with the
   loop. */
static void thread_ends(void *unused)
{
    (void)unused;
    blocks_free(WEIR_TAKE(spares));
    for (size_t i = 0; i < LOOPS_AT_ONCE; i++) {
        struct post_block *block = WEIR_TAKE(blocks[i]);

        if (!block)
            continue;
        weir__loops_each(give_up, &block);
        if (block)
            block_free(block);
    }
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, thread_ends) == 0;
}

static struct post_block *block_make(void)
{
    struct post_block *block;
    void *memory = weir__malloc(2 * BLOCK_SIZE);

    if (!memory)
        return NULL;
    block =
        (struct post_block *)(((uintptr_t)memory + BLOCK_SIZE - 1) & ~(uintptr_t)(BLOCK_SIZE - 1));
    block->memory = memory;
    return block;
}

static struct post_block *block_new(weir_loop *loop)
{
    struct post_block *block;

    pthread_once(&key_once, make_key);
    if (!has_key || pthread_setspecific(key, &key) != 0)
        return NULL;
    block = block_spare(loop);
    if (!block)
        block = block_make();
    if (!block)
        return NULL;
    block->loop = loop;
    block->loop_id = loop->id;
    block->used = block->done = 0;
    return block;
}

struct post *weir__post_take(weir_loop *loop)
{
    struct post_block **place = &blocks[loop->id % LOOPS_AT_ONCE];
    struct post_block *block = *place;
    struct post *post;

    if (weir_unlikely(!block || block->loop_id != loop->id)) {
        struct post_block *fresh = block_new(loop);

        if (!fresh)
            return NULL;
        if (block)
            weir__loops_each(give_up, &block);
        if (block)
            block_free(block);
        *place = block = fresh;
    }
    post = &block->posts[block->used++];
    if (weir_unlikely(block->used == BLOCK_POSTS))
        *place = NULL; /* the loop's from now on */
    return post;
}

void weir__post_untake(weir_loop *loop, struct post *post)
{
    struct post_block *block = block_of(post);

    block->used--;
    blocks[loop->id % LOOPS_AT_ONCE] = block;
}

weir_error *weir__post_run(struct job *job)
{
    struct post *post = container_of(job, struct post, job);
    weir_error *error = post->fn(post->arg);

    if (weir_unlikely(error != NULL))
        weir__callback_failed(weir__thread_loop, post->name, job->site, NULL, error);
    if (weir_unlikely(weir__context != NULL))
        weir_context_leave(NULL); /* what the callback set ends with it */
    block_done(block_of(post), 1);
    return NULL;
}

void weir__post_drop(struct job *job)
{
    struct post *post = container_of(job, struct post, job);

    if (job->run == end_run) { /* the block may go with it */
        weir_ignore(end_run(job));
        return;
    }
    if (job->run != weir__post_run)
        return; /* somebody else's, only unlinked */
    if (post->drop)
        post->drop(post->arg);
    block_done(block_of(post), 1);
}

static const char *post_name(const struct job *job)
{
    return container_of((struct job *)(uintptr_t)job, struct post, job)->name;
}

static struct job_kind post_kind = {.run = weir__post_run, .label = "Handle", .name = post_name};

void weir__post_kind_register(void)
{
    weir__job_kind_register(&post_kind);
}
