/* SPDX-License-Identifier: Apache-2.0 */
/* The chunk pool and buffers. */
#include "config.h"

#include <string.h>

#include "core/base/chunk.h"
#include "tests/unit/base/base_test.h"

#define POOL_MAX 100

static int pool_setup(void **state)
{
    struct chunk_pool *pool;

    OK(weir__chunk_pool_new(POOL_MAX, &pool));
    weir__thread_pool = pool;
    *state = pool;
    return 0;
}

static int pool_teardown(void **state)
{
    struct chunk_pool *pool = *state;
    bool empty = pool->live == 0;

    weir__thread_pool = NULL;
    weir__chunk_pool_free(pool);
    return empty ? 0 : -1;
}

static weir_chunk *chunk_made(void)
{
    weir_chunk *chunk = NULL;

    OK(weir_chunk_new(1, &chunk));
    return chunk;
}

static void a_chunk_is_found_from_any_byte_of_it(void **state)
{
    weir_chunk *chunk = chunk_made();
    char *data = weir_chunk_data(chunk);

    (void)state;
    assert_ptr_equal(weir_chunk_of(weir_slice_of(data, 1)), chunk);
    assert_ptr_equal(weir_chunk_of(weir_slice_of(data + WEIR_CHUNK_SIZE - 1, 1)), chunk);
    assert_null(weir_chunk_of(weir_slice_of(data + WEIR_CHUNK_SIZE, 1)));
    assert_null(weir_chunk_of(weir_slice_of(data, 0)));
    assert_null(weir_chunk_of(weir_slice_of(&chunk, 1)));

    weir_chunk_unref(chunk);
    assert_null(weir_chunk_of(weir_slice_of(data, 1)));
}

static void the_data_is_a_full_chunk_size_and_writable(void **state)
{
    weir_chunk *chunk = chunk_made();

    (void)state;
    assert_int_equal(weir_chunk_capacity(chunk), 16384);
    memset(weir_chunk_data(chunk), 0xA5, WEIR_CHUNK_SIZE);

    weir_chunk_unref(chunk);
}

static void the_chunk_freed_last_is_used_next(void **state)
{
    weir_chunk *a = chunk_made(), *b = chunk_made();

    (void)state;
    weir_chunk_unref(a);
    weir_chunk_unref(b);

    assert_ptr_equal(chunk_made(), b);
    assert_ptr_equal(chunk_made(), a);
    weir_chunk_unref(a);
    weir_chunk_unref(b);
}

static void a_full_pool_says_so_and_recovers(void **state)
{
    weir_chunk *held[POOL_MAX], *more = NULL;

    (void)state;
    for (int i = 0; i < POOL_MAX; i++)
        held[i] = chunk_made();
    FAILS(weir_chunk_new(1, &more), WEIR_EFULL);
    assert_null(more);
    weir_chunk_unref(held[50]);
    OK(weir_chunk_new(1, &more));

    assert_ptr_equal(more, held[50]);
    for (int i = 0; i < POOL_MAX; i++)
        weir_chunk_unref(held[i]);
}

static void too_large_a_chunk_is_refused(void **state)
{
    weir_chunk *chunk = NULL;

    (void)state;
    FAILS(weir_chunk_new(WEIR_CHUNK_SIZE + 1, &chunk), WEIR_ELIMIT);
    assert_null(chunk);
}

static void a_thread_without_a_loop_has_no_chunks(void **state)
{
    weir_chunk *chunk = NULL;

    weir__thread_pool = NULL;
    FAILS(weir_chunk_new(1, &chunk), WEIR_ETHREAD);
    weir__thread_pool = *state;
}

static void unused_chunks_give_their_memory_back_in_batches(void **state)
{
    struct chunk_pool *pool = *state;
    weir_chunk *held[POOL_MAX];
    const char *cold, *hot;

    for (int i = 0; i < POOL_MAX; i++) {
        held[i] = chunk_made();
        memset(weir_chunk_data(held[i]), 'x', WEIR_CHUNK_SIZE);
    }
    for (int i = 0; i < POOL_MAX; i++)
        weir_chunk_unref(held[i]);
    weir__chunk_pool_trim(pool); /* they were in use in this period */
    assert_int_equal(pool->trimmed, 0);
    weir__chunk_pool_trim(pool);
    assert_int_equal(pool->trimmed, CHUNK_TRIM_BATCH);
    weir__chunk_pool_trim(pool);

    assert_int_equal(pool->trimmed, POOL_MAX - CHUNK_KEEP);
    assert_false(chunk_pool_trimmable(pool));
    for (int i = 0; i < POOL_MAX; i++)
        held[i] = chunk_made();
    hot = weir_chunk_data(held[0]);
    cold = weir_chunk_data(held[POOL_MAX - 1]);
    assert_int_equal(hot[0], 'x');
    assert_int_equal(cold[0], 0);
    for (int i = 0; i < POOL_MAX; i++)
        weir_chunk_unref(held[i]);
}

