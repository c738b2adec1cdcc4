/* SPDX-License-Identifier: Apache-2.0 */
/* The one timer that a connection has for its protocol, which shares a job with what is put off. */
#include "config.h"

#include <errno.h>

#include "tests/unit/net/net_test.h"

/* Configuration of a protocol that writes down what it is told, in letters: d(ata) t(ime) l(ost). */
struct timed {
    char letters[16];
    int64_t reached_at; /* the last time */
    weir_duration again;
    weir_code fails, reason;
    bool pauses;
};

static struct timed *timed_of(weir_transport *t)
{
    return (struct timed *)(uintptr_t)weir_transport_config(t);
}

static void add(struct timed *timed, char letter)
{
    size_t len = strlen(timed->letters);

    if (len + 1 < sizeof(timed->letters))
        timed->letters[len] = letter;
}

static weir_error *on_data(weir_transport *t, void *state, weir_slice data)
{
    struct timed *timed = timed_of(t);

    (void)state, (void)data;
    add(timed, 'd');
    if (timed->pauses)
        weir_transport_pause_reading(t);
    return NULL;
}

static weir_error *on_deadline(weir_transport *t, void *state)
{
    struct timed *timed = timed_of(t);

    (void)state;
    add(timed, 't');
    timed->reached_at = weir_loop_time(weir_transport_loop(t)).ns;
    if (timed->again.ns)
        weir_transport_set_deadline(t, timed->again);
    timed->again.ns = 0;
    return timed->fails ? weir_raise(timed->fails, "too late") : NULL;
}

static void on_lost(weir_transport *t, void *state, const weir_error *reason)
{
    (void)state;
    add(timed_of(t), 'l');
    timed_of(t)->reason = weir_error_code(reason);
}

static const weir_protocol timing = {
    WEIR_SIZED(weir_protocol),       .name = "timing",
    .data_received = on_data,        .connection_lost = on_lost,
    .deadline_reached = on_deadline,
};

#define LETTERS(timed, wanted) CHECK(strcmp((timed).letters, wanted) == 0)

static weir_error *a_deadline_is_reached_once_and_on_time(void *arg)
{
    struct timed timed = {.reached_at = 0};
    int peer = -1;
    weir_transport *t = pair_transport(&timing, &timed, &peer);
    int64_t start = weir_loop_time(weir_loop_current()).ns;

    (void)arg;
    CHECK(t != NULL);
    weir_transport_set_deadline(t, WEIR_MS(20));
    UNTIL(timed.letters[0]);
    CHECK(timed.reached_at - start >= WEIR_MS(20).ns);
    CHECK_OK(weir_sleep(WEIR_MS(30)));
    LETTERS(timed, "t");
    weir_transport_close(t);
    close(peer);
    UNTIL(timed.letters[1] == 'l');
    return NULL;
}
IN_LOOP(a_deadline_is_reached_once_and_on_time)

static weir_error *a_deadline_may_be_put_off_brought_forward_and_stopped(void *arg)
{
    struct timed timed = {.again = WEIR_MS(1)};
    int peer = -1;
    weir_transport *t = pair_transport(&timing, &timed, &peer);

    (void)arg;
    CHECK(t != NULL);
    weir_transport_set_deadline(t, WEIR_S(3600));
    weir_transport_set_deadline(t, WEIR_MS(1));
    UNTIL(timed.letters[1]); /* brought forward, and set again by itself */
    weir_transport_set_deadline(t, WEIR_MS(1));
    weir_transport_set_deadline(t, WEIR_S(3600));
    CHECK_OK(weir_sleep(WEIR_MS(20)));
    weir_transport_set_deadline(t, WEIR_MS(1));
    weir_transport_set_deadline(t, WEIR_FOREVER);
    CHECK_OK(weir_sleep(WEIR_MS(20)));
    LETTERS(timed, "tt");
    weir_transport_abort(t, NULL);
    close(peer);
    UNTIL(timed.letters[2] == 'l');
    return NULL;
}
IN_LOOP(a_deadline_may_be_put_off_brought_forward_and_stopped)

