/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: who asked from one address, and the server that answers them.
 *
 *   client ──▶ the listening socket ──▶ a socket connected to the server, one for each session
 *   client ◀── from the address asked ◀── what comes back on it
 *
 * A session begins with the first datagram of a client and ends when neither side has sent for
 * idle_timeout, or when the server's machine says that nobody is there: the next datagram of the client
 * then begins a new one, with another server. A socket's sessions stand in a table, and in the order
 * of their last datagrams, so that one timer looks after all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/udp/udp.h"

#define FIRST_BUCKETS 64

static const struct udp_config *config_of(const struct udp_session *session)
{
    return weir_instance_config(weir_listener_instance(session->listener));
}

static weir_loop *loop_of(const struct udp_socket *socket)
{
    return weir_datagram_loop(socket->socket);
}

/* The list of those that wait. */

static void unlink_session(struct udp_session *session)
{
    session->link.previous->next = session->link.next;
    session->link.next->previous = session->link.previous;
}

static void append(struct udp_socket *socket, struct udp_session *session)
{
    session->link.previous = socket->idle.previous;
    session->link.next = &socket->idle;
    socket->idle.previous->next = &session->link;
    socket->idle.previous = &session->link;
}

static struct udp_session *first(const struct udp_socket *socket)
{
    return socket->idle.next == &socket->idle ? NULL
                                              : (struct udp_session *)(void *)socket->idle.next;
}

static void touch(struct udp_session *session)
{
    session->active = weir_loop_time(loop_of(session->socket));
    unlink_session(session);
    append(session->socket, session);
}

/* The table. */

static size_t hash(const weir_address *client, const weir_address *local)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < 4; i++)
        h = (h ^ client->bytes[i]) * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < 4; i++)
        h = (h ^ local->bytes[i]) * 0x9e3779b97f4a7c15u;
    return (size_t)(h ^ h >> 32);
}

static struct udp_session **bucket_of(const struct udp_socket *socket, const weir_address *client,
                                      const weir_address *local)
{
    return &socket->buckets[hash(client, local) & (socket->n_buckets - 1)];
}

struct udp_session *udp_session_find(const struct udp_socket *socket, const weir_address *client,
                                     const weir_address *local)
{
    struct udp_session *session;

    if (!socket->n_buckets)
        return NULL;
    session = *bucket_of(socket, client, local);
    while (session && (!weir_address_equal(&session->client, client) ||
                       !weir_address_equal(&session->local, local)))
        session = session->chained;
    return session;
}

static void put(struct udp_socket *socket, struct udp_session *session)
{
    struct udp_session **bucket = bucket_of(socket, &session->client, &session->local);

    session->chained = *bucket;
    *bucket = session;
}

/* Without memory it stays as it is, and is slower. */
static bool make_room(struct udp_socket *socket)
{
    size_t n = socket->n_buckets ? socket->n_buckets * 2 : FIRST_BUCKETS;
    struct udp_session **buckets;

    if (socket->n_sessions < socket->n_buckets)
        return true;
    buckets = calloc(n, sizeof(struct udp_session *));
    if (!buckets)
        return socket->n_buckets != 0;
    free(socket->buckets);
    socket->buckets = buckets;
    socket->n_buckets = n;
    for (struct udp_link *at = socket->idle.next; at != &socket->idle; at = at->next)
        put(socket, (struct udp_session *)(void *)at);
    return true;
}

static void take_out(struct udp_session *session)
{
    struct udp_session **place = bucket_of(session->socket, &session->client, &session->local);

    while (*place != session)
        place = &(*place)->chained;
    *place = session->chained;
    unlink_session(session);
    session->socket->n_sessions--;
}

/* Time. */

static void wait_for_next(struct udp_socket *socket)
{
    const struct udp_session *session = first(socket);
    int64_t left;

    if (!session || !config_of(session)->idle_timeout.ns) {
        weir_timer_stop(&socket->timer);
        return;
    }
    left = session->active.ns + config_of(session)->idle_timeout.ns -
           weir_loop_time(loop_of(socket)).ns;
    weir_timer_start(&socket->timer, left > 0 ? WEIR_NS(left) : WEIR_NS(1));
}

static weir_error *time_is_over(void *arg)
{
    struct udp_socket *socket = arg;
    int64_t now = weir_loop_time(loop_of(socket)).ns;
    struct udp_session *session;

    while ((session = first(socket)) && config_of(session)->idle_timeout.ns &&
           session->active.ns + config_of(session)->idle_timeout.ns <= now)
        udp_session_end(session, WEIR_OUTCOME_OK, NULL);
    wait_for_next(socket);
    return NULL;
}

void udp_sessions_begin(struct udp_socket *socket, weir_datagram *datagram)
{
    socket->socket = datagram;
    socket->idle.next = socket->idle.previous = &socket->idle;
    weir_timer_init(&socket->timer, weir_datagram_loop(datagram), time_is_over, socket);
}

void udp_sessions_end(struct udp_socket *socket)
{
    struct udp_session *session;

    while ((session = first(socket)))
        udp_session_end(session, WEIR_OUTCOME_DRAINING, NULL);
    weir_timer_stop(&socket->timer);
    free(socket->buckets);
    socket->buckets = NULL;
    socket->n_buckets = 0;
}

