/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting connections of a listener: the server's `accepted` hook gives each a record, the
 * protocol's configuration and instance, and counts it. All of it belongs to one loop, but for the
 * one count of the process that the limit of connections needs.
 */
#include "config.h"

#include "host/listener/listener.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/event.h>
#include <weir/tls.h>

#include "host/generation/durable.h"
#include "host/generation/tls_watch.h"
#include "host/inspect/inspect.h"
#include "host/plugin/plugin.h"

#define SINCE_MAX ((UINT64_C(1) << 54) - 1)

_Static_assert(sizeof(struct connection) <= 56, "an idle connection stays small");

struct slot_spec {
    const char *name;
    unsigned n_loops;
    struct connection_limit *limit;
};

static weir_error *slot_make(void *state, void *arg)
{
    struct slot *slot = state;
    const struct slot_spec *spec = arg;

    slot->name = strdup(spec->name);
    if (!slot->name)
        return weir_raise(WEIR_ENOMEM, "listener");
    slot->n_loops = spec->n_loops;
    slot->limit = spec->limit;
    for (unsigned i = 0; i < spec->n_loops; i++)
        slot->loops[i].slot = slot;
    for (unsigned i = 0; i < spec->n_loops; i++)
        hlist_init(&slot->loops[i].connections);
    for (unsigned i = 0; i < spec->n_loops; i++)
        hlist_init(&slot->loops[i].datagrams);
    return NULL;
}

static void slot_drop(void *state)
{
    free(((struct slot *)state)->name);
}

weir_error *weir__listener_new(const char *name, size_t n_addresses, unsigned n_loops,
                               struct durable_map *durables, struct connection_limit *limit,
                               weir_listener **ret)
{
    struct slot_spec spec = {name, n_loops, limit};
    size_t size = sizeof(weir_listener) + n_loops * sizeof(struct listener_uses);
    weir_listener *listener;
    void *slot;

    WEIR_TRY(weir__durable_get(
        durables,
        &(struct durable_spec){"listener", name,
                               sizeof(struct slot) + n_loops * sizeof(struct slot_loop), slot_make,
                               &spec, slot_drop},
        &slot));
    size = (size + HOST_CACHE_LINE - 1) & ~(size_t)(HOST_CACHE_LINE - 1);
    listener = aligned_alloc(HOST_CACHE_LINE, size);
    if (!listener)
        return weir_raise(WEIR_ENOMEM, "listener");
    memset(listener, 0, size);
    listener->slot = slot;
    listener->n_loops = n_loops;
    listener->name = strdup(name);
    listener->addresses = calloc(n_addresses + 1, sizeof *listener->addresses);
    if (!listener->name || !listener->addresses) {
        weir__listener_free(listener);
        return weir_raise(WEIR_ENOMEM, "listener");
    }
    listener->n_addresses = n_addresses;
    *ret = listener;
    return NULL;
}

/* Sockets */

/* The path of "unix:/path"; NULL for other addresses. */
static const char *path_of(const char *address)
{
    return strncmp(address, "unix:", 5) == 0 ? address + 5 : NULL;
}

/* Removes the file of a Unix socket, unless somebody has put another in its place. */
static void remove_file(const struct bound_socket *socket)
{
    const char *path = path_of(socket->name);
    struct stat status;

    if (path && !socket->kept && socket->inode && lstat(path, &status) == 0 &&
        status.st_dev == socket->device && status.st_ino == socket->inode)
        unlink(path);
}

void weir__socket_close(struct bound_socket *socket)
{
    if (!socket)
        return;
    while (socket->n_more)
        close(socket->more[--socket->n_more]);
    free(WEIR_TAKE(socket->more));
    if (socket->fd < 0)
        return;
    if (!socket->datagram)
        remove_file(socket);
    close(socket->fd);
    socket->fd = -1;
}

static void socket_unref(struct bound_socket *socket)
{
    if (!socket || __atomic_sub_fetch(&socket->refs, 1, __ATOMIC_ACQ_REL))
        return;
    weir__socket_close(socket);
    free(socket->text);
    free(socket);
}

