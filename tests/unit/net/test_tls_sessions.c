/* SPDX-License-Identifier: Apache-2.0 */
/* Where sessions are good: servers that share the keys of tickets, and do not ask the same of clients.
   What is kept without tickets. And when tickets are sent. */
#include "config.h"

#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "core/net/tls_session.h"
#include "tests/unit/net/tls_test.h"

static weir_tls_tickets *tickets;

static weir_error *serve_clients_of(const char *authority, bool may_lack,
                                    weir_tls_context **ret_context, weir_server **ret)
{
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options),
                                .certificates = &pair,
                                .certificate_count = 1,
                                .verify_client = authority != NULL,
                                .verify_client_if_given = may_lack,
                                .ca_file = authority,
                                .tickets = tickets};

    CHECK_OK(weir_tls_server_context_new(&options, ret_context));
    return serve_tls(*ret_context, &echo_protocol, NULL, ret);
}

/* 'f' a full handshake, 'r' a resumed one, '-' refused. */
static weir_error *visit(weir_server *server, weir_tls_context *client, char *ret)
{
    weir_tls_info info = {0};
    weir_stream *stream;
    weir_error *error;
    char byte;

    error = connect_tls(server, client, "a.test", &stream);
    if (error) {
        weir_ignore(error);
        *ret = '-';
        return NULL;
    }
    error = weir_stream_write(stream, "x", 1);
    if (!error)
        error = weir_stream_read_exactly(stream, &byte, 1);
    CHECK(weir_transport_tls_info(weir_stream_transport(stream), &info));
    *ret = error ? '-' : info.resumed ? 'r' : 'f';
    if (error) {
        weir_ignore(error);
        weir_stream_abort(stream);
        return NULL;
    }
    return weir_stream_close(stream);
}

/* Sessions that the first server gave, at the first, first, second and second again. */
static weir_error *visits(weir_server *first, weir_server *second,
                          const struct test_certificate *mine, weir_tls_version version,
                          const char *wanted)
{
    weir_tls_certificate pair = pair_of(mine ? mine : &ec);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .profile = WEIR_TLS_CUSTOM,
                                .max_version = version,       .ca_file = ca.certificate,
                                .certificates = &pair,        .certificate_count = mine != NULL};
    weir_tls_context *client;
    char seen[5] = "";

    CHECK_OK(weir_tls_client_context_new(&options, &client));
    WEIR_TRY(visit(first, client, &seen[0]));
    WEIR_TRY(visit(first, client, &seen[1]));
    WEIR_TRY(visit(second, client, &seen[2]));
    WEIR_TRY(visit(second, client, &seen[3]));
    weir_tls_context_unref(client);
    if (strcmp(seen, wanted) != 0)
        return check_failed(WEIR_HERE, seen);
    return NULL;
}

static weir_error *between(const char *authority, bool may_lack, const char *other_authority,
                           bool other_may_lack, const struct test_certificate *mine,
                           const char *wanted)
{
    weir_tls_context *contexts[2];
    weir_server *servers[2];

    CHECK_OK(weir_tls_tickets_new(WEIR_NS(0), &tickets));
    CHECK_OK(serve_clients_of(authority, may_lack, &contexts[0], &servers[0]));
    CHECK_OK(serve_clients_of(other_authority, other_may_lack, &contexts[1], &servers[1]));
    WEIR_TRY(visits(servers[0], servers[1], mine, WEIR_TLS_1_3, wanted));
    WEIR_TRY(visits(servers[0], servers[1], mine, WEIR_TLS_1_2, wanted));
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(end_server(servers[i]));
        weir_tls_context_unref(contexts[i]);
    }
    weir_tls_tickets_unref(WEIR_TAKE(tickets));
    return NULL;
}

static weir_error *servers_that_ask_the_same_take_each_others_sessions(void *arg)
{
    (void)arg;
    WEIR_TRY(between(NULL, false, NULL, false, NULL, "frrr"));
    WEIR_TRY(between(ca.certificate, true, ca.certificate, true, NULL, "frrr"));
    return between(ca.certificate, false, ca.certificate, false, &other, "frrr");
}
IN_LOOP(servers_that_ask_the_same_take_each_others_sessions)

static weir_error *a_session_without_a_certificate_does_not_open_where_one_is_required(void *arg)
{
    (void)arg;
    WEIR_TRY(between(ca.certificate, true, ca.certificate, false, NULL, "fr--"));
    return between(NULL, false, ca.certificate, false, NULL, "fr--");
}
IN_LOOP(a_session_without_a_certificate_does_not_open_where_one_is_required)

