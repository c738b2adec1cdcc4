/* SPDX-License-Identifier: Apache-2.0 */
/*
 * T39: random trees of groups, timeouts, shields and combinators in virtual time, with cancellations
 * at random moments. Whatever happens: no task outlives its group, every scope is left, all ends, and
 * nothing leaks. WEIR_FUZZ_SEED=n repeats one tree.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include <weir/combinators.h>

#include "core/loop/loop.h"
#include "core/task/task.h"
#include "tests/unit/support/support.h"

#define TREES     300
#define DEPTH_MAX 5
#define TASKS_MAX 2048

static int64_t virtual_now = 1;

static int64_t read_clock(struct loop_clock *clock)
{
    (void)clock;
    return virtual_now;
}

static int64_t jump(struct loop_clock *clock, int64_t timeout_ns)
{
    (void)clock;
    if (timeout_ns > 0)
        virtual_now += timeout_ns;
    return timeout_ns < 0 ? timeout_ns : 0;
}

static struct loop_clock jumping = {.now = read_clock, .before_wait = jump};

static struct {
    uint64_t random;
    weir_task *running[TASKS_MAX];
    size_t count;
    size_t spawned, cancels;
} tree;

static unsigned pick(unsigned limit)
{
    tree.random ^= tree.random << 13;
    tree.random ^= tree.random >> 7;
    tree.random ^= tree.random << 17;
    return (unsigned)(tree.random >> 32) % limit;
}

static weir_duration some_time(void)
{
    return WEIR_US(pick(8) ? pick(3000) : 0);
}

static weir_error *grow(int depth);

/* A task of the tree: where it stands, and who counts it. */
struct branch {
    int depth;
    int *alive;
};

static weir_error *branch_body(int depth)
{
    for (unsigned i = 1 + pick(3); i; i--)
        WEIR_TRY(grow(depth));
    return NULL;
}

static weir_error *grow_group(int depth);

static weir_error *branch(void *arg)
{
    struct branch *branch = arg;
    int tries = branch->depth == DEPTH_MAX ? 6 : 1; /* the root goes on, whatever happens */
    weir_task *self = weir_task_current();
    weir_error *error;

    if (tree.count < TASKS_MAX)
        tree.running[tree.count++] = self;
    tree.spawned++;
    error = branch_body(branch->depth);
    while (--tries) {
        weir_ignore(error);
        error = grow_group(branch->depth);
    }
    for (size_t i = 0; i < tree.count; i++) {
        if (tree.running[i] == self) {
            tree.running[i] = tree.running[--tree.count];
            break;
        }
    }
    EXPECT(self->scope == NULL);
    --*branch->alive;
    return error;
}

static weir_error *end_group(weir_group *group)
{
    weir_auto(weir_task) child = NULL;

    switch (pick(5)) {
    case 0:
        weir_group_cancel(group);
        return weir_group_join(group);
    case 1:
        WEIR_TRY(weir_group_next(group, &child));
        return NULL; /* leaving cancels the rest */
    case 2:
        return weir_sleep(some_time());
    default:
        return weir_group_join(group);
    }
}

static weir_error *group_body(struct branch *branches, unsigned count, int *alive)
{
    WEIR_GROUP(group);

    if (!pick(4))
        weir_group_set_policy(&group, WEIR_GROUP_COLLECT);
    for (unsigned i = 0; i < count; i++) {
        weir_auto(weir_task) task = NULL;

        WEIR_TRY(weir_group_spawn(&group, branch, &branches[i], pick(2) ? &task : NULL));
        ++*alive;
        if (!pick(4))
            WEIR_TRY(weir_sleep(some_time()));
    }
    return end_group(&group);
}

static weir_error *grow_group(int depth)
{
    struct branch branches[4];
    int alive = 0;
    weir_error *error;

    for (int i = 0; i < 4; i++)
        branches[i] = (struct branch){depth - 1, &alive};
    error = group_body(branches, 1 + pick(4), &alive);
    EXPECT(alive == 0); /* no task outlives its group */
    return error;
}

