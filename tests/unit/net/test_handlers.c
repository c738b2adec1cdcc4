/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks that serve connections: how their end ends the connection, who waits for them, and what a
   cancellation at any moment leaves behind. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include <weir/debug.h>
#include <weir/scope.h>

#include "core/base/chunk.h"
#include "core/net/server.h"
#include "core/net/stream.h"
#include "tests/unit/net/net_test.h"

/* What a handler is to do, and what became of it; the protocol's configuration. */
struct handling {
    weir_code returns;
    bool waits;        /* reads, which a cancellation ends */
    unsigned clean_up; /* iterations that it needs to end, shielded */
    const char *says;  /* before it returns */
    weir_task *task;   /* while it runs */
    bool ended;
    weir_code read_code; /* of that read */
};

static weir_error *handles(weir_stream *stream, const void *config)
{
    struct handling *handling = (struct handling *)(uintptr_t)config;
    weir_error *error = NULL;
    char byte;
    size_t n;

    handling->task = weir_task_current();
    if (handling->says)
        WEIR_TRY(weir_stream_write(stream, handling->says, strlen(handling->says)));
    if (handling->waits) {
        error = weir_stream_read(stream, &byte, 1, &n);
        handling->read_code = error ? weir_error_code(error) : 0;
    }
    for (unsigned i = 0; i < handling->clean_up; i++) {
        WEIR_SHIELD(cleaning, WEIR_S(5));
        weir_ignore(weir_sleep(WEIR_NS(0)));
    }
    handling->ended = true;
    handling->task = NULL;
    if (error)
        return error;
    return handling->returns ? weir_raise(handling->returns, "as asked") : NULL;
}

static const weir_protocol handler_protocol = {WEIR_SIZED(weir_protocol), .name = "handler",
                                               .serve = handles};

static weir_error *begin(struct handling *handling, weir_server **ret_server, int *ret_client)
{
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &handler_protocol, handling,
                        ret_server));
    *ret_client = raw_connect(weir_server_name(*ret_server));
    CHECK(*ret_client >= 0);
    return NULL;
}

static weir_error *end(weir_server *server, int client)
{
    close(client);
    CHECK_OK(weir_server_shutdown(server, WEIR_S(5)));
    weir_server_unref(server);
    return NULL;
}

static weir_error *T81_a_handler_that_returns_has_its_connection_flushed_and_closed(void *arg)
{
    static struct handling handling;
    weir_server *server;
    char got[16], log[2048];
    int client;

    (void)arg;
    handling = (struct handling){.says = "good bye"};
    capture_log_begin();
    CHECK_OK(begin(&handling, &server, &client));
    UNTIL(handling.ended && weir_server_connections(server) == 0);
    CHECK(receive_some(client, got, sizeof(got)) == 8 && memcmp(got, "good bye", 8) == 0);
    CHECK(receive_some(client, got, sizeof(got)) == 0);
    CHECK_OK(end(server, client));
    capture_log_end(log, sizeof(log));
    CHECK(log[0] == '\0');
    return NULL;
}
IN_LOOP(T81_a_handler_that_returns_has_its_connection_flushed_and_closed)

static weir_error *T81_a_handlers_error_is_logged_and_its_connection_closed(void *arg)
{
    static struct handling handling;
    weir_server *server;
    char byte, log[2048];
    int client;

    (void)arg;
    handling = (struct handling){.returns = EPERM};
    capture_log_begin();
    CHECK_OK(begin(&handling, &server, &client));
    UNTIL(handling.ended && weir_server_connections(server) == 0);
    CHECK(receive_some(client, &byte, 1) == 0);
    CHECK_OK(end(server, client));
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, "ERROR") && strstr(log, "handler: connection ") && strstr(log, "as asked"));
    return NULL;
}
IN_LOOP(T81_a_handlers_error_is_logged_and_its_connection_closed)

