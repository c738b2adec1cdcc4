/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text and back. */
#include "config.h"

#include <string.h>

#include "core/net/address.h"
#include "tests/unit/support/support.h"

static void check_round_trip(const char *host, uint16_t port, const char *wanted)
{
    struct address address;
    char name[ADDRESS_NAME_MAX];

    assert_true(weir__address_literal(host, port, &address));
    weir__address_name(&address.any, address.length, name, sizeof(name));
    assert_string_equal(name, wanted);
}

static void literals_are_shown_as_they_are_written(void **state)
{
    (void)state;
    check_round_trip("192.0.2.1", 80, "192.0.2.1:80");
    check_round_trip("2001:DB8:0::1", 443, "[2001:db8::1]:443");
    check_round_trip("::ffff:192.0.2.1", 80, "192.0.2.1:80");
    check_round_trip("fe80::1%1", 0, "[fe80::1%1]:0");
}

static void names_are_no_literals(void **state)
{
    struct address address;

    (void)state;
    assert_false(weir__address_literal("example.org", 80, &address));
    assert_false(weir__address_literal("127.1", 80, &address));
    assert_false(weir__address_literal("", 80, &address));
    assert_false(weir__address_literal("[::1]", 80, &address));
}

static void host_and_port_are_cut_apart(void **state)
{
    struct host_port parsed;

    (void)state;
    assert_ok(weir__host_port_parse("example.org:65535", &parsed));
    assert_string_equal(parsed.host, "example.org");
    assert_int_equal(parsed.port, 65535);
    assert_ok(weir__host_port_parse("[::1]:80", &parsed));
    assert_string_equal(parsed.host, "::1");
    assert_true(parsed.bracketed);
    assert_ok(weir__host_port_parse(":80", &parsed));
    assert_string_equal(parsed.host, "");
    assert_code(weir__host_port_parse("example.org", &parsed), WEIR_EINVAL);
    assert_code(weir__host_port_parse("example.org:", &parsed), WEIR_EINVAL);
    assert_code(weir__host_port_parse("example.org:-1", &parsed), WEIR_EINVAL);
    assert_code(weir__host_port_parse("example.org:65536", &parsed), WEIR_EINVAL);
    assert_code(weir__host_port_parse("::1:80", &parsed), WEIR_EINVAL);
}

static void unix_paths_have_a_limit(void **state)
{
    struct address address;
    char path[200], name[ADDRESS_NAME_MAX];

    (void)state;
    assert_ok(weir__address_unix("/run/x.sock", &address));
    weir__address_name(&address.any, address.length, name, sizeof(name));
    assert_string_equal(name, "unix:/run/x.sock");
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_code(weir__address_unix(path, &address), WEIR_EINVAL);
    path[107] = '\0';
    assert_ok(weir__address_unix(path, &address));
    weir__address_name(&address.any, address.length, name, sizeof(name));
    assert_int_equal(strlen(name), 112);
    assert_code(weir__address_unix("", &address), WEIR_EINVAL);
    address.un.sun_family = AF_UNIX;
    weir__address_name(&address.any, sizeof(sa_family_t), name, sizeof(name));
    assert_string_equal(name, "unix:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_shown_as_they_are_written),
        cmocka_unit_test(names_are_no_literals),
        cmocka_unit_test(host_and_port_are_cut_apart),
        cmocka_unit_test(unix_paths_have_a_limit),
    };

    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