static weir_error *a_session_of_another_authority_does_not_open(void *arg)
{
    (void)arg;
    WEIR_TRY(between(ca.certificate, false, stranger.certificate, false, &other, "fr--"));
    return between(NULL, false, stranger.certificate, false, &other, "fr--");
}
IN_LOOP(a_session_of_another_authority_does_not_open)

static weir_error *serve_cipher(const char *cipher, weir_tls_context **ret_context,
                                weir_server **ret)
{
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_options options = {
        WEIR_SIZED(weir_tls_options), .certificates = &pair, .certificate_count = 1,
        .profile = WEIR_TLS_CUSTOM,   .ciphers = cipher,     .tickets = tickets};

    CHECK_OK(weir_tls_server_context_new(&options, ret_context));
    return serve_tls(*ret_context, &echo_protocol, NULL, ret);
}

static weir_error *a_session_does_not_take_its_cipher_to_where_another_is_wanted(void *arg)
{
    weir_tls_context *contexts[2];
    weir_server *servers[2];

    (void)arg;
    CHECK_OK(weir_tls_tickets_new(WEIR_NS(0), &tickets));
    CHECK_OK(serve_cipher("ECDHE-ECDSA-AES128-GCM-SHA256", &contexts[0], &servers[0]));
    CHECK_OK(serve_cipher("ECDHE-ECDSA-AES256-GCM-SHA384", &contexts[1], &servers[1]));
    WEIR_TRY(visits(servers[0], servers[1], NULL, WEIR_TLS_1_2, "frfr"));
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(end_server(servers[i]));
        weir_tls_context_unref(contexts[i]);
    }
    weir_tls_tickets_unref(WEIR_TAKE(tickets));
    return NULL;
}
IN_LOOP(a_session_does_not_take_its_cipher_to_where_another_is_wanted)

/* Kept here */

static weir_error *keeper(const struct test_certificate *certificate, const char *authority,
                          weir_tls_context **ret)
{
    weir_tls_certificate pair = pair_of(certificate);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options),
                                .certificates = &pair,
                                .certificate_count = 1,
                                .no_tickets = true,
                                .verify_client = authority != NULL,
                                .verify_client_if_given = true,
                                .ca_file = authority,
                                .tickets = tickets};

    return weir_tls_server_context_new(&options, ret);
}

/* Before and after: the certificate is another; clients are asked for theirs, too. */
static weir_error *renewed(weir_tls_version version, const char *wanted)
{
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .profile = WEIR_TLS_CUSTOM,
                                .max_version = version, .ca_file = ca.certificate};
    weir_tls_context *client, *contexts[3];
    char seen[6] = "";
    weir_server *server;

    CHECK_OK(keeper(&ec, NULL, &contexts[0]));
    CHECK_OK(keeper(&rsa, NULL, &contexts[1]));
    CHECK_OK(keeper(&rsa, ca.certificate, &contexts[2]));
    CHECK_OK(weir_tls_client_context_new(&options, &client));
    CHECK_OK(serve_tls(contexts[0], &echo_protocol, NULL, &server));
    WEIR_TRY(visit(server, client, &seen[0]));
    WEIR_TRY(visit(server, client, &seen[1]));
    CHECK_OK(weir_tls_context_replace(contexts[0], contexts[1]));
    WEIR_TRY(visit(server, client, &seen[2]));
    CHECK_OK(weir_tls_context_replace(contexts[0], contexts[2]));
    WEIR_TRY(visit(server, client, &seen[3]));
    WEIR_TRY(visit(server, client, &seen[4]));
    weir_tls_context_unref(client);
    CHECK_OK(end_server(server));
    for (unsigned i = 0; i < 3; i++)
        weir_tls_context_unref(contexts[i]);
    if (strcmp(seen, wanted) != 0)
        return check_failed(WEIR_HERE, seen);
    return NULL;
}

static weir_error *sessions_kept_here_outlive_a_renewed_certificate(void *arg)
{
    (void)arg;
    CHECK_OK(weir_tls_tickets_new(WEIR_NS(0), &tickets));
    WEIR_TRY(renewed(WEIR_TLS_1_2, "frrfr"));
    WEIR_TRY(renewed(WEIR_TLS_1_3, "frrfr"));
    weir_tls_tickets_unref(WEIR_TAKE(tickets));
    /* Who shares nothing begins anew. */
    WEIR_TRY(renewed(WEIR_TLS_1_2, "frffr"));
    return NULL;
}
IN_LOOP(sessions_kept_here_outlive_a_renewed_certificate)

