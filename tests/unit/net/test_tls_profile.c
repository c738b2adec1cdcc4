/* SPDX-License-Identifier: Apache-2.0 */
/* What handshakes agree on with lists of one's own, and how each that ended is told. */
#include "config.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/net/tls.h"
#include "tests/unit/net/tls_test.h"

/* Profiles */

static weir_error *agreed(const weir_tls_options *server_said, const weir_tls_options *client_said,
                          weir_tls_info *ret, weir_code *ret_code)
{
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_options server_options = *server_said, client_options = *client_said;
    weir_tls_context *server_side, *client_side;
    weir_stream *stream = NULL;
    weir_server *server;
    weir_error *error;

    server_options.size = client_options.size = sizeof(weir_tls_options);
    server_options.certificates = &pair;
    server_options.certificate_count = 1;
    client_options.ca_file = ca.certificate;
    CHECK_OK(weir_tls_server_context_new(&server_options, &server_side));
    CHECK_OK(weir_tls_client_context_new(&client_options, &client_side));
    CHECK_OK(serve_tls(server_side, &echo_protocol, NULL, &server));
    error = connect_tls(server, client_side, "a.test", &stream);
    *ret_code = weir_error_code(error);
    weir_ignore(error);
    if (stream) {
        /* Names of versions and ciphers are OpenSSL's own, and stay. */
        CHECK(weir_transport_tls_info(weir_stream_transport(stream), ret));
        weir_stream_abort(stream);
    }
    CHECK_OK(end_server(server));
    weir_tls_context_unref(server_side);
    weir_tls_context_unref(client_side);
    return NULL;
}

#define OLD_FASHIONED "ECDHE-ECDSA-AES256-SHA384"

static weir_error *custom_lists_are_what_is_agreed_on(void *arg)
{
    static const struct {
        weir_tls_options server, client;
        const char *version, *cipher; /* NULL: nothing */
    } cases[] = {
        {{.profile = WEIR_TLS_CUSTOM, .max_version = WEIR_TLS_1_2},
         {.size = 0},
         "TLSv1.2",
         "ECDHE-ECDSA-AES128-GCM-SHA256"},
        /* The server's order. */
        {{.profile = WEIR_TLS_CUSTOM,
          .max_version = WEIR_TLS_1_2,
          .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"},
         {.size = 0},
         "TLSv1.2",
         "ECDHE-ECDSA-CHACHA20-POLY1305"},
        {{.profile = WEIR_TLS_CUSTOM, .ciphersuites = "TLS_CHACHA20_POLY1305_SHA256"},
         {.size = 0},
         "TLSv1.3",
         "TLS_CHACHA20_POLY1305_SHA256"},
        {{.profile = WEIR_TLS_CUSTOM, .max_version = WEIR_TLS_1_2, .ciphers = OLD_FASHIONED},
         {.profile = WEIR_TLS_CUSTOM, .ciphers = OLD_FASHIONED},
         "TLSv1.2",
         OLD_FASHIONED},
        {{.profile = WEIR_TLS_CUSTOM, .max_version = WEIR_TLS_1_2, .ciphers = OLD_FASHIONED},
         {.size = 0},
         NULL,
         NULL},
        {{.profile = WEIR_TLS_CUSTOM, .min_version = WEIR_TLS_1_3},
         {.profile = WEIR_TLS_CUSTOM, .max_version = WEIR_TLS_1_2},
         NULL,
         NULL},
        {{.profile = WEIR_TLS_CUSTOM, .groups = "P-384"},
         {.profile = WEIR_TLS_CUSTOM, .groups = "X25519"},
         NULL,
         NULL},
        {{.profile = WEIR_TLS_CUSTOM, .groups = "P-384"},
         {.profile = WEIR_TLS_CUSTOM, .groups = "X25519:P-384"},
         "TLSv1.3",
         "TLS_AES_256_GCM_SHA384"},
    };

    (void)arg;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        weir_tls_info info = {0};
        weir_code code = 0;

        CHECK_OK(agreed(&cases[i].server, &cases[i].client, &info, &code));
        CHECK(code == (cases[i].version ? 0 : WEIR_ETLS));
        if (!cases[i].version)
            continue;
        CHECK(info.version && strcmp(info.version, cases[i].version) == 0);
        CHECK(info.cipher && strcmp(info.cipher, cases[i].cipher) == 0);
    }
    return NULL;
}
IN_LOOP(custom_lists_are_what_is_agreed_on)