static weir_error *socket_new(const char *text, unsigned n_loops, struct bound_socket **ret)
{
    struct bound_socket *socket = calloc(1, sizeof *socket + n_loops * sizeof(struct serving *));

    if (socket)
        socket->text = strdup(text);
    if (!socket || !socket->text) {
        free(socket);
        return weir_raise(WEIR_ENOMEM, "listening socket");
    }
    socket->refs = 1;
    socket->fd = -1;
    *ret = socket;
    return NULL;
}

const char *weir__address_name(const struct bound_address *address)
{
    return address->socket ? address->socket->name : "";
}

int weir__address_fd(const struct bound_address *address)
{
    return address->socket ? address->socket->fd : -1;
}

void weir__listener_share(weir_listener *listener, size_t index, struct bound_socket *socket)
{
    struct bound_socket *before = listener->addresses[index].socket;

    __atomic_add_fetch(&socket->refs, 1, __ATOMIC_RELAXED);
    listener->addresses[index].socket = socket;
    socket_unref(before);
}

void weir__listener_close_sockets(weir_listener *listener)
{
    for (size_t i = 0; i < listener->n_addresses; i++)
        weir__socket_close(listener->addresses[i].socket);
}

void weir__listener_free(weir_listener *listener)
{
    if (!listener)
        return;
    for (size_t i = 0; listener->addresses && i < listener->n_addresses; i++)
        socket_unref(listener->addresses[i].socket);
    weir__routes_free(listener->routes);
    weir__tls_watched_end(listener->tls_watched);
    while (listener->own) {
        weir_instance *instance = listener->own;

        listener->own = instance->next_own;
        weir__instance_free(instance);
    }
    if (listener->tls)
        weir_tls_context_unref(listener->tls);
    free(listener->addresses);
    free(listener->name);
    free(listener);
}

/* A socket that the process was started with, under that name, and that has the address. */
static bool inherit(struct bound_socket *into, const char *name, const char *text)
{
    int fds[64];
    size_t count = 0;
    weir_error *error = weir_inherited_sockets(name, fds, sizeof fds / sizeof *fds, &count);

    if (error) {
        weir_ignore(error);
        return false;
    }
    for (size_t i = 0; i < count && i < sizeof fds / sizeof *fds; i++) {
        char has[128];
        weir_error *unnamed = weir_socket_name(fds[i], has, sizeof has);
        bool same = !unnamed && strcmp(has, text) == 0;

        weir_ignore(unnamed);
        if (!same)
            continue;
        into->fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (into->fd < 0)
            return false;
        (void)fcntl(into->fd, F_SETFL, fcntl(into->fd, F_GETFL) | O_NONBLOCK);
        into->inherited = true;
        into->kept = true;
        return true;
    }
    return false;
}

static weir_error *bind_socket(struct bound_socket *socket, const weir_listener *listener)
{
    weir_server_options options = {WEIR_SIZED(weir_server_options), .backlog = listener->backlog};
    const char *text = socket->text;
    struct stat status;

    if (listener->protocol->datagram)
        return weir__datagrams_bind(socket, listener);
    if (!inherit(socket, listener->name, text) && !inherit(socket, NULL, text)) {
        WEIR_TRY(weir_listen_socket(text, &options, &socket->fd));
        socket->inherited = strncmp(text, "systemd:", 8) == 0 || strncmp(text, "fd:", 3) == 0;
        if (path_of(text) && lstat(path_of(text), &status) == 0) {
            socket->device = status.st_dev;
            socket->inode = status.st_ino;
        }
    }
    WEIR_TRY(weir_socket_name(socket->fd, socket->name, sizeof socket->name));
    return listener->reuse_port ? weir__socket_multiply(socket, listener) : NULL;
}