static weir_error *combine(weir_co **take_cos, weir_error **errors)
{
    switch (pick(3)) {
    case 0:
        return weir_gather(take_cos, 3, NULL, NULL);
    case 1:
        WEIR_TRY(weir_gather(take_cos, 3, NULL, errors));
        for (int i = 0; i < 3; i++)
            weir_ignore(WEIR_TAKE(errors[i]));
        return NULL;
    default:
        return weir_staggered_race(take_cos, 3, some_time(), NULL, NULL, NULL);
    }
}

static weir_error *grow_combination(int depth)
{
    int alive = 1000;
    struct branch one = {depth - 1, &alive};
    weir_co *cos[3];
    weir_error *errors[3] = {NULL};
    weir_error *error;
    size_t before = tree.spawned;

    for (int i = 0; i < 3; i++)
        cos[i] = weir_co(branch, &one);
    error = combine(cos, errors);
    EXPECT(alive < 1000 || tree.spawned == before || error); /* what was started has ended */
    EXPECT(alive >= 997);
    return error;
}

static weir_error *grow_call(void *arg)
{
    return grow(*(int *)arg);
}

static weir_error *grow_wait_for(int depth)
{
    int next = depth - 1;

    return weir_wait_for(weir_co(grow_call, &next), some_time());
}

static weir_error *grow_timeout(int depth)
{
    WEIR_TIMEOUT(limit, some_time());
    WEIR_TRY(grow(depth - 1));
    if (!pick(3))
        weir_timeout_reschedule(&limit, pick(4) ? some_time() : WEIR_FOREVER);
    WEIR_TRY(grow(depth - 1));
    return NULL;
}

static weir_error *grow_shield(int depth)
{
    WEIR_SHIELD(shield, some_time());
    WEIR_TRY(grow(depth - 1));
    return NULL;
}

static weir_error *grow(int depth)
{
    if (depth <= 0)
        return weir_sleep(some_time());
    switch (pick(9)) {
    case 0:
    case 1:
        return grow_group(depth);
    case 2:
        return grow_timeout(depth);
    case 3:
        return grow_shield(depth);
    case 4:
        return grow_combination(depth);
    case 5:
        return grow_wait_for(depth);
    case 6:
        weir_ignore(grow(depth - 1)); /* swallows what comes */
        return NULL;
    case 7:
        return pick(3) ? NULL : weir_raise(EIO, "bad luck");
    default:
        return weir_sleep(some_time());
    }
}

static weir_error *storm(void *arg)
{
    (void)arg;
    for (int i = 0; i < 60; i++) {
        WEIR_TRY(weir_sleep(some_time()));
        if (tree.count)
            tree.cancels += weir_task_cancel(tree.running[pick((unsigned)tree.count)]);
    }
    return NULL;
}

static weir_error *one_tree(void *arg)
{
    int alive = 1;
    struct branch root = {DEPTH_MAX, &alive};
    weir_auto(weir_task) task = NULL;
    weir_auto(weir_task) weather = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(storm, NULL, &weather));
    CHECK_OK(weir_spawn(branch, &root, &task));
    weir_ignore(weir_task_await(task));
    CHECK(alive == 0);
    CHECK(tree.count == 0);
    (void)weir_task_cancel(weather);
    weir_ignore(weir_task_await(weather));
    CHECK(weir_task_current()->future.home->live == 1);
    return NULL;
}

static weir_error *T39_random_trees_end_and_no_task_outlives_its_group(void *arg)
{
    const char *only = getenv("WEIR_FUZZ_SEED");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    size_t spawned = 0, cancels = 0;

    (void)arg;
    weir__loop_set_clock(weir_loop_current(), &jumping);
    for (uint64_t seed = first; seed < first + (only ? 1 : TREES); seed++) {
        tree.random = seed * 0x9e3779b97f4a7c15ULL;
        tree.spawned = tree.cancels = 0;
        if (one_tree(NULL)) {
            print_message("the tree of seed %llu\n", (unsigned long long)seed);
            return weir_raise(WEIR_ECANCELED, "a check failed");
        }
        spawned += tree.spawned;
        cancels += tree.cancels;
    }
    if (!only)
        CHECK(spawned > 1000 && cancels > 300); /* the trees are worth their name */
    return NULL;
}

IN_LOOP(T39_random_trees_end_and_no_task_outlives_its_group)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T39_random_trees_end_and_no_task_outlives_its_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
