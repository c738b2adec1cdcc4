/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: references instead of copies, water marks, limits, and what the kernel does not take. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <weir/chunk.h>
#include <weir/relay.h>

#include "core/base/chunk.h"
#include "tests/unit/net/net_test.h"

static char megabyte[1024 * 1024];

static void small_buffers(int fd)
{
    int size = 4096;

    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static weir_transport *narrow_pair(const weir_protocol *protocol, const void *config, int *ret_peer)
{
    weir_transport *t = pair_transport(protocol, config, ret_peer);

    if (t)
        small_buffers(t->file.fd);
    return t;
}

/* Reads all there is now; how much. */
static size_t swallow(int fd)
{
    static char buffer[65536];
    size_t total = 0;
    ssize_t n;

    while ((n = receive_some(fd, buffer, sizeof(buffer))) > 0)
        total += (size_t)n;
    return total;
}

static weir_error *T56_write_goes_to_the_kernel_at_once(void *arg)
{
    static struct record record = {0};
    char text[8] = "";
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("now")));
    if (strcmp(weir_loop_backend(weir_loop_current()), "epoll") == 0) {
        CHECK(weir_transport_write_buffer_size(t) == 0);
        CHECK(t->net->entries_kept == 0);
    } else {
        SENT(t); /* with all that this iteration sends */
    }
    CHECK(receive_some(peer, text, sizeof(text)) == 3);
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(T56_write_goes_to_the_kernel_at_once)