weir_error *weir__listener_bind(weir_listener *listener, size_t index, const char *text)
{
    struct bound_socket *socket = NULL;
    weir_error *error;

    WEIR_TRY(socket_new(text, listener->n_loops, &socket));
    error = bind_socket(socket, listener);
    if (!error)
        weir__listener_share(listener, index, socket);
    socket_unref(socket);
    return error;
}

/* Connections. */

void weir__listener_use(weir_listener *listener, unsigned loop)
{
    HOST_COUNT(listener->uses[loop].count, 1);
}

/* The last use on this loop of a part that is not in force there any more: the control loop is told. */
static void unuse(weir_listener *listener, unsigned loop)
{
    HOST_COUNT(listener->uses[loop].count, -1);
    if (!listener->uses[loop].count && listener->part)
        weir__part_left(listener->part, weir__traffic());
}

void weir__connection_pin(struct connection *connection, weir_listener *listener)
{
    unsigned loop = (unsigned)(connection->local - connection->local->slot->loops);
    weir_listener *before = connection->part;

    connection->part = listener;
    if (listener) {
        weir__listener_use(listener, loop);
        HOST_COUNT(listener->uses[loop].connections, 1);
    }
    if (before) {
        HOST_COUNT(before->uses[loop].connections, -1);
        unuse(before, loop);
    }
}

static void connection_drop(void *context)
{
    struct connection *connection = context;
    struct listener_counters *counters = &connection->local->counters;
    struct slot *slot = connection->local->slot;

    hlist_remove(&connection->link);
    HOST_COUNT(counters->open, -1);
    HOST_COUNT(counters->bytes_in, weir_transport_bytes_received(connection->transport));
    HOST_COUNT(counters->bytes_out, weir_transport_bytes_sent(connection->transport));
    __atomic_sub_fetch(&slot->limit->open, 1, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&slot->open, 1, __ATOMIC_RELAXED);
    if (connection->facts)
        weir__facts_free(connection->facts);
    free(connection->facts);
    weir__connection_pin(connection, NULL);
    if (connection->alone)
        free(connection);
}

static void complain_of_limit(struct slot *slot)
{
    int64_t now = weir_now().ns, last = __atomic_load_n(&slot->limit->complained, __ATOMIC_RELAXED);

    /* Once in ten seconds, by whoever comes first. */
    if (last && now - last < (int64_t)10 * 1000 * 1000 * 1000)
        return;
    if (__atomic_compare_exchange_n(&slot->limit->complained, &last, now, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        weir_log_with(
            weir_logger_get("weir.listener"), WEIR_LOG_WARNING,
            WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_CONNECTIONS_REFUSED},
                            {"listener", slot->name}),
            "listener %s: connections are refused, all %llu of runtime.limits.connections "
            "are open",
            slot->name, (unsigned long long)slot->limit->limit);
}

static weir_error *refuse(struct slot *slot, struct slot_loop *local, weir_transport *transport)
{
    weir__record_refused(slot, transport);
    __atomic_sub_fetch(&slot->limit->open, 1, __ATOMIC_RELAXED);
    HOST_COUNT(local->counters.refused, 1);
    HOST_COUNT(local->counters.outcomes[WEIR_OUTCOME_LIMIT_CONNECTIONS], 1);
    if (__atomic_load_n(&slot->limit->memory_full, __ATOMIC_RELAXED))
        return WEIR_RAISE_FAST(WEIR_ELIMIT, "weir holds more than runtime.limits.memory");
    complain_of_limit(slot);
    return WEIR_RAISE_FAST(WEIR_ELIMIT, "all %lld connections are open",
                           (int64_t)slot->limit->limit);
}

static struct connection *new_connection(weir_transport *transport)
{
    struct connection *connection = weir_transport_room(transport, sizeof *connection);
    bool alone = !connection;

    if (alone)
        connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->transport = transport;
    connection->alone = alone;
    return connection;
}

