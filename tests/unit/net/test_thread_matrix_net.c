/* SPDX-License-Identifier: Apache-2.0 */
/* Every call that changes a connection, from a thread that is not its loop's: refused, reported, and
   without effect; but for the drops, which are done by the loop. */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#include <weir/pipe.h>
#include <weir/relay.h>
#include <weir/resolver.h>

#include "core/net/server.h"
#include "core/net/stream.h"
#include "core/task/wait.h"
#include "tests/unit/net/net_test.h"

/* What the other thread is given. */
struct things {
    weir_loop *loop;
    weir_transport *t;
    weir_stream *s;
    weir_server *server;
    weir_connecting *connecting;
    weir_resolving *resolving;
    int fd; /* of a pipe */
};

static void refused(const char *call, weir_error *take_error)
{
    if (weir_error_code(take_error) != WEIR_ETHREAD)
        weir_ignore(check_failed(WEIR_HERE, call));
    weir_ignore(take_error);
}

#define REFUSED(call) refused(#call, (call))

static void connected(weir_transport *t, weir_error *take_error, void *arg)
{
    (void)t;
    (void)arg;
    weir_ignore(take_error);
}

static void resolved(weir_addresses *take, weir_error *take_error, void *arg)
{
    (void)arg;
    weir_addresses_unref(take);
    weir_ignore(take_error);
}

static void queried(weir_dns_records *take, weir_error *take_error, void *arg)
{
    (void)arg;
    weir_dns_records_unref(take);
    weir_ignore(take_error);
}

static bool look(const weir_dns_cached *cached, void *arg)
{
    (void)cached;
    (void)arg;
    weir_ignore(check_failed(WEIR_HERE, "the cache was shown"));
    return false;
}

static weir_error *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

static void visit(weir_transport *t, void *arg)
{
    (void)t;
    EXPECT(arg == NULL);
}

static void released(void *owner)
{
    ++*(int *)owner;
}

static void misuse_transport(const struct things *things)
{
    weir_transport *t = things->t;
    const weir_slice piece = WEIR_SLICE("never");
    const weir_send_file_options file = {WEIR_SIZED(weir_send_file_options), .fd = -1};
    int count = 0;

    REFUSED(weir_transport_write(t, piece));
    REFUSED(weir_transport_writev(t, &piece, 1));
    REFUSED(weir_transport_write_owned(t, piece, released, &count));
    EXPECT(count == 1);
    REFUSED(weir_transport_write_eof(t));
    REFUSED(weir_transport_send_file(t, &file));
    EXPECT(weir_transport_cancel_file(t) == 0);
    REFUSED(weir_transport_set_protocol(t, &recording, NULL, WEIR_SLICE(""), NULL));
    REFUSED(weir_transport_spawn(t, nothing, NULL));
    weir_transport_cork(t);
    weir_transport_uncork(t);
    weir_transport_pause_reading(t);
    weir_transport_resume_reading(t);
    weir_transport_set_write_limits(t, 0, 0, 1);
    weir_transport_set_idle_timeout(t, WEIR_NS(1));
    weir_transport_set_context(t, &count, released);
    weir_transport_set_instance(t, NULL);
    EXPECT(weir_transport_ref(t) == NULL);
    EXPECT(strcmp(weir_transport_peer_name(t), "?") == 0);
    EXPECT(strcmp(weir_transport_local_name(t), "?") == 0);
    weir_transport_close(t);
    weir_transport_abort(t, weir_raise(WEIR_EPROTOCOL, "not for you"));
}

static void misuse_stream(const struct things *things)
{
    weir_stream *s = things->s;
    char bytes[4];
    size_t n;
    weir_slice slice;

    REFUSED(weir_stream_read(s, bytes, sizeof(bytes), &n));
    REFUSED(weir_stream_read_slice(s, &slice));
    REFUSED(weir_stream_read_exactly(s, bytes, 1));
    REFUSED(weir_stream_read_line(s, bytes, sizeof(bytes), &n));
    REFUSED(weir_stream_read_until(s, WEIR_SLICE(";"), bytes, sizeof(bytes), &n));
    REFUSED(weir_stream_write(s, "x", 1));
    REFUSED(weir_stream_printf(s, "x"));
    REFUSED(weir_stream_drain(s));
    REFUSED(weir_stream_write_eof(s));
    REFUSED(weir_stream_wait_closed(s));
    REFUSED(weir_stream_start_tls(s, NULL, NULL));
}

