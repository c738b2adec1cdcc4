/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of a backend share: ends as transports hold them, and each test on each backend. */
#ifndef WEIR_TESTS_BACKEND_TEST_H
#define WEIR_TESTS_BACKEND_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/chunk.h"
#include "core/io/epoll.h"
#include "tests/unit/loop/loop_test.h"

/* One end of a connection as a transport would hold it. */
struct end {
    struct io_file file;
    size_t received;
    int receives; /* completions */
    int ended;    /* -1: not yet */
    ssize_t sent;
    int connected;
    int hangups;
    int accepted[64];
    int naccepted;
    struct end *victim; /* closed by the first completion */
    bool stops;         /* the receive stops itself */
    char last[32];
};

static struct io_backend *io;
static const char *backend; /* of this test */

static __attribute__((unused)) void close_end(struct end *end)
{
    io->ops->close(io, &end->file, false);
}

static __attribute__((unused)) void close_victim(struct end *end)
{
    if (end->victim)
        close_end(end->victim);
    end->victim = NULL;
}

static __attribute__((unused)) void on_received(struct io_file *file, weir_chunk *chunk,
                                                size_t offset, size_t len)
{
    struct end *end = container_of(file, struct end, file);
    size_t n = len < sizeof(end->last) - 1 ? len : sizeof(end->last) - 1;

    memcpy(end->last, (char *)weir_chunk_data(chunk) + offset, n);
    end->last[n] = '\0';
    end->received += len;
    end->receives++;
    weir_chunk_unref(chunk);
    if (end->stops)
        io->ops->receive_stop(io, file);
    close_victim(end);
}

static __attribute__((unused)) void on_receive_ended(struct io_file *file, int result)
{
    struct end *end = container_of(file, struct end, file);

    end->ended = -result;
    close_victim(end);
}

static __attribute__((unused)) void on_accepted(struct io_file *file, int result,
                                                const struct sockaddr *peer, socklen_t length)
{
    struct end *end = container_of(file, struct end, file);

    (void)peer;
    (void)length;
    end->accepted[end->naccepted++] = result;
}

static __attribute__((unused)) void on_connected(struct io_file *file, int result)
{
    container_of(file, struct end, file)->connected = result;
}

static __attribute__((unused)) void on_sent(struct io_file *file, ssize_t result)
{
    container_of(file, struct end, file)->sent = result;
}

static __attribute__((unused)) void on_hangup(struct io_file *file)
{
    container_of(file, struct end, file)->hangups++;
}

static const struct io_file_ops end_ops = {
    .received = on_received,
    .receive_ended = on_receive_ended,
    .accepted = on_accepted,
    .connected = on_connected,
    .sent = on_sent,
    .hangup = on_hangup,
};

static __attribute__((unused)) void end_init(struct end *end, int fd)
{
    *end = (struct end){.ended = -1, .connected = 1, .sent = 1};
    io_file_init(&end->file, &end_ops, fd, WEIR_HERE);
    OK(io->ops->add(io, &end->file));
}

static __attribute__((unused)) void loop_open(size_t max_chunks)
{
    weir_loop_options options = {WEIR_SIZED(weir_loop_options), .backend = backend,
                                 .max_chunks = max_chunks};

    OK(weir_loop_new(&options, &test.loop));
    io = weir__loop_io(test.loop);
}

static __attribute__((unused)) int io_setup(void **state)
{
    backend = *state;
    memset(&test, 0, sizeof(test));
    loop_open(0);
    return 0;
}

static __attribute__((unused)) void small_pool(size_t max_chunks)
{
    OK(weir_loop_close(test.loop));
    weir_loop_unref(test.loop);
    loop_open(max_chunks);
}

static __attribute__((unused)) bool on_uring(void)
{
    return strcmp(backend, "io_uring") == 0;
}

/* A registered end and the other descriptor. */
static __attribute__((unused)) int pair_open(struct end *end)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    end_init(end, fds[0]);
    return fds[1];
}

static __attribute__((unused)) void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static __attribute__((unused)) void wait_for(int64_t ns)
{
    int events;

    OK(io->ops->wait(io, ns, &events));
    io->ops->dispatch(io);
}

static __attribute__((unused)) void wait_once(void)
{
    wait_for(1000000000);
}

static __attribute__((unused)) void wait_none(void)
{
    wait_for(0);
}

/* What one send moved, or -errno, now or when it has been done. */
static __attribute__((unused)) ssize_t send_out(struct end *end, const struct iovec *iov, int count)
{
    ssize_t n = io->ops->send(io, &end->file, iov, count);

    if (n != -EINPROGRESS)
        return n;
    end->sent = 1 << 30;
    while (end->sent == 1 << 30)
        wait_once();
    return end->sent;
}

static __attribute__((unused)) struct iovec piece(const char *text)
{
    return (struct iovec){(void *)(uintptr_t)text, strlen(text)};
}

static __attribute__((unused)) void set_buffers(int fd, int size)
{
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

static __attribute__((unused)) void listener_open(struct end *end, struct sockaddr_in *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    end_init(end, fd);
    *ret_address = address;
}

static __attribute__((unused)) void client_open(struct end *end, const struct sockaddr_in *address)
{
    end_init(end, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    io->ops->connect(io, &end->file, (const struct sockaddr *)address, sizeof(*address));
}

/* Each test for each backend that works here. */
#define TESTS_MAX 128

static struct CMUnitTest tests[TESTS_MAX];
static size_t ntests;

static __attribute__((unused)) void add_tests(const struct CMUnitTest *given, size_t count,
                                              const char *name)
{
    for (size_t i = 0; i < count; i++) {
        char *full;

        assert_true(ntests < TESTS_MAX);
        assert_true(asprintf(&full, "%s_on_%s", given[i].name, name) > 0);
        tests[ntests] = given[i];
        tests[ntests].name = full;
        tests[ntests++].initial_state = (void *)(uintptr_t)name;
    }
}

#define IO_TEST(name) cmocka_unit_test_setup_teardown(name, io_setup, loop_teardown)

static __attribute__((unused)) bool io_works(const char *name)
{
    struct io_backend *made;
    weir_error *error = weir__io_backend_new(name, &made);

    if (!error)
        made->ops->destroy(made);
    weir_ignore(error);
    return !error;
}

static __attribute__((unused)) int run_on_each_backend(const struct CMUnitTest *each, size_t count,
                                                       const char *name)
{
    int failed;

    add_tests(each, count, "epoll");
    if (io_works("io_uring"))
        add_tests(each, count, "io_uring");
    failed = _cmocka_run_group_tests(name, tests, ntests, NULL, NULL);
    for (size_t i = 0; i < ntests; i++)
        free((void *)(uintptr_t)tests[i].name);
    return failed;
}

#endif
