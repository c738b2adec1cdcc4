/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of `make bench-runtime` in libuv, each in the way its manual suggests. */
#include <pthread.h>
#include <uv.h>

#include "measure.h"

static uint64_t wanted, done;

/* What call_soon is in libuv: a queue of one's own that an idle handle empties, a batch at a time. */
struct soon {
    struct soon *next;
    void (*fn)(void *arg);
    void *arg;
};

static struct soon *soon_first, **soon_last = &soon_first;
static uv_idle_t soon_idle;

static void run_soon(uv_idle_t *idle)
{
    struct soon *batch = soon_first;

    soon_first = NULL;
    soon_last = &soon_first;
    while (batch) {
        struct soon *next = batch->next;

        batch->fn(batch->arg);
        free(batch);
        batch = next;
    }
    if (!soon_first)
        uv_idle_stop(idle);
}

static void call_soon(void (*fn)(void *arg), void *arg)
{
    struct soon *soon = malloc(sizeof *soon);

    *soon = (struct soon){.fn = fn, .arg = arg};
    if (!soon_first)
        uv_idle_start(&soon_idle, run_soon);
    *soon_last = soon;
    soon_last = &soon->next;
}

static void count_and_go_on(void *arg)
{
    if (++done >= wanted)
        uv_stop(arg);
    else
        call_soon(count_and_go_on, arg);
}

static void callbacks(uv_loop_t *loop)
{
    struct measure began;

    uv_idle_init(loop, &soon_idle);
    began = measure_begin();
    for (int i = 0; i < CALLBACKS; i++)
        call_soon(count_and_go_on, loop);
    uv_run(loop, UV_RUN_DEFAULT);
    measure_end(began, done);
}

static void count_idle(uv_idle_t *idle)
{
    if (++done >= wanted)
        uv_stop(idle->loop);
}

/* A thousand idle handles that stay armed: a walk of a list, nothing is scheduled. */
static void standing(uv_loop_t *loop)
{
    uv_idle_t *idles = calloc(CALLBACKS, sizeof *idles);
    struct measure began;

    for (int i = 0; i < CALLBACKS; i++) {
        uv_idle_init(loop, &idles[i]);
        uv_idle_start(&idles[i], count_idle);
    }
    began = measure_begin();
    uv_run(loop, UV_RUN_DEFAULT);
    measure_end(began, done);
}

static void never(uv_timer_t *timer)
{
    (void)timer;
    abort();
}

static void timers(uv_loop_t *loop)
{
    uv_timer_t *timer = calloc(TIMERS, sizeof *timer);
    struct measure began;

    for (int i = 0; i < TIMERS; i++) {
        uv_timer_init(loop, &timer[i]);
        uv_timer_start(&timer[i], never, measure_timeout_ms(), 0);
    }
    began = measure_begin();
    for (uint64_t i = 0; i < wanted; i++) {
        uv_timer_t *one = &timer[measure_random() % TIMERS];

        uv_timer_stop(one);
        uv_timer_start(one, never, measure_timeout_ms(), 0);
    }
    measure_end(began, wanted);
}

/* uv_async_send() coalesces, so what is to be delivered stands in a queue, as it must. */
struct item {
    struct item *next;
    void (*fn)(void *arg);
    void *arg;
};

static void count_item(void *arg)
{
    (void)arg;
    done++;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct item *first, **last = &first;
static uv_async_t async;
static uint64_t each;

static void *post(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < each; i++) {
        struct item *item = malloc(sizeof *item);

        *item = (struct item){.fn = count_item};
        pthread_mutex_lock(&lock);
        *last = item;
        last = &item->next;
        pthread_mutex_unlock(&lock);
        uv_async_send(&async);
    }
    return NULL;
}

static void drain(uv_async_t *handle)
{
    struct item *item;

    pthread_mutex_lock(&lock);
    item = first;
    first = NULL;
    last = &first;
    pthread_mutex_unlock(&lock);
    while (item) {
        struct item *next = item->next;

        item->fn(item->arg);
        free(item);
        item = next;
    }
    if (done >= wanted)
        uv_stop(handle->loop);
}

static void posts(uv_loop_t *loop, unsigned threads)
{
    pthread_t thread[16];
    struct measure began;

    each = wanted / threads;
    wanted = each * threads;
    uv_async_init(loop, &async, drain);
    began = measure_begin();
    for (unsigned i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, post, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    measure_end(began, done);
}

static char received[ECHO_BUFFER];

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(received, sizeof received);
}

static void gone(uv_handle_t *handle)
{
    free(handle);
}

struct write {
    uv_write_t request;
    uv_buf_t rest;
};

static void written(uv_write_t *request, int status)
{
    struct write *write = (struct write *)request;

    (void)status;
    free(write->rest.base);
    free(write);
}

static void echo_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    uv_buf_t out;
    int sent;

    if (count < 0) {
        uv_close((uv_handle_t *)stream, gone);
        return;
    }
    out = uv_buf_init(buffer->base, (unsigned)count);
    sent = uv_try_write(stream, &out, 1);
    if (sent < 0)
        sent = 0;
    if (sent < count) {
        struct write *write = malloc(sizeof *write);
        size_t rest = (size_t)(count - sent);

        write->rest = uv_buf_init(malloc(rest), (unsigned)rest);
        memcpy(write->rest.base, buffer->base + sent, rest);
        uv_write(&write->request, stream, &write->rest, 1, written);
    }
}

static void accepted(uv_stream_t *server, int status)
{
    uv_tcp_t *client = malloc(sizeof *client);

    if (status < 0)
        exit(1);
    uv_tcp_init(server->loop, client);
    if (uv_accept(server, (uv_stream_t *)client) != 0)
        exit(1);
    uv_tcp_nodelay(client, 1);
    uv_read_start((uv_stream_t *)client, give_buffer, echo_read);
}

static void echo(uv_loop_t *loop, int port)
{
    struct sockaddr_in address;
    uv_tcp_t server;

    uv_ip4_addr("127.0.0.1", port, &address);
    uv_tcp_init(loop, &server);
    if (uv_tcp_bind(&server, (const struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&server, 1024, accepted) != 0)
        exit(1);
    uv_run(loop, UV_RUN_DEFAULT);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    const char *row = argc == 3 ? argv[1] : "";

    wanted = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    if (strcmp(row, "callbacks") == 0)
        callbacks(loop);
    else if (strcmp(row, "standing") == 0)
        standing(loop);
    else if (strcmp(row, "timers") == 0)
        timers(loop);
    else if (strcmp(row, "posts1") == 0)
        posts(loop, 1);
    else if (strcmp(row, "posts4") == 0)
        posts(loop, 4);
    else if (strcmp(row, "echo") == 0)
        echo(loop, (int)wanted);
    else
        return 64;
    return 0;
}