static void lists_that_openssl_does_not_take_are_refused(void **state)
{
    static const weir_tls_options bad[] = {
        {WEIR_SIZED(weir_tls_options), .profile = WEIR_TLS_CUSTOM, .ciphers = "NO-SUCH-CIPHER"},
        /* OpenSSL would go on with the one it knows. */
        {WEIR_SIZED(weir_tls_options), .profile = WEIR_TLS_CUSTOM,
         .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:NO-SUCH-CIPHER"},
        {WEIR_SIZED(weir_tls_options), .profile = WEIR_TLS_CUSTOM, .ciphersuites = "TLS_NO_SUCH"},
        {WEIR_SIZED(weir_tls_options), .profile = WEIR_TLS_CUSTOM, .groups = "X25519:P-1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        weir_tls_context *context = NULL;
        weir_error *error = weir_tls_client_context_new(&bad[i], &context);
        char text[300];

        assert_true(weir_error_is(error, WEIR_ETLS));
        weir_error_message(error, text, sizeof(text));
        assert_non_null(strstr(text, "OpenSSL does not take the "));
        weir_error_unref(error);
        assert_null(context);
    }
}

/* Results */

struct told {
    unsigned counts[WEIR_TLS_RESULT_COUNT], all;
    bool resumed, took_sane;
};

static void count(weir_transport *transport, weir_tls_result result, weir_duration took, void *arg)
{
    struct told *told = arg;
    weir_tls_info info;

    told->counts[result]++;
    told->all++;
    told->took_sane = took.ns >= 0 && took.ns < WEIR_S(60).ns;
    told->resumed = weir_transport_tls_info(transport, &info) && info.resumed;
}

struct counted {
    struct told told;
    weir_tls_context *context;
    weir_server *server;
};

static weir_error *counted_begin(struct counted *c, weir_tls_options said)
{
    static const char *const alpn[] = {"weir", NULL};
    weir_tls_certificate pair = pair_of(&ec);
    weir_server_options options = {WEIR_SIZED(weir_server_options), .handshake_over = count,
                                   .arg = &c->told, .handshake_timeout = WEIR_MS(300),
                                   .max_handshakes_per_address = 1};

    *c = (struct counted){.context = NULL};
    said.size = sizeof(said);
    said.certificates = &pair;
    said.certificate_count = 1;
    said.alpn = alpn;
    CHECK_OK(weir_tls_server_context_new(&said, &c->context));
    options.tls = c->context;
    return weir_serve(weir_loop_current(), "127.0.0.1:0", &options, &echo_protocol, NULL,
                      &c->server);
}

static weir_error *counted_end(struct counted *c)
{
    CHECK_OK(end_server(c->server));
    weir_tls_context_unref(c->context);
    return NULL;
}

static weir_error *connects(struct counted *c, const weir_tls_options *said, const char *name)
{
    weir_tls_context *context;
    weir_stream *stream = NULL;
    weir_error *error;
    char byte;

    CHECK_OK(weir_tls_client_context_new(said, &context));
    error = connect_tls(c->server, context, name, &stream);
    if (!error)
        error = weir_stream_write(stream, "x", 1);
    if (!error) /* with TLS 1.3 a client is done before its server is */
        error = weir_stream_read_exactly(stream, &byte, 1);
    if (stream) {
        weir_stream_abort(stream);
    }
    weir_tls_context_unref(context);
    weir_ignore(error);
    return NULL;
}

static weir_error *each_handshake_is_told_with_its_result(void *arg)
{
    static const char *const other_alpn[] = {"other", NULL};
    struct counted c;
    int raw, second;
    char byte;

    (void)arg;
    CHECK_OK(counted_begin(&c, (weir_tls_options){.size = 0}));
    CHECK_OK(connects(&c,
                      &(weir_tls_options){WEIR_SIZED(weir_tls_options), .ca_file = ca.certificate},
                      "a.test"));
    CHECK(c.told.counts[WEIR_TLS_DONE] == 1 && c.told.took_sane && !c.told.resumed);
    /* It does not trust the server, and says so. */
    CHECK_OK(connects(
        &c, &(weir_tls_options){WEIR_SIZED(weir_tls_options), .ca_file = stranger.certificate},
        "a.test"));
    UNTIL(c.told.all == 2);
    CHECK(c.told.counts[WEIR_TLS_REFUSED] == 1);
    CHECK_OK(connects(&c,
                      &(weir_tls_options){WEIR_SIZED(weir_tls_options), .alpn = other_alpn,
                                          .ca_file = ca.certificate},
                      "a.test"));
    UNTIL(c.told.all == 3);
    CHECK(c.told.counts[WEIR_TLS_NOTHING_IN_COMMON] == 1);
    raw = raw_connect(weir_server_name(c.server));
    CHECK(send(raw, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) == 18);
    UNTIL(c.told.all == 4);
    CHECK(c.told.counts[WEIR_TLS_NOT_TLS] == 1);
    close(raw);
    raw = raw_connect(weir_server_name(c.server));
    UNTIL(weir_server_connections(c.server) >= 1);
    close(raw);
    UNTIL(c.told.all == 5);
    CHECK(c.told.counts[WEIR_TLS_LEFT] == 1);
    UNTIL(weir_server_connections(c.server) == 0);
    raw = raw_connect(weir_server_name(c.server));
    UNTIL(weir_server_connections(c.server) == 1);
    second = raw_connect(weir_server_name(c.server));
    UNTIL(receive_some(second, &byte, 1) == 0);
    CHECK(c.told.counts[WEIR_TLS_LIMITED] == 1);
    UNTIL(c.told.counts[WEIR_TLS_TIMEOUT] == 1);
    close(raw);
    close(second);
    UNTIL(weir_server_connections(c.server) == 0);
    raw = raw_connect(weir_server_name(c.server));
    UNTIL(weir_server_connections(c.server) == 1);
    CHECK_OK(counted_end(&c));
    close(raw);
    CHECK(c.told.counts[WEIR_TLS_ABORTED] == 1 && c.told.all == 8);
    return NULL;
}
IN_LOOP(each_handshake_is_told_with_its_result)

static weir_error *unverified_clients_and_resumed_sessions_are_told(void *arg)
{
    weir_tls_certificate mine = pair_of(&other), foreign = pair_of(&stranger);
    weir_tls_options said = {WEIR_SIZED(weir_tls_options), .ca_file = ca.certificate};
    weir_tls_context *context;
    struct counted c;

    (void)arg;
    CHECK_OK(
        counted_begin(&c, (weir_tls_options){.verify_client = true, .ca_file = ca.certificate}));
    CHECK_OK(connects(&c, &said, "a.test"));
    UNTIL(c.told.all == 1);
    said.certificates = &foreign;
    said.certificate_count = 1;
    CHECK_OK(connects(&c, &said, "a.test"));
    UNTIL(c.told.all == 2);
    CHECK(c.told.counts[WEIR_TLS_UNVERIFIED] == 2);
    said.certificates = &mine;
    CHECK_OK(weir_tls_client_context_new(&said, &context));
    for (unsigned i = 0; i < 2; i++) {
        weir_stream *stream;
        char byte;

        CHECK_OK(connect_tls(c.server, context, "a.test", &stream));
        CHECK_OK(weir_stream_write(stream, "x", 1));
        CHECK_OK(weir_stream_read_exactly(stream, &byte, 1));
        CHECK(c.told.counts[WEIR_TLS_DONE] == i + 1 && c.told.resumed == (i == 1));
        CHECK_OK(weir_stream_close(stream));
    }
    weir_tls_context_unref(context);
    return counted_end(&c);
}
IN_LOOP(unverified_clients_and_resumed_sessions_are_told)

static void results_have_names(void **state)
{
    (void)state;
    assert_string_equal(weir_tls_result_name(WEIR_TLS_DONE), "done");
    assert_string_equal(weir_tls_result_name(WEIR_TLS_NOTHING_IN_COMMON), "nothing_in_common");
    assert_string_equal(weir_tls_result_name(WEIR_TLS_FAILED), "failed");
}

/* The kernel */

static void the_kernels_tls_is_a_word_of_its_list(void **state)
{
    const char *words = NULL;

    (void)state;
    assert_true(weir__tls_listed("tls\n"));
    assert_true(weir__tls_listed("espintcp mptcp tls\n"));
    assert_true(weir__tls_listed("tls mptcp"));
    assert_false(weir__tls_listed("mptcp\n"));
    assert_false(weir__tls_listed("mptls tlsx\n"));
    assert_false(weir__tls_listed(""));
    (void)weir_tls_kernel(&words);
    assert_true(strstr(words, "offered") || strstr(words, "not known"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(custom_lists_are_what_is_agreed_on),
        cmocka_unit_test(lists_that_openssl_does_not_take_are_refused),
        IN_LOOP_TEST(each_handshake_is_told_with_its_result),
        IN_LOOP_TEST(unverified_clients_and_resumed_sessions_are_told),
        cmocka_unit_test(the_kernels_tls_is_a_word_of_its_list),
        cmocka_unit_test(results_have_names),
    };

    return cmocka_run_group_tests_name("tls_profile", tests, tls_test_begin, tls_test_end);
}
