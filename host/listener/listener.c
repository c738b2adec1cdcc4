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

const char weir__connection_kind = 0;

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
    for (size_t i = 0; i < n_addresses; i++)
        listener->addresses[i].fd = -1;
    *ret = listener;
    return NULL;
}

/* The path of "unix:/path"; NULL for other addresses. */
static const char *path_of(const char *address)
{
    return strncmp(address, "unix:", 5) == 0 ? address + 5 : NULL;
}

/* Removes the file of a Unix socket, unless somebody has put another in its place. */
static void remove_file(const struct bound_address *address)
{
    const char *path = path_of(address->name);
    struct stat status;

    if (path && !address->kept && address->inode && lstat(path, &status) == 0 &&
        status.st_dev == address->device && status.st_ino == address->inode)
        unlink(path);
}

void weir__address_close(struct bound_address *address)
{
    while (address->n_more)
        close(address->more[--address->n_more]);
    free(WEIR_TAKE(address->more));
    if (address->fd >= 0)
        close(address->fd);
    address->fd = -1;
}

void weir__listener_close_sockets(weir_listener *listener)
{
    for (size_t i = 0; i < listener->n_addresses; i++) {
        if (listener->addresses[i].fd >= 0)
            remove_file(&listener->addresses[i]);
        weir__address_close(&listener->addresses[i]);
    }
}

void weir__listener_free(weir_listener *listener)
{
    if (!listener)
        return;
    weir__listener_close_sockets(listener);
    weir__routes_free(listener->routes);
    weir__tls_watched_end(listener->tls_watched);
    if (listener->tls)
        weir_tls_context_unref(listener->tls);
    free(listener->addresses);
    free(listener->name);
    free(listener);
}

/* A socket that the process was started with, under that name, and that has the address. */
static bool inherit(struct bound_address *address, const char *name, const char *text)
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
        address->fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (address->fd < 0)
            return false;
        (void)fcntl(address->fd, F_SETFL, fcntl(address->fd, F_GETFL) | O_NONBLOCK);
        address->inherited = true;
        address->kept = true;
        return true;
    }
    return false;
}

weir_error *weir__listener_bind(weir_listener *listener, size_t index, const char *text)
{
    struct bound_address *address = &listener->addresses[index];
    weir_server_options options = {WEIR_SIZED(weir_server_options), .backlog = listener->backlog};

    struct stat status;

    if (listener->protocol->datagram)
        return weir__datagrams_bind(listener, index, text);
    if (inherit(address, listener->name, text) || inherit(address, NULL, text))
        return weir_socket_name(address->fd, address->name, sizeof address->name);
    WEIR_TRY(weir_listen_socket(text, &options, &address->fd));
    address->inherited = strncmp(text, "systemd:", 8) == 0 || strncmp(text, "fd:", 3) == 0;
    if (path_of(text) && lstat(path_of(text), &status) == 0) {
        address->device = status.st_dev;
        address->inode = status.st_ino;
    }
    return weir_socket_name(address->fd, address->name, sizeof address->name);
}

/* Connections. */

static void connection_drop(void *context)
{
    struct connection *connection = context;
    struct listener_counters *counters = &connection->local->counters;

    hlist_remove(&connection->link);
    HOST_COUNT(counters->open, -1);
    HOST_COUNT(counters->bytes_in, weir_transport_bytes_received(connection->transport));
    HOST_COUNT(counters->bytes_out, weir_transport_bytes_sent(connection->transport));
    __atomic_sub_fetch(&connection->slot->limit->open, 1, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&connection->slot->open, 1, __ATOMIC_RELAXED);
    if (connection->facts)
        weir__facts_free(connection->facts);
    free(connection->facts);
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

static weir_error *accepted(weir_transport *transport, const weir_protocol **protocol,
                            const void **config, void *arg)
{
    struct slot *slot = arg;
    struct traffic *traffic = weir__traffic();
    struct slot_loop *local = &slot->loops[traffic->index];
    const weir_listener *listener = local->current;
    struct connection *connection;
    uint64_t open = __atomic_add_fetch(&slot->limit->open, 1, __ATOMIC_RELAXED);
    weir_error *error;

    if ((slot->limit->limit && open > slot->limit->limit) ||
        __atomic_load_n(&slot->limit->memory_full, __ATOMIC_RELAXED))
        return refuse(slot, local, transport);
    error = weir__slot_admit(slot, local);
    if (error)
        weir__record_refused(slot, transport);
    connection = error ? NULL : calloc(1, sizeof *connection);
    if (!connection) {
        __atomic_sub_fetch(&slot->limit->open, 1, __ATOMIC_RELAXED);
        if (!error)
            __atomic_sub_fetch(&slot->open, 1, __ATOMIC_RELAXED);
        return error ? error : weir_raise(WEIR_ENOMEM, "connection");
    }
    connection->kind = &weir__connection_kind;
    connection->transport = transport;
    connection->slot = slot;
    connection->local = local;
    connection->since = weir_loop_time(traffic->loop).ns;
    hlist_append(&local->connections, &connection->link);
    HOST_COUNT(local->counters.accepted, 1);
    HOST_COUNT(local->counters.open, 1);
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

    return 8 * slot->n_loops * mine > 9 * weir__slot_open(slot) + 64 * slot->n_loops;
}

void weir__listener_enter(weir_listener *listener, struct traffic *traffic)
{
    listener->slot->loops[traffic->index].current = listener;
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
                                   .has_enough = listener->slot->n_loops > 1 ? has_enough : NULL};

    if (listener->addresses[index].redirects) {
        options.tls = NULL;
        options.accepted = accepted_to_redirect;
    }
    return weir_server_new(traffic->loop, listener->addresses[index].fd, &options,
                           listener->protocol, listener->protocol_config, ret);
}

void weir__listener_drain(weir_listener *listener, struct traffic *traffic)
{
    struct slot_loop *local = &listener->slot->loops[traffic->index];
    struct hlist waiting;

    hlist_init(&waiting);
    hlist_splice(&waiting, &local->connections);
    while (!hlist_empty(&waiting)) {
        struct connection *connection = HLIST_ENTRY(waiting.next, struct connection, link);
        void (*fn)(weir_transport *, void *) = connection->on_drain;

        /* Moved first: the call may end the connection. */
        hlist_remove(&connection->link);
        hlist_append(&local->connections, &connection->link);
        connection->on_drain = NULL;
        if (fn)
            fn(connection->transport, connection->on_drain_arg);
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
    struct connection *connection = weir_transport_context(transport);

    return connection && connection->kind == &weir__connection_kind ? connection : NULL;
}

weir_listener *weir_listener_acquire(weir_transport *transport)
{
    struct connection *connection = weir__connection_of(transport);
    weir_listener *listener = connection ? connection->local->current : NULL;

    if (listener)
        listener->uses[connection->local - connection->slot->loops].count++;
    return listener;
}

void weir_listener_release(weir_listener *listener)
{
    struct traffic *traffic = weir__traffic();

    if (listener && traffic)
        listener->uses[traffic->index].count--;
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

    return !traffic || traffic->draining ||
           listener->slot->loops[traffic->index].current != listener;
}

void weir_listener_on_drain(weir_transport *transport,
                            void (*fn)(weir_transport *transport, void *arg), void *arg)
{
    struct connection *connection = weir__connection_of(transport);

    if (!connection)
        return;
    connection->on_drain = fn;
    connection->on_drain_arg = arg;
}
