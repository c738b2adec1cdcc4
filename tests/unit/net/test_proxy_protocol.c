/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers: what is one, what is written, and servers that hear them. */
#include "config.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include <weir/proxy-protocol.h>

#include "tests/unit/net/net_test.h"

#define SIGNATURE      "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(literal) weir_slice_of((literal), sizeof(literal) - 1)

static const char *text_of(const weir_address *address)
{
    static char text[2][WEIR_ADDRESS_TEXT_SIZE];
    static int turn;

    turn = !turn;
    weir_address_text(address, text[turn], sizeof(text[turn]));
    return text[turn];
}

static void version_1_names_both_ends(void **state)
{
    weir_proxy_header header;
    size_t length = 0;

    (void)state;
    assert_ok(weir_proxy_parse(BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\nGET"), &header,
                               &length));
    assert_int_equal(length, 41);
    assert_int_equal(header.version, WEIR_PROXY_V1);
    assert_false(header.local);
    assert_string_equal(text_of(&header.source), "192.0.2.1:4711");
    assert_string_equal(text_of(&header.destination), "192.0.2.2:443");
    assert_ok(weir_proxy_parse(BYTES("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"), &header, &length));
    assert_string_equal(text_of(&header.source), "[2001:db8::1]:1");
    assert_ok(weir_proxy_parse(BYTES("PROXY UNKNOWN anything 1 2\r\n"), &header, &length));
    assert_true(header.local && length == 28 && !header.source.length);
    assert_ok(weir_proxy_parse(BYTES("PROXY UNKNOWN\r\n"), &header, &length));
    assert_true(header.local && length == 15);
}

static void what_is_no_header_is_an_error(void **state)
{
    static const char *const lines[] = {
        "GET / HTTP/1.1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443 \r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 4711 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 04711 443\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 4711 443\r\n",
        "PROXY TCP4 ::1 ::1 4711 443\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 4711 443\r\n",
        "PROXY TCP6 fe80::1%lo ::1 4711 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 4711 443\r\n",
        "PROXY \r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 4711 443\r\n",
        ("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890\r\n"),
    };
    weir_proxy_header header;
    size_t length;

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_code(weir_proxy_parse(weir_slice_of(lines[i], strlen(lines[i])), &header, &length),
                    WEIR_EPROTOCOL);
    assert_code(weir_proxy_parse(BYTES(SIGNATURE "\x31\x11\0\x0c"), &header, &length),
                WEIR_EPROTOCOL);
    assert_code(weir_proxy_parse(BYTES(SIGNATURE "\x22\x11\0\x0c"), &header, &length),
                WEIR_EPROTOCOL);
    assert_code(weir_proxy_parse(BYTES(SIGNATURE "\x21\x11\0\x02__"), &header, &length),
                WEIR_EPROTOCOL);
    assert_code(weir_proxy_parse(BYTES(SIGNATURE "\x21\x11\xff\xff"), &header, &length),
                WEIR_ELIMIT);
    assert_code(weir_proxy_parse(BYTES("\r\n\r\n\0\r\nQUIT!"), &header, &length), WEIR_EPROTOCOL);
}

#define V2_ADDRESSES "\xc0\0\2\1\xc0\0\2\2\x12\x67\1\xbb"

static void version_2_names_both_ends_and_the_authority(void **state)
{
    static const char bytes[] = SIGNATURE "\x21\x11\0\x22" V2_ADDRESSES "\2\0\x0b"
                                          "example.org\x01\0\2h2\xe0\0\0rest";
    weir_proxy_header header;
    size_t length = 0;

    (void)state;
    assert_ok(weir_proxy_parse(BYTES(bytes), &header, &length));
    assert_int_equal(length, 16 + 0x22);
    assert_string_equal(text_of(&header.source), "192.0.2.1:4711");
    assert_string_equal(text_of(&header.destination), "192.0.2.2:443");
    assert_true(weir_slice_equal(header.authority, BYTES("example.org")));
    assert_true(weir_slice_equal(header.alpn, BYTES("h2")));
    assert_ok(weir_proxy_parse(BYTES(SIGNATURE "\x20\0\0\0"), &header, &length));
    assert_true(header.local && length == 16);
    /* Bytes of a LOCAL header are skipped, whatever they are. */
    assert_ok(weir_proxy_parse(BYTES(SIGNATURE "\x20\x11\0\3abc"), &header, &length));
    assert_true(header.local && length == 19);
    /* A TLV that goes past the end. */
    assert_code(weir_proxy_parse(BYTES(SIGNATURE "\x21\x11\0\x10" V2_ADDRESSES "\2\0\5x"), &header,
                                 &length),
                WEIR_EPROTOCOL);
    /* A CRC that is not right. */
    assert_code(weir_proxy_parse(BYTES(SIGNATURE "\x21\x11\0\x13" V2_ADDRESSES "\3\0\4\1\2\3\4"),
                                 &header, &length),
                WEIR_EPROTOCOL);
}