static weir_error *bytes_that_wait_come_before_the_deadline_and_once(void *arg)
{
    struct timed timed = {.pauses = true};
    int peer = -1;
    weir_transport *t = pair_transport(&timing, &timed, &peer);

    (void)arg;
    CHECK(t != NULL && send_all(peer, "one"));
    UNTIL(timed.letters[0] == 'd');
    weir_transport_set_deadline(t, WEIR_MS(1));
    weir__transport_stop(t, STOP_PROTOCOL);
    CHECK_OK(weir__transport_put_back(t, WEIR_SLICE("two")));
    weir_transport_resume_reading(t); /* queues the job that the deadline has too */
    UNTIL(timed.letters[2]);
    LETTERS(timed, "ddt");
    weir_transport_abort(t, NULL);
    close(peer);
    UNTIL(timed.letters[3] == 'l');
    return NULL;
}
IN_LOOP(bytes_that_wait_come_before_the_deadline_and_once)

static weir_error *what_the_deadline_returns_ends_the_connection(void *arg)
{
    struct timed timed = {.fails = ETIMEDOUT};
    int peer = -1;
    weir_transport *t = pair_transport(&timing, &timed, &peer);

    (void)arg;
    CHECK(t != NULL);
    weir_transport_set_deadline(t, WEIR_MS(10));
    UNTIL(timed.reason == ETIMEDOUT);
    LETTERS(timed, "tl");
    close(peer);
    return NULL;
}
IN_LOOP(what_the_deadline_returns_ends_the_connection)

static weir_error *a_deadline_ends_with_its_protocol(void *arg)
{
    struct timed timed = {.reached_at = 0}, after = {.reached_at = 0};
    int peer = -1;
    weir_transport *t = pair_transport(&timing, &timed, &peer);

    (void)arg;
    CHECK(t != NULL);
    weir_transport_set_deadline(t, WEIR_MS(1));
    CHECK_OK(weir_transport_set_protocol(t, &timing, &after, WEIR_SLICE(""), NULL));
    CHECK_OK(weir_sleep(WEIR_MS(20)));
    LETTERS(timed, "");
    LETTERS(after, "");
    weir_transport_set_deadline(t, WEIR_MS(1));
    UNTIL(after.letters[0]);
    LETTERS(after, "t");
    weir_transport_abort(t, NULL);
    close(peer);
    UNTIL(after.letters[1] == 'l');
    return NULL;
}
IN_LOOP(a_deadline_ends_with_its_protocol)

static weir_error *nothing_is_reached_once_the_connection_is_lost(void *arg)
{
    struct timed timed = {.reached_at = 0};
    int peer = -1;
    weir_transport *t = weir_transport_ref(pair_transport(&timing, &timed, &peer));

    (void)arg;
    CHECK(t != NULL);
    weir_transport_set_deadline(t, WEIR_MS(1));
    weir_transport_abort(t, NULL);
    weir_transport_set_deadline(t, WEIR_MS(1));
    CHECK_OK(weir_sleep(WEIR_MS(20)));
    weir_transport_set_deadline(t, WEIR_MS(1));
    CHECK_OK(weir_sleep(WEIR_MS(20)));
    LETTERS(timed, "l");
    weir_transport_unref(t);
    close(peer);
    return NULL;
}
IN_LOOP(nothing_is_reached_once_the_connection_is_lost)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(a_deadline_is_reached_once_and_on_time),
        IN_LOOP_TEST(a_deadline_may_be_put_off_brought_forward_and_stopped),
        IN_LOOP_TEST(bytes_that_wait_come_before_the_deadline_and_once),
        IN_LOOP_TEST(what_the_deadline_returns_ends_the_connection),
        IN_LOOP_TEST(a_deadline_ends_with_its_protocol),
        IN_LOOP_TEST(nothing_is_reached_once_the_connection_is_lost),
    };

    return cmocka_run_group_tests_name("deadline", tests, NULL, NULL);
}