static weir_error *T81_a_cancelled_handler_has_its_connection_closed_in_silence(void *arg)
{
    static struct handling handling;
    weir_server *server;
    char byte, log[2048];
    int client;

    (void)arg;
    handling = (struct handling){.waits = true};
    capture_log_begin();
    CHECK_OK(begin(&handling, &server, &client));
    UNTIL(handling.task);
    SETTLE();
    CHECK(weir_task_cancel(handling.task));
    UNTIL(weir_server_connections(server) == 0);
    CHECK(handling.read_code == WEIR_ECANCELED);
    CHECK(receive_some(client, &byte, 1) == 0);
    CHECK_OK(end(server, client));
    capture_log_end(log, sizeof(log));
    CHECK(log[0] == '\0');
    return NULL;
}
IN_LOOP(T81_a_cancelled_handler_has_its_connection_closed_in_silence)

static weir_error *T65_wait_closed_waits_for_handlers_that_still_clean_up(void *arg)
{
    static struct handling handling;
    weir_server *server;
    int client;

    (void)arg;
    handling = (struct handling){.waits = true, .clean_up = 20};
    CHECK_OK(begin(&handling, &server, &client));
    UNTIL(handling.task);
    SETTLE();
    weir_server_close(server);
    weir_server_abort_connections(server);
    CHECK_OK(weir_server_wait_closed(server));
    CHECK(handling.ended);
    close(client);
    weir_server_unref(server);
    return NULL;
}
IN_LOOP(T65_wait_closed_waits_for_handlers_that_still_clean_up)

static weir_error *T65_wait_closed_returns_at_once_when_all_is_over(void *arg)
{
    static struct handling handling;
    weir_server *server;
    int client;

    (void)arg;
    handling = (struct handling){0};
    CHECK_OK(begin(&handling, &server, &client));
    UNTIL(handling.ended && weir_server_connections(server) == 0);
    {
        WEIR_TIMEOUT(soon, WEIR_MS(2));
        CHECK_CODE(weir_server_wait_closed(server), WEIR_ETIMEDOUT);
    }
    weir_server_close(server);
    CHECK_OK(weir_server_wait_closed(server));
    CHECK_OK(weir_server_wait_closed(server));
    close(client);
    weir_server_unref(server);
    return NULL;
}
IN_LOOP(T65_wait_closed_returns_at_once_when_all_is_over)

static weir_error *T65_shutdown_lets_connections_end_then_aborts_them(void *arg)
{
    static struct handling handling;
    weir_server *server;
    char byte;
    int client;

    (void)arg;
    handling = (struct handling){.waits = true};
    CHECK_OK(begin(&handling, &server, &client));
    UNTIL(handling.task);
    CHECK_OK(weir_server_shutdown(server, WEIR_MS(5)));
    CHECK(handling.ended);
    CHECK(receive_some(client, &byte, 1) == -2);
    close(client);
    weir_server_unref(server);
    handling = (struct handling){.waits = true};
    CHECK_OK(begin(&handling, &server, &client));
    UNTIL(handling.task);
    CHECK(send_all(client, "x"));
    CHECK_OK(weir_server_shutdown(server, WEIR_FOREVER));
    CHECK(receive_some(client, &byte, 1) == 0);
    close(client);
    weir_server_unref(server);
    return NULL;
}
IN_LOOP(T65_shutdown_lets_connections_end_then_aborts_them)

/* The accept path */

static weir_error *B6_failures_of_the_accept_path_are_logged_ten_at_a_time(void *arg)
{
    static struct record record;
    weir_server *server;
    char log[16384];
    size_t lines = 0;

    (void)arg;
    record = (struct record){.made_fails = EPERM};
    capture_log_begin();
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &recording, &record, &server));
    for (int i = 0; i < 25; i++) {
        int client;

        record.lost = false;
        client = raw_connect(weir_server_name(server));
        UNTIL(record.lost);
        close(client);
    }
    CHECK_OK(weir_server_shutdown(server, WEIR_S(5)));
    weir_server_unref(server);
    capture_log_end(log, sizeof(log));
    for (const char *at = log; (at = strstr(at, "ERROR")); at++)
        lines++;
    CHECK(lines == 10);
    CHECK(strstr(log, "Error on transport creation for incoming connection from 127.0.0.1:"));
    CHECK(strstr(log, "made to fail"));
    CHECK(strstr(log, "15 more connections could not begin"));
    return NULL;
}
IN_LOOP(B6_failures_of_the_accept_path_are_logged_ten_at_a_time)