static void misuse_rest(const struct things *things)
{
    weir_server *server = things->server, *other;
    weir_resolver_stats stats;
    weir_transport *t;

    REFUSED(weir_serve(things->loop, "127.0.0.1:0", NULL, &recording, NULL, &other));
    REFUSED(weir_server_new(things->loop, 0, NULL, &recording, NULL, &other));
    EXPECT(weir_server_ref(server) == NULL);
    weir_server_foreach(server, visit, (void *)(uintptr_t)things);
    weir_server_close_connections(server);
    weir_server_abort_connections(server);
    weir_server_on_closed(server, nothing, NULL);
    REFUSED(weir_server_wait_closed(server));
    REFUSED(weir_server_shutdown(server, WEIR_S(1)));
    weir_server_close(server);
    REFUSED(weir_connect_start(things->loop, "127.0.0.1:1", NULL, &recording, NULL, connected, NULL,
                               NULL));
    if (things->connecting)
        weir_connecting_cancel(things->connecting);
    REFUSED(weir_resolve_start(things->loop, "example.org", 1, resolved, NULL, NULL));
    REFUSED(weir_dns_query_start(things->loop, "example.org", WEIR_DNS_SRV, queried, NULL, NULL));
    weir_resolver_get_stats(things->loop, &stats);
    EXPECT(stats.queries == 0);
    EXPECT(weir_resolver_flush(things->loop, NULL) == 0);
    weir_resolver_each(things->loop, look, NULL);
    REFUSED(weir_resolver_configure(things->loop,
                                    &(weir_resolver_options){WEIR_SIZED(weir_resolver_options)}));
    if (things->resolving)
        weir_resolving_cancel(things->resolving);
    REFUSED(weir_pipe_reader(things->loop, things->fd, &recording, NULL, &t));
    REFUSED(weir_pipe_writer(things->loop, things->fd, &recording, NULL, &t));
    REFUSED(weir_pipe_duplex(things->loop, things->fd, &recording, NULL, &t));
    REFUSED(weir_relay_start(things->t, WEIR_SLICE(""), things->t, WEIR_SLICE(""), NULL));
}

static void *misuse(void *arg)
{
    misuse_transport(arg);
    misuse_stream(arg);
    misuse_rest(arg);
    return NULL;
}

/* Runs `fn` in another thread, while this one stands still. */
static void elsewhere(void *(*fn)(void *), void *arg)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, fn, arg) != 0)
        weir_ignore(check_failed(WEIR_HERE, "pthread_create"));
    else
        pthread_join(thread, NULL);
}

struct scene {
    struct things things;
    struct record record;
    int peer, stream_peer, pipe_write, client;
};

static weir_error *set_up(struct scene *scene)
{
    struct things *things = &scene->things;
    int ends[2];

    things->loop = weir_loop_current();
    things->t = pair_transport(&recording, &scene->record, &scene->peer);
    things->s =
        weir__stream_adopt(pair_transport(&weir__stream_protocol, NULL, &scene->stream_peer));
    CHECK_OK(
        weir_serve(things->loop, "127.0.0.1:0", NULL, &recording, &scene->record, &things->server));
    CHECK(pipe2(ends, 0) == 0);
    things->fd = ends[0];
    scene->pipe_write = ends[1];
    CHECK_OK(weir_connect_start(things->loop, weir_server_name(things->server), NULL, &recording,
                                &scene->record, connected, NULL, &things->connecting));
    CHECK_OK(weir_resolve_start(things->loop, "127.0.0.1", 1, resolved, NULL, &things->resolving));
    return NULL;
}

static void cancel_both(struct things *things)
{
    if (things->connecting)
        weir_connecting_cancel(WEIR_TAKE(things->connecting));
    if (things->resolving)
        weir_resolving_cancel(WEIR_TAKE(things->resolving));
}

static weir_error *tear_down(struct scene *scene)
{
    struct things *things = &scene->things;

    close(scene->peer);
    close(scene->stream_peer);
    close(scene->pipe_write);
    close(things->fd);
    weir_transport_abort(things->t, NULL);
    weir_stream_abort(things->s);
    cancel_both(things);
    weir_server_close(things->server);
    weir_server_unref(things->server);
    return NULL;
}

static weir_error *check_unharmed(struct scene *scene)
{
    char got[16];

    cancel_both(&scene->things); /* they would be over before what is sent has arrived */
    CHECK(!weir_transport_is_closing(scene->things.t));
    CHECK(weir_transport_is_reading(scene->things.t));
    CHECK(weir_transport_context(scene->things.t) == NULL);
    CHECK(scene->things.t->high == WRITE_HIGH_DEFAULT && !scene->things.t->corks);
    CHECK_OK(weir_transport_write(scene->things.t, WEIR_SLICE("mine")));
    SENT(scene->things.t);
    CHECK(receive_some(scene->peer, got, sizeof(got)) == 4);
    CHECK(!scene->things.server->closed && !scene->things.server->on_closed);
    CHECK_OK(weir_stream_write(scene->things.s, "too", 3));
    SENT(scene->things.s->transport);
    CHECK(receive_some(scene->stream_peer, got, sizeof(got)) == 3);
    return NULL;
}

static weir_error *T11_B2_calls_from_another_thread_are_refused_and_do_nothing(void *arg)
{
    static struct scene scene;

    (void)arg;
    scene = (struct scene){0};
    CHECK_OK(set_up(&scene));
    elsewhere(misuse, &scene.things);
    CHECK_OK(check_unharmed(&scene));
    return tear_down(&scene);
}

