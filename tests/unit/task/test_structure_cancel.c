/* SPDX-License-Identifier: Apache-2.0 */
/*
 * T40: cancellation at every suspension of locks, semaphores, conditions and queues. Three tasks use
 * them all against each other; one of them is cancelled at the k-th moment, for every k and each of
 * the three, while every wait has a deadline as well. Afterwards no permit, no lock, no item is missing.
 */
#include "config.h"

#include <weir/queue.h>
#include <weir/scope.h>
#include <weir/sync.h>

#include "core/loop/loop.h"
#include "tests/unit/support/support.h"

#define ACTORS  3
#define PERMITS 2

/* Time stands still while anything runs, and jumps to the next timer. */
struct jumping_clock {
    struct loop_clock clock;
    int64_t now;
};

static int64_t read_clock(struct loop_clock *clock)
{
    return container_of(clock, struct jumping_clock, clock)->now;
}

static int64_t jump(struct loop_clock *clock, int64_t timeout_ns)
{
    if (timeout_ns > 0)
        container_of(clock, struct jumping_clock, clock)->now += timeout_ns;
    return timeout_ns < 0 ? timeout_ns : 0;
}

static struct jumping_clock jumping = {.clock = {.now = read_clock, .before_wait = jump}, .now = 1};

struct stage {
    weir_lock lock;
    weir_semaphore permits;
    weir_condition changed;
    weir_event never;
    weir_barrier barrier;
    weir_queue *queue;
    int item;
    int holders, inside;
    int put, got, tokens, made, used;
    int timeouts;
};

static int timeouts;

static weir_error *use_a_permit(struct stage *stage)
{
    weir_error *error;

    WEIR_TRY(weir_semaphore_acquire(&stage->permits));
    WEIR_RELEASE_AT_END(permit, &stage->permits);
    EXPECT(++stage->holders <= PERMITS);
    error = weir_sleep(WEIR_MS(1));
    stage->holders--;
    return error;
}

static weir_error *use_the_lock(struct stage *stage)
{
    weir_error *error;

    WEIR_TRY(weir_lock_acquire(&stage->lock));
    WEIR_UNLOCK_AT_END(held, &stage->lock);
    EXPECT(++stage->inside == 1);
    error = weir_sleep(WEIR_MS(0));
    stage->inside--;
    return error;
}

/* A deadline that was reached means that nothing happened; the actor goes on. */
static weir_error *unless_timed_out(struct stage *stage, weir_error *take_error)
{
    if (!weir_error_is(take_error, WEIR_ETIMEDOUT))
        return take_error;
    stage->timeouts++;
    weir_ignore(take_error);
    return NULL;
}

static weir_error *put_one(struct stage *stage)
{
    WEIR_TIMEOUT(limit, WEIR_MS(2));
    WEIR_TRY(weir_queue_put(stage->queue, &stage->item));
    stage->put++;
    return NULL;
}

static weir_error *get_one(struct stage *stage)
{
    void *item;
    WEIR_TIMEOUT(limit, WEIR_MS(3));

    WEIR_TRY(weir_queue_get(stage->queue, &item));
    EXPECT(item == &stage->item);
    stage->got++;
    EXPECT(weir_queue_task_done(stage->queue));
    return NULL;
}

static weir_error *make_token(struct stage *stage)
{
    WEIR_TRY(weir_lock_acquire(&stage->lock));
    WEIR_UNLOCK_AT_END(held, &stage->lock);
    stage->tokens++;
    stage->made++;
    EXPECT(weir_condition_notify(&stage->changed, 1));
    return NULL;
}

static weir_error *take_token(struct stage *stage)
{
    WEIR_TIMEOUT(limit, WEIR_MS(2));
    WEIR_TRY(weir_lock_acquire(&stage->lock));
    WEIR_UNLOCK_AT_END(held, &stage->lock);
    while (!stage->tokens)
        WEIR_TRY(weir_condition_wait(&stage->changed));
    stage->tokens--;
    stage->used++;
    return NULL;
}

static weir_error *meet(struct stage *stage)
{
    WEIR_TIMEOUT(limit, WEIR_MS(2));
    WEIR_TRY(weir_barrier_wait(&stage->barrier, NULL));
    return NULL;
}

