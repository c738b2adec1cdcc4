/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What relaying bulk bytes costs: weir's relay on the chunk path, the same spliced, and a bare
 * forwarder that does nothing but splice(2). A source and a sink of their own keep the relay busy;
 * contenders take turns within a round, CPU time is what the kernel counted for the relay's process.
 *
 *   bulk [ROUNDS [MIB]]
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/pipe.h>
#include <weir/relay.h>
#include <weir/weir.h>

#define PIECE      ((size_t)256 * 1024)
#define ROUNDS_MAX 100

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* A connected pair of TCP sockets. */
static void tcp_pair(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        die("listen");
    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (ends[0] < 0 || connect(ends[0], (struct sockaddr *)&address, length) != 0)
        die("connect");
    ends[1] = accept(listener, NULL, NULL);
    if (ends[1] < 0)
        die("accept");
    close(listener);
}

static void run_source(int fd, size_t total)
{
    static char bytes[PIECE];

    while (total) {
        ssize_t n = send(fd, bytes, total < PIECE ? total : PIECE, MSG_NOSIGNAL);

        if (n <= 0)
            die("send");
        total -= (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    while (recv(fd, bytes, sizeof(bytes), 0) > 0)
        ;
    exit(0);
}

static void run_sink(int fd, size_t total)
{
    static char bytes[PIECE];
    ssize_t n;

    while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        total -= (size_t)n;
    exit(total ? 1 : 0);
}

/* The bare forwarder. */
static void run_bare(int from, int to)
{
    int ends[2];
    ssize_t n;

    if (pipe2(ends, O_CLOEXEC) != 0)
        die("pipe");
    (void)fcntl(ends[1], F_SETPIPE_SZ, 512 * 1024);
    fcntl(from, F_SETFL, O_NONBLOCK);
    fcntl(to, F_SETFL, O_NONBLOCK);
    for (;;) {
        struct pollfd in = {.fd = from, .events = POLLIN};

        n = splice(from, NULL, ends[1], NULL, 512 * 1024, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n == 0)
            exit(0);
        if (n < 0) {
            poll(&in, 1, -1);
            continue;
        }
        while (n > 0) {
            struct pollfd out = {.fd = to, .events = POLLOUT};
            ssize_t m =
                splice(ends[0], NULL, to, NULL, (size_t)n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

            if (m > 0)
                n -= m;
            else
                poll(&out, 1, -1);
        }
    }
}

static void relay_done(void *arg, int first, const weir_error *reason)
{
    (void)first;
    (void)reason;
    weir_future *future = arg;

    weir_ignore(weir_future_set_result(future, NULL, NULL));
}

static bool no_splice;

static weir_error *relay(void *arg)
{
    static const weir_protocol none = {WEIR_SIZED(weir_protocol), .name = "none"};
    const int *fds = arg;
    weir_transport *a, *b;
    weir_future *future;

    WEIR_TRY(weir_future_new(&future));
    const weir_relay_options options = {WEIR_SIZED(weir_relay_options), .done = relay_done,
                                        .arg = future, .no_splice = no_splice};
    WEIR_TRY(weir_pipe_duplex(weir_loop_current(), fds[0], &none, NULL, &a));
    WEIR_TRY(weir_pipe_duplex(weir_loop_current(), fds[1], &none, NULL, &b));
    WEIR_TRY(weir_relay_start(a, WEIR_SLICE(""), b, WEIR_SLICE(""), &options));
    weir_error *error = weir_await(future);
    weir_future_unref(future);
    return error;
}

static void run_weir(int from, int to)
{
    int fds[2] = {from, to};
    weir_error *error = weir_run(relay, fds, NULL);

    if (error)
        weir_log_error(weir_logger_get("bulk"), WEIR_LOG_ERROR, error, "relay");
    exit(error ? 1 : 0);
}

enum { CHUNKS, SPLICED, BARE, CONTENDERS };

static const char *const names[] = {"weir, chunks", "weir, spliced", "bare splice"};

static pid_t start(void)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    return pid;
}

/* CPU seconds of the relay for `total` bytes. */
static double measure(int who, size_t total)
{
    int left[2], right[2], status = 0;
    struct rusage usage;
    pid_t source, sink, relaying;

    tcp_pair(left);
    tcp_pair(right);
    source = start();
    if (!source) {
        close(left[1]);
        close(right[0]);
        close(right[1]);
        run_source(left[0], total);
    }
    sink = start();
    if (!sink) {
        close(left[0]);
        close(left[1]);
        close(right[1]);
        run_sink(right[0], total);
    }
    relaying = start();
    if (!relaying) {
        close(left[0]);
        close(right[0]);
        if (who == CHUNKS)
            no_splice = true;
        if (who == BARE)
            run_bare(left[1], right[1]);
        run_weir(left[1], right[1]);
    }
    close(left[0]), close(left[1]);
    close(right[0]);
    close(right[1]);
    if (waitpid(sink, &status, 0) != sink || status)
        die("the sink did not get all bytes");
    if (wait4(relaying, &status, 0, &usage) != relaying || status)
        die("the relay failed");
    waitpid(source, &status, 0);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
           (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 9;
    size_t total = (size_t)(argc > 2 ? strtol(argv[2], NULL, 10) : 1024) << 20;
    static double cost[CONTENDERS][ROUNDS_MAX], ratio[CONTENDERS][ROUNDS_MAX];

    signal(SIGPIPE, SIG_IGN);
    if (rounds < 1 || rounds > ROUNDS_MAX)
        rounds = 9;
    for (int r = 0; r < rounds; r++) {
        for (int who = 0; who < CONTENDERS; who++)
            cost[who][r] = measure(who, total);
        for (int who = 0; who < CONTENDERS; who++)
            ratio[who][r] = cost[who][r] / cost[BARE][r];
    }
    for (int who = 0; who < CONTENDERS; who++) {
        qsort(cost[who], (size_t)rounds, sizeof(double), compare);
        qsort(ratio[who], (size_t)rounds, sizeof(double), compare);
        printf("%-14s %6.1f ms CPU/GiB   %.2f of bare splice\n", names[who],
               cost[who][rounds / 2] * 1000 / ((double)total / (1 << 30)), ratio[who][rounds / 2]);
    }
    return 0;
}
