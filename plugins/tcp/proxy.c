/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The action `proxy`: passes bytes between a client and a server of an upstream.
 *
 *   lease a connection → PROXY header → what an inspector promised the client → relay until both
 *   ends are done
 *
 * Reading from the client waits for the server, so nothing is buffered before there is one but what
 * was looked at.
 */
#include <string.h>

#include <weir/config.h>

#include "plugins/tcp/tcp.h"

static const char *const proxy_versions[] = {"off", "v1", "v2", NULL};

WEIR_OPTIONS(proxy_options,
             WEIR_OPTION_REF(struct proxy_config, upstream, "upstream", NULL,
                             "Upstream, or address of a server", .address = true),
             WEIR_OPTION_DURATION(struct proxy_config, idle_timeout, "1h",
                                  "Close after this long without a byte in either direction"),
             WEIR_OPTION_ENUM(struct proxy_config, proxy_protocol, proxy_versions, "off",
                              "Tell the server who the client is, in a PROXY header"));

/* On the server's connection, until it is relayed. */
struct server_side {
    struct tunnel *tunnel; /* NULL: it waits for nothing */
    size_t taken;          /* of what is expected */
};

static void relay_done(void *arg, int first, const weir_error *reason)
{
    struct tunnel *tunnel = arg;
    weir_transport *client = tunnel->client;
    weir_outcome outcome = WEIR_OUTCOME_OK;

    if (reason)
        outcome = first == 0 ? WEIR_OUTCOME_CLIENT_GONE : WEIR_OUTCOME_UPSTREAM_RESET;
    tcp_finish(tunnel, outcome, reason);
    weir_transport_unref(client);
}

static weir_error *start_relay(struct tunnel *tunnel, weir_slice server_rest)
{
    weir_relay_options options = {.size = sizeof options,
                                  .idle_timeout = tunnel->config->idle_timeout,
                                  .done = relay_done,
                                  .arg = tunnel};
    weir_transport *client = weir_transport_ref(tunnel->client);
    weir_slice none = {NULL, 0};
    weir_error *error =
        weir_relay_start(client, none, weir_lease_transport(tunnel->lease), server_rest, &options);

    if (error)
        weir_transport_unref(client);
    return error;
}

/* What was promised. */

void tcp_stop_waiting(struct tunnel *tunnel)
{
    struct server_side *side = tunnel->waits ? weir_lease_state(tunnel->lease) : NULL;

    if (!side)
        return;
    side->tunnel = NULL;
    tunnel->waits = false;
    weir_timer_stop(&tunnel->patience);
}

static void give_up(struct tunnel *tunnel, weir_outcome outcome, const weir_error *reason)
{
    weir_transport *client = tunnel->client;

    tcp_finish(tunnel, outcome, reason);
    weir_transport_close(client);
}

static weir_error *answer_received(weir_transport *transport, void *state, weir_slice data)
{
    struct server_side *side = state;
    struct tunnel *tunnel = side->tunnel;
    weir_slice send, expect = {NULL, 0};
    weir_error *error;
    size_t n;

    (void)transport;
    if (!tunnel)
        return NULL;
    (void)weir_listener_preamble(tunnel->client, &send, &expect);
    n = expect.len - side->taken < data.len ? expect.len - side->taken : data.len;
    if (memcmp((const char *)expect.data + side->taken, data.data, n) != 0) {
        error = weir_raise(WEIR_EPROTOCOL, "the server does not agree with what `inspect` promised "
                                           "the client");
        give_up(tunnel, WEIR_OUTCOME_UPSTREAM_RESPONSE_BAD, error);
        weir_ignore(error);
        return NULL;
    }
    side->taken += n;
    if (side->taken < expect.len)
        return NULL;
    tcp_stop_waiting(tunnel);
    error = start_relay(tunnel, weir_slice_skip(data, n));
    if (error) {
        give_up(tunnel, WEIR_OUTCOME_UPSTREAM_RESET, error);
        weir_ignore(error);
    }
    return NULL;
}

static void server_lost(weir_transport *transport, void *state, const weir_error *reason)
{
    struct server_side *side = state;

    (void)transport;
    if (side->tunnel)
        give_up(side->tunnel, WEIR_OUTCOME_UPSTREAM_RESET, reason);
}

