/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual time, and the end of hope. The loop asks before each wait that may block; at that moment
 * nothing is ready, so what may still happen is known:
 *
 *     something outside is awaited    wait for it really; time passes as it does outside
 *     else a timer runs               jump to it
 *     else                            nothing can happen any more: the run ends
 *
 * "Outside" is a descriptor of the kernel that somebody waits for, a job of an executor, a process, or
 * what the test says. Before the last verdict the loop listens for a moment, for whoever posts from
 * another thread without having said so.
 */
#include "config.h"

#include <string.h>

#include "core/base/text.h"
#include "core/task/task.h"
#include "core/testing/kit.h"

#define EPOCH_NS    ((int64_t)1000 * 1000000000)
#define PATIENCE_NS ((int64_t)20 * 1000000)

static weir_test *test_of(struct loop_clock *clock)
{
    return container_of(clock, weir_test, clock);
}

static int64_t clock_now(struct loop_clock *clock)
{
    weir_test *test = test_of(clock);
    if (test->options.real_clock)
        return weir_now().ns;
    if (test->really) {
        test->now += weir_now().ns - test->really_since;
        test->really = false;
    }
    return test->now;
}

/* Grows with each callback that runs. */
static uint64_t progress_of(const weir_test *test)
{
    weir_loop_metrics metrics = {WEIR_SIZED(weir_loop_metrics)};

    weir_loop_metrics_get(test->loop, &metrics);
    return metrics.callbacks + test->io->completions;
}

static int64_t wait_really(weir_test *test, int64_t timeout)
{
    int64_t now = weir_now().ns, left = test->real_end - now;

    if (left <= 0) {
        test->late = true;
        return 0;
    }
    if (timeout < 0 || timeout > left)
        timeout = left;
    test->really = !test->options.real_clock;
    test->really_since = now;
    return timeout;
}

/* Descriptors of the kernel were silent for as long as they may be. */
static bool silent(weir_test *test, int64_t *timeout)
{
    int64_t grace = test->options.io_grace.ns;

    if (!grace)
        return false;
    if (test->quiet_at == progress_of(test) && test->quiet)
        return true;
    test->quiet = true;
    test->quiet_at = progress_of(test);
    if (*timeout < 0 || *timeout > grace)
        *timeout = grace;
    return false;
}

static bool outside_owes(weir_test *test, int64_t *timeout)
{
    if (weir__loop_externals(test->loop) + test->externals > 0)
        return true;
    if (test->advancing)
        return false;
    return weir__kit_io_interests(test->io) > 0 && !silent(test, timeout);
}

static int64_t nothing_comes(weir_test *test)
{
    if (test->options.no_deadlock)
        return wait_really(test, -1);
    if (!test->patient || test->patient_at != progress_of(test)) {
        test->patient = true;
        test->patient_at = progress_of(test);
        return PATIENCE_NS;
    }
    test->stuck = true;
    return 0;
}

static int64_t jump(weir_test *test, int64_t timeout)
{
    if (test->now + timeout > test->run_until) {
        test->late = true;
        return 0;
    }
    test->now += timeout;
    return 0;
}

static int64_t clock_before_wait(struct loop_clock *clock, int64_t timeout)
{
    weir_test *test = test_of(clock);

    if (timeout == 0 || weir__kit_io_ready(test->io))
        return 0;
    if (test->no_jump) {
        test->nothing_due = true;
        return 0;
    }
    if (outside_owes(test, &timeout))
        return wait_really(test, timeout);
    if (timeout < 0)
        return nothing_comes(test);
    return test->options.real_clock ? wait_really(test, timeout) : jump(test, timeout);
}

void weir__kit_clock_init(weir_test *test)
{
    test->now = EPOCH_NS;
    test->run_until = INT64_MAX;
    test->real_end = INT64_MAX;
    test->clock = (struct loop_clock){.now = clock_now, .before_wait = clock_before_wait};
    weir__loop_set_clock(test->loop, &test->clock);
}

void weir__kit_list_tasks(weir_test *test, const char *separator, char *buffer, size_t size)
{
    const struct task_home *home = weir__loop_slot(test->loop, LOOP_SLOT_TASKS);
    struct text text = text_over(buffer, size);

    if (!home)
        return;
    weir_list_foreach(task, (struct list *)(uintptr_t)&home->tasks, weir_task, link) {
        char line[512];

        (void)weir_task_repr(task, line, sizeof(line));
        text_printf(&text, "%s%s", text.len ? separator : "", line);
    }
}