static weir_error *queued_slice_of_a_chunk_holds_a_reference_until_sent(void *arg)
{
    static struct record record = {0};
    weir_transport *t;
    weir_chunk *chunk;
    int peer;

    (void)arg;
    t = narrow_pair(&recording, &record, &peer);
    CHECK(t);
    CHECK_OK(weir_transport_write(t, weir_slice_of(megabyte, 60000)));
    CHECK_OK(weir_chunk_new(WEIR_CHUNK_SIZE, &chunk));
    memset(weir_chunk_data(chunk), 'c', WEIR_CHUNK_SIZE);
    CHECK_OK(weir_transport_write(t, weir_slice_of(weir_chunk_data(chunk), WEIR_CHUNK_SIZE)));
    CHECK(chunk->refs == 2);
    UNTIL((swallow(peer), weir_transport_write_buffer_size(t) == 0));
    CHECK(chunk->refs == 1);
    weir_chunk_unref(chunk);
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(queued_slice_of_a_chunk_holds_a_reference_until_sent)

static weir_error *abort_gives_queued_chunks_back(void *arg)
{
    static struct record record = {0};
    weir_transport *t;
    weir_chunk *chunk;
    int peer;

    (void)arg;
    t = narrow_pair(&recording, &record, &peer);
    CHECK(t);
    CHECK_OK(weir_transport_write(t, weir_slice_of(megabyte, 60000)));
    CHECK_OK(weir_chunk_new(WEIR_CHUNK_SIZE, &chunk));
    CHECK_OK(weir_transport_write(t, weir_slice_of(weir_chunk_data(chunk), WEIR_CHUNK_SIZE)));
    weir_transport_abort(t, NULL);
    CHECK(chunk->refs == 1);
    weir_chunk_unref(chunk);
    UNTIL(record.lost);
    close(peer);
    return NULL;
}
IN_LOOP(abort_gives_queued_chunks_back)

static void count_release(void *owner)
{
    ++*(int *)owner;
}

static weir_error *owned_memory_is_released_once_it_is_sent_or_refused(void *arg)
{
    static struct record record = {0};
    int sent = 0, queued = 0, refused = 0, peer;
    weir_transport *t;

    (void)arg;
    t = narrow_pair(&recording, &record, &peer);
    CHECK(t);
    CHECK_OK(weir_transport_write_owned(t, WEIR_SLICE("abc"), count_release, &sent));
    UNTIL(sent == 1);
    CHECK_OK(
        weir_transport_write_owned(t, weir_slice_of(megabyte, 100000), count_release, &queued));
    CHECK(queued == 0);
    UNTIL((swallow(peer), queued == 1));
    CHECK_OK(weir_transport_write_eof(t));
    CHECK_CODE(weir_transport_write_owned(t, WEIR_SLICE("abc"), count_release, &refused),
               WEIR_ECLOSED);
    CHECK(refused == 1);
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(owned_memory_is_released_once_it_is_sent_or_refused)

static weir_error *foreign_memory_may_change_once_the_write_returned(void *arg)
{
    static struct record record = {0};
    static char bytes[50000], seen[60000];
    weir_transport *t;
    size_t total = 0;
    int peer;

    (void)arg;
    t = narrow_pair(&recording, &record, &peer);
    CHECK(t);
    fill_pattern(bytes, sizeof(bytes), 0);
    CHECK_OK(weir_transport_write(t, weir_slice_of(bytes, sizeof(bytes))));
    memset(bytes, 0, sizeof(bytes));
    while (total < sizeof(bytes)) {
        ssize_t n = receive_some(peer, seen + total, sizeof(seen) - total);

        if (n > 0)
            total += (size_t)n;
        CHECK_OK(weir_sleep(WEIR_NS(0)));
    }
    CHECK(is_pattern(seen, sizeof(bytes), 0));
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(foreign_memory_may_change_once_the_write_returned)

/* Marks */

static weir_error *T57_exactly_the_high_mark_does_not_pause_one_more_byte_does(void *arg)
{
    static struct record record = {0};
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    weir_transport_set_write_limits(t, 1000, 100, 0);
    weir_transport_cork(t);
    CHECK_OK(weir_transport_write(t, weir_slice_of(megabyte, 1000)));
    CHECK(record.pauses == 0);
    CHECK_OK(weir_transport_write(t, weir_slice_of(megabyte, 1)));
    CHECK(record.pauses == 1);
    CHECK_OK(weir_transport_write(t, weir_slice_of(megabyte, 1)));
    CHECK(record.pauses == 1 && record.resumes == 0);
    weir_transport_uncork(t);
    UNTIL(record.resumes == 1);
    UNTIL(unread(peer) == 1002);
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(T57_exactly_the_high_mark_does_not_pause_one_more_byte_does)

static weir_error *T57_a_high_mark_of_zero_does_not_flap(void *arg)
{
    static struct record record = {0};
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    weir_transport_set_write_limits(t, 0, 0, 0);
    weir_transport_cork(t);
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("x")));
    CHECK(record.pauses == 1 && record.resumes == 0);
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("x")));
    CHECK(record.pauses == 1 && record.resumes == 0);
    weir_transport_uncork(t);
    UNTIL(record.resumes == 1);
    CHECK(record.pauses == 1);
    CHECK(weir_transport_write_buffer_size(t) == 0);
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(T57_a_high_mark_of_zero_does_not_flap)

static weir_error *past_the_hard_limit_nothing_is_queued(void *arg)
{
    static struct record record = {0};
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    weir_transport_set_write_limits(t, 100, 10, 1000);
    weir_transport_cork(t);
    CHECK_OK(weir_transport_write(t, weir_slice_of(megabyte, 600)));
    CHECK_CODE(weir_transport_write(t, weir_slice_of(megabyte, 401)), WEIR_EFULL);
    CHECK(weir_transport_write_buffer_size(t) == 600);
    CHECK_OK(weir_transport_write(t, weir_slice_of(megabyte, 400)));
    weir_transport_uncork(t);
    UNTIL(unread(peer) == 1000);
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(past_the_hard_limit_nothing_is_queued)

/* Sends what is left of 8 MiB whenever the transport wants more. */
struct sender {
    size_t offset;
};

static void send_more(weir_transport *t, struct record *record)
{
    struct sender *sender = record->arg;
    static char part[10000];

    while (sender->offset < 8000000 && !t->write_paused) {
        fill_pattern(part, sizeof(part), sender->offset);
        sender->offset += sizeof(part);
        EXPECT(!weir_transport_write(t, weir_slice_of(part, sizeof(part))));
    }
    if (sender->offset == 8000000 && !t->eof_queued)
        EXPECT(!weir_transport_write_eof(t));
}

static weir_error *T56_big_transfer_with_partial_sends_arrives_in_order(void *arg)
{
    static struct sender sender;
    static struct record record = {.on_resume = send_more, .arg = &sender};
    char buffer[7777];
    size_t total = 0;
    weir_transport *t;
    ssize_t n = -1;
    int peer;

    (void)arg;
    t = narrow_pair(&recording, &record, &peer);
    CHECK(t);
    send_more(t, &record);
    while (n != 0) {
        n = receive_some(peer, buffer, sizeof(buffer));
        CHECK(n != -2);
        if (n > 0) {
            CHECK(is_pattern(buffer, (size_t)n, total));
            total += (size_t)n;
        } else {
            CHECK_OK(weir_sleep(WEIR_NS(0)));
        }
    }
    CHECK(total == 8000000);
    CHECK(record.pauses > 1 && record.pauses == record.resumes);
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(T56_big_transfer_with_partial_sends_arrives_in_order)

static weir_error *writev_of_more_slices_than_a_send_takes_keeps_order(void *arg)
{
    static struct record record = {0};
    weir_slice slices[150];
    static char bytes[150 * 7], seen[150 * 7 + 1];
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    fill_pattern(bytes, sizeof(bytes), 0);
    for (size_t i = 0; i < 150; i++)
        slices[i] = weir_slice_of(bytes + i * 7, 7);
    CHECK_OK(weir_transport_writev(t, slices, 150));
    SENT(t);
    CHECK(receive_some(peer, seen, sizeof(seen)) == (ssize_t)sizeof(bytes));
    CHECK(memcmp(seen, bytes, sizeof(bytes)) == 0);
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(writev_of_more_slices_than_a_send_takes_keeps_order)

static weir_error *corked_writes_leave_together(void *arg)
{
    static struct record record = {0};
    char text[16] = "";
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    weir_transport_cork(t);
    weir_transport_cork(t);
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("one ")));
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("two")));
    weir_transport_uncork(t);
    SETTLE();
    CHECK(receive_some(peer, text, sizeof(text)) == -1);
    weir_transport_uncork(t);
    SENT(t);
    CHECK(receive_some(peer, text, sizeof(text)) == 7);
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(corked_writes_leave_together)

static weir_error *T59_close_with_a_full_queue_flushes_all_of_it(void *arg)
{
    static struct record record = {0};
    weir_transport *t;
    size_t total = 0;
    int peer;

    (void)arg;
    t = narrow_pair(&recording, &record, &peer);
    CHECK(t);
    CHECK_OK(weir_transport_write(t, weir_slice_of(megabyte, sizeof(megabyte))));
    weir_transport_close(t);
    CHECK_CODE(weir_transport_write(t, WEIR_SLICE("x")), WEIR_ECLOSED);
    UNTIL((total += swallow(peer), record.lost));

    total += swallow(peer);
    CHECK(total == sizeof(megabyte));
    CHECK(record.reason == 0);
    close(peer);
    return NULL;
}
IN_LOOP(T59_close_with_a_full_queue_flushes_all_of_it)

static weir_error *T56_failed_send_is_the_reason_and_the_write_succeeds(void *arg)
{
    static struct record record = {0};
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    close(peer);
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("x")));
    UNTIL(record.lost);
    CHECK(record.reason == EPIPE);
    return NULL;
}
IN_LOOP(T56_failed_send_is_the_reason_and_the_write_succeeds)

