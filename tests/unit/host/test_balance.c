/* SPDX-License-Identifier: Apache-2.0 */
/* How balancers spread, with the clock and the seed in the test's hand. */
#include <stdio.h>
#include <string.h>

#include "host/generation/durable.h"
#include "host/upstream/upstream.h"
#include "tests/unit/host/host_test.h"

#define SECOND ((int64_t)1000000000)
#define NOW    (1000 * SECOND)

static struct durable_map *durables;
static weir_upstream *upstream;
static unsigned taken[8];

static int set_up(void **state)
{
    (void)state;
    assert_string_equal(message_of(weir__durable_map_new(&durables)), "");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    weir__upstream_unref(upstream);
    weir__durable_map_free(durables);
    upstream = NULL;
    return 0;
}

static void make(enum balance balance, size_t n, const uint32_t *weights)
{
    static const char *const addresses[] = {"a:1", "b:1", "c:1", "d:1", "e:1"};
    struct upstream_spec spec = {.name = "app",
                                 .addresses = addresses,
                                 .weights = weights,
                                 .n_addresses = n,
                                 .balance = balance,
                                 .slow_start = WEIR_S(10),
                                 .seed = 7,
                                 .n_loops = 2};

    assert_string_equal(message_of(weir__upstream_new(&spec, durables, &upstream)), "");
}

static size_t pick_with(const struct pick *pick)
{
    size_t index = 99;

    assert_true(weir__upstream_pick(upstream, 0, pick, &index));
    return index;
}

static size_t pick(void)
{
    return pick_with(&(struct pick){.now = NOW});
}

static size_t pick_key(const char *key)
{
    return pick_with(
        &(struct pick){.now = NOW, .has_key = true, .key = weir__hash_bytes(weir_slice_str(key))});
}

/* The letters of the next picks. */
static const char *turns(unsigned n)
{
    static char text[40];

    for (unsigned i = 0; i < n; i++)
        text[i] = (char)('a' + pick());
    text[n] = '\0';
    return text;
}

static void count(unsigned n, size_t (*way)(void))
{
    memset(taken, 0, sizeof taken);
    for (unsigned i = 0; i < n; i++)
        taken[way()]++;
}

static void busy(size_t index, uint64_t active)
{
    upstream->servers[index]->pools[0].active = active;
}

/* A server that came back so long ago. */
static void came_back(size_t index, int64_t ago)
{
    upstream->servers[index]->up_since = NOW - ago;
}

static void turns_of_a_heavy_server_lie_apart(void **state)
{
    static const uint32_t weights[] = {5, 1, 1};

    (void)state;
    make(BALANCE_ROUND_ROBIN, 3, weights);
    assert_string_equal(turns(14), "aabacaaaabacaa");
}

static void equal_weights_are_plain_turns(void **state)
{
    static const uint32_t weights[] = {3, 3, 3};

    (void)state;
    make(BALANCE_ROUND_ROBIN, 3, weights);
    assert_string_equal(turns(6), "abcabc");
}

static void a_weight_of_zero_gets_nothing(void **state)
{
    static const uint32_t weights[] = {1, 0, 1};

    (void)state;
    make(BALANCE_ROUND_ROBIN, 3, weights);
    assert_string_equal(turns(4), "acac");
    weir__server_failed(upstream->servers[0], NOW);
    weir__server_failed(upstream->servers[2], NOW);
    assert_int_equal(pick(), 0);
}

static void an_operators_weight_counts_at_once(void **state)
{
    (void)state;
    make(BALANCE_ROUND_ROBIN, 2, NULL);
    upstream->servers[1]->weight_override = 3 + 1;
    weir__weight_overrides_add(1);
    count(40, pick);
    assert_int_equal(taken[0], 10);
    assert_int_equal(taken[1], 30);
    upstream->servers[1]->weight_override = 0 + 1;
    count(10, pick);
    assert_int_equal(taken[0], 10);
    upstream->servers[1]->weight_override = 0;
    weir__weight_overrides_add(-1);
    count(10, pick);
    assert_int_equal(taken[1], 5);
}

static void least_conn_takes_the_server_with_fewest_in_use(void **state)
{
    (void)state;
    make(BALANCE_LEAST_CONN, 3, NULL);
    busy(0, 3);
    busy(1, 2);
    busy(2, 5);
    assert_int_equal(pick(), 1);
    assert_int_equal(pick(), 1);
    busy(1, 4);
    assert_int_equal(pick(), 0);
}

