/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How to test a protocol of one's own with <weir/testing.h>: an echo of lines that gives a client a
 * minute between two of them. Nothing here touches the network or waits for a clock: the minute
 * passes because nothing else can happen, and the faults are the same in every run.
 */
#include <stdio.h>
#include <string.h>

#include <weir/testing.h>

/* The protocol under test */

static weir_error *echo(weir_stream *stream, const void *config)
{
    char line[256];
    size_t n;

    (void)config;
    for (;;) {
        WEIR_TIMEOUT(patience, WEIR_S(60));
        WEIR_TRY(weir_stream_read_line(stream, line, sizeof(line) - 1, &n));
        line[n] = '\n';
        WEIR_TRY(weir_stream_write(stream, line, n + 1));
    }
}

static const weir_protocol protocol = {WEIR_SIZED(weir_protocol), .name = "echo", .serve = echo};

/* Its tests: tasks that hold the other end of a connection */

static weir_error *lines_come_back(void *arg)
{
    static const char *const lines[] = {"", "weir", "a line\twith everything: \x01\xff"};
    weir_auto(weir_stream) peer = NULL;
    char answer[256];
    size_t n;

    WEIR_CHECK_OK(weir_test_peer(arg, &protocol, NULL, &peer));
    for (int i = 0; i < 3; i++) {
        WEIR_CHECK_OK(weir_stream_printf(peer, "%s\n", lines[i]));
        WEIR_CHECK_OK(weir_stream_read_line(peer, answer, sizeof(answer), &n));
        WEIR_CHECK_TEXT(answer, lines[i]);
    }
    return NULL;
}

static weir_error *a_silent_client_is_sent_away(void *arg)
{
    weir_auto(weir_stream) peer = NULL;
    int64_t began = weir_loop_time(weir_test_loop(arg)).ns;
    char byte;

    WEIR_CHECK_OK(weir_test_peer(arg, &protocol, NULL, &peer));
    WEIR_CHECK_CODE(weir_stream_read_exactly(peer, &byte, 1), WEIR_EEOF);
    WEIR_CHECK_INT((weir_loop_time(weir_test_loop(arg)).ns - began) / 1000000000, 60);
    return NULL;
}

static void run(const char *name, weir_fn body, const weir_test_faults *faults)
{
    weir_test *test = weir_test_new(NULL);

    weir_test_set_faults(test, faults);
    weir_test_run(test, body, test);
    weir_test_end(test); /* nothing is left */
    printf("ok: %s\n", name);
}

int main(void)
{
    const weir_test_faults bytewise = {WEIR_SIZED(weir_test_faults), .max_read = 1, .max_write = 1};
    const weir_test_faults slow = {WEIR_SIZED(weir_test_faults), .delay = WEIR_S(20)};

    run("lines come back", lines_come_back, NULL);
    run("lines come back byte by byte", lines_come_back, &bytewise);
    run("lines come back over a slow line", lines_come_back, &slow);
    run("a silent client is sent away", a_silent_client_is_sent_away, NULL);
    return 0;
}