static weir_error *what_the_peer_said_before_it_left_is_delivered_after_a_failed_send(void *arg)
{
    static struct record record = {.keep_open = true};
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    CHECK(send_all(peer, "no, thanks"));
    close(peer);
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("more")));
    UNTIL(record.lost);
    /* Its end may be seen before the send fails. */
    if (!record.eof)
        CHECK_EVENTS(&record, "made data(no, thanks) lost(EPIPE) ");
    else
        CHECK_EVENTS(&record, "made data(no, thanks) eof lost(EPIPE) ");
    return NULL;
}
IN_LOOP(what_the_peer_said_before_it_left_is_delivered_after_a_failed_send)

/* Forwarding */

static weir_error *forward(weir_transport *t, struct record *record, weir_slice data)
{
    (void)t;
    return weir_transport_write(record->arg, data);
}

static weir_error *forwarding_to_a_slow_consumer_stops_receiving_at_the_chunk_limit(void *arg)
{
    static struct record out = {0}, in = {.on_data = forward, .no_text = true};
    weir_transport *a, *b;
    size_t sent = 0, total = 0;
    int source, sink;

    (void)arg;
    b = narrow_pair(&recording, &out, &sink);
    a = pair_transport(&recording, &in, &source);
    CHECK(a && b);
    in.arg = b;
    weir_transport_set_write_limits(b, 1 << 20, 0, 0);
    for (int i = 0; i < 200; i++) {
        ssize_t n = send(source, megabyte, 16384, MSG_NOSIGNAL | MSG_DONTWAIT);

        sent += n > 0 ? (size_t)n : 0;
        SETTLE();
    }
    CHECK(a->held >= CHUNK_LIMIT && a->held <= CHUNK_LIMIT + chunks_in_ring());
    CHECK(a->stops & STOP_CHUNKS);
    CHECK(a->net->io->pool->live <= CHUNK_LIMIT + 1 + chunks_in_ring());
    UNTIL((total += swallow(sink), total == sent));
    UNTIL(a->held == 0 && !(a->stops & STOP_CHUNKS));
    weir_transport_abort(a, NULL);
    weir_transport_abort(b, NULL);
    UNTIL(in.lost && out.lost);
    close(source);
    close(sink);
    return NULL;
}
IN_LOOP(forwarding_to_a_slow_consumer_stops_receiving_at_the_chunk_limit)

