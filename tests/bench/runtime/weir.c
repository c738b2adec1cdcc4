/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of `make bench-runtime` in weir, as a program that embeds libweir would do them. */
#include <pthread.h>
#include <unistd.h>

#include <weir/weir.h>

#include "measure.h"

static uint64_t wanted, done;

static weir_error *count_and_go_on(void *arg)
{
    weir_loop *loop = arg;

    if (++done >= wanted) {
        weir_loop_stop(loop);
        return NULL;
    }
    return weir_loop_call_soon(loop, count_and_go_on, loop, NULL, NULL);
}

static weir_error *callbacks(weir_loop *loop)
{
    struct measure began = measure_begin();

    for (int i = 0; i < CALLBACKS; i++)
        WEIR_TRY(weir_loop_call_soon(loop, count_and_go_on, loop, NULL, NULL));
    WEIR_TRY(weir_loop_run_forever(loop));
    measure_end(began, done);
    return NULL;
}

/* Callbacks that live in their owner's state and schedule themselves again. */
static weir_callback standing_callback[CALLBACKS];

static weir_error *count_standing(void *arg)
{
    if (++done >= wanted)
        weir_loop_stop(weir_loop_current());
    else
        weir_callback_schedule(arg);
    return NULL;
}

static weir_error *standing(weir_loop *loop)
{
    struct measure began;

    for (int i = 0; i < CALLBACKS; i++) {
        weir_callback_init(&standing_callback[i], loop, count_standing, &standing_callback[i]);
        weir_callback_schedule(&standing_callback[i]);
    }
    began = measure_begin();
    WEIR_TRY(weir_loop_run_forever(loop));
    measure_end(began, done);
    for (int i = 0; i < CALLBACKS; i++)
        weir_callback_cancel(&standing_callback[i]);
    return NULL;
}

static weir_error *never(void *arg)
{
    (void)arg;
    abort();
}

static weir_error *timers(weir_loop *loop)
{
    weir_timer *timer = calloc(TIMERS, sizeof *timer);
    struct measure began;

    for (int i = 0; i < TIMERS; i++) {
        weir_timer_init(&timer[i], loop, never, NULL);
        weir_timer_start(&timer[i], WEIR_MS((int64_t)measure_timeout_ms()));
    }
    began = measure_begin();
    for (uint64_t i = 0; i < wanted; i++) {
        weir_timer *one = &timer[measure_random() % TIMERS];

        weir_timer_stop(one);
        weir_timer_start(one, WEIR_MS((int64_t)measure_timeout_ms()));
    }
    measure_end(began, wanted);
    for (int i = 0; i < TIMERS; i++)
        weir_timer_stop(&timer[i]);
    free(timer);
    return NULL;
}

static uint64_t each;

static weir_error *count_post(void *arg)
{
    if (++done >= wanted)
        weir_loop_stop(arg);
    return NULL;
}

static void *post(void *arg)
{
    for (uint64_t i = 0; i < each; i++)
        weir_ignore(weir_loop_call_soon_threadsafe(arg, count_post, arg, NULL));
    return NULL;
}

static weir_error *posts(weir_loop *loop, unsigned threads)
{
    pthread_t thread[16];
    struct measure began;

    each = wanted / threads;
    wanted = each * threads;
    began = measure_begin();
    for (unsigned i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, post, loop);
    WEIR_TRY(weir_loop_run_forever(loop));
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    measure_end(began, done);
    return NULL;
}

static weir_error *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

static weir_error *spawn(void *arg)
{
    struct measure began = measure_begin();

    (void)arg;
    for (uint64_t i = 0; i < wanted; i++) {
        weir_auto(weir_task) task = NULL;

        WEIR_TRY(weir_spawn(nothing, NULL, &task));
        WEIR_TRY(weir_task_await(task));
    }
    measure_end(began, wanted);
    return NULL;
}

