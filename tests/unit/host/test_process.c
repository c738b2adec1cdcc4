/* SPDX-License-Identifier: Apache-2.0 */
/* runtime: processors of loops, and when memory is full. Names are claims. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/process/process.h"
#include "tests/unit/host/host_test.h"

static void memory_is_full_above_the_limit_and_has_room_below_nine_tenths(void **state)
{
    (void)state;
    assert_false(weir__memory_is_full(100, 100, false));
    assert_true(weir__memory_is_full(101, 100, false));
    assert_true(weir__memory_is_full(91, 100, true));
    assert_false(weir__memory_is_full(90, 100, true));
}

static void memory_held_is_what_the_process_wrote_to(void **state)
{
    size_t size = (size_t)64 << 20;
    uint64_t before = weir__memory_held(), after;
    char *block = malloc(size);

    (void)state;
    assert_true(before > 0);
    memset(block, 1, size);
    __asm__ volatile("" : : "r"(block) : "memory");
    after = weir__memory_held();
    free(block);
    assert_true(after >= before + size - size / 8);
}

static void the_i_th_loop_has_the_i_th_processor_and_round_again(void **state)
{
    uint32_t list[] = {5, 2, 9};
    struct affinity_config said = {AFFINITY_LIST, {list, 3}}, off = {AFFINITY_OFF, {NULL, 0}};

    (void)state;
    assert_int_equal(weir__affinity_of(&said, 0), 5);
    assert_int_equal(weir__affinity_of(&said, 2), 9);
    assert_int_equal(weir__affinity_of(&said, 3), 5);
    assert_int_equal(weir__affinity_of(&off, 3), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_full_above_the_limit_and_has_room_below_nine_tenths),
        cmocka_unit_test(memory_held_is_what_the_process_wrote_to),
        cmocka_unit_test(the_i_th_loop_has_the_i_th_processor_and_round_again),
    };

    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
