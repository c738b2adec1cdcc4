/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole host: a file, traffic loops in threads, connections over loopback, an orderly end. The
 * protocol is the test's own plugin, so that what the host calls can be counted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/future.h>
#include <weir/host.h>
#include <weir/scope.h>
#include <weir/stream.h>
#include <weir/task.h>

#include "host/generation/generation.h"
#include "tests/unit/host/host_test.h"

static unsigned started, committed, stopped_instances, loops_started, loops_stopped, drained;
static bool refuse_loop;

static weir_error *count_start(weir_instance *instance, void *state, const void *config,
                               void *old_state)
{
    (void)instance;
    (void)state;
    (void)config;
    (void)old_state;
    started++;
    return NULL;
}

static weir_error *count_loop_start(weir_instance *instance, void *loop_state, weir_loop *loop)
{
    (void)loop;
    if (weir_instance_loop_state(instance) != loop_state)
        return weir_raise(WEIR_EINVALSTATE, "the loop's state is another one");
    if (refuse_loop)
        return weir_raise(WEIR_EBUSY, "not today");
    __atomic_add_fetch(&loops_started, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void count_loop_stop(weir_instance *instance, void *loop_state, weir_loop *loop)
{
    (void)instance;
    (void)loop_state;
    (void)loop;
    __atomic_add_fetch(&loops_stopped, 1, __ATOMIC_RELAXED);
}

static void count_commit(weir_instance *instance, void *state, void *old_state)
{
    (void)instance;
    (void)state;
    (void)old_state;
    committed++;
}

static void count_stop(weir_instance *instance, void *state)
{
    (void)instance;
    (void)state;
    stopped_instances++;
}

static const weir_instance_ops ops = {WEIR_SIZED(weir_instance_ops),
                                      .loop_state_size = 8,
                                      .start = count_start,
                                      .loop_start = count_loop_start,
                                      .loop_stop = count_loop_stop,
                                      .commit = count_commit,
                                      .stop = count_stop};

/* Echoes; ends when draining begins, unless it was told "stay". */

struct echo {
    bool stays;
};

static void end_when_draining(weir_transport *transport, void *state)
{
    const struct echo *mine = state;

    if (mine->stays)
        return;
    __atomic_add_fetch(&drained, 1, __ATOMIC_RELAXED);
    weir_transport_close(transport);
}

static weir_error *echo_made(weir_transport *transport, void *state, const void *config)
{
    weir_listener *listener = weir_listener_acquire(transport);

    (void)state;
    (void)config;
    if (!listener || strcmp(weir_listener_name(listener), "a") != 0 ||
        !weir_transport_instance(transport) || weir_listener_draining(listener))
        return weir_raise(WEIR_EINVALSTATE, "not as it should be");
    weir_listener_release(listener);
    return NULL;
}

static weir_error *echo_received(weir_transport *transport, void *state, weir_slice data)
{
    struct echo *mine = state;

    if (weir_slice_starts_with(data, WEIR_SLICE("stay")))
        mine->stays = true;
    return weir_transport_write(transport, data);
}

static const weir_protocol echo = {
    WEIR_SIZED(weir_protocol),         .name = "back",
    .state_size = sizeof(struct echo), .instance = &ops,
    .connection_made = echo_made,      .data_received = echo_received,
    .drain = end_when_draining};
static const weir_plugin plugin = {WEIR_SIZED(weir_plugin),
                                   .abi_major = WEIR_ABI_MAJOR,
                                   .abi_minor = WEIR_ABI_MINOR,
                                   .name = "back",
                                   .version = "1",
                                   .summary = "For tests",
                                   .protocols = WEIR_LIST(&echo)};

static char *folder;
static weir_host *host;
static weir_future *ended;

static int set_up(void **state)
{
    (void)state;
    folder = new_folder();
    started = committed = stopped_instances = loops_started = loops_stopped = drained = 0;
    refuse_loop = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    weir_host_free(host);
    host = NULL;
    remove_folder(folder);
    return 0;
}

static void make_host(const char *text)
{
    char path[300];
    weir_host_options options = {WEIR_SIZED(weir_host_options), .config_path = path,
                                 .plugin_dir = folder};
    struct plugin *added;

    write_file(folder, "weir.yaml", text);
    snprintf(path, sizeof path, "%s/weir.yaml", folder);
    assert_string_equal(message_of(weir_host_new(&options, &host)), "");
    assert_string_equal(message_of(weir__registry_add(host->generation->registry, &plugin, &added)),
                        "");
    if (!weir_host_load(host) || !weir_host_prepare(host)) {
        weir_host_report(host, stderr, WEIR_HOST_TEXT, false);
        fail_msg("the file was refused");
    }
}

#define TWO_LOOPS               \
    "version: 1\n"              \
    "runtime: { threads: 2 }\n" \
    "listeners: { a: { protocol: back, bind: 127.0.0.1:0 } }\n"

static const char *address(void)
{
    weir_host_endpoint endpoint;

    return weir_host_endpoint_at(host, 0, &endpoint) ? endpoint.address : "";
}

static weir_error *note_ended(void *arg)
{
    (void)arg;
    weir_future_try_set_result(ended, NULL, NULL);
    return NULL;
}

static weir_error *stop(weir_duration grace)
{
    weir_error *error;

    WEIR_TRY(weir_future_new(&ended));
    weir_host_stop(host, grace, note_ended, NULL);
    error = weir_await(ended);
    weir_future_unref(ended);
    return error;
}

static weir_error *talk(const char *text, weir_stream **ret)
{
    char answer[16] = "";

    WEIR_TRY(weir_connect(address(), NULL, ret));
    WEIR_TRY(weir_stream_write(*ret, text, strlen(text)));
    WEIR_TRY(weir_stream_read_exactly(*ret, answer, strlen(text)));
    CHECK(!strcmp(text, answer));
    return NULL;
}

static weir_error *serve_and_stop(void *arg)
{
    weir_stream *one, *two;
    size_t n;
    char c;
    WEIR_TIMEOUT(all, WEIR_S(20));

    (void)arg;
    WEIR_TRY(weir_host_start(host, weir_loop_current()));
    CHECK(loops_started == 2);
    WEIR_TRY(talk("hello", &one));
    WEIR_TRY(talk("again", &two));
    CHECK(weir_host_connections(host) == 2);
    CHECK(host->limit.open == 2);
    WEIR_TRY(stop(WEIR_S(10)));
    CHECK(drained == 2);
    CHECK(loops_stopped == 2);
    WEIR_TRY(weir_stream_read(one, &c, 1, &n));
    CHECK(n == 0);
    weir_stream_abort(one);
    weir_stream_abort(two);
    CHECK(weir_host_connections(host) == 0);
    CHECK(host->generation->listeners[0]->slot->loops[0].counters.accepted +
              host->generation->listeners[0]->slot->loops[1].counters.accepted ==
          2);
    return NULL;
}

static void a_host_serves_and_ends_in_order(void **state)
{
    (void)state;
    make_host(TWO_LOOPS);
    assert_int_equal(started, 1);
    run_task(serve_and_stop, NULL);
    assert_int_equal(committed, 1);
    assert_int_equal(stopped_instances, 0);
    weir_host_free(host);
    host = NULL;
    assert_int_equal(stopped_instances, 1);
}

static weir_error *stay_too_long(void *arg)
{
    weir_stream *stream, *late;
    weir_error *error;
    size_t n;
    char c;
    WEIR_TIMEOUT(all, WEIR_S(20));

    (void)arg;
    WEIR_TRY(weir_host_start(host, weir_loop_current()));
    WEIR_TRY(talk("stay", &stream));
    WEIR_TRY(weir_future_new(&ended));
    weir_host_stop(host, WEIR_MS(30), note_ended, NULL);
    /* The loops close their sockets in their own time; from then on nobody answers. */
    while (!(error = weir_connect(address(), NULL, &late)))
        weir_stream_abort(late);
    /* Reset: it was in the queue of a socket that closed. */
    CHECK(weir_error_has(error, ECONNREFUSED) || weir_error_has(error, ECONNRESET));
    weir_error_unref(error);
    error = weir_stream_read(stream, &c, 1, &n);
    CHECK(error || n == 0);
    weir_ignore(error);
    weir_stream_abort(stream);
    WEIR_TRY(weir_await(ended));
    weir_future_unref(ended);
    return NULL;
}

static void a_connection_that_outstays_the_grace_is_aborted(void **state)
{
    (void)state;
    make_host(TWO_LOOPS);
    run_task(stay_too_long, NULL);
}

static weir_error *fail_to_start(void *arg)
{
    weir_error *error;

    (void)arg;
    error = weir_host_start(host, weir_loop_current());
    CHECK(weir_error_is(error, WEIR_EBUSY));
    weir_error_unref(error);
    return NULL;
}

static void a_loop_that_cannot_start_fails_the_start(void **state)
{
    (void)state;
    refuse_loop = true;
    make_host(TWO_LOOPS);
    run_task(fail_to_start, NULL);
    assert_int_equal(committed, 0);
    assert_int_equal(loops_stopped, 0);
}

static weir_error *exceed_limit(void *arg)
{
    weir_stream *one, *two;
    weir_error *error;
    size_t n = 1;
    char c;
    WEIR_TIMEOUT(all, WEIR_S(20));

    (void)arg;
    host->limit.limit = 1;
    WEIR_TRY(weir_host_start(host, weir_loop_current()));
    WEIR_TRY(talk("first", &one));
    error = weir_connect(address(), NULL, &two);
    if (!error) {
        error = weir_stream_read(two, &c, 1, &n);
        weir_stream_abort(two);
    }
    CHECK(error || n == 0);
    weir_ignore(error);
    weir_stream_abort(one);
    return stop(WEIR_S(10));
}

static void connections_over_the_limit_are_refused(void **state)
{
    (void)state;
    make_host(TWO_LOOPS);
    run_task(exceed_limit, NULL);
}

static void a_host_that_never_started_is_freed(void **state)
{
    (void)state;
    make_host(TWO_LOOPS);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(a_host_serves_and_ends_in_order),
        CLAIM(a_connection_that_outstays_the_grace_is_aborted),
        CLAIM(a_loop_that_cannot_start_fails_the_start),
        CLAIM(connections_over_the_limit_are_refused),
        CLAIM(a_host_that_never_started_is_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