static void least_conn_takes_turns_among_equals(void **state)
{
    (void)state;
    make(BALANCE_LEAST_CONN, 3, NULL);
    assert_string_equal(turns(6), "abcabc");
}

static void least_conn_weighs_what_is_in_use(void **state)
{
    static const uint32_t weights[] = {1, 4};

    (void)state;
    make(BALANCE_LEAST_CONN, 2, weights);
    busy(0, 1);
    busy(1, 6);
    assert_int_equal(pick(), 1);
    busy(1, 7);
    assert_int_equal(pick(), 0);
}

static void random_spreads_and_shuns_the_busiest(void **state)
{
    (void)state;
    make(BALANCE_RANDOM, 4, NULL);
    count(4000, pick);
    for (int i = 0; i < 4; i++)
        assert_in_range(taken[i], 900, 1100);
    /* Of two by chance the busiest of all is never the better one. */
    busy(2, 9);
    count(4000, pick);
    assert_int_equal(taken[2], 0);
}

static void random_follows_weights(void **state)
{
    static const uint32_t weights[] = {1, 1, 8};

    (void)state;
    make(BALANCE_RANDOM, 3, weights);
    count(4000, pick);
    /* First 8 of 10; where it comes second both are equally free and the first stays. */
    assert_in_range(taken[2], 3050, 3350);
}

static const char *key_at(unsigned i)
{
    static char text[20];

    (void)snprintf(text, sizeof text, "key-%u", i);
    return text;
}

#define KEYS 5000

static void hash_keeps_a_key_on_its_server_and_spreads_keys(void **state)
{
    (void)state;
    make(BALANCE_HASH, 5, NULL);
    memset(taken, 0, sizeof taken);
    for (unsigned i = 0; i < KEYS; i++) {
        size_t home = pick_key(key_at(i));

        taken[home]++;
        assert_int_equal(pick_key(key_at(i)), home);
    }
    for (int i = 0; i < 5; i++)
        assert_in_range(taken[i], 900, 1100);
}

static void hash_moves_only_the_keys_of_a_server_that_is_gone(void **state)
{
    unsigned char home[KEYS];
    unsigned moved = 0;

    (void)state;
    make(BALANCE_HASH, 5, NULL);
    for (unsigned i = 0; i < KEYS; i++)
        home[i] = (unsigned char)pick_key(key_at(i));
    weir__server_check_says(upstream->servers[3], true, "test");
    memset(taken, 0, sizeof taken);
    for (unsigned i = 0; i < KEYS; i++) {
        size_t now = pick_key(key_at(i));

        assert_int_not_equal(now, 3);
        if (home[i] != 3)
            assert_int_equal(now, home[i]);
        else
            taken[now]++, moved++;
    }
    /* And these go to all of the others. */
    for (int i = 0; i < 5; i++)
        if (i != 3)
            assert_in_range(taken[i], moved / 4 - moved / 10, moved / 4 + moved / 10);
    weir__server_check_says(upstream->servers[3], false, "test");
    came_back(3, 11 * SECOND);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(pick_key(key_at(i)), home[i]);
}

static void hash_follows_weights_and_moves_few_keys_when_they_change(void **state)
{
    static const uint32_t weights[] = {1, 2, 1};
    unsigned char home[KEYS];
    unsigned moved = 0;

    (void)state;
    make(BALANCE_HASH, 3, weights);
    memset(taken, 0, sizeof taken);
    for (unsigned i = 0; i < KEYS; i++) {
        home[i] = (unsigned char)pick_key(key_at(i));
        taken[home[i]]++;
    }
    assert_in_range(taken[0], 1150, 1350);
    assert_in_range(taken[1], 2350, 2650);
    weir__weight_overrides_add(1);
    upstream->servers[1]->weight_override = 3 + 1;
    for (unsigned i = 0; i < KEYS; i++) {
        size_t now = pick_key(key_at(i));

        /* A heavier server only takes. */
        assert_true(now == home[i] || now == 1);
        moved += now != home[i];
    }
    assert_in_range(moved, 400, 600);
    weir__weight_overrides_add(-1);
}

static void without_a_key_hash_takes_turns(void **state)
{
    (void)state;
    make(BALANCE_IP_HASH, 3, NULL);
    count(30, pick);
    assert_int_equal(taken[0], 10);
    assert_int_equal(taken[1], 10);
}

static void slow_start_gives_a_server_its_share_by_and_by(void **state)
{
    (void)state;
    make(BALANCE_ROUND_ROBIN, 2, NULL);
    came_back(1, 0);
    count(1010, pick);
    assert_in_range(taken[1], 9, 11); /* a hundredth at first */
    came_back(1, 5 * SECOND);
    count(300, pick);
    assert_in_range(taken[1], 98, 102); /* half of the other's */
    came_back(1, 10 * SECOND);
    count(300, pick);
    assert_int_equal(taken[1], 150);
}