static weir_error *take_turns(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < wanted / 100; i++)
        WEIR_TRY(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *yields(void *arg)
{
    struct measure began = measure_begin();
    WEIR_GROUP(tasks);

    (void)arg;
    for (int i = 0; i < 100; i++)
        WEIR_TRY(weir_group_spawn(&tasks, take_turns, NULL, NULL));
    WEIR_TRY(weir_group_join(&tasks));
    measure_end(began, wanted);
    return NULL;
}

static weir_error *put_all(void *queue)
{
    for (uint64_t i = 0; i < wanted; i++)
        WEIR_TRY(weir_queue_put(queue, &done));
    return NULL;
}

static weir_error *hand_over(void *arg)
{
    const weir_queue_options options = {WEIR_SIZED(weir_queue_options), .limit = 64};
    weir_auto(weir_queue) queue = NULL;
    struct measure began = measure_begin();

    (void)arg;
    WEIR_TRY(weir_queue_new(&options, &queue));
    WEIR_GROUP(producers);
    WEIR_TRY(weir_group_spawn(&producers, put_all, queue, NULL));
    for (uint64_t i = 0; i < wanted; i++) {
        void *item;

        WEIR_TRY(weir_queue_get(queue, &item));
    }
    measure_end(began, wanted);
    return weir_group_join(&producers);
}

static weir_error *echo_back(weir_transport *transport, void *state, weir_slice data)
{
    (void)state;
    return weir_transport_write(transport, data);
}

static weir_error *echo(weir_loop *loop, int port)
{
    static const weir_protocol protocol = {WEIR_SIZED(weir_protocol), .name = "echo",
                                           .data_received = echo_back};
    weir_auto(weir_server) server = NULL;
    char address[32];

    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    WEIR_TRY(weir_serve(loop, address, NULL, &protocol, NULL, &server));
    return weir_loop_run_forever(loop);
}

static weir_error *echo_lines(weir_stream *stream, const void *config)
{
    (void)config;
    for (;;) {
        weir_slice data;

        WEIR_TRY(weir_stream_read_slice(stream, &data));
        if (data.len == 0)
            return NULL;
        WEIR_TRY(weir_stream_write_slice(stream, data));
    }
}

static weir_error *echo_tasks(weir_loop *loop, int port)
{
    static const weir_protocol protocol = {WEIR_SIZED(weir_protocol), .name = "echo-tasks",
                                           .serve = echo_lines};
    weir_auto(weir_server) server = NULL;
    char address[32];

    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    WEIR_TRY(weir_serve(loop, address, NULL, &protocol, NULL, &server));
    return weir_loop_run_forever(loop);
}

/* Resident bytes and page tables, from the kernel. */
static uint64_t memory_now(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[128];
    uint64_t sum = 0, kib;

    while (status && fgets(line, sizeof line, status)) {
        if (sscanf(line, "VmRSS: %" SCNu64, &kib) == 1 ||
            sscanf(line, "VmPTE: %" SCNu64, &kib) == 1)
            sum += kib * 1024;
    }
    if (status)
        fclose(status);
    return sum;
}

static uint64_t asleep;

static weir_error *sleep_long(void *arg)
{
    (void)arg;
    asleep++;
    return weir_sleep(WEIR_S(3600));
}

/* Prints the bytes of each task that sleeps, in the place of operations. */
static weir_error *memory(void *arg)
{
    uint64_t before = memory_now();
    struct measure began = measure_begin();

    (void)arg;
    for (uint64_t i = 0; i < wanted; i++)
        WEIR_TRY(weir_spawn(sleep_long, NULL, NULL));
    while (asleep < wanted)
        WEIR_TRY(weir_sleep(WEIR_MS(0)));
    measure_end(began, (memory_now() - before) / wanted);
    _exit(0); /* ending a million tasks is not what is measured */
}

static weir_error *run(weir_loop *loop, const char *row)
{
    if (strcmp(row, "callbacks") == 0)
        return callbacks(loop);
    if (strcmp(row, "standing") == 0)
        return standing(loop);
    if (strcmp(row, "timers") == 0)
        return timers(loop);
    if (strcmp(row, "posts1") == 0)
        return posts(loop, 1);
    if (strcmp(row, "posts4") == 0)
        return posts(loop, 4);
    if (strcmp(row, "echo") == 0)
        return echo(loop, (int)wanted);
    if (strcmp(row, "echo-tasks") == 0)
        return echo_tasks(loop, (int)wanted);
    return weir_raise(WEIR_EINVAL, "there is no row \"%s\"", row);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        weir_fn body;
    } task_rows[] = {{"spawn", spawn}, {"yield", yields}, {"queue", hand_over}, {"memory", memory}};

    const char *row = argc == 3 ? argv[1] : "";
    weir_loop *loop;
    weir_error *error;

    wanted = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    for (size_t i = 0; i < sizeof task_rows / sizeof task_rows[0]; i++) {
        if (strcmp(row, task_rows[i].name) == 0) {
            error = weir_run(task_rows[i].body, NULL, NULL);
            goto out;
        }
    }
    error = weir_loop_new(NULL, &loop);
    if (!error) {
        error = run(loop, row);
        weir_loop_close_force(loop, WEIR_S(1));
        weir_loop_unref(loop);
    }
out:
    if (error)
        weir_log_error(weir_logger_get("bench"), WEIR_LOG_ERROR, error, "%s", row);
    weir_log_shutdown(WEIR_S(1));
    return error != NULL;
}
