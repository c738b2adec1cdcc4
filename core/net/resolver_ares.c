/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking name servers through c-ares. The channel is told everything (servers, search list, DNS
 * only), so that it opens no file. Its sockets are polled by the backend, its timeouts are one timer
 * of ours. A and AAAA are two queries of one look-up; it ends when both have.
 *
 * c-ares calls back from inside whatever we call, so sockets that it closes while one of them is
 * being served are freed afterwards.
 */
#include "config.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/net/resolver.h"

#define TIMEOUT_DEFAULT WEIR_S(2)
#define TRIES_DEFAULT   3

struct dns {
    weir_loop *loop;
    ares_channel channel;
    struct list sockets;
    struct list closed; /* sockets to be freed */
    struct timer timer;
    unsigned depth; /* of calls into c-ares */
};

struct dns_socket {
    struct list link;
    struct io_file file;
    struct dns *dns;
};

struct dns_query {
    dns_done_fn done;
    void *arg;
    unsigned pending;
    int status; /* of c-ares, the more telling of the two */
    struct found found;
};

/* Library-wide set-up is not thread-safe in c-ares. */
static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

static void init_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static void rearm(struct dns *dns)
{
    struct timeval buffer, *wait = ares_timeout(dns->channel, NULL, &buffer);
    weir_instant when;

    if (!wait) {
        weir__timer_stop(dns->loop, &dns->timer);
        return;
    }
    /* c-ares counts from the real clock: an early call would find nothing due. */
    when = weir_instant_after(weir_now(), WEIR_US((int64_t)wait->tv_sec * 1000000 + wait->tv_usec));
    when.ns += 1000000;
    weir_ignore(weir__timer_start(dns->loop, &dns->timer, when));
}

static void enter(struct dns *dns)
{
    dns->depth++;
}

static void leave(struct dns *dns)
{
    if (--dns->depth)
        return;
    weir_list_foreach_safe(socket, &dns->closed, struct dns_socket, link) {
        list_remove(&socket->link);
        weir__free(socket);
    }
    rearm(dns);
}

static void on_polled(struct io_file *file, unsigned events)
{
    struct dns_socket *socket = container_of(file, struct dns_socket, file);
    struct dns *dns = socket->dns;
    int fd = file->fd;

    enter(dns);
    ares_process_fd(dns->channel, events & ~(unsigned)POLLOUT ? fd : ARES_SOCKET_BAD,
                    events & (POLLOUT | POLLERR | POLLHUP) ? fd : ARES_SOCKET_BAD);
    leave(dns);
}

static const struct io_file_ops dns_file_ops = {.polled = on_polled};

static struct dns_socket *find_socket(struct dns *dns, int fd)
{
    weir_list_foreach(socket, &dns->sockets, struct dns_socket, link) {
        if (socket->file.fd == fd)
            return socket;
    }
    return NULL;
}

static struct dns_socket *new_socket(struct dns *dns, int fd)
{
    struct dns_socket *socket = weir__calloc(1, sizeof(*socket));

    if (!socket)
        return NULL;
    socket->dns = dns;
    io_file_init(&socket->file, &dns_file_ops, fd, WEIR_HERE);
    list_append(&dns->sockets, &socket->link);
    return socket;
}

/* What c-ares wants to know about one of its sockets; a query on one that cannot be polled ends by
   its timeout. */
static void on_socket_state(void *arg, int fd, int readable, int writable)
{
    struct dns *dns = arg;
    struct io_backend *io = weir__loop_io(dns->loop);
    struct dns_socket *socket = find_socket(dns, fd);
    unsigned events = (readable ? (unsigned)POLLIN : 0) | (writable ? (unsigned)POLLOUT : 0);

    if (!socket && events)
        socket = new_socket(dns, fd);
    if (!socket)
        return;
    if (events) {
        weir_ignore(io->ops->poll(io, &socket->file, events));
        return;
    }
    io->ops->close(io, &socket->file, true);
    list_remove(&socket->link);
    list_append(&dns->closed, &socket->link);
}

static weir_error *timer_fired(struct timer *timer)
{
    struct dns *dns = container_of(timer, struct dns, timer);

    enter(dns);
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    leave(dns);
    return NULL;
}

/* Queries */

static weir_code code_of(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
        return WEIR_ENONAME;
    case ARES_ETIMEOUT:
        return WEIR_ETIMEDOUT;
    case ARES_ENOMEM:
        return WEIR_ENOMEM;
    default:
        return WEIR_EDNS;
    }
}

/* An answer "no such name" says more than a timeout of the other family says against it; but a
   server's failure must not look like a name that does not exist. */
