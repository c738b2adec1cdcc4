/* SPDX-License-Identifier: Apache-2.0 */
/* Relays of bulk bytes, which are spliced; under faults they go through chunks. The test holds both
   far ends. */
#include "config.h"

#include <errno.h>
#include <sys/socket.h>

#include "core/net/relay.h"
#include "tests/unit/net/net_test.h"

/* Faults make little steps of it. */
#define BULK ((size_t)(faults_wanted() ? 2 : 24) * 1024 * 1024)

static weir_transport *sides[2];
static int nsides;
static unsigned dones;
static weir_code reason;
static bool was_spliced;

static weir_error *on_made(weir_transport *t, void *state, const void *config)
{
    (void)state;
    (void)config;
    weir_transport_pause_reading(t);
    sides[nsides++] = weir_transport_ref(t);
    return NULL;
}

static const weir_protocol keeps = {WEIR_SIZED(weir_protocol), .name = "keeps",
                                    .connection_made = on_made};

static void on_done(void *arg, int first, const weir_error *why)
{
    (void)arg;
    (void)first;
    dones++;
    reason = why ? weir_error_code(why) : 0;
}

struct joined {
    weir_server *server;
    int ends[2];
};

static weir_error *join(struct joined *j)
{
    const weir_relay_options options = {WEIR_SIZED(weir_relay_options), .done = on_done};

    nsides = 0;
    dones = 0;
    reason = 0;
    was_spliced = false;
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &keeps, NULL, &j->server));
    for (int i = 0; i < 2; i++) {
        j->ends[i] = raw_connect(weir_server_name(j->server));
        CHECK(j->ends[i] >= 0);
        UNTIL(nsides == i + 1);
    }
    CHECK_OK(
        weir_relay_start(sides[0], weir_slice_of("", 0), sides[1], weir_slice_of("", 0), &options));
    return NULL;
}

static weir_error *part(struct joined *j)
{
    for (int i = 0; i < 2; i++) {
        if (j->ends[i] >= 0)
            close(j->ends[i]);
    }
    UNTIL(dones == 1);
    weir_transport_unref(sides[0]);
    weir_transport_unref(sides[1]);
    weir_server_close(j->server);
    CHECK_OK(weir_server_wait_closed(j->server));
    weir_server_unref(j->server);
    return NULL;
}

static bool splices(void)
{
    return !faults_wanted();
}

/* Of one direction: what has been put in and what came out, checked. */
struct flow {
    int in, out;
    size_t sent, received, total;
};

static bool step(struct flow *f)
{
    static unsigned char bytes[65536];
    ssize_t n;

    if (f->sent < f->total) {
        size_t want = f->total - f->sent < sizeof(bytes) ? f->total - f->sent : sizeof(bytes);

        fill_pattern(bytes, want, f->sent);
        n = send(f->in, bytes, want, MSG_DONTWAIT | MSG_NOSIGNAL);
        f->sent += n > 0 ? (size_t)n : 0;
    }
    n = recv(f->out, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0 && !is_pattern(bytes, (size_t)n, f->received))
        return false;
    f->received += n > 0 ? (size_t)n : 0;
    was_spliced |= sides[0]->spliced || sides[1]->spliced;
    return true;
}

static weir_error *run_flow(struct flow *f)
{
    while (f->received < f->total) {
        CHECK(step(f));
        CHECK_OK(weir_sleep(WEIR_NS(0)));
    }
    return NULL;
}

/* Pieces of this size, each when the one before has arrived; whether they were spliced in the end. */
static weir_error *run_pieces(size_t size, int count, bool *ret_spliced)
{
    struct joined j;

    CHECK_OK(join(&j));
    for (int i = 0; i < count; i++) {
        struct flow f = {.in = j.ends[0], .out = j.ends[1], .total = size};

        CHECK_OK(run_flow(&f));
    }
    *ret_spliced = was_spliced;
    return part(&j);
}

/* A sender that is slower than we are: each segment ends in a chunk that is not full. */
static weir_error *segments_that_come_one_by_one_are_bulk(void *arg)
{
    bool spliced;

    (void)arg;
    CHECK_OK(run_pieces(3 * WEIR_CHUNK_SIZE + 1000, 60, &spliced));
    CHECK(spliced == splices());
    return NULL;
}
IN_LOOP(segments_that_come_one_by_one_are_bulk)

