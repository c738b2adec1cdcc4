/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of `make bench-runtime` in libevent. */
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

static struct event_base *base;
static uint64_t wanted, done;

static void count_and_go_on(evutil_socket_t fd, short what, void *arg)
{
    struct event **self = arg;

    (void)fd;
    (void)what;
    if (++done >= wanted)
        event_base_loopbreak(base);
    else
        event_active(*self, 0, 0);
}

static void callbacks(void)
{
    struct event **events = calloc(CALLBACKS, sizeof *events);
    struct measure began;

    for (int i = 0; i < CALLBACKS; i++) {
        events[i] = event_new(base, -1, EV_PERSIST, count_and_go_on, &events[i]);
        event_active(events[i], 0, 0);
    }
    began = measure_begin();
    event_base_dispatch(base);
    measure_end(began, done);
}

static void never(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    abort();
}

static void start(struct event *timer)
{
    uint64_t ms = measure_timeout_ms();
    struct timeval after = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};

    event_add(timer, &after);
}

static void timers(void)
{
    struct event **timer = calloc(TIMERS, sizeof *timer);
    struct measure began;

    for (int i = 0; i < TIMERS; i++) {
        timer[i] = event_new(base, -1, 0, never, NULL);
        start(timer[i]);
    }
    began = measure_begin();
    for (uint64_t i = 0; i < wanted; i++) {
        struct event *one = timer[measure_random() % TIMERS];

        event_del(one);
        start(one);
    }
    measure_end(began, wanted);
}

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
static struct event *wake;
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
        event_active(wake, 0, 0);
    }
    return NULL;
}

static void drain(evutil_socket_t fd, short what, void *arg)
{
    struct item *item;

    (void)fd;
    (void)what;
    (void)arg;
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
        event_base_loopbreak(base);
}

static void posts(unsigned threads)
{
    pthread_t thread[16];
    struct timeval hour = {3600, 0};
    struct measure began;

    each = wanted / threads;
    wanted = each * threads;
    wake = event_new(base, -1, EV_PERSIST, drain, NULL);
    event_add(wake, &hour);
    began = measure_begin();
    for (unsigned i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, post, NULL);
    event_base_dispatch(base);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    measure_end(began, done);
}

static char received[ECHO_BUFFER];

static void echo_read(evutil_socket_t fd, short what, void *arg)
{
    struct event **self = arg;
    ssize_t count = recv(fd, received, sizeof received, 0);

    (void)what;
    if (count < 0 && errno == EAGAIN)
        return;
    /* Round trips of 64 bytes always fit into the socket; else the measurement is void. */
    if (count > 0 && send(fd, received, (size_t)count, MSG_NOSIGNAL) == count)
        return;
    event_free(*self);
    free(self);
    close(fd);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
                     int length, void *arg)
{
    struct event **self = malloc(sizeof *self);
    int on = 1;

    (void)listener;
    (void)peer;
    (void)length;
    (void)arg;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *self = event_new(base, fd, EV_READ | EV_PERSIST, echo_read, self);
    event_add(*self, NULL);
}

static void echo(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};

    if (!evconnlistener_new_bind(base, accepted, NULL, LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE,
                                 1024, (struct sockaddr *)&address, sizeof address))
        measure_fail("listen");
    event_base_dispatch(base);
}

int main(int argc, char **argv)
{
    const char *row = argc == 3 ? argv[1] : "";

    wanted = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    /* Locks cost; a program that posts from threads needs them, others do without. */
    if (strncmp(row, "posts", 5) == 0)
        evthread_use_pthreads();
    base = event_base_new();
    if (strcmp(row, "callbacks") == 0)
        callbacks();
    else if (strcmp(row, "timers") == 0)
        timers();
    else if (strcmp(row, "posts1") == 0)
        posts(1);
    else if (strcmp(row, "posts4") == 0)
        posts(4);
    else if (strcmp(row, "echo") == 0)
        echo((int)wanted);
    else
        return 64;
    return 0;
}