static void a_part_of_a_header_is_not_an_error(void **state)
{
    static const char one[] = "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n";
    static const char two[] = SIGNATURE "\x21\x11\0\x0c" V2_ADDRESSES;
    weir_proxy_header header;

    (void)state;
    for (size_t n = 0; n < sizeof(one) - 1; n++) {
        size_t length = 99;

        assert_ok(weir_proxy_parse(weir_slice_of(one, n), &header, &length));
        assert_int_equal(length, 0);
    }
    for (size_t n = 0; n < sizeof(two) - 1; n++) {
        size_t length = 99;

        assert_ok(weir_proxy_parse(weir_slice_of(two, n), &header, &length));
        assert_int_equal(length, 0);
    }
}

static void what_is_written_is_read_back(void **state)
{
    static const char *const pairs[][3] = {
        {"192.0.2.1:4711", "192.0.2.2:443", "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"},
        {"[2001:db8::1]:4711", "[::1]:443", "PROXY TCP6 2001:db8::1 ::1 4711 443\r\n"},
        {"[::ffff:192.0.2.1]:4711", "192.0.2.2:443", "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"},
        {"unix:/run/a", "unix:/run/b", "PROXY UNKNOWN\r\n"},
        {"192.0.2.1:4711", "[::1]:443", "PROXY UNKNOWN\r\n"},
    };
    char buffer[WEIR_PROXY_WRITE_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        weir_address from, to;
        weir_proxy_header header;
        size_t n = 0, length = 0;

        assert_ok(weir_address_parse(pairs[i][0], &from));
        assert_ok(weir_address_parse(pairs[i][1], &to));
        assert_ok(weir_proxy_write(WEIR_PROXY_V1, &from, &to, buffer, sizeof(buffer), &n));
        assert_int_equal(n, strlen(pairs[i][2]));
        assert_memory_equal(buffer, pairs[i][2], n);
        assert_ok(weir_proxy_write(WEIR_PROXY_V2, &from, &to, buffer, sizeof(buffer), &n));
        assert_ok(weir_proxy_parse(weir_slice_of(buffer, n), &header, &length));
        assert_int_equal(length, n);
        assert_true(header.local == (i == 4));
        if (!header.local) {
            assert_string_equal(text_of(&header.source), text_of(&from));
            assert_string_equal(text_of(&header.destination), text_of(&to));
        }
    }
}

static void networks_hold_what_begins_like_them(void **state)
{
    static const struct {
        const char *network, *address;
        bool inside;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1:1", true},
        {"10.0.0.0/8", "11.0.0.1:1", false},
        {"10.0.0.0/8", "[::ffff:10.1.2.3]:1", true},
        {"0.0.0.0/0", "192.0.2.1:1", true},
        {"0.0.0.0/0", "[2001:db8::1]:1", false},
        {"2001:db8::/33", "[2001:db8:7fff::]:1", true},
        {"2001:db8::/33", "[2001:db8:8000::]:1", false},
        {"127.0.0.1", "127.0.0.1:9", true},
        {"127.0.0.1", "127.0.0.2:9", false},
        {"::/0", "unix:/run/x", false},
    };

    weir_network network;
    weir_address address;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_ok(weir_network_parse(cases[i].network, &network));
        assert_ok(weir_address_parse(cases[i].address, &address));
        assert_true(weir_network_contains(&network, &address) == cases[i].inside);
    }
    assert_code(weir_network_parse("10.0.0.1/8", &network), WEIR_EINVAL);
    assert_code(weir_network_parse("10.0.0.0/33", &network), WEIR_EINVAL);
    assert_code(weir_network_parse("10.0.0.0/", &network), WEIR_EINVAL);
    assert_code(weir_network_parse("example.org", &network), WEIR_EINVAL);
}

/* Servers */

struct hearing {
    weir_network trusted;
    weir_proxy_policy policy;
    weir_server_options options;
    struct record record;
    weir_server *server;
};

static weir_error *hear(struct hearing *h, const char *network)
{
    CHECK_OK(weir_network_parse(network, &h->trusted));
    h->policy =
        (weir_proxy_policy){WEIR_SIZED(weir_proxy_policy), .trusted = &h->trusted, .n_trusted = 1};
    h->options = (weir_server_options){WEIR_SIZED(weir_server_options), .proxy = &h->policy};
    h->policy.timeout = WEIR_MS(300);
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", &h->options, &recording, &h->record,
                        &h->server));
    return NULL;
}

static weir_error *hear_no_more(struct hearing *h)
{
    weir_server_close(h->server);
    weir_server_abort_connections(h->server);
    CHECK_OK(weir_server_wait_closed(h->server));
    weir_server_unref(h->server);
    return NULL;
}