static SSL_SESSION *session_of(uint32_t number)
{
    SSL_SESSION *session = SSL_SESSION_new();
    unsigned char id[SSL_MAX_SSL_SESSION_ID_LENGTH] = {0};

    memcpy(id, &number, sizeof(number));
    assert_non_null(session);
    assert_int_equal(SSL_SESSION_set1_id(session, id, sizeof(id)), 1);
    return session;
}

static bool is_kept(struct tls_cache *cache, const SSL_SESSION *session)
{
    unsigned len;
    const unsigned char *id = SSL_SESSION_get_id(session, &len);
    SSL_SESSION *found = weir__tls_cache_find(cache, id, len);

    SSL_SESSION_free(found);
    return found == session;
}

static void the_oldest_session_makes_room(void **state)
{
    static SSL_SESSION *sessions[TLS_CACHE_SIZE + 1];
    struct tls_cache *cache = weir__tls_cache_new();
    SSL_SESSION *same = session_of(7);

    (void)state;
    assert_non_null(cache);
    for (uint32_t i = 0; i <= TLS_CACHE_SIZE; i++) {
        sessions[i] = session_of(i);
        assert_int_equal(SSL_SESSION_up_ref(sessions[i]), 1);
        assert_true(weir__tls_cache_add(cache, sessions[i]));
        assert_true(is_kept(cache, sessions[0]) == (i < TLS_CACHE_SIZE));
    }
    assert_true(is_kept(cache, sessions[1]) && is_kept(cache, sessions[TLS_CACHE_SIZE]));
    weir__tls_cache_remove(cache, sessions[1]);
    assert_false(is_kept(cache, sessions[1]));
    assert_int_equal(SSL_SESSION_up_ref(same), 1);
    assert_true(weir__tls_cache_add(cache, same)); /* instead of the seventh */
    weir__tls_cache_remove(cache, sessions[7]);    /* which is there no more */
    assert_true(is_kept(cache, same) && is_kept(cache, sessions[2]));
    weir__tls_cache_free(cache);
    for (uint32_t i = 0; i <= TLS_CACHE_SIZE; i++)
        SSL_SESSION_free(sessions[i]);
    SSL_SESSION_free(same);
}

/* When */

/* TCP segments with data that have come. */
static unsigned segments(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_data_segs_in : 0;
}

/* The end of the handshake and the first bytes come together, as clients send them. */
static weir_error *tickets_travel_with_the_first_answer(void *arg)
{
    weir_tls_context *context;
    struct raw_tls raw;
    weir_server *server;
    unsigned before;
    char byte = 'x';

    (void)arg;
    CHECK_OK(server_context(&ec, &context));
    CHECK_OK(serve_tls(context, &echo_at_once, NULL, &server));
    CHECK(raw_tls_begin(&raw, weir_server_name(server), TLS1_3_VERSION));
    CHECK(raw_tls_send(&raw, 0));
    UNTIL(raw_tls_receive(&raw) && SSL_do_handshake(raw.ssl) == 1);
    before = segments(raw.fd);
    CHECK(before > 0 && SSL_write(raw.ssl, &byte, 1) == 1 && raw_tls_send(&raw, 0));
    byte = 0;
    UNTIL(raw_tls_receive(&raw) && SSL_read(raw.ssl, &byte, 1) == 1);
    CHECK(byte == 'x' && SSL_SESSION_has_ticket(SSL_get_session(raw.ssl)));
    CHECK(faults_wanted() || segments(raw.fd) == before + 1);
    raw_tls_end(&raw);
    CHECK_OK(end_server(server));
    weir_tls_context_unref(context);
    return NULL;
}
IN_LOOP(tickets_travel_with_the_first_answer)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(servers_that_ask_the_same_take_each_others_sessions),
        IN_LOOP_TEST(a_session_without_a_certificate_does_not_open_where_one_is_required),
        IN_LOOP_TEST(a_session_of_another_authority_does_not_open),
        IN_LOOP_TEST(a_session_does_not_take_its_cipher_to_where_another_is_wanted),
        IN_LOOP_TEST(sessions_kept_here_outlive_a_renewed_certificate),
        cmocka_unit_test(the_oldest_session_makes_room),
        IN_LOOP_TEST(tickets_travel_with_the_first_answer),
    };

    return cmocka_run_group_tests_name("tls_sessions", tests, tls_test_begin, tls_test_end);
}
