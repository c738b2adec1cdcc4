/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting by names whose addresses tell them apart: as quickly as that is, a configuration that uses an
 * address for another name must not count into the wrong series.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/listener/listener.h"
#include "host/metrics/metrics.h"
#include "tests/unit/host/host_test.h"

struct counted {
    struct traffic traffic;
    struct slot *slot, *other;
};

/* They are as aligned as the counters of their loops. */
static struct slot *new_slot(const char *name)
{
    struct slot *slot = aligned_alloc(HOST_CACHE_LINE, sizeof *slot);

    assert_non_null(slot);
    memset(slot, 0, sizeof *slot);
    slot->name = (char *)(uintptr_t)name;
    return slot;
}

static int set_up(void **state)
{
    struct counted *counted = calloc(1, sizeof *counted);

    counted->slot = new_slot("web");
    counted->other = new_slot("api");
    *state = counted;
    return 0;
}

static int tear_down(void **state)
{
    struct counted *counted = *state;

    weir__metrics_free(&counted->traffic);
    free(counted->slot);
    free(counted->other);
    free(counted);
    return 0;
}

static weir_access_record of_route(const char *route)
{
    return (weir_access_record){WEIR_SIZED(weir_access_record), .status = 200, .route = route,
                                .method = WEIR_SLICE("GET"), .duration_ns = 1000};
}

static const struct metric_block *block(const struct counted *counted, enum metric_kind kind,
                                        const char *group, const char *name)
{
    const struct metric_block *found = NULL;

    for (const struct metric_block *b = weir__metrics_first(&counted->traffic); b; b = b->next) {
        if (b->kind != kind || strcmp(b->group, group) != 0 || strcmp(b->name, name) != 0)
            continue;
        assert_null(found); /* one block for one thing */
        found = b;
    }
    return found;
}

static uint64_t total(const struct metric_block *b)
{
    uint64_t sum = b ? b->others : 0;

    for (uint32_t i = 0; b && i < b->n_cells; i++)
        sum += b->cells[i].count;
    return sum;
}

static uint64_t of_cell(const struct metric_block *b, const char *method, unsigned status)
{
    for (uint32_t i = 0; b && i < b->n_cells; i++)
        if (strcmp(weir__metric_method(b->cells[i].key), method) == 0 &&
            (b->cells[i].key & 0xFFFF) == status)
            return b->cells[i].count;
    return 0;
}

static void requests_are_counted_by_listener_and_route(void **state)
{
    struct counted *counted = *state;
    weir_access_record a = of_route("a"), b = of_route("b"), none = of_route(NULL);

    for (int i = 0; i < 3; i++) {
        weir__metrics_count(&counted->traffic, counted->slot, &a);
        weir__metrics_count(&counted->traffic, counted->slot, &a);
        weir__metrics_count(&counted->traffic, counted->slot, &b);
        weir__metrics_count(&counted->traffic, counted->other, &a);
        weir__metrics_count(&counted->traffic, counted->slot, &none);
    }
    assert_int_equal(total(block(counted, METRIC_ROUTE, "web", "a")), 6);
    assert_int_equal(total(block(counted, METRIC_ROUTE, "web", "b")), 3);
    assert_int_equal(total(block(counted, METRIC_ROUTE, "api", "a")), 3);
    assert_int_equal(total(block(counted, METRIC_ROUTE, "web", "")), 3);
}

static void another_address_of_the_same_name_is_the_same_series(void **state)
{
    struct counted *counted = *state;
    char first[] = "a", second[] = "a";
    weir_access_record one = of_route(first), two = of_route(second);

    weir__metrics_count(&counted->traffic, counted->slot, &one);
    weir__metrics_count(&counted->traffic, counted->slot, &two);
    weir__metrics_count(&counted->traffic, counted->slot, &one);
    assert_int_equal(total(block(counted, METRIC_ROUTE, "web", "a")), 3);
}

/* Memory of a configuration that is gone, and that the next one got for a name of its own. */
static void an_address_that_became_another_name_counts_for_that(void **state)
{
    struct counted *counted = *state;
    char route[] = "old", upstream[] = "app", server[] = "10.0.0.1";
    weir_access_record record = of_route(route);

    record.upstream = upstream;
    record.server = server;
    weir__metrics_count(&counted->traffic, counted->slot, &record);
    counted->traffic.names++;
    weir__metrics_count(&counted->traffic, counted->slot, &record);
    memcpy(route, "new", sizeof route);
    memcpy(upstream, "api", sizeof upstream);
    memcpy(server, "10.0.0.2", sizeof server);
    counted->traffic.names++;
    for (int i = 0; i < 3; i++)
        weir__metrics_count(&counted->traffic, counted->slot, &record);
    assert_int_equal(total(block(counted, METRIC_ROUTE, "web", "old")), 2);
    assert_int_equal(total(block(counted, METRIC_ROUTE, "web", "new")), 3);
    assert_int_equal(total(block(counted, METRIC_SERVER, "app", "10.0.0.1")), 2);
    assert_int_equal(total(block(counted, METRIC_SERVER, "api", "10.0.0.2")), 3);
    /* And back, in turns with a name that stays: nothing is remembered too long. */
    memcpy(route, "old", sizeof route);
    counted->traffic.names++;
    weir__metrics_count(&counted->traffic, counted->slot, &record);
    assert_int_equal(total(block(counted, METRIC_ROUTE, "web", "old")), 3);
}

