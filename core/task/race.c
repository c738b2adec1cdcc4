/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait_for, and the staggered race (RFC 8305's way to connect): one attempt after another, each given
 * a head start of `delay` unless it fails sooner.
 */
#include "config.h"

#include "core/base/error.h"
#include "core/task/joint.h"

weir_error *weir_wait_for_at(const weir_site *site, weir_co *take_co, weir_duration limit)
{
    weir_error *error = weir__wait_check();

    if (!error && limit.ns <= 0)
        error = weir_raise_at(site, WEIR_ETIMEDOUT, "wait_for");
    if (error) {
        weir_co_discard(take_co);
        return error;
    }
    WEIR_SCOPE_(weir_timeout, scope) = {{0}};
    weir_timeout_enter(&scope, limit, site);
    WEIR_TRY(weir_co_await(take_co));
    return NULL;
}

struct race {
    struct joint joint;
    struct joint_entry *winner;
    weir_co *const *cos;
    size_t started;
    weir_duration delay;
    weir_instant next; /* when the next one starts */
};

static bool decided(struct joint *joint, struct joint_entry *ended)
{
    struct race *race = container_of(joint, struct race, joint);

    if (!race->winner && ended->future->state == FUTURE_RESULT)
        race->winner = ended;
    return true;
}

/* The last one that started has failed, or its head start is over. */
static bool is_due(const struct race *race)
{
    const weir_loop *loop = race->joint.waiter.task->future.home->loop;

    if (race->started == race->joint.count)
        return false;
    return !race->started || race->joint.entries[race->started - 1].ended ||
           weir_loop_time(loop).ns >= race->next.ns;
}

static weir_error *start_next(struct race *race)
{
    size_t i = race->started++;
    weir_auto(weir_task) task = NULL;

    WEIR_TRY(weir_co_spawn(race->cos[i], &task));
    weir__joint_watch(&race->joint, &race->joint.entries[i], weir_task_future(task));
    race->next = weir_instant_after(weir_loop_time(task->future.home->loop), race->delay);
    return NULL;
}

static weir_error *run_race(struct race *race)
{
    struct joint *joint = &race->joint;

    while (!race->winner) {
        if (is_due(race)) {
            WEIR_TRY(start_next(race));
            continue;
        }
        if (!joint->pending)
            return NULL; /* all failed */
        WEIR_TRY(weir__wait_begin(&joint->waiter));
        WEIR_TRY(weir__joint_wait(
            joint, race->started < joint->count ? race->next : (weir_instant){INT64_MAX},
            weir__joint_leave));
    }
    return NULL;
}

/* The errors of the others; those whom nobody asked for count as seen. */
static void give_errors(struct race *race, weir_error **ret_errors)
{
    for (size_t i = 0; i < race->joint.count; i++) {
        weir_future *future = race->joint.entries[i].future;
        weir_error *error = future ? weir__future_error(future) : NULL;

        if (ret_errors)
            ret_errors[i] = error;
        else
            weir_ignore(error);
    }
}

static weir_error *race_result(struct race *race, size_t *ret_winner, void **ret_value,
                               weir_error **ret_errors)
{
    if (!race->winner)
        return weir__joint_error(&race->joint);
    if (ret_value)
        weir_ignore(weir_future_take_result(race->winner->future, ret_value));
    if (ret_winner)
        *ret_winner = (size_t)(race->winner - race->joint.entries);
    give_errors(race, ret_errors);
    return NULL;
}

weir_error *weir_staggered_race_at(const weir_site *site, weir_co *const *take_cos, size_t count,
                                   weir_duration delay, size_t *ret_winner, void **ret_value,
                                   weir_error **ret_errors)
{
    struct race race = {.cos = take_cos, .delay = delay};
    struct waiter waiter;
    weir_error *error =
        count ? weir__wait_begin(&waiter) : weir_raise(WEIR_EINVAL, "a race needs calls");

    if (!error)
        error = weir__joint_init(&race.joint, count, decided);
    if (error) {
        weir__co_discard_all(take_cos, count);
        return error;
    }
    race.joint.waiter = waiter;
    race.joint.site = site;
    error = run_race(&race);
    weir__co_discard_all(take_cos + race.started, count - race.started);
    weir__joint_end(&race.joint);
    if (race.winner || !error) { /* who won while the task was told to leave has won */
        weir_ignore(error);
        error = race_result(&race, ret_winner, ret_value, ret_errors);
    }
    weir__joint_done(&race.joint);
    return error;
}