/* Lines of debug mode */

static weir_error *follow_connection(bool debug, char *log, size_t size)
{
    struct record record = {.keep_open = true};
    weir_logger *logger = weir_logger_get("weir.transport");
    weir_transport *t;
    int peer;

    capture_log_begin();
    weir_logger_set_level(logger, WEIR_LOG_DEBUG);
    weir_loop_set_debug(weir_loop_current(), debug);
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    weir_transport_pause_reading(t);
    weir_transport_resume_reading(t);
    CHECK(shutdown(peer, SHUT_WR) == 0);
    UNTIL(record.eof);
    weir_transport_close(t);
    UNTIL(record.lost);
    close(peer);
    weir_loop_set_debug(weir_loop_current(), false);
    weir_logger_set_level(logger, 0);
    capture_log_end(log, size);
    return NULL;
}

static weir_error *B6_debug_mode_follows_a_connection_other_modes_do_not(void *arg)
{
    static const char *const lines[] = {"> connected", "> pauses reading", "> resumes reading",
                                        "> received EOF", "> lost"};
    char log[8192];

    (void)arg;
    CHECK_OK(follow_connection(true, log, sizeof(log)));
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (!strstr(log, lines[i]))
            return check_failed(WEIR_HERE, lines[i]);
    }
    CHECK(strstr(log, "DEBUG") && strstr(log, "weir.transport: <Socket fd="));
    CHECK_OK(follow_connection(false, log, sizeof(log)));
    CHECK(log[0] == '\0');
    return NULL;
}
IN_LOOP(B6_debug_mode_follows_a_connection_other_modes_do_not)

/* Cancellation at every suspension */

static weir_error *echo(weir_stream *stream, const void *config)
{
    (void)config;
    for (;;) {
        weir_slice slice;

        WEIR_TRY(weir_stream_read_slice(stream, &slice));
        if (!slice.len)
            return NULL;
        WEIR_TRY(weir_stream_write_slice(stream, slice));
    }
}

static const weir_protocol echo_protocol = {WEIR_SIZED(weir_protocol), .name = "echo",
                                            .serve = echo};

static weir_error *talks(void *arg)
{
    static char block[300000];
    weir_auto(weir_stream) s = NULL;
    char line[16];
    size_t n;

    WEIR_TRY(weir_connect(arg, NULL, &s));
    WEIR_TRY(weir_stream_printf(s, "hello\n"));
    WEIR_TRY(weir_stream_read_line(s, line, sizeof(line), &n));
    WEIR_TRY(weir_stream_write(s, block, sizeof(block)));
    WEIR_TRY(weir_stream_read_exactly(s, block, sizeof(block)));
    WEIR_TRY(weir_stream_drain(s));
    WEIR_TRY(weir_stream_write_eof(s));
    WEIR_TRY(weir_stream_read(s, line, 1, &n));
    CHECK(n == 0);
    return weir_stream_close(WEIR_TAKE(s));
}

/* After `steps` iterations. True: it had ended before. */
static weir_error *cancel_talk(const weir_server *server, unsigned steps, bool *ret_ended)
{
    size_t descriptors = count_descriptors();
    weir_error *error;
    weir_task *task;

    CHECK_OK(weir_spawn(talks, (void *)(uintptr_t)weir_server_name(server), &task));
    for (unsigned i = 0; i < steps; i++)
        CHECK_OK(weir_sleep(WEIR_NS(0)));
    *ret_ended = weir_future_done(weir_task_future(task));
    (void)weir_task_cancel(task);
    error = weir_task_await(task);
    CHECK(!error || weir_error_is(error, WEIR_ECANCELED));
    weir_ignore(error);
    weir_task_unref(task);
    UNTIL(weir_server_connections(server) == 0);
    CHECK(count_descriptors() == descriptors);
    return NULL;
}