static void a_chunk_may_outlive_its_pool(void **state)
{
    struct chunk_pool *pool;
    weir_chunk *chunk;

    (void)state;
    OK(weir__chunk_pool_new(4, &pool));
    chunk = weir__chunk_take(pool);
    weir__chunk_pool_free(pool);

    memset(weir_chunk_data(chunk), 1, 10);
    weir_chunk_unref(chunk);
}

static weir_error *make_and_free_pool(void)
{
    struct chunk_pool *pool;
    weir_chunk *chunk;

    WEIR_TRY(weir__chunk_pool_new(4, &pool));
    weir__thread_pool = pool;
    chunk = weir__chunk_take(pool);
    weir_chunk_unref(chunk);
    weir__thread_pool = NULL;
    weir__chunk_pool_free(pool);
    return chunk ? NULL : weir_raise(WEIR_ENOMEM, "-");
}

static void each_allocation_of_a_pool_may_fail(void **state)
{
    struct chunk_pool *mine = weir__thread_pool;
    unsigned long failures;

    (void)state;
    weir__thread_pool = NULL;
    FAIL_EACH_ALLOCATION(make_and_free_pool(), WEIR_ENOMEM, &failures);
    weir__thread_pool = mine;

    assert_int_equal(failures, 5);
}

/* Buffers */

static weir_buffer *buffer_made(size_t limit)
{
    weir_buffer *buffer = NULL;

    OK(weir_buffer_new(limit, &buffer));
    return buffer;
}

static void small_parts_are_copied_together(void **state)
{
    weir_buffer *buffer = buffer_made(100);

    (void)state;
    OK(weir_buffer_append(buffer, WEIR_SLICE("hello ")));
    OK(weir_buffer_append(buffer, WEIR_SLICE("world")));

    assert_true(weir_slice_equal(weir_buffer_first(buffer), WEIR_SLICE("hello world")));
    assert_int_equal(weir_buffer_size(buffer), 11);
    weir_buffer_unref(buffer);
}

static void a_large_part_of_a_chunk_is_referenced(void **state)
{
    struct chunk_pool *pool = *state;
    weir_buffer *buffer = buffer_made(1 << 20);
    weir_chunk *chunk = chunk_made();

    OK(weir_buffer_append(buffer, weir_slice_of(weir_chunk_data(chunk), 8000)));
    assert_ptr_equal(weir_buffer_first(buffer).data, weir_chunk_data(chunk));
    weir_chunk_unref(chunk);
    assert_int_equal(pool->live, 1);
    weir_buffer_consume(buffer, 8000);

    assert_int_equal(pool->live, 0);
    weir_buffer_unref(buffer);
}

static void a_small_part_of_a_chunk_does_not_pin_it(void **state)
{
    struct chunk_pool *pool = *state;
    weir_buffer *buffer = buffer_made(1 << 20);
    weir_chunk *chunk = chunk_made();

    memcpy(weir_chunk_data(chunk), "small", 5);
    OK(weir_buffer_append(buffer, weir_slice_of(weir_chunk_data(chunk), 5)));
    weir_chunk_unref(chunk);

    assert_int_equal(pool->live, 0);
    assert_true(weir_slice_equal(weir_buffer_first(buffer), WEIR_SLICE("small")));
    weir_buffer_unref(buffer);
}

static void past_its_limit_a_buffer_takes_nothing(void **state)
{
    weir_buffer *buffer = buffer_made(8);

    (void)state;
    OK(weir_buffer_append(buffer, WEIR_SLICE("12345")));
    FAILS(weir_buffer_append(buffer, WEIR_SLICE("6789")), WEIR_ELIMIT);
    assert_int_equal(weir_buffer_size(buffer), 5);
    OK(weir_buffer_append(buffer, WEIR_SLICE("678")));

    assert_true(weir_slice_equal(weir_buffer_first(buffer), WEIR_SLICE("12345678")));
    weir_buffer_unref(buffer);
}

