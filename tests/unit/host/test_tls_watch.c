/* SPDX-License-Identifier: Apache-2.0 */
/* Files of certificates that change: when contexts are made again, and how watching ends. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/generation/tls_watch.h"
#include "tests/unit/host/host_test.h"

struct scene {
    weir_config_context *config;
    struct tls_watch *watch;
    struct tls_watched *watched;
    weir_tls_context *context;
    char path[64];
    unsigned made;
    bool fails, ends;
};

static weir_error *make(const void *arg, weir_tls_context **ret)
{
    const weir_tls_options options = {WEIR_SIZED(weir_tls_options), .no_verify = true};
    struct scene *scene = *(struct scene *const *)arg;

    scene->made++;
    if (scene->ends) /* what another thread may do meanwhile */
        weir__tls_watched_end(WEIR_TAKE(scene->watched));
    if (scene->fails)
        return weir_raise(WEIR_ETLS, "nonsense");
    return weir_tls_client_context_new(&options, ret);
}

/* Each time of another length: dates are too coarse for a test. */
static void change(const struct scene *scene, const char *text)
{
    FILE *file = fopen(scene->path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

static void look(const struct scene *scene, unsigned times)
{
    while (times--)
        assert_null(weir__tls_watch_look(scene->watch));
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene), **arg;
    const struct config_settings settings = {.memory_limit = 0};
    const weir_tls_options options = {WEIR_SIZED(weir_tls_options), .no_verify = true};
    const char *paths[2] = {NULL, scene->path};

    snprintf(scene->path, sizeof scene->path, "/tmp/weir-watch-XXXXXX");
    close(mkstemp(scene->path));
    assert_null(weir__config_new(&settings, &scene->config));
    assert_null(weir__tls_watch_new(&scene->watch));
    assert_null(weir_tls_client_context_new(&options, &scene->context));
    arg = weir_config_alloc(scene->config, sizeof(struct scene *));
    *arg = scene;
    assert_null(weir__tls_watch_add(scene->watch,
                                    &(struct tls_watch_entry){.what = "listener `web`",
                                                              .context = scene->context,
                                                              .config = scene->config,
                                                              .make = make,
                                                              .arg = arg,
                                                              .paths = paths,
                                                              .n_paths = 2},
                                    &scene->watched));
    weir__config_unref(scene->config); /* the watched one holds it */
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;

    weir__tls_watched_end(scene->watched);
    weir__tls_watch_free(scene->watch);
    weir_tls_context_unref(scene->context);
    unlink(scene->path);
    free(scene);
    return 0;
}

static void a_changed_file_that_rests_makes_a_newer_context(void **state)
{
    struct scene *scene = *state;

    look(scene, 3);
    assert_int_equal(scene->made, 0);
    change(scene, "a");
    look(scene, 1);
    assert_int_equal(scene->made, 0); /* its key may follow */
    change(scene, "ab");
    look(scene, 1);
    assert_int_equal(scene->made, 0);
    look(scene, 3);
    assert_int_equal(scene->made, 1);
}

static void a_failure_is_told_once_until_the_file_changes_again(void **state)
{
    struct scene *scene = *state;

    scene->fails = true;
    change(scene, "a");
    look(scene, 5);
    assert_int_equal(scene->made, 1);
    scene->fails = false;
    change(scene, "ab");
    look(scene, 5);
    assert_int_equal(scene->made, 2);
}

static void a_file_that_vanished_and_came_back_is_read_again(void **state)
{
    struct scene *scene = *state;

    unlink(scene->path);
    scene->fails = true;
    look(scene, 3);
    assert_int_equal(scene->made, 1);
    scene->fails = false;
    change(scene, "abc");
    look(scene, 3);
    assert_int_equal(scene->made, 2);
}

static void what_is_ended_is_not_looked_at(void **state)
{
    struct scene *scene = *state;

    weir__tls_watched_end(WEIR_TAKE(scene->watched));
    change(scene, "a");
    look(scene, 3);
    assert_int_equal(scene->made, 0);
}

static void it_may_end_during_a_look(void **state)
{
    struct scene *scene = *state;

    scene->ends = true;
    change(scene, "a");
    look(scene, 3);
    assert_int_equal(scene->made, 1);
    assert_null(scene->watched);
    change(scene, "ab");
    look(scene, 3);
    assert_int_equal(scene->made, 1);
}

static void the_watch_may_go_first(void **state)
{
    struct scene *scene = *state;

    weir__tls_watch_free(WEIR_TAKE(scene->watch));
    weir__tls_watched_end(WEIR_TAKE(scene->watched));
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(a_changed_file_that_rests_makes_a_newer_context),
        CLAIM(a_failure_is_told_once_until_the_file_changes_again),
        CLAIM(a_file_that_vanished_and_came_back_is_read_again),
        CLAIM(what_is_ended_is_not_looked_at),
        CLAIM(it_may_end_during_a_look),
        CLAIM(the_watch_may_go_first),
    };
#undef CLAIM

    return cmocka_run_group_tests_name("tls_watch", tests, NULL, NULL);
}