static weir_error *T40_cancelled_at_any_moment_a_connection_leaves_no_descriptor(void *arg)
{
    weir_server *server;
    bool ended = false;

    (void)arg;
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &echo_protocol, NULL, &server));
    /* Under faults it takes many more. */
    for (unsigned steps = 0; !ended && steps < 100000; steps += steps < 200 ? 1 : steps / 16)
        CHECK_OK(cancel_talk(server, steps, &ended));
    CHECK(ended);
    CHECK_OK(weir_server_shutdown(server, WEIR_S(5)));
    weir_server_unref(server);
    return NULL;
}
IN_LOOP(T40_cancelled_at_any_moment_a_connection_leaves_no_descriptor)

#define NUMBERS 400

struct counting {
    weir_stream *stream;
    size_t next; /* number to be read or written */
};

static weir_error *reads_a_number(void *arg)
{
    struct counting *counting = arg;
    uint32_t number;

    WEIR_TRY(weir_stream_read_exactly(counting->stream, &number, sizeof(number)));
    CHECK(number == counting->next);
    counting->next++;
    return NULL;
}

static weir_error *writes_a_number(void *arg)
{
    static uint32_t block[20000];
    struct counting *counting = arg;

    for (size_t i = 0; i < sizeof(block) / sizeof(block[0]); i++)
        block[i] = (uint32_t)(counting->next + i);
    WEIR_TRY(weir_stream_write(counting->stream, block, sizeof(block)));
    counting->next += sizeof(block) / sizeof(block[0]);
    return NULL;
}

/* Starts it, cancels it after `steps` iterations. */
static weir_error *try_once(weir_fn fn, struct counting *counting, unsigned steps)
{
    weir_error *error;
    weir_task *task;

    CHECK_OK(weir_spawn(fn, counting, &task));
    for (unsigned i = 0; i < steps; i++)
        CHECK_OK(weir_sleep(WEIR_NS(0)));
    (void)weir_task_cancel(task);
    error = weir_task_await(task);
    CHECK(!error || weir_error_is(error, WEIR_ECANCELED));
    weir_ignore(error);
    weir_task_unref(task);
    return NULL;
}

static weir_error *T40_cancelled_reads_and_writes_lose_no_byte_and_repeat_none(void *arg)
{
    struct counting reader = {0}, writer = {0};
    weir_transport *t;
    int fd;

    (void)arg;
    t = pair_transport(&weir__stream_protocol, NULL, &fd);
    CHECK(t);
    reader.stream = weir__stream_adopt(t);
    t = fd_transport(&weir__stream_protocol, NULL, fd);
    CHECK(t);
    writer.stream = weir__stream_adopt(t);
    for (unsigned i = 0; i < NUMBERS; i++) {
        CHECK_OK(try_once(reads_a_number, &reader, i % 4));
        if (reader.next % 16 == 0 || reader.next == writer.next)
            CHECK_OK(try_once(writes_a_number, &writer, i % 3));
    }
    CHECK(writer.next > 0 && reader.next > NUMBERS / 4);
    while (reader.next < writer.next)
        CHECK_OK(reads_a_number(&reader));
    weir_stream_abort(reader.stream);
    weir_stream_abort(writer.stream);
    return NULL;
}
IN_LOOP(T40_cancelled_reads_and_writes_lose_no_byte_and_repeat_none)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T81_a_handler_that_returns_has_its_connection_flushed_and_closed),
        IN_LOOP_TEST(T81_a_handlers_error_is_logged_and_its_connection_closed),
        IN_LOOP_TEST(T81_a_cancelled_handler_has_its_connection_closed_in_silence),
        IN_LOOP_TEST(T65_wait_closed_waits_for_handlers_that_still_clean_up),
        IN_LOOP_TEST(T65_wait_closed_returns_at_once_when_all_is_over),
        IN_LOOP_TEST(T65_shutdown_lets_connections_end_then_aborts_them),
        IN_LOOP_TEST(B6_failures_of_the_accept_path_are_logged_ten_at_a_time),
        IN_LOOP_TEST(B6_debug_mode_follows_a_connection_other_modes_do_not),
        IN_LOOP_TEST(T40_cancelled_at_any_moment_a_connection_leaves_no_descriptor),
        IN_LOOP_TEST(T40_cancelled_reads_and_writes_lose_no_byte_and_repeat_none),
    };

    return cmocka_run_group_tests_name("handlers", tests, NULL, NULL);
}