static weir_error *with_debug(void *arg)
{
    static char log[128 * 1024];
    static const char *const named[] = {
        "weir_transport_write_eof() from tid", "weir_transport_pause_reading() from tid",
        "weir_stream_read_line() from tid",    "weir_stream_drain() from tid",
        "weir_server_close() from tid",        "weir_connect_start() from tid",
        "weir_pipe_reader() from tid",         "weir_resolve_start() from tid",
    };

    capture_log_begin();
    weir_loop_set_debug(weir_loop_current(), true);
    CHECK_OK(T11_B2_calls_from_another_thread_are_refused_and_do_nothing(arg));
    weir_loop_set_debug(weir_loop_current(), false);
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, "ERROR"));
    CHECK(strstr(log, "Non-thread-safe operation invoked on an event loop other than the current"));
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        if (!strstr(log, named[i]))
            return check_failed(WEIR_HERE, named[i]);
    }
    return NULL;
}

static weir_error *without_debug(void *arg)
{
    static char log[128 * 1024];
    weir_error *error;

    capture_log_begin();
    error = T11_B2_calls_from_another_thread_are_refused_and_do_nothing(arg);
    capture_log_end(log, sizeof(log));
    return error;
}

static void T11_B2_net_calls_of_another_thread_while_the_loop_runs(void **state)
{
    (void)state;
    run_in_loop(without_debug, NULL);
}

static void T11_B2_net_calls_of_another_thread_are_named_in_debug_mode(void **state)
{
    (void)state;
    run_in_loop(with_debug, NULL);
}

/* Set up by a task that ends; misused while the loop stands still; looked after by another task. */
static struct scene standing;

static weir_error *set_up_standing(void *arg)
{
    (void)arg;
    standing = (struct scene){0};
    CHECK_OK(set_up(&standing));
    /* Would be over before the loop stands. */
    cancel_both(&standing.things);
    return NULL;
}

static weir_error *look_after_standing(void *arg)
{
    (void)arg;
    CHECK_OK(check_unharmed(&standing));
    weir_transport_abort(standing.things.t, NULL);
    weir_stream_abort(standing.things.s);
    weir_server_close(standing.things.server);
    weir_server_unref(standing.things.server);
    close(standing.peer);
    close(standing.stream_peer);
    close(standing.pipe_write);
    close(standing.things.fd);
    return NULL;
}

static void run_task(weir_loop *loop, weir_fn fn)
{
    weir_task *task;

    assert_ok(weir__spawn(loop, WEIR_HERE, "test", fn, NULL, &task));
    assert_ok(weir_loop_run_until_complete(loop, weir_task_future(task)));
    weir_task_unref(task);
    raise_recorded();
}

static void T11_B2_net_calls_of_another_thread_while_the_loop_stands(void **state)
{
    static char log[128 * 1024];
    weir_loop *loop;

    (void)state;
    assert_ok(weir_loop_new(NULL, &loop));
    capture_log_begin();
    run_task(loop, set_up_standing);
    elsewhere(misuse, &standing.things);
    raise_recorded();
    run_task(loop, look_after_standing);
    capture_log_end(log, sizeof(log));
    weir_loop_close_force(loop, WEIR_S(5));
    weir_loop_unref(loop);
}

/* Drops */

static void *drops(void *arg)
{
    const struct things *things = arg;

    weir_transport_unref(things->t);
    weir_server_unref(things->server);
    weir_stream_abort(things->s);
    return NULL;
}

static weir_error *B2_drops_of_another_thread_are_done_by_the_loop(void *arg)
{
    static struct scene scene;
    char log[8192], byte;
    uint32_t transport_refs, server_refs;

    (void)arg;
    scene = (struct scene){0};
    CHECK_OK(set_up(&scene));
    weir_transport_ref(scene.things.t);
    weir_server_ref(scene.things.server);
    transport_refs = scene.things.t->refs;
    server_refs = scene.things.server->refs;
    capture_log_begin();
    elsewhere(drops, &scene.things);
    capture_log_end(log, sizeof(log));
    CHECK(scene.things.t->refs == transport_refs);
    weir_connecting_cancel(scene.things.connecting);
    weir_resolving_cancel(scene.things.resolving);
    SETTLE();
    CHECK(scene.things.t->refs == transport_refs - 1);
    CHECK(scene.things.server->refs == server_refs - 1);
    CHECK(receive_some(scene.stream_peer, &byte, 1) == 0);
    weir_transport_abort(scene.things.t, NULL);
    weir_server_close(scene.things.server);
    weir_server_unref(scene.things.server);
    close(scene.peer);
    close(scene.stream_peer);
    close(scene.pipe_write);
    close(scene.things.fd);
    return NULL;
}
IN_LOOP(B2_drops_of_another_thread_are_done_by_the_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MAIN_TEST(T11_B2_net_calls_of_another_thread_while_the_loop_runs),
        ON_MAIN_TEST(T11_B2_net_calls_of_another_thread_while_the_loop_stands),
        IN_LOOP_TEST(B2_drops_of_another_thread_are_done_by_the_loop),
        cmocka_unit_test(T11_B2_net_calls_of_another_thread_are_named_in_debug_mode),
    };

    return cmocka_run_group_tests_name("threads and connections", tests, NULL, NULL);
}