static void linear_puts_copied_and_referenced_parts_in_order(void **state)
{
    weir_buffer *buffer = buffer_made(1 << 20);
    weir_chunk *chunk = chunk_made();
    weir_slice all;

    (void)state;
    memset(weir_chunk_data(chunk), 'c', 5000);
    OK(weir_buffer_append(buffer, WEIR_SLICE("ab")));
    OK(weir_buffer_append(buffer, weir_slice_of(weir_chunk_data(chunk), 5000)));
    OK(weir_buffer_append(buffer, WEIR_SLICE("de")));
    weir_chunk_unref(chunk);
    OK(weir_buffer_linear(buffer, &all));

    assert_int_equal(all.len, 5004);
    assert_memory_equal(all.data, "abcc", 4);
    assert_memory_equal((const char *)all.data + 5000, "ccde", 4);
    weir_buffer_consume(buffer, 5002);
    OK(weir_buffer_append(buffer, WEIR_SLICE("f")));
    OK(weir_buffer_linear(buffer, &all));
    assert_true(weir_slice_equal(all, WEIR_SLICE("def")));
    weir_buffer_unref(buffer);
}

static void many_appends_and_consumes_keep_every_byte(void **state)
{
    weir_buffer *buffer = buffer_made(100000);
    unsigned char next = 0, expected = 0;
    size_t wrong = 0;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        unsigned char bytes[97];
        size_t n = 1 + (size_t)(round * 31 % 97), take = (size_t)(round * 17 % 91);

        for (size_t i = 0; i < n; i++)
            bytes[i] = next++;
        OK(weir_buffer_append(buffer, weir_slice_of(bytes, n)));
        while (take > 0 && weir_buffer_size(buffer) > 0) {
            const unsigned char *first = weir_buffer_first(buffer).data;

            wrong += *first != expected++;
            weir_buffer_consume(buffer, 1);
            take--;
        }
    }

    assert_int_equal(wrong, 0);
    weir_buffer_unref(buffer);
}

static weir_error *fill_buffer(void)
{
    static char large[20000];
    weir_auto(weir_buffer) buffer = NULL;
    weir_slice all;

    WEIR_TRY(weir_buffer_new(100000, &buffer));
    WEIR_TRY(weir_buffer_append(buffer, WEIR_SLICE("first")));
    WEIR_TRY(weir_buffer_append(buffer, weir_slice_of(large, sizeof(large))));
    WEIR_TRY(weir_buffer_linear(buffer, &all));
    return NULL;
}

static void each_allocation_of_a_buffer_may_fail(void **state)
{
    unsigned long failures;

    (void)state;
    FAIL_EACH_ALLOCATION(fill_buffer(), WEIR_ENOMEM, &failures);

    assert_int_equal(failures, 5);
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, pool_setup, pool_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(a_chunk_is_found_from_any_byte_of_it),
        POOL_TEST(the_data_is_a_full_chunk_size_and_writable),
        POOL_TEST(the_chunk_freed_last_is_used_next),
        POOL_TEST(a_full_pool_says_so_and_recovers),
        POOL_TEST(too_large_a_chunk_is_refused),
        POOL_TEST(a_thread_without_a_loop_has_no_chunks),
        POOL_TEST(unused_chunks_give_their_memory_back_in_batches),
        POOL_TEST(a_chunk_may_outlive_its_pool),
        POOL_TEST(each_allocation_of_a_pool_may_fail),
        POOL_TEST(small_parts_are_copied_together),
        POOL_TEST(a_large_part_of_a_chunk_is_referenced),
        POOL_TEST(a_small_part_of_a_chunk_does_not_pin_it),
        POOL_TEST(past_its_limit_a_buffer_takes_nothing),
        POOL_TEST(linear_puts_copied_and_referenced_parts_in_order),
        POOL_TEST(many_appends_and_consumes_keep_every_byte),
        POOL_TEST(each_allocation_of_a_buffer_may_fail),
    };

    return cmocka_run_group_tests_name("chunk", tests, NULL, NULL);
}
