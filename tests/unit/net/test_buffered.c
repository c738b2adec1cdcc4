/* SPDX-License-Identifier: Apache-2.0 */
/* Protocols that supply the memory that bytes are received into (T63). */
#include "config.h"

#include <sys/socket.h>

#include "tests/unit/net/net_test.h"

struct supply {
    char memory[64];
    size_t size, filled, hint; /* of each buffer; the hint of the first */
    unsigned asked;
    bool eof, lost, pauses;
    size_t switch_at; /* bytes after which another protocol takes over */
    struct record *successor;
    weir_code reason;
};

static struct supply *supply_of(weir_transport *t)
{
    return (struct supply *)(uintptr_t)weir_transport_config(t);
}

static weir_error *get_buffer(weir_transport *t, void *state, size_t hint, void **ret_buffer,
                              size_t *ret_size)
{
    struct supply *supply = supply_of(t);

    (void)state;
    if (!supply->asked++)
        supply->hint = hint;
    *ret_buffer = supply->memory + supply->filled;
    *ret_size = supply->size;
    return NULL;
}

static weir_error *buffer_updated(weir_transport *t, void *state, size_t n)
{
    struct supply *supply = supply_of(t);

    (void)state;
    supply->filled += n;
    if (supply->pauses)
        weir_transport_pause_reading(t);
    if (supply->switch_at && supply->filled >= supply->switch_at)
        return weir_transport_set_protocol(t, &recording, supply->successor, weir_slice_of(NULL, 0),
                                           NULL);
    return NULL;
}

static weir_error *on_eof(weir_transport *t, void *state, bool *ret_keep_open)
{
    (void)state;
    (void)ret_keep_open;
    supply_of(t)->eof = true;
    return NULL;
}

static void on_lost(weir_transport *t, void *state, const weir_error *reason)
{
    (void)state;
    supply_of(t)->lost = true;
    supply_of(t)->reason = reason ? weir_error_code(reason) : 0;
}

static const weir_protocol supplying = {
    WEIR_SIZED(weir_protocol),        .name = "supplying",    .get_buffer = get_buffer,
    .buffer_updated = buffer_updated, .eof_received = on_eof, .connection_lost = on_lost,
};

static weir_error *T63_bytes_are_put_where_the_protocol_wants_them(void *arg)
{
    struct supply supply = {.size = 4};
    int peer = -1;

    (void)arg;
    CHECK(pair_transport(&supplying, &supply, &peer) != NULL);
    CHECK(send_all(peer, "0123456789"));
    UNTIL(supply.filled == 10);
    CHECK(memcmp(supply.memory, "0123456789", 10) == 0);
    CHECK((supply.asked == 3 && supply.hint == 10) || faults_wanted());
    close(peer);
    UNTIL(supply.lost);
    CHECK(supply.eof && supply.reason == 0);
    return NULL;
}
IN_LOOP(T63_bytes_are_put_where_the_protocol_wants_them)

static weir_error *T63_an_empty_buffer_ends_the_connection(void *arg)
{
    struct supply supply = {.size = 0};
    char log[1024];
    int peer = -1;

    (void)arg;
    capture_log_begin();
    CHECK(pair_transport(&supplying, &supply, &peer) != NULL);
    CHECK(send_all(peer, "x"));
    UNTIL(supply.lost);
    capture_log_end(log, sizeof(log));
    CHECK(supply.reason == WEIR_EINVAL && supply.asked == 1);
    CHECK(strstr(log, "get_buffer() returned an empty buffer") != NULL);
    close(peer);
    return NULL;
}
IN_LOOP(T63_an_empty_buffer_ends_the_connection)

static weir_error *T63_another_protocol_gets_what_the_buffers_did_not_take(void *arg)
{
    struct record record = {0};
    struct supply supply = {.size = 3, .switch_at = 6, .successor = &record};
    int peer = -1;

    (void)arg;
    CHECK(pair_transport(&supplying, &supply, &peer) != NULL);
    CHECK(send_all(peer, "0123456789"));
    UNTIL(record.received == 4);
    CHECK(send_all(peer, "more"));
    UNTIL(record.received == 8);
    CHECK(supply.filled == 6 && memcmp(supply.memory, "012345", 6) == 0);
    CHECK_EVENTS(&record, "made data(6789) data(more) ");
    close(peer);
    UNTIL(record.lost);
    CHECK(!supply.lost);
    return NULL;
}
IN_LOOP(T63_another_protocol_gets_what_the_buffers_did_not_take)

static weir_error *T63_pausing_between_two_buffers_keeps_the_rest(void *arg)
{
    struct supply supply = {.size = 2, .pauses = true};
    weir_transport *t;
    int peer = -1;

    (void)arg;
    t = pair_transport(&supplying, &supply, &peer);
    CHECK(t != NULL);
    CHECK(send_all(peer, "abcdef"));
    UNTIL(supply.filled == 2);
    SETTLE();
    CHECK(supply.filled == 2);
    weir_transport_resume_reading(t);
    UNTIL(supply.filled == 4);
    SETTLE();
    CHECK(supply.filled == 4);
    close(peer);
    weir_transport_resume_reading(t);
    UNTIL(supply.filled == 6);
    weir_transport_resume_reading(t);
    UNTIL(supply.lost);
    CHECK(memcmp(supply.memory, "abcdef", 6) == 0 && supply.eof);
    return NULL;
}
IN_LOOP(T63_pausing_between_two_buffers_keeps_the_rest)

static weir_error *hand_over(weir_transport *t, struct record *record, weir_slice data)
{
    return weir_transport_set_protocol(t, &supplying, record->arg, weir_slice_skip(data, 2), NULL);
}

static weir_error *T63_a_buffered_protocol_takes_over_the_rest_of_a_slice(void *arg)
{
    struct supply supply = {.size = 2};
    struct record record = {.on_data = hand_over, .arg = &supply};
    int peer = -1;

    (void)arg;
    CHECK(pair_transport(&recording, &record, &peer) != NULL);
    CHECK(send_all(peer, "abcdef"));
    UNTIL(supply.filled == 4);
    CHECK(memcmp(supply.memory, "cdef", 4) == 0);
    close(peer);
    UNTIL(supply.lost);
    return NULL;
}
IN_LOOP(T63_a_buffered_protocol_takes_over_the_rest_of_a_slice)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T63_bytes_are_put_where_the_protocol_wants_them),
        IN_LOOP_TEST(T63_an_empty_buffer_ends_the_connection),
        IN_LOOP_TEST(T63_another_protocol_gets_what_the_buffers_did_not_take),
        IN_LOOP_TEST(T63_pausing_between_two_buffers_keeps_the_rest),
        IN_LOOP_TEST(T63_a_buffered_protocol_takes_over_the_rest_of_a_slice),
    };

    return cmocka_run_group_tests_name("buffered", tests, NULL, NULL);
}