static weir_error *answers_of_a_chunk_and_a_half_are_no_bulk(void *arg)
{
    bool spliced;

    (void)arg;
    CHECK_OK(run_pieces(WEIR_CHUNK_SIZE + 5000, 100, &spliced));
    CHECK(!spliced);
    return NULL;
}
IN_LOOP(answers_of_a_chunk_and_a_half_are_no_bulk)

static weir_error *bulk_arrives_whole_and_both_ends_close_in_order(void *arg)
{
    struct joined j;
    struct flow f = {.total = BULK};
    char byte;

    (void)arg;
    CHECK_OK(join(&j));
    f.in = j.ends[0];
    f.out = j.ends[1];
    CHECK_OK(run_flow(&f));
    CHECK(was_spliced == splices());
    CHECK(shutdown(j.ends[0], SHUT_WR) == 0);
    UNTIL(receive_some(j.ends[1], &byte, 1) == 0);
    CHECK(shutdown(j.ends[1], SHUT_WR) == 0);
    UNTIL(receive_some(j.ends[0], &byte, 1) == 0);
    UNTIL(dones == 1);
    CHECK(reason == 0);
    CHECK(weir_transport_bytes_received(sides[0]) == BULK);
    CHECK(weir_transport_bytes_sent(sides[1]) == BULK);
    return part(&j);
}
IN_LOOP(bulk_arrives_whole_and_both_ends_close_in_order)

static weir_error *bulk_in_both_directions_keeps_them_apart(void *arg)
{
    struct joined j;
    struct flow a = {.total = BULK}, b = {.total = BULK / 2};

    (void)arg;
    CHECK_OK(join(&j));
    a.in = b.out = j.ends[0];
    a.out = b.in = j.ends[1];
    while (a.received < a.total || b.received < b.total) {
        CHECK(step(&a) && step(&b));
        CHECK_OK(weir_sleep(WEIR_NS(0)));
    }
    CHECK(was_spliced == splices());
    return part(&j);
}
IN_LOOP(bulk_in_both_directions_keeps_them_apart)

/* Each call moves little: the pipe is hardly ever emptied at once, and neither is a socket. */
static weir_error *splices_of_little_pieces_keep_every_byte(void *arg)
{
    static const size_t pieces[] = {101, 777, 70000};
    struct joined j;

    (void)arg;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        size_t total = 2500000;
        struct flow a = {.total = total}, b = {.total = total};

        CHECK_OK(join(&j));
        a.in = b.out = j.ends[0];
        a.out = b.in = j.ends[1];
        while (a.received < a.total || b.received < b.total) {
            CHECK(step(&a) && step(&b));
            if (was_spliced)
                weir__relay_piece_max = pieces[i];
            if (a.received > total - 100000)
                weir__relay_piece_max = SIZE_MAX;
            CHECK_OK(weir_sleep(WEIR_NS(0)));
        }
        weir__relay_piece_max = SIZE_MAX;
        CHECK(was_spliced == splices());
        CHECK_OK(part(&j));
    }
    return NULL;
}
IN_LOOP(splices_of_little_pieces_keep_every_byte)

/* A half-close after the request, as of a client that only wants the answer. */
static weir_error *the_end_of_a_half_closed_bulk_loses_nothing(void *arg)
{
    struct joined j;
    struct flow f = {.total = BULK};
    char byte;

    (void)arg;
    CHECK_OK(join(&j));
    CHECK(shutdown(j.ends[0], SHUT_WR) == 0);
    UNTIL(receive_some(j.ends[1], &byte, 1) == 0);
    f.in = j.ends[1];
    f.out = j.ends[0];
    while (f.sent < f.total) {
        CHECK(step(&f));
        CHECK_OK(weir_sleep(WEIR_NS(0)));
    }
    close(j.ends[1]);
    j.ends[1] = -1;
    CHECK_OK(run_flow(&f));
    UNTIL(receive_some(j.ends[0], &byte, 1) == 0);
    UNTIL(dones == 1);
    CHECK(reason == 0 && was_spliced == splices());
    return part(&j);
}
IN_LOOP(the_end_of_a_half_closed_bulk_loses_nothing)