static weir_error *accepted(weir_transport *transport, const weir_protocol **protocol,
                            const void **config, void *arg)
{
    struct slot *slot = arg;
    struct traffic *traffic = weir__traffic();
    struct slot_loop *local = &slot->loops[traffic->index];
    weir_listener *listener = local->current;
    struct connection *connection;
    uint64_t open = __atomic_add_fetch(&slot->limit->open, 1, __ATOMIC_RELAXED);
    weir_error *error;

    uint64_t limit = __atomic_load_n(&slot->limit->limit, __ATOMIC_RELAXED);

    if ((limit && open > limit) || __atomic_load_n(&slot->limit->memory_full, __ATOMIC_RELAXED))
        return refuse(slot, local, transport);
    if (!listener) { /* removed during the TLS handshake */
        __atomic_sub_fetch(&slot->limit->open, 1, __ATOMIC_RELAXED);
        return WEIR_RAISE_FAST(WEIR_ECLOSED, "the listener is gone");
    }
    error = weir__slot_admit(slot, local);
    if (error)
        weir__record_refused(slot, transport);
    connection = error ? NULL : new_connection(transport);
    if (!connection) {
        __atomic_sub_fetch(&slot->limit->open, 1, __ATOMIC_RELAXED);
        if (!error)
            __atomic_sub_fetch(&slot->open, 1, __ATOMIC_RELAXED);
        return error ? error : weir_raise(WEIR_ENOMEM, "connection");
    }
    connection->local = local;
    connection->since_us = (uint64_t)(weir_loop_time(traffic->loop).ns / 1000) & SINCE_MAX;
    hlist_append(&local->connections, &connection->link);
    HOST_COUNT(local->counters.accepted, 1);
    HOST_COUNT(local->counters.open, 1);
    weir__connection_pin(connection, listener);
    weir_transport_set_context(transport, connection, connection_drop);
    weir_transport_set_instance(transport, listener->instance);
    *protocol = listener->inspect ? &weir__inspect_protocol : listener->protocol;
    *config = listener->inspect ? NULL : listener->protocol_config;
    return NULL;
}

/* At an address of `redirect_from` nothing is looked at: the protocol sends clients away. */
static weir_error *accepted_to_redirect(weir_transport *transport, const weir_protocol **protocol,
                                        const void **config, void *arg)
{
    struct connection *connection;

    WEIR_TRY(accepted(transport, protocol, config, arg));
    connection = weir__connection_of(transport);
    connection->redirected = true;
    *protocol = connection->local->current->protocol;
    *config = connection->local->current->protocol_config;
    return NULL;
}

/* More than the mean of the loops by more than an eighth; a few say nothing. */
static bool has_enough(void *arg)
{
    const struct slot *slot = arg;
    uint64_t mine = slot->loops[weir__traffic()->index].counters.open;

    return UINT64_C(8) * slot->n_loops * mine >
           UINT64_C(9) * weir__slot_open(slot) + UINT64_C(64) * slot->n_loops;
}

void weir__slot_set(struct slot *slot, weir_listener *listener, struct traffic *traffic)
{
    struct slot_loop *local = &slot->loops[traffic->index];
    weir_listener *before = local->current;

    if (before == listener)
        return;
    local->current = listener;
    if (listener) {
        /* The control loop counts each time that it is entered; this loop counts only once. */
        if (listener->uses[traffic->index].count && listener->part)
            weir__part_left(listener->part, traffic);
        weir__listener_use(listener, traffic->index);
    }
    /* Those that cannot go on with what comes now end as they do when weir stops. */
    if (before && (!listener || listener->protocol != before->protocol))
        weir__slot_drain(slot, traffic);
    if (before)
        unuse(before, traffic->index);
}

bool weir__listener_serves_alike(const weir_listener *a, const weir_listener *b)
{
    return a == b || (a->slot == b->slot && a->tls == b->tls &&
                      a->handshake_timeout.ns == b->handshake_timeout.ns &&
                      a->max_handshakes == b->max_handshakes &&
                      a->max_handshakes_per_address == b->max_handshakes_per_address &&
                      a->proxy.n_trusted == b->proxy.n_trusted &&
                      (a->proxy.n_trusted == 0 ||
                       memcmp(a->proxy.trusted, b->proxy.trusted,
                              a->proxy.n_trusted * sizeof *a->proxy.trusted) == 0));
}