/* Life. */

/* "192.0.2.1" of "192.0.2.1:53" and of "[::ffff:192.0.2.1]:53". */
static void write_ip(const weir_address *address, char *buffer, size_t size)
{
    char *end;
    size_t skip;

    weir_address_text(address, buffer, size);
    end = strrchr(buffer, ':');
    if (end)
        *end = '\0';
    skip = *buffer == '[';
    if (skip && strncmp(buffer, "[::ffff:", 8) == 0 && strchr(buffer, '.'))
        skip = 8;
    memmove(buffer, buffer + skip, strlen(buffer + skip) + 1);
    buffer[strcspn(buffer, "]%")] = '\0';
}

static void record(const struct udp_session *session, weir_outcome outcome,
                   const weir_error *reason)
{
    weir_access_record record = {
        .size = sizeof record,
        .outcome = outcome,
        .reason = reason,
        .route = session->route ? weir_route_name(session->route) : NULL,
        .upstream = session->config ? weir_upstream_name(session->config->upstream) : NULL,
        .server = session->use ? weir_server_use_name(session->use) : NULL,
        .duration_ns = weir_loop_time(loop_of(session->socket)).ns - session->began.ns,
        .bytes_in = session->bytes_in,
        .bytes_out = session->bytes_out,
        .client_ip = weir_slice_str(session->ip),
    };

    weir_listener_record(session->listener, NULL, &record);
}

struct udp_session *udp_session_begin(struct udp_socket *socket, const weir_datagram_info *info,
                                      weir_listener *take_listener)
{
    struct udp_session *session = make_room(socket) ? calloc(1, sizeof *session) : NULL;
    weir_error *error;

    if (!session) {
        weir_listener_release(take_listener);
        return NULL;
    }
    error = weir_listener_session_begins(take_listener);
    if (error) { /* it has been counted, and the log says so */
        weir_ignore(error);
        weir_listener_release(take_listener);
        free(session);
        return NULL;
    }
    session->socket = socket;
    session->listener = take_listener;
    session->client = info->peer;
    session->local = info->local;
    session->began = session->active = weir_loop_time(loop_of(socket));
    write_ip(&info->peer, session->ip, sizeof session->ip);
    put(socket, session);
    append(socket, session);
    if (socket->n_sessions++ == 0)
        wait_for_next(socket);
    return session;
}

void udp_session_end(struct udp_session *session, weir_outcome outcome, const weir_error *reason)
{
    take_out(session);
    record(session, outcome, reason);
    weir_listener_session_ends(session->listener, session->bytes_in, session->bytes_out);
    weir_server_use_end(session->use, outcome);
    if (session->server) {
        weir_datagram_abort(session->server, NULL);
        weir_datagram_unref(session->server);
    }
    weir_listener_release(session->listener);
    free(session);
}

/* The server's side. Its configuration is the session, which is gone when it is closing. */

static struct udp_session *session_of(const weir_datagram *server)
{
    return (struct udp_session *)(uintptr_t)weir_datagram_config(server);
}

static weir_error *answer_received(weir_datagram *server, void *state, weir_slice data,
                                   const weir_datagram_info *info)
{
    struct udp_session *session = session_of(server);
    weir_error *error;

    (void)state;
    if (info->truncated || weir_datagram_is_closing(server))
        return NULL;
    if (!session->answered) {
        session->answered = true;
        weir_server_use_worked(session->use);
    }
    session->bytes_out += data.len;
    touch(session);
    error =
        weir_datagram_send_from(session->socket->socket, data, &session->client, &session->local);
    /* What there is no room for is lost, as it may be anywhere on its way. */
    weir_ignore(error);
    return NULL;
}

static void server_failed(weir_datagram *server, void *state, const weir_error *error)
{
    bool refused = weir_error_is(error, ECONNREFUSED);

    (void)state;
    if (weir_datagram_is_closing(server) || weir_error_is(error, EMSGSIZE))
        return;
    udp_session_end(session_of(server),
                    refused ? WEIR_OUTCOME_UPSTREAM_CONNECT_REFUSED : WEIR_OUTCOME_UPSTREAM_RESET,
                    error);
}

static const weir_datagram_protocol server_side = {
    WEIR_SIZED(weir_datagram_protocol),
    .name = "udp server",
    .datagram_received = answer_received,
    .error_received = server_failed,
};

bool udp_session_connect(struct udp_session *session, const struct udp_proxy_config *config)
{
    weir_slice key = {NULL, 0};
    weir_error *error;

    session->config = config;
    if (weir_upstream_hash_key(config->upstream))
        key = weir_slice_str(session->ip);
    error = weir_upstream_use(config->upstream, key, &session->use);
    if (!error)
        error = weir_datagram_open(loop_of(session->socket), NULL,
                                   weir_server_use_address(session->use), NULL, &server_side,
                                   session, &session->server);
    if (!error)
        return true;
    udp_session_end(session, weir_outcome_of_connect(error), error);
    weir_ignore(error);
    return false;
}

void udp_session_forward(struct udp_session *session, weir_slice data)
{
    weir_error *error;

    session->bytes_in += data.len;
    touch(session);
    error = weir_datagram_send_to(session->server, data, NULL);
    weir_ignore(error);
}