static weir_error *after_bulk_small_messages_pass_both_ways(void *arg)
{
    struct joined j;
    struct flow f = {.total = BULK};
    char text[4];
    size_t got;

    (void)arg;
    CHECK_OK(join(&j));
    f.in = j.ends[0];
    f.out = j.ends[1];
    CHECK_OK(run_flow(&f));
    for (int i = 0; i < 100; i++) {
        got = 0;
        CHECK(send_all(j.ends[0], "ping"));
        UNTIL(receive_more(j.ends[1], text, sizeof(text), &got) == 4);
        got = 0;
        CHECK(send_all(j.ends[1], "pong"));
        UNTIL(receive_more(j.ends[0], text, sizeof(text), &got) == 4);
    }
    CHECK(!sides[0]->spliced && !sides[1]->spliced); /* little is carried: back to chunks */
    CHECK(sides[1]->high == WRITE_HIGH_DEFAULT && sides[1]->low == WRITE_HIGH_DEFAULT / 4);
    return part(&j);
}
IN_LOOP(after_bulk_small_messages_pass_both_ways)

static weir_error *flow_some(struct flow *f, size_t bytes)
{
    while (f->received < bytes) {
        CHECK(step(f));
        CHECK_OK(weir_sleep(WEIR_NS(0)));
    }
    return NULL;
}

static weir_error *a_reset_in_the_middle_aborts_the_other_side(void *arg)
{
    struct joined j;
    struct flow f = {.total = BULK};

    (void)arg;
    for (int who = 0; who < 2; who++) {
        CHECK_OK(join(&j));
        f = (struct flow){.total = BULK, .in = j.ends[0], .out = j.ends[1]};
        CHECK_OK(flow_some(&f, BULK / 2));
        close_with_reset(j.ends[who]);
        j.ends[who] = -1;
        UNTIL(dones == 1);
        CHECK(reason == ECONNRESET || reason == EPIPE);
        CHECK_OK(part(&j));
    }
    return NULL;
}
IN_LOOP(a_reset_in_the_middle_aborts_the_other_side)

/* Nobody reads at the far end: what the relay holds stays bounded, and others are served. */
static weir_error *a_reader_that_stops_bounds_what_is_held(void *arg)
{
    struct joined j;
    struct flow f = {.total = (size_t)1 << 40};
    size_t settled = 0;

    (void)arg;
    CHECK_OK(join(&j));
    f.in = j.ends[0];
    f.out = j.ends[1];
    CHECK_OK(flow_some(&f, BULK));
    for (int quiet = 0; quiet < 200; quiet++) {
        static const char bytes[65536];
        ssize_t n = send(f.in, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0) {
            quiet = 0;
            settled += (size_t)n;
        }
        CHECK(settled < (size_t)64 << 20);
        CHECK_OK(weir_sleep(WEIR_NS(0)));
    }
    CHECK(weir_transport_write_buffer_size(sides[1]) <= (size_t)CHUNK_LIMIT * WEIR_CHUNK_SIZE * 4);
    weir_transport_abort(sides[0], weir_raise(WEIR_ECANCELED, "enough"));
    UNTIL(dones == 1);
    return part(&j);
}
IN_LOOP(a_reader_that_stops_bounds_what_is_held)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(segments_that_come_one_by_one_are_bulk),
        IN_LOOP_TEST(answers_of_a_chunk_and_a_half_are_no_bulk),
        IN_LOOP_TEST(bulk_arrives_whole_and_both_ends_close_in_order),
        IN_LOOP_TEST(bulk_in_both_directions_keeps_them_apart),
        IN_LOOP_TEST(splices_of_little_pieces_keep_every_byte),
        IN_LOOP_TEST(the_end_of_a_half_closed_bulk_loses_nothing),
        IN_LOOP_TEST(after_bulk_small_messages_pass_both_ways),
        IN_LOOP_TEST(a_reset_in_the_middle_aborts_the_other_side),
        IN_LOOP_TEST(a_reader_that_stops_bounds_what_is_held),
    };

    return cmocka_run_group_tests_name("splice", tests, NULL, NULL);
}
