/* SPDX-License-Identifier: Apache-2.0 */
/* Timers, on a clock of the test's own: nothing here waits. */
#include "config.h"

#include <stdlib.h>

#include <weir/callback.h>

#include "tests/unit/loop/loop_test.h"

#define MANY 1000

struct letter_timer {
    struct timer timer;
    char letter;
    struct letter_timer *other;
};

static struct loop_clock clock_of_test;
static int64_t now_ns;

static int64_t read_clock(struct loop_clock *clock)
{
    (void)clock;
    return now_ns;
}

static int timer_setup(void **state)
{
    loop_setup(state);
    now_ns = 0;
    clock_of_test = (struct loop_clock){.now = read_clock};
    weir__loop_set_clock(test.loop, &clock_of_test);
    return 0;
}

static void at(int64_t ns)
{
    now_ns = ns;
    iterate(1);
}

static weir_error *note_timer(struct job *job)
{
    note(container_of(job, struct letter_timer, timer.job)->letter);
    return NULL;
}

/* A timer that is linked must not move: set up in place. */
#define TIMER(name, letter_, fire)                  \
    struct letter_timer name = {.letter = letter_}; \
    weir__timer_init(&(name).timer, fire, WEIR_HERE)

static void start(struct letter_timer *timer, int64_t when)
{
    OK(weir__timer_start(test.loop, &timer->timer, (weir_instant){when}));
}

static void timers_fire_by_deadline_and_not_early(void **state)
{
    TIMER(a, 'a', note_timer);
    TIMER(b, 'b', note_timer);

    (void)state;
    start(&b, 20);
    start(&a, 10);
    at(9);
    assert_string_equal(test.journal, "");
    at(10);
    assert_string_equal(test.journal, "a");
    assert_false(timer_running(&a.timer));
    at(25);

    assert_string_equal(test.journal, "ab");
}

static void T4_equal_deadlines_fire_in_the_order_of_their_starts(void **state)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    struct letter_timer timers[26];

    (void)state;
    for (int i = 0; i < 26; i++) {
        timers[i].letter = letters[i];
        weir__timer_init(&timers[i].timer, note_timer, WEIR_HERE);
        start(&timers[i], 7);
    }
    at(7);

    assert_string_equal(test.journal, letters);
}

static void restarting_later_moves_the_entry_only_when_it_is_due(void **state)
{
    TIMER(a, 'a', note_timer);

    (void)state;
    start(&a, 10);
    start(&a, 100);
    start(&a, 200);
    assert_int_equal(weir__loop_next_deadline(test.loop), 10);
    at(10);
    assert_string_equal(test.journal, "");
    assert_int_equal(weir__loop_next_deadline(test.loop), 200);
    at(199);
    assert_string_equal(test.journal, "");
    at(200);

    assert_string_equal(test.journal, "a");
}

static void restarting_earlier_takes_effect_at_once(void **state)
{
    TIMER(a, 'a', note_timer);
    TIMER(b, 'b', note_timer);

    (void)state;
    start(&a, 100);
    start(&b, 50);
    start(&a, 10);
    assert_int_equal(weir__loop_next_deadline(test.loop), 10);
    at(50);

    assert_string_equal(test.journal, "ab");
}

static void a_restarted_timer_is_behind_those_of_its_new_deadline(void **state)
{
    TIMER(a, 'a', note_timer);
    TIMER(b, 'b', note_timer);
    TIMER(c, 'c', note_timer);

    (void)state;
    start(&a, 10);
    start(&c, 20);
    start(&b, 20);
    start(&a, 20);
    start(&c, 20);
    at(20);

    assert_string_equal(test.journal, "bac");
}

static weir_error *stops_other(struct job *job)
{
    struct letter_timer *mine = container_of(job, struct letter_timer, timer.job);

    note(mine->letter);
    weir__timer_stop(test.loop, &mine->other->timer);
    return NULL;
}

static void a_due_timer_may_be_stopped_by_its_neighbour(void **state)
{
    TIMER(a, 'a', stops_other);
    TIMER(b, 'b', note_timer);

    (void)state;
    a.other = &b;
    start(&a, 10);
    start(&b, 10);
    at(10);

    assert_string_equal(test.journal, "a");
    assert_false(timer_running(&b.timer));
}

static void timer_stopped_in_its_own_callback_does_not_fire_again(void **state)
{
    TIMER(a, 'a', stops_other);

    (void)state;
    a.other = &a;
    start(&a, 10);
    at(10);
    at(1000);

    assert_string_equal(test.journal, "a");
}

static weir_error *restarts_itself(struct job *job)
{
    struct letter_timer *mine = container_of(job, struct letter_timer, timer.job);

    note(mine->letter);
    start(mine, now_ns);
    return NULL;
}

static void a_timer_restarted_for_now_fires_once_per_iteration(void **state)
{
    TIMER(a, 'a', restarts_itself);

    (void)state;
    start(&a, 10);
    at(10);
    assert_string_equal(test.journal, "a");
    at(10);

    assert_string_equal(test.journal, "aa");
    weir__timer_stop(test.loop, &a.timer);
    assert_false(timer_running(&a.timer));
}

static weir_error *frees_itself(struct job *job)
{
    note('f');
    free(container_of(job, struct letter_timer, timer.job));
    return NULL;
}

static void a_timer_may_be_freed_in_its_own_callback(void **state)
{
    struct letter_timer *timer = calloc(1, sizeof(*timer));

    (void)state;
    weir__timer_init(&timer->timer, frees_itself, WEIR_HERE);
    start(timer, 1);
    at(1);

    assert_string_equal(test.journal, "f");
}