static weir_error *many_small_slices_pin_few_chunks(void *arg)
{
    static struct record record = {0};
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    weir_transport_cork(t);
    for (int i = 0; i < 1000; i++) {
        weir_chunk *chunk;

        CHECK_OK(weir_chunk_new(10, &chunk));
        CHECK_OK(weir_transport_write(t, weir_slice_of(weir_chunk_data(chunk), 10)));
        weir_chunk_unref(chunk);
    }
    CHECK(t->net->io->pool->live <= 20);
    weir_transport_uncork(t);
    SENT(t);
    CHECK(swallow(peer) == 10000);
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(many_small_slices_pin_few_chunks)

struct relay_end {
    bool done;
    int first;
    weir_code reason;
};

static void relay_done(void *arg, int first, const weir_error *reason)
{
    struct relay_end *end = arg;

    end->done = true;
    end->first = first;
    end->reason = reason ? weir_error_code(reason) : 0;
}

static weir_error *relay_passes_bytes_and_half_close_both_ways(void *arg)
{
    static struct record ra = {0}, rb = {0};
    struct relay_end end = {0};
    weir_relay_options options = {WEIR_SIZED(weir_relay_options), .done = relay_done, .arg = &end};
    weir_transport *a, *b;
    char text[32] = "";
    int pa, pb;

    (void)arg;
    a = pair_transport(&recording, &ra, &pa);
    b = pair_transport(&recording, &rb, &pb);
    CHECK(a && b);
    CHECK_OK(weir_relay_start(a, WEIR_SLICE("first,"), b, weir_slice_of("", 0), &options));
    CHECK(send_all(pa, "second"));
    CHECK(shutdown(pa, SHUT_WR) == 0);
    UNTIL(recv(pb, text, sizeof(text), MSG_PEEK | MSG_DONTWAIT) == 12);
    CHECK(receive_some(pb, text, sizeof(text)) == 12);
    CHECK(memcmp(text, "first,second", 12) == 0);
    UNTIL(receive_some(pb, text, sizeof(text)) == 0);
    CHECK(!end.done);
    CHECK(send_all(pb, "back"));
    UNTIL(recv(pa, text, sizeof(text), MSG_PEEK | MSG_DONTWAIT) == 4);
    CHECK(receive_some(pa, text, sizeof(text)) == 4);
    CHECK(shutdown(pb, SHUT_WR) == 0);
    UNTIL(end.done);
    CHECK(end.reason == 0);
    close(pa);
    close(pb);
    return NULL;
}
IN_LOOP(relay_passes_bytes_and_half_close_both_ways)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T56_write_goes_to_the_kernel_at_once),
        IN_LOOP_TEST(queued_slice_of_a_chunk_holds_a_reference_until_sent),
        IN_LOOP_TEST(abort_gives_queued_chunks_back),
        IN_LOOP_TEST(owned_memory_is_released_once_it_is_sent_or_refused),
        IN_LOOP_TEST(foreign_memory_may_change_once_the_write_returned),
        IN_LOOP_TEST(T57_exactly_the_high_mark_does_not_pause_one_more_byte_does),
        IN_LOOP_TEST(T57_a_high_mark_of_zero_does_not_flap),
        IN_LOOP_TEST(past_the_hard_limit_nothing_is_queued),
        IN_LOOP_TEST(T56_big_transfer_with_partial_sends_arrives_in_order),
        IN_LOOP_TEST(writev_of_more_slices_than_a_send_takes_keeps_order),
        IN_LOOP_TEST(corked_writes_leave_together),
        IN_LOOP_TEST(T59_close_with_a_full_queue_flushes_all_of_it),
        IN_LOOP_TEST(T56_failed_send_is_the_reason_and_the_write_succeeds),
        IN_LOOP_TEST(what_the_peer_said_before_it_left_is_delivered_after_a_failed_send),
        IN_LOOP_TEST(forwarding_to_a_slow_consumer_stops_receiving_at_the_chunk_limit),
        IN_LOOP_TEST(many_small_slices_pin_few_chunks),
        IN_LOOP_TEST(relay_passes_bytes_and_half_close_both_ways),
    };

    return cmocka_run_group_tests_name("write", tests, NULL, NULL);
}
