/* SPDX-License-Identifier: Apache-2.0 */
/* A fresh loop for each test of core/loop and core/io, and a journal of who ran. */
#ifndef WEIR_TESTS_LOOP_TEST_H
#define WEIR_TESTS_LOOP_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include <weir/log.h>

#include "core/loop/loop.h"
#include "tests/unit/base/base_test.h"

#define JOURNAL_MAX 128

struct loop_test {
    weir_loop *loop;
    char journal[JOURNAL_MAX]; /* one letter per event */
};

static struct loop_test test;

static inline void note(char letter)
{
    size_t n = strlen(test.journal);

    assert_true(n + 1 < JOURNAL_MAX);
    test.journal[n] = letter;
    test.journal[n + 1] = '\0';
}

static inline int loop_setup(void **state)
{
    (void)state;
    memset(&test, 0, sizeof(test));
    OK(weir_loop_new(NULL, &test.loop));
    return 0;
}

static inline int loop_teardown(void **state)
{
    (void)state;
    OK(weir_loop_close(test.loop));
    weir_loop_unref(test.loop);
    return 0;
}

/* Callbacks whose argument is a letter to note. */
static inline weir_error *note_arg(void *arg)
{
    note(*(const char *)arg);
    return NULL;
}

static inline void drop_arg(void *arg)
{
    note((char)(*(const char *)arg - 32)); /* a capital letter: dropped */
}

static inline weir_error *stop_loop(void *arg)
{
    (void)arg;
    weir_loop_stop(test.loop);
    return NULL;
}

#define soon(fn, arg) OK(weir_loop_call_soon(test.loop, fn, (void *)(uintptr_t)(arg), NULL, NULL))

static inline void later(int ms, weir_fn fn, const char *arg)
{
    OK(weir_loop_call_later(test.loop, WEIR_MS(ms), fn, (void *)(uintptr_t)arg, NULL, NULL));
}

/* Iterations that do not wait. */
static inline void iterate(int count)
{
    while (count-- > 0)
        OK(weir__loop_run_once(test.loop, 0));
}

/* What the log writes meanwhile, into `text`. */
static inline void sink_open(int ends[2])
{
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    OK(weir_log_configure(&(weir_log_options){WEIR_SIZED(weir_log_options), .fd = ends[1]}));
}

static inline void sink_close(int ends[2], char *text, size_t size)
{
    ssize_t n;

    assert_true(weir_log_flush(WEIR_S(10)));
    n = read(ends[0], text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    OK(weir_log_configure(&(weir_log_options){WEIR_SIZED(weir_log_options), .fd = 2}));
    close(ends[0]);
    close(ends[1]);
}

/* Of another thread. */
static inline void wait_for_event(sem_t *event)
{
    while (sem_wait(event) != 0)
        assert_int_equal(errno, EINTR);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

#endif