weir_error *weir__listener_serve(weir_listener *listener, size_t index, struct traffic *traffic,
                                 weir_server **ret)
{
    weir_server_options options = {WEIR_SIZED(weir_server_options),
                                   .tls = listener->tls,
                                   .handshake_timeout = listener->handshake_timeout,
                                   .accepted = accepted,
                                   .arg = listener->slot,
                                   .proxy = &listener->proxy,
                                   .max_handshakes = listener->max_handshakes,
                                   .max_handshakes_per_address =
                                       listener->max_handshakes_per_address,
                                   .handshake_over = weir__listener_handshake_over,
                                   .room = sizeof(struct connection),
                                   .has_enough = listener->slot->n_loops > 1 ? has_enough : NULL};

    if (listener->addresses[index].redirects) {
        options.tls = NULL;
        options.accepted = accepted_to_redirect;
    }
    if (listener->addresses[index].socket->n_more) {
        options.reuse_port = true;
        options.has_enough = NULL; /* what one leaves, no other can take */
    }
    return weir_server_new(traffic->loop,
                           weir__socket_fd_of(listener->addresses[index].socket, traffic->index),
                           &options, listener->protocol, NULL, ret);
}

void weir__slot_drain(struct slot *slot, struct traffic *traffic)
{
    struct slot_loop *local = &slot->loops[traffic->index];
    struct hlist waiting;

    hlist_init(&waiting);
    hlist_splice(&waiting, &local->connections);
    while (!hlist_empty(&waiting)) {
        struct connection *connection = HLIST_ENTRY(waiting.next, struct connection, link);
        weir_transport *transport = connection->transport;
        const weir_protocol *protocol = weir_transport_protocol(transport);

        /* Moved first: the call may end the connection. */
        hlist_remove(&connection->link);
        hlist_append(&local->connections, &connection->link);
        if (protocol->size >= offsetof(weir_protocol, drain) + sizeof protocol->drain &&
            protocol->drain)
            protocol->drain(transport, weir_transport_state(transport));
    }
}

uint64_t weir__slot_open(const struct slot *slot)
{
    uint64_t open = 0;

    for (unsigned i = 0; i < slot->n_loops; i++)
        open += __atomic_load_n(&slot->loops[i].counters.open, __ATOMIC_RELAXED);
    return open;
}

/* What protocols see. */

struct connection *weir__connection_of(const weir_transport *transport)
{
    return weir_transport_context_of(transport, connection_drop);
}

weir_listener *weir_listener_acquire(weir_transport *transport)
{
    struct connection *connection = weir__connection_of(transport);
    weir_listener *listener = connection ? connection->local->current : NULL;

    /* Another protocol, or another build of it, cannot go on with this connection. */
    if (!listener || listener->protocol != connection->part->protocol)
        return NULL;
    if (listener != connection->part && !listener->protocol->serve) {
        weir_transport_set_instance(transport, listener->instance);
        weir_transport_set_config(transport, listener->protocol_config);
        weir__connection_pin(connection, listener);
    }
    weir__listener_use(listener, (unsigned)(connection->local - connection->local->slot->loops));
    return listener;
}

void weir_listener_release(weir_listener *listener)
{
    struct traffic *traffic = weir__traffic();

    if (listener && traffic)
        unuse(listener, traffic->index);
}

const char *weir_listener_name(const weir_listener *listener)
{
    return listener->name;
}

const weir_routes *weir_listener_routes(const weir_listener *listener)
{
    return listener->routes;
}

const void *weir_listener_config(const weir_listener *listener)
{
    return listener->listener_config;
}

bool weir_listener_draining(const weir_listener *listener)
{
    struct traffic *traffic = weir__traffic();
    const weir_listener *now = traffic ? listener->slot->loops[traffic->index].current : NULL;

    return !now || traffic->draining || now->protocol != listener->protocol;
}