static int worse(int a, int b)
{
    weir_code code = code_of(a);

    return a != ARES_SUCCESS && code != WEIR_ENONAME ? a : b;
}

static void query_ended(struct dns_query *query)
{
    struct found *found = &query->found;

    if (!found->count) {
        found->code = query->status == ARES_SUCCESS ? WEIR_ENONAME : code_of(query->status);
        snprintf(found->why, sizeof(found->why), "%s", ares_strerror(query->status));
    }
    query->done(query->arg, found);
    weir__free(query);
}

static void take_node(struct found *found, const struct ares_addrinfo_node *node)
{
    union address_small *address = &found->list[found->count];
    int64_t ttl = (int64_t)node->ai_ttl * 1000000000;

    if (found->count == RESOLVER_ADDRESSES || node->ai_addrlen > sizeof(*address))
        return;
    memset(address, 0, sizeof(*address));
    memcpy(address, node->ai_addr, node->ai_addrlen);
    if (!found->count || ttl < found->ttl_ns)
        found->ttl_ns = ttl;
    found->count++;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct dns_query *query = arg;

    (void)timeouts;
    query->status = query->pending == 2 ? status : worse(status, query->status);
    if (status == ARES_SUCCESS) {
        for (struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
            take_node(&query->found, node);
    }
    if (info)
        ares_freeaddrinfo(info);
    if (--query->pending == 0)
        query_ended(query);
}

void weir__dns_ask(struct dns *dns, const char *name, dns_done_fn done, void *arg)
{
    struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT, .ai_socktype = SOCK_STREAM};
    struct dns_query *query = weir__calloc(1, sizeof(*query));

    if (!query) {
        struct found none = {.code = WEIR_ENOMEM};

        done(arg, &none);
        return;
    }
    query->done = done;
    query->arg = arg;
    query->pending = 2;
    enter(dns);
    hints.ai_family = AF_INET6;
    ares_getaddrinfo(dns->channel, name, NULL, &hints, on_answer, query);
    hints.ai_family = AF_INET;
    ares_getaddrinfo(dns->channel, name, NULL, &hints, on_answer, query);
    leave(dns);
}

/* Life */

weir_error *weir__dns_new(weir_loop *loop, const weir_resolver_options *options,
                          const struct name_files *files, struct dns **ret)
{
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                     ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST |
                     ARES_OPT_SOCK_STATE_CB | ARES_OPT_ROTATE;
    weir_duration timeout = options->timeout.ns > 0 ? options->timeout : TIMEOUT_DEFAULT;
    struct in_addr placeholder = {.s_addr = htonl(INADDR_LOOPBACK)};
    struct ares_options ares = {
        .timeout = (int)(timeout.ns / 1000000),
        .tries = options->tries ? (int)options->tries : TRIES_DEFAULT,
        .ndots = files->ndots,
        .servers = &placeholder,
        .nservers = 1,
        .domains = (char **)(uintptr_t)files->domains,
        .ndomains = files->domain_count,
        .lookups = (char *)(uintptr_t) "b",
        .sock_state_cb = on_socket_state,
    };
    const char *servers = options->servers ? options->servers : files->servers;
    struct dns *dns;
    int status;

    pthread_once(&library_once, init_library);
    dns = weir__calloc(1, sizeof(*dns));
    if (!dns || library_status != ARES_SUCCESS) {
        weir__free(dns);
        return weir_raise(WEIR_ENOMEM, "resolver");
    }
    dns->loop = loop;
    list_init(&dns->sockets);
    list_init(&dns->closed);
    weir__timer_init(&dns->timer, timer_fired, WEIR_HERE);
    ares.sock_state_cb_data = dns;
    status = ares_init_options(&dns->channel, &ares, mask & ~ARES_OPT_ROTATE);
    if (status != ARES_SUCCESS) {
        weir__free(dns);
        return weir_raise(WEIR_EDNS, "resolver: %s", ares_strerror(status));
    }
    if (*servers) {
        status = ares_set_servers_ports_csv(dns->channel, servers);
        if (status != ARES_SUCCESS) {
            weir__dns_free(dns);
            return weir_raise(WEIR_EINVAL, "resolver: bad list of servers \"%s\": %s", servers,
                              ares_strerror(status));
        }
    }
    *ret = dns;
    return NULL;
}

void weir__dns_free(struct dns *dns)
{
    if (!dns)
        return;
    enter(dns);
    ares_destroy(dns->channel);
    weir__timer_stop(dns->loop, &dns->timer);
    weir_list_foreach_safe(socket, &dns->closed, struct dns_socket, link) {
        list_remove(&socket->link);
        weir__free(socket);
    }
    weir__free(dns);
}