static weir_error *a_trusted_peer_speaks_for_its_client(void *arg)
{
    static const char bytes[] = "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\nhello";
    struct hearing h = {0};
    int peer;

    (void)arg;
    CHECK_OK(hear(&h, "127.0.0.0/8"));
    peer = raw_connect(weir_server_name(h.server));
    /* Slowly: in three pieces, the last with bytes of the protocol. */
    CHECK(send(peer, bytes, 3, 0) == 3);
    SETTLE();
    CHECK(send(peer, bytes + 3, 30, 0) == 30);
    SETTLE();
    CHECK(!h.record.made && weir_server_connections(h.server) == 0);
    CHECK(send_all(peer, bytes + 33));
    UNTIL(h.record.received == 5);
    CHECK_EVENTS(&h.record, "made data(hello) ");
    CHECK(strcmp(weir_transport_peer_name(h.record.transport), "192.0.2.1:4711") == 0);
    CHECK(weir_transport_proxy_header(h.record.transport) != NULL);
    CHECK(strcmp(text_of(&weir_transport_proxy_header(h.record.transport)->destination),
                 "192.0.2.2:443") == 0);
    close(peer);
    return hear_no_more(&h);
}
IN_LOOP(a_trusted_peer_speaks_for_its_client)

static weir_error *authority_and_local_are_heard_in_version_2(void *arg)
{
    static const char bytes[] = SIGNATURE "\x21\x11\0\x1a" V2_ADDRESSES "\2\0\x0b"
                                          "example.org";
    struct hearing h = {0};
    const weir_proxy_header *header;
    int peer;

    (void)arg;
    CHECK_OK(hear(&h, "127.0.0.1"));
    peer = raw_connect(weir_server_name(h.server));
    CHECK(send(peer, bytes, sizeof(bytes) - 1, 0) == (ssize_t)sizeof(bytes) - 1);
    UNTIL(h.record.made);
    header = weir_transport_proxy_header(h.record.transport);
    CHECK(header && weir_slice_equal(header->authority, BYTES("example.org")));
    close(peer);
    UNTIL(h.record.lost);
    h.record = (struct record){0};
    peer = raw_connect(weir_server_name(h.server));
    CHECK(send(peer, SIGNATURE "\x20\0\0\0", 16, 0) == 16);
    UNTIL(h.record.made);
    CHECK(strncmp(weir_transport_peer_name(h.record.transport), "127.0.0.1:", 10) == 0);
    close(peer);
    return hear_no_more(&h);
}
IN_LOOP(authority_and_local_are_heard_in_version_2)

static weir_error *others_are_taken_as_they_are(void *arg)
{
    struct hearing h = {0};
    int peer;

    (void)arg;
    CHECK_OK(hear(&h, "192.0.2.0/24"));
    peer = raw_connect(weir_server_name(h.server));
    CHECK(send_all(peer, "PROXY UNKNOWN\r\n"));
    UNTIL(h.record.received == 15);
    CHECK(weir_transport_proxy_header(h.record.transport) == NULL);
    close(peer);
    return hear_no_more(&h);
}
IN_LOOP(others_are_taken_as_they_are)

static weir_error *a_wrong_late_or_broken_header_costs_only_its_connection(void *arg)
{
    struct hearing h = {0};
    char byte, log[4096];
    int wrong, late, left;

    (void)arg;
    capture_log_begin();
    CHECK_OK(hear(&h, "127.0.0.1"));
    wrong = raw_connect(weir_server_name(h.server));
    late = raw_connect(weir_server_name(h.server));
    left = raw_connect(weir_server_name(h.server));
    CHECK(send_all(wrong, "GET / HTTP/1.1\r\n\r\n"));
    CHECK(send_all(late, "PROXY TC"));
    CHECK(send_all(left, "PROXY"));
    close(left);
    UNTIL(receive_some(wrong, &byte, 1) != -1);
    UNTIL(receive_some(late, &byte, 1) != -1);
    CHECK(!h.record.made);
    close(wrong);
    close(late);
    /* One that waits when the server closes. */
    late = raw_connect(weir_server_name(h.server));
    SETTLE();
    CHECK_OK(hear_no_more(&h));
    UNTIL(receive_some(late, &byte, 1) != -1);
    close(late);
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, "no PROXY header from 127.0.0.1:") != NULL);
    CHECK(strstr(log, "timed out") != NULL);
    CHECK(strstr(log, "no PROXY header, or a wrong one") != NULL);
    return NULL;
}
IN_LOOP(a_wrong_late_or_broken_header_costs_only_its_connection)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MAIN_TEST(version_1_names_both_ends),
        ON_MAIN_TEST(what_is_no_header_is_an_error),
        ON_MAIN_TEST(version_2_names_both_ends_and_the_authority),
        ON_MAIN_TEST(a_part_of_a_header_is_not_an_error),
        ON_MAIN_TEST(what_is_written_is_read_back),
        ON_MAIN_TEST(networks_hold_what_begins_like_them),
        IN_LOOP_TEST(a_trusted_peer_speaks_for_its_client),
        IN_LOOP_TEST(authority_and_local_are_heard_in_version_2),
        IN_LOOP_TEST(others_are_taken_as_they_are),
        IN_LOOP_TEST(a_wrong_late_or_broken_header_costs_only_its_connection),
    };

    return cmocka_run_group_tests_name("proxy-protocol", tests, NULL, NULL);
}