static void methods_and_statuses_have_a_cell_each(void **state)
{
    static const char *const methods[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                          "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    static const char *const others[] = {"get",   "GEX",    "PUS",     "HEAR",    "POSX", "TRACK",
                                         "PITCH", "DELETF", "CONNECX", "OPTIONX", "BREW", "X"};
    struct counted *counted = *state;
    weir_access_record record = of_route("a");
    const struct metric_block *b;

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        record.method = weir_slice_str(methods[i]);
        for (size_t k = 0; k <= i; k++)
            weir__metrics_count(&counted->traffic, counted->slot, &record);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        record.method = weir_slice_str(others[i]);
        weir__metrics_count(&counted->traffic, counted->slot, &record);
    }
    record.method = weir_slice_of(NULL, 0);
    record.status = 400;
    weir__metrics_count(&counted->traffic, counted->slot, &record);
    b = block(counted, METRIC_ROUTE, "web", "a");
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        assert_int_equal(of_cell(b, methods[i], 200), i + 1);
    assert_int_equal(of_cell(b, "_OTHER", 200), sizeof others / sizeof *others);
    assert_int_equal(of_cell(b, "_OTHER", 400), 1);
}

static void what_finds_no_cell_is_counted_as_others(void **state)
{
    struct counted *counted = *state;
    weir_access_record record = of_route("a");
    const struct metric_block *b;

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < METRIC_CELLS + 5; i++) {
            record.status = 300 + i;
            weir__metrics_count(&counted->traffic, counted->slot, &record);
        }
    }
    b = block(counted, METRIC_ROUTE, "web", "a");
    assert_int_equal(b->n_cells, METRIC_CELLS);
    assert_int_equal(b->others, 10);
    assert_int_equal(of_cell(b, "GET", 300), 2);
    assert_int_equal(of_cell(b, "GET", 300 + METRIC_CELLS - 1), 2);
}

static void durations_go_into_the_bucket_that_holds_them(void **state)
{
    struct counted *counted = *state;
    weir_access_record record = of_route("a");
    const struct metric_block *route, *server;

    record.upstream = "app";
    record.server = "s";
    record.duration_ns = 5000000; /* the bound belongs to its bucket */
    record.first_byte_ns = 5000001;
    weir__metrics_count(&counted->traffic, counted->slot, &record);
    record.duration_ns = INT64_C(11000000000);
    record.first_byte_ns = 0; /* nothing came */
    record.connect_ns = 30000000;
    record.retries = 2;
    weir__metrics_count(&counted->traffic, counted->slot, &record);
    route = block(counted, METRIC_ROUTE, "web", "a");
    server = block(counted, METRIC_SERVER, "app", "s");
    assert_int_equal(route->histograms[METRIC_TOTAL].counts[0], 1);
    assert_int_equal(route->histograms[METRIC_TOTAL].counts[METRIC_BOUNDS], 1);
    assert_int_equal(route->histograms[METRIC_TOTAL].sum_ns, UINT64_C(11005000000));
    assert_int_equal(server->histograms[METRIC_FIRST_BYTE].counts[1], 1);
    assert_int_equal(server->histograms[METRIC_CONNECT].counts[3], 1);
    assert_int_equal(server->retries, 2);
    assert_int_equal(of_cell(server, "_OTHER", 200), 1);
    assert_int_equal(of_cell(server, "_OTHER", 0), 1);
}

static void a_connection_counts_for_its_server_and_is_no_request(void **state)
{
    struct counted *counted = *state;
    weir_access_record request = of_route("a"), tunnel = of_route("a");

    request.upstream = tunnel.upstream = "app";
    request.server = tunnel.server = "s";
    tunnel.status = 0;
    tunnel.method = weir_slice_of(NULL, 0);
    tunnel.connect_ns = 1000;
    weir__metrics_count(&counted->traffic, counted->slot, &request);
    weir__metrics_count(&counted->traffic, counted->slot, &tunnel);
    weir__metrics_count(&counted->traffic, counted->slot, &request);
    assert_int_equal(total(block(counted, METRIC_ROUTE, "web", "a")), 2);
    assert_int_equal(total(block(counted, METRIC_SERVER, "app", "s")), 2);
    assert_int_equal(
        block(counted, METRIC_SERVER, "app", "s")->histograms[METRIC_CONNECT].counts[0], 1);
}

/* More than fit into the first table, each met again after it has grown. */
static void many_routes_keep_their_own_counts(void **state)
{
    enum { ROUTES = 1000 };
    struct counted *counted = *state;
    static char names[ROUTES][24];

    for (int i = 0; i < ROUTES; i++)
        (void)snprintf(names[i], sizeof names[i], "route %d", i);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ROUTES; i++) {
            weir_access_record record = of_route(names[i]);

            weir__metrics_count(&counted->traffic, counted->slot, &record);
        }
    }
    for (int i = 0; i < ROUTES; i += 37)
        assert_int_equal(total(block(counted, METRIC_ROUTE, "web", names[i])), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_counted_by_listener_and_route),
        TEST(another_address_of_the_same_name_is_the_same_series),
        TEST(an_address_that_became_another_name_counts_for_that),
        TEST(methods_and_statuses_have_a_cell_each),
        TEST(what_finds_no_cell_is_counted_as_others),
        TEST(durations_go_into_the_bucket_that_holds_them),
        TEST(a_connection_counts_for_its_server_and_is_no_request),
        TEST(many_routes_keep_their_own_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