static weir_error *wait_in_vain(struct stage *stage)
{
    WEIR_TIMEOUT(limit, WEIR_MS(1));
    WEIR_TRY(weir_event_wait(&stage->never));
    return NULL;
}

static weir_error *act(struct stage *stage)
{
    WEIR_TRY(use_a_permit(stage));
    WEIR_TRY(unless_timed_out(stage, take_token(stage)));
    WEIR_TRY(use_the_lock(stage));
    WEIR_TRY(unless_timed_out(stage, put_one(stage)));
    WEIR_TRY(make_token(stage));
    WEIR_TRY(unless_timed_out(stage, meet(stage)));
    WEIR_TRY(unless_timed_out(stage, get_one(stage)));
    WEIR_TRY(unless_timed_out(stage, wait_in_vain(stage)));
    return NULL;
}

static weir_error *actor(void *arg)
{
    for (int i = 0; i < 3; i++)
        WEIR_TRY(act(arg));
    return NULL;
}

static weir_error *check_nothing_is_missing(struct stage *stage)
{
    CHECK(!weir_lock_locked(&stage->lock));
    CHECK(weir_semaphore_value(&stage->permits) == PERMITS);
    CHECK(stage->holders == 0 && stage->inside == 0);
    CHECK(stage->put - stage->got == (int)weir_queue_count(stage->queue));
    CHECK(stage->made - stage->used == stage->tokens);
    CHECK(weir_barrier_waiting(&stage->barrier) == 0);
    /* nobody is left in a row to whom something could be given */
    CHECK_OK(weir_lock_acquire(&stage->lock));
    CHECK(weir_condition_notify_all(&stage->changed));
    CHECK(weir_lock_release(&stage->lock) && !weir_lock_locked(&stage->lock));
    CHECK(weir_semaphore_release(&stage->permits));
    CHECK(weir_semaphore_value(&stage->permits) == PERMITS + 1);
    return NULL;
}

/* `victim` is cancelled at the moment k: an eighth of it in time, the rest in iterations within that
   time. Whether it still ran then. */
static weir_error *play(int victim, int k, bool *ret_hit)
{
    weir_queue_options options = {WEIR_SIZED(weir_queue_options), .limit = 1};
    weir_auto(weir_queue) queue = NULL;
    weir_task *tasks[ACTORS];
    struct stage stage = {0};

    CHECK_OK(weir_queue_new(&options, &queue));
    stage.queue = queue;
    weir_semaphore_init(&stage.permits, PERMITS);
    weir_condition_init(&stage.changed, &stage.lock);
    weir_barrier_init(&stage.barrier, 2);
    {
        WEIR_GROUP(group);

        for (int i = 0; i < ACTORS; i++)
            CHECK_OK(weir_group_spawn(&group, actor, &stage, &tasks[i]));
        for (int i = 0; i < k / 8; i++)
            CHECK_OK(weir_sleep(WEIR_US(200)));
        for (int i = 0; i < k % 8; i++)
            CHECK_OK(weir_sleep(WEIR_MS(0)));
        *ret_hit = weir_task_cancel(tasks[victim]);
        CHECK_OK(weir_group_join(&group));
    }
    for (int i = 0; i < ACTORS; i++)
        weir_task_unref(tasks[i]);
    timeouts += stage.timeouts;
    return check_nothing_is_missing(&stage);
}

static weir_error *T40_cancellation_at_every_suspension_leaks_no_permit_and_no_item(void *arg)
{
    int hits = 0;

    (void)arg;
    weir__loop_set_clock(weir_loop_current(), &jumping.clock);
    for (int victim = 0; victim < ACTORS; victim++) {
        bool hit = true;

        for (int k = 0; hit && k < 2000; k++) {
            CHECK_OK(play(victim, k, &hit));
            hits += hit;
        }
        CHECK(!hit); /* beyond its last suspension */
    }
    CHECK(hits > 3 * 50 && timeouts > hits); /* both have struck, and often */
    return NULL;
}

IN_LOOP(T40_cancellation_at_every_suspension_leaks_no_permit_and_no_item)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T40_cancellation_at_every_suspension_leaks_no_permit_and_no_item),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