static void slow_start_holds_for_least_conn_too(void **state)
{
    (void)state;
    make(BALANCE_LEAST_CONN, 2, NULL);
    came_back(1, 1 * SECOND);
    busy(0, 5);
    assert_int_equal(pick(), 0);
    busy(0, 20);
    assert_int_equal(pick(), 1);
}

static void a_server_that_worked_again_starts_slowly(void **state)
{
    (void)state;
    make(BALANCE_ROUND_ROBIN, 2, NULL);
    assert_int_equal(upstream->servers[0]->up_since, 0);
    weir__server_failed(upstream->servers[0], NOW);
    assert_true(weir__server_worked(upstream->servers[0]));
    assert_int_not_equal(upstream->servers[0]->up_since, 0);
}

static void who_is_down_by_checks_gets_nothing_even_alone(void **state)
{
    size_t index;

    (void)state;
    make(BALANCE_ROUND_ROBIN, 1, NULL);
    weir__server_check_says(upstream->servers[0], true, "test");
    assert_false(weir__upstream_pick(upstream, 0, &(struct pick){.now = NOW}, &index));
    weir__server_check_says(upstream->servers[0], false, "test");
    assert_int_equal(pick(), 0);
}

static void coming_back_by_checks_ends_what_passive_health_said(void **state)
{
    (void)state;
    make(BALANCE_ROUND_ROBIN, 2, NULL);
    weir__server_failed(upstream->servers[0], NOW);
    weir__server_check_says(upstream->servers[0], true, "test");
    weir__server_check_says(upstream->servers[0], false, "test");
    came_back(0, 11 * SECOND);
    assert_string_equal(turns(2), "ab");
}

static void a_choice_that_was_not_used_is_the_next_one(void **state)
{
    struct pick how = {.now = NOW};

    (void)state;
    make(BALANCE_ROUND_ROBIN, 2, NULL);
    weir__server_failed(upstream->servers[1], NOW - 11 * SECOND);
    assert_int_equal(pick(), 0);
    assert_int_equal(pick(), 1); /* the one try of the failed server */
    weir__upstream_keep(upstream, 0, &how, 1);
    assert_int_equal(pick(), 1);
    assert_int_equal(pick(), 0);
    assert_int_equal(pick(), 0);
}

static void every_way_passes_over_who_was_tried(void **state)
{
    static const enum balance ways[] = {BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONN, BALANCE_RANDOM,
                                        BALANCE_HASH};

    (void)state;
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        struct pick how = {.now = NOW, .has_key = true, .key = 42};
        size_t index, seen = 0;

        make(ways[w], 5, NULL);
        while (weir__upstream_pick(upstream, 0, &how, &index)) {
            assert_false(how.tried.bits[0] >> index & 1);
            how.tried.bits[0] |= (uint64_t)1 << index;
            seen++;
        }
        assert_int_equal(seen, 5);
        if (w + 1 < sizeof ways / sizeof *ways)
            weir__upstream_unref(upstream);
    }
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(turns_of_a_heavy_server_lie_apart),
        CLAIM(equal_weights_are_plain_turns),
        CLAIM(a_weight_of_zero_gets_nothing),
        CLAIM(an_operators_weight_counts_at_once),
        CLAIM(least_conn_takes_the_server_with_fewest_in_use),
        CLAIM(least_conn_takes_turns_among_equals),
        CLAIM(least_conn_weighs_what_is_in_use),
        CLAIM(random_spreads_and_shuns_the_busiest),
        CLAIM(random_follows_weights),
        CLAIM(hash_keeps_a_key_on_its_server_and_spreads_keys),
        CLAIM(hash_moves_only_the_keys_of_a_server_that_is_gone),
        CLAIM(hash_follows_weights_and_moves_few_keys_when_they_change),
        CLAIM(without_a_key_hash_takes_turns),
        CLAIM(slow_start_gives_a_server_its_share_by_and_by),
        CLAIM(slow_start_holds_for_least_conn_too),
        CLAIM(a_server_that_worked_again_starts_slowly),
        CLAIM(who_is_down_by_checks_gets_nothing_even_alone),
        CLAIM(coming_back_by_checks_ends_what_passive_health_said),
        CLAIM(a_choice_that_was_not_used_is_the_next_one),
        CLAIM(every_way_passes_over_who_was_tried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
