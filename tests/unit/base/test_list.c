/* SPDX-License-Identifier: Apache-2.0 */
/* The intrusive list, bounded text, flags and escapes. */
#include "config.h"

#include <string.h>

#include "core/base/env.h"
#include "core/base/list.h"
#include "core/base/text.h"
#include "tests/unit/base/base_test.h"

struct item {
    char name;
    struct list link;
};

/* The names of a list, in order. */
static const char *names(const struct list *head)
{
    static char text[16];
    size_t n = 0;

    weir_list_foreach(item, head, struct item, link)
        text[n++] = item->name;
    text[n] = '\0';
    return text;
}

static void nodes_keep_the_order_of_their_insertion(void **state)
{
    struct list head = LIST_INIT(head);
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};

    (void)state;
    list_append(&head, &b.link);
    list_prepend(&head, &a.link);
    list_append(&head, &c.link);

    assert_string_equal(names(&head), "abc");
}

static void a_removed_node_knows_that_it_is_unlinked(void **state)
{
    struct list head = LIST_INIT(head);
    struct item a = {.name = 'a'};

    (void)state;
    list_append(&head, &a.link);
    list_remove(&a.link);

    assert_true(list_empty(&head));
    assert_true(list_empty(&a.link));
    list_remove(&a.link);
    assert_true(list_empty(&a.link));
}

static void splicing_moves_all_to_the_end(void **state)
{
    struct list head = LIST_INIT(head), more = LIST_INIT(more);
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};

    (void)state;
    list_append(&head, &a.link);
    list_append(&more, &b.link);
    list_append(&more, &c.link);
    list_splice(&head, &more);
    list_splice(&head, &more);

    assert_string_equal(names(&head), "abc");
    assert_true(list_empty(&more));
}

static void the_current_entry_may_go_during_a_safe_walk(void **state)
{
    struct list head = LIST_INIT(head);
    struct item a = {.name = 'a'}, b = {.name = 'b'};

    (void)state;
    list_append(&head, &a.link);
    list_append(&head, &b.link);
    weir_list_foreach_safe(item, &head, struct item, link)
        list_remove(&item->link);

    assert_true(list_empty(&head));
}

static void text_never_overflows_and_counts_what_it_wanted(void **state)
{
    char buffer[8];
    struct text text = text_over(buffer, sizeof(buffer));

    (void)state;
    text_add(&text, "12345");
    text_printf(&text, "%d", 67890);

    assert_string_equal(buffer, "1234567");
    assert_int_equal(text.len, 10);
    assert_int_equal(text_length(&text), 7);
    assert_true(text_truncated(&text));
}

static const char *escaped(const char *bytes)
{
    static char buffer[128];
    struct text text = text_over(buffer, sizeof(buffer));

    text_add_escaped(&text, bytes, strlen(bytes), "\"");
    return buffer;
}

static const char *json(const char *bytes)
{
    static char buffer[128];
    struct text text = text_over(buffer, sizeof(buffer));

    text_add_json(&text, bytes, strlen(bytes));
    return buffer;
}

static void escapes_leave_nothing_that_a_terminal_obeys(void **state)
{
    (void)state;
    assert_string_equal(escaped("grün \"x\"\r\n"), "grün \\\"x\\\"\\r\\n");
    assert_string_equal(escaped("\x1b]0;t\x07\x7f"), "\\x1b]0;t\\x07\\x7f");
    assert_string_equal(escaped("\xc2\x9b"
                                "2J"),
                        "\\xc2\\x9b2J");
    assert_string_equal(escaped("\xc0\x80 \xed\xa0\x80 \xf5"), "\\xc0\\x80 \\xed\\xa0\\x80 \\xf5");
}

static void json_strings_are_valid_whatever_comes_in(void **state)
{
    (void)state;
    assert_string_equal(json("a\"b\\c\n\x01"), "\"a\\\"b\\\\c\\n\\u0001\"");
    assert_string_equal(json("\xff€"), "\"\\ufffd€\"");
}

static void flags_mean_what_they_say(void **state)
{
    bool value = false;

    (void)state;
    assert_true(weir__flag_parse("TRUE", &value));
    assert_true(value);
    assert_true(weir__flag_parse("0", &value));
    assert_false(value);
    assert_true(weir__flag_parse("on", &value));
    assert_true(value);
    assert_false(weir__flag_parse("maybe", &value));
    assert_true(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_keep_the_order_of_their_insertion),
        cmocka_unit_test(a_removed_node_knows_that_it_is_unlinked),
        cmocka_unit_test(splicing_moves_all_to_the_end),
        cmocka_unit_test(the_current_entry_may_go_during_a_safe_walk),
        cmocka_unit_test(text_never_overflows_and_counts_what_it_wanted),
        cmocka_unit_test(escapes_leave_nothing_that_a_terminal_obeys),
        cmocka_unit_test(json_strings_are_valid_whatever_comes_in),
        cmocka_unit_test(flags_mean_what_they_say),
    };

    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
