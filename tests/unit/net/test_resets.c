/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation that breaks at every step: after each so many bytes sent or received, at each send,
 * receive, accept and connect. Whatever the step, both sides are told once, the one that waits is not
 * left waiting, and nothing is left behind. Plain and over TLS, on the loop's backend.
 */
#include "config.h"

#include <errno.h>

#include "core/base/chunk.h"
#include "core/testing/kit.h"
#include "tests/unit/net/net_test.h"
#include "tests/unit/net/tls_test.h"

#define BYTES 1000

/* The loop's, which stands around its backend; faults of the environment are replaced. */
static weir_error *kit_of_loop(struct kit_io **ret)
{
    if (faults_wanted())
        *ret = container_of(weir__loop_io(weir_loop_current()), struct kit_io, base);
    else
        CHECK_OK(weir__kit_io_new(weir_loop_current(), 1, ret));
    return NULL;
}

static weir_error *echo_data(weir_transport *t, struct record *record, weir_slice data)
{
    (void)record;
    weir_ignore(weir_transport_write(t, data));
    return NULL;
}

struct talk {
    struct both both;
    weir_server *plain;
    struct record record;
    bool tls;
};

static weir_error *talk_to(const struct talk *talk)
{
    weir_auto(weir_stream) s = NULL;
    char bytes[BYTES];
    size_t n;

    WEIR_TIMEOUT(stuck, WEIR_S(20));
    if (talk->tls)
        WEIR_TRY(connect_tls(talk->both.server, talk->both.client_side, "a.test", &s));
    else
        WEIR_TRY(weir_connect(weir_server_name(talk->plain), NULL, &s));
    for (size_t i = 0; i < 2; i++) {
        fill_pattern(bytes, BYTES, i * BYTES);
        WEIR_TRY(weir_stream_write(s, bytes, BYTES));
        WEIR_TRY(weir_stream_read_exactly(s, bytes, BYTES));
        CHECK(is_pattern(bytes, BYTES, i * BYTES));
    }
    WEIR_TRY(weir_stream_write_eof(s));
    WEIR_TRY(weir_stream_read(s, bytes, 1, &n));
    CHECK(n == 0);
    return weir_stream_close(WEIR_TAKE(s));
}

/* How the client's side ended. */
static weir_error *converse(struct talk *talk, struct kit_io *io, const weir_test_faults *faults,
                            weir_code *ret_code)
{
    size_t descriptors = count_descriptors();
    weir_server *server;
    weir_error *error;

    talk->record = (struct record){.no_text = true, .on_data = echo_data};
    io->faults = (weir_test_faults){0};
    if (talk->tls)
        CHECK_OK(both_begin(&talk->both, &ec, &recording, &talk->record));
    else
        CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &recording, &talk->record,
                            &talk->plain));
    server = talk->tls ? talk->both.server : talk->plain;
    io->faults = *faults;
    error = talk_to(talk);
    *ret_code = weir_error_code(error);
    weir_ignore(error);
    CHECK(*ret_code != WEIR_ETIMEDOUT &&
          *ret_code != WEIR_ECANCELED); /* not stuck, no failed check */
    UNTIL(weir_server_connections(server) == 0);
    CHECK_OK(talk->tls ? both_end(&talk->both) : end_server(server));
    SETTLE();
    CHECK(talk->record.made == talk->record.lost);
    CHECK(!talk->record.lost || !strstr(strstr(talk->record.events, "lost") + 1, "lost"));
    CHECK(count_descriptors() == descriptors);
    CHECK(weir__loop_io(weir_loop_current())->pool->live <= 4); /* none is leaked, TLS keeps one */
    return NULL;
}

enum kind { SENT, RECEIVED, SEND, RECEIVE, KINDS };

static weir_test_faults faults_at(enum kind kind, size_t n)
{
    weir_test_faults faults = {.vary = true};

    if (kind == SENT) {
        faults.reset_after_sent = n;
    } else if (kind == RECEIVED) {
        faults.reset_after_received = n;
    } else if (kind == SEND) {
        faults.fail_send = n;
        faults.code = EHOSTUNREACH; /* after ECONNRESET what has come would still be waited for */
    } else
        faults.fail_receive = n;
    return faults;
}

/* Until a fault lies behind the end of the conversation. */
static weir_error *break_everywhere(bool tls)
{
    struct talk talk = {.tls = tls};
    size_t broken = 0;
    struct kit_io *io;
    static char log[65536];

    capture_log_begin();
    CHECK_OK(kit_of_loop(&io));
    for (enum kind kind = 0; kind < KINDS; kind++) {
        size_t step = kind >= SEND ? 1 : tls ? 97 : 41, n = 1;
        weir_code code = EPERM;

        for (; code && n < 20000; n += step) {
            weir_test_faults faults = faults_at(kind, n);

            CHECK_OK(converse(&talk, io, &faults, &code));
            broken += code != 0;
        }
        CHECK(!code && n > step); /* the first broke it, the last did not */
    }
    CHECK(broken > (tls ? 60 : 90));
    io->faults = (weir_test_faults){0};
    capture_log_end(log, sizeof(log));
    return NULL;
}

static weir_error *T55_reset_at_every_step_ends_a_connection_once(void *arg)
{
    (void)arg;
    return break_everywhere(false);
}
IN_LOOP(T55_reset_at_every_step_ends_a_connection_once)

static weir_error *T71_reset_at_every_step_ends_a_tls_connection_once(void *arg)
{
    (void)arg;
    return break_everywhere(true);
}
IN_LOOP(T71_reset_at_every_step_ends_a_tls_connection_once)

static weir_error *T64_connect_that_fails_at_the_end_leaves_nothing(void *arg)
{
    const weir_test_faults faults = {.fail_connect = true, .code = ECONNREFUSED};
    struct talk talk = {0};
    struct kit_io *io;
    weir_code code;

    (void)arg;
    CHECK_OK(kit_of_loop(&io));
    CHECK_OK(converse(&talk, io, &faults, &code));
    CHECK(code == ECONNREFUSED);
    return NULL;
}
IN_LOOP(T64_connect_that_fails_at_the_end_leaves_nothing)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T55_reset_at_every_step_ends_a_connection_once),
        IN_LOOP_TEST(T71_reset_at_every_step_ends_a_tls_connection_once),
        IN_LOOP_TEST(T64_connect_that_fails_at_the_end_leaves_nothing),
    };

    return cmocka_run_group_tests_name("resets", tests, tls_test_begin, tls_test_end);
}