static weir_error *patience_ends(void *arg)
{
    weir_error *error = WEIR_RAISE_FAST(WEIR_ETIMEDOUT, "the server does not answer");

    give_up(arg, WEIR_OUTCOME_UPSTREAM_RESPONSE_TIMEOUT, error);
    weir_ignore(error);
    return NULL;
}

static const weir_protocol server_side = {
    WEIR_SIZED(weir_protocol),
    .name = "tcp server",
    .state_size = sizeof(struct server_side),
    .data_received = answer_received,
    .connection_lost = server_lost,
};
const weir_upstream_protocol tcp_upstream_protocol = {WEIR_SIZED(weir_upstream_protocol),
                                                      .name = "tcp", .protocol = &server_side};

static weir_error *keep_promise(struct tunnel *tunnel, weir_transport *server, weir_slice send)
{
    struct server_side *side = weir_lease_state(tunnel->lease);

    WEIR_TRY(weir_transport_write(server, send));
    side->tunnel = tunnel;
    side->taken = 0;
    tunnel->waits = true;
    weir_timer_init(&tunnel->patience, weir_transport_loop(tunnel->client), patience_ends, tunnel);
    weir_timer_start(&tunnel->patience, weir_upstream_response_timeout(tunnel->config->upstream));
    weir_transport_resume_reading(server);
    return NULL;
}

static weir_error *connected(struct tunnel *tunnel, weir_transport *server)
{
    weir_slice send, expect, none = {NULL, 0};

    if (tunnel->config->proxy_protocol)
        WEIR_TRY(weir_proxy_introduce(server, (weir_proxy_version)tunnel->config->proxy_protocol,
                                      tunnel->client));
    if (!weir_listener_preamble(tunnel->client, &send, &expect))
        return start_relay(tunnel, none);
    if (expect.len)
        return keep_promise(tunnel, server, send);
    WEIR_TRY(weir_transport_write(server, send));
    return start_relay(tunnel, none);
}

/* The server is there, or it will not be. */
static void lease_done(weir_lease *lease, weir_error *take_error, void *arg)
{
    struct tunnel *tunnel = arg;
    weir_transport *client = tunnel->client;

    if (!take_error) {
        tunnel->connected_ns = weir_loop_time(weir_transport_loop(client)).ns - tunnel->started.ns;
        take_error = connected(tunnel, weir_lease_transport(lease));
        if (!take_error)
            return;
    } else {
        weir_error *refused = weir_lease_retry(lease, weir_outcome_of_connect(take_error));

        if (!refused) {
            weir_ignore(take_error);
            return;
        }
        weir_ignore(refused);
    }
    tcp_finish(tunnel, weir_outcome_of_connect(take_error), take_error);
    weir_transport_close(client);
    weir_ignore(take_error);
}

static weir_error *start(struct tunnel *tunnel, const void *config)
{
    weir_lease_options options = {
        .size = sizeof options, .protocol = &tcp_upstream_protocol, .fresh = true};

    tunnel->config = config;
    if (weir_upstream_hash_key(tunnel->config->upstream))
        options.balance_key = weir_transport_peer_ip(tunnel->client);
    return weir_lease_start(tunnel->config->upstream, &options, lease_done, tunnel, &tunnel->lease);
}

static void check(weir_config_context *context, const void *said)
{
    const struct proxy_config *config = said;
    const weir_hash_key *key = config->upstream ? weir_upstream_hash_key(config->upstream) : NULL;

    if (!key || strcmp(key->source, "client_ip") == 0)
        return;
    weir_config_error(
        context, &config->upstream, "upstream `%s` balances by `%s%s`, which tcp does not know",
        weir_upstream_name(config->upstream), key->source, key->name ? key->name : "");
    weir_config_help(context, "tcp knows `client_ip`");
}

static const weir_instance_ops instance = {WEIR_SIZED(weir_instance_ops), .check = check};

const struct tcp_action tcp_proxy = {
    .head = {.size = sizeof tcp_proxy,
             .name = "proxy",
             .options = proxy_options,
             .config_size = sizeof(struct proxy_config),
             .instance = &instance,
             .shorthand = "upstream"},
    .start = start,
};