/* Against a model: an array that is searched. */
struct model_timer {
    struct timer timer;
    int64_t when; /* -1: stopped */
    uint64_t order;
    bool fired;
};

static struct model_timer model[MANY];
static int64_t last_when;
static uint64_t last_order, fired, out_of_order;

static weir_error *check_model(struct job *job)
{
    struct model_timer *mine = container_of(job, struct model_timer, timer.job);

    out_of_order += mine->when > now_ns || mine->when < last_when ||
                    (mine->when == last_when && mine->order < last_order);
    last_when = mine->when;
    last_order = mine->order;
    mine->when = -1;
    fired++;
    return NULL;
}

static void random_starts_and_stops_agree_with_a_model(void **state)
{
    uint64_t random = 88172645463325252u, order = 0, overdue = 0, expected = 0;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        model[i].when = -1;
        weir__timer_init(&model[i].timer, check_model, WEIR_HERE);
    }
    fired = out_of_order = 0;
    for (int step = 0; step < 20000; step++) {
        struct model_timer *timer;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        timer = &model[random % MANY];
        if (random >> 20 & 3) {
            expected += timer->when < 0;
            timer->when = now_ns + (int64_t)(random >> 32) % 50;
            timer->order = ++order;
            OK(weir__timer_start(test.loop, &timer->timer, (weir_instant){timer->when}));
        } else {
            expected -= timer->when >= 0;
            timer->when = -1;
            weir__timer_stop(test.loop, &timer->timer);
        }
        if (step % 16 == 0) {
            last_when = -1;
            last_order = 0;
            at(now_ns + 3);
        }
    }
    last_when = -1;
    at(now_ns + 1000);
    for (int i = 0; i < MANY; i++)
        overdue += model[i].when >= 0 || timer_running(&model[i].timer);

    assert_int_equal(out_of_order, 0);
    assert_int_equal(overdue, 0);
    assert_int_equal(fired, expected);
    assert_int_equal(weir__loop_next_deadline(test.loop), INT64_MAX);
}

static void a_zero_delay_has_expired_at_once(void **state)
{
    (void)state;
    later(0, note_arg, "a");
    OK(weir_loop_call_later(test.loop, WEIR_S(-5), note_arg, "b", NULL, NULL));
    at(0);

    assert_string_equal(test.journal, "ab");
}

static void a_delay_for_ever_only_drops(void **state)
{
    weir_auto(weir_handle) handle = NULL;

    (void)state;
    OK(weir_loop_call_later(test.loop, WEIR_FOREVER, note_arg, "a", drop_arg, &handle));
    at(INT64_MAX - 1);
    assert_string_equal(test.journal, "");
    assert_true(weir_handle_cancel(handle));

    assert_string_equal(test.journal, "A");
}

static void embedded_timers_restart_and_stop(void **state)
{
    weir_timer a;

    (void)state;
    weir_timer_init(&a, test.loop, note_arg, "a");
    assert_false(weir_timer_stop(&a));
    weir_timer_start(&a, WEIR_NS(10));
    weir_timer_start(&a, WEIR_NS(20));
    at(10);
    assert_true(weir_timer_running(&a));
    at(20);
    assert_string_equal(test.journal, "a");
    weir_timer_start(&a, WEIR_NS(5));
    weir_timer_start(&a, WEIR_FOREVER);
    assert_false(weir_timer_running(&a));
    at(100);

    assert_string_equal(test.journal, "a");
}

static void a_heap_that_cannot_grow_says_so_and_goes_on(void **state)
{
    struct letter_timer timers[65];

    (void)state;
    for (int i = 0; i < 65; i++) {
        timers[i].letter = 'x';
        weir__timer_init(&timers[i].timer, note_timer, WEIR_HERE);
    }
    for (int i = 0; i < 64; i++)
        start(&timers[i], 5);
    weir__alloc_fail_nth = 1;
    FAILS(weir__timer_start(test.loop, &timers[64].timer, (weir_instant){1}), WEIR_ENOMEM);
    assert_false(timer_running(&timers[64].timer));
    at(5);

    assert_int_equal(strlen(test.journal), 64);
}

#define TIMER_TEST(name) cmocka_unit_test_setup_teardown(name, timer_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIMER_TEST(timers_fire_by_deadline_and_not_early),
        TIMER_TEST(T4_equal_deadlines_fire_in_the_order_of_their_starts),
        TIMER_TEST(restarting_later_moves_the_entry_only_when_it_is_due),
        TIMER_TEST(restarting_earlier_takes_effect_at_once),
        TIMER_TEST(a_restarted_timer_is_behind_those_of_its_new_deadline),
        TIMER_TEST(a_due_timer_may_be_stopped_by_its_neighbour),
        TIMER_TEST(timer_stopped_in_its_own_callback_does_not_fire_again),
        TIMER_TEST(a_timer_restarted_for_now_fires_once_per_iteration),
        TIMER_TEST(a_timer_may_be_freed_in_its_own_callback),
        TIMER_TEST(random_starts_and_stops_agree_with_a_model),
        TIMER_TEST(a_zero_delay_has_expired_at_once),
        TIMER_TEST(a_delay_for_ever_only_drops),
        TIMER_TEST(embedded_timers_restart_and_stop),
        TIMER_TEST(a_heap_that_cannot_grow_says_so_and_goes_on),
    };

    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
