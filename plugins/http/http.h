/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the http plugin. */
#ifndef WEIR_PLUGINS_HTTP_H
#define WEIR_PLUGINS_HTTP_H

#include <weir/health.h>
#include <weir/http-connection.h>
#include <weir/http-values.h>
#include <weir/plugin.h>

/* A network that may tell who its clients are. */
struct cidr {
    uint8_t address[16]; /* IPv4 mapped */
    unsigned bits;
};

/* Keys directly on a listener. */
struct http_listener {
    weir_http_server_options server;
    weir_array trusted_proxies; /* struct cidr */
};

/* For the record of an exchange; its memory goes with it. */
struct http_notes {
    const weir_route *route;
    const char *upstream, *server;
    int64_t connect_ns, first_byte_ns;
    unsigned retries;
};

/* What hangs on a client's connection: little, for most are idle. */
struct http_connection {
    weir_transport *transport;
    weir_listener *listener; /* of the request under way, or of the last */
    struct http_notes
        *notes; /* of the request under way, which its listener has counted; or NULL */
};

static inline const struct http_listener *http_listener_of(const struct http_connection *connection)
{
    return weir_listener_config(connection->listener);
}

extern const weir_option *const http_listener_options[];
/* Whether the connection's peer is trusted to tell who the client is. */
bool http_peer_is_trusted(const struct http_connection *connection);

/* respond.c: path and query as the client wrote them. */
weir_slice http_uri_of(weir_http *x);
/* https.c: what redirect_from answers. */
extern const weir_http_action http_to_https;
/* detect.c */
weir_verdict http_detect(weir_slice first_bytes);

/* subject.c: what a weir_protocol has for requests in words. */
weir_error *http_subject_of(const char *request, weir_subject **ret) WEIR_MUST_USE;
void http_subject_free(weir_subject *take_subject);
weir_error *http_ask(weir_stream *stream, const char *request, int *ret_status,
                     weir_buffer **ret_fields) WEIR_MUST_USE;

extern const weir_matcher http_match_host, http_match_path, http_match_method, http_match_header,
    http_match_query;
extern const weir_http_action http_proxy, http_static, http_redirect, http_respond;
extern const weir_upstream_protocol http_upstream_protocol;
extern const weir_health_check http_health_check;

/* balance.c: what balancers may look at. */
extern const char *const http_hash_keys[];
weir_slice http_balance_key(weir_http *x, const weir_hash_key *key);

#endif
