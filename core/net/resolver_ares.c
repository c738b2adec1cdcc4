/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking name servers through c-ares: it finds servers, retries, goes on to TCP when an answer was
 * truncated, and drops what does not match its question. It is told everything, so that it opens no
 * file; what the message says is for resolver_wire.c. Its sockets are polled by the backend, its
 * timeouts are one timer of ours.
 *
 * c-ares calls back from inside whatever we call, so sockets that it closes while one of them is
 * being served are freed afterwards, and so is the channel itself.
 */
#include "config.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/net/resolver.h"

#define TIMEOUT_DEFAULT WEIR_S(2)
#define TRIES_DEFAULT   3
#define CLASS_IN        1

struct dns {
    struct list link; /* among the retired */
    weir_loop *loop;
    ares_channel channel;
    struct list sockets;
    struct list closed; /* sockets to be freed */
    struct timer timer;
    size_t queries; /* under way */
    unsigned depth; /* of calls into c-ares */
    bool retired;
};

struct dns_socket {
    struct list link;
    struct io_file file;
    struct dns *dns;
};

struct dns_query {
    struct dns *dns;
    dns_done_fn done;
    void *arg;
    uint16_t type;
    char name[];
};

/* Library-wide set-up is not thread-safe in c-ares. */
static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

static void init_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

weir_error *weir__dns_library(void)
{
    pthread_once(&library_once, init_library);
    return library_status == ARES_SUCCESS ? NULL : weir_raise(WEIR_ENOMEM, "resolver");
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
    when = weir_instant_after(weir_loop_time(dns->loop),
                              WEIR_US((int64_t)wait->tv_sec * 1000000 + wait->tv_usec + 1000));
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
    if (dns->retired && !dns->queries)
        weir__dns_free(dns);
    else
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

static weir_error *timer_fired(struct job *job)
{
    struct dns *dns = container_of(job, struct dns, timer.job);

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
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return WEIR_ECANCELED;
    default:
        return WEIR_EDNS;
    }
}

static answer *answer_of(const struct dns_query *query, int status, const unsigned char *message,
                         int len)
{
    weir_code code = code_of(status);

    if (message && len > 0 &&
        (status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND))
        return weir__answer_parse(message, (size_t)len, query->name, query->type);
    return weir__answer_failed(query->type, status == ARES_SUCCESS ? WEIR_EDNS : code,
                               ares_strerror(status));
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *message, int len)
{
    struct dns_query *query = arg;
    answer *a = answer_of(query, status, message, len);

    (void)timeouts;
    query->dns->queries--;
    query->done(query->arg, a);
    weir__free(query);
}

void weir__dns_ask(struct dns *dns, const char *name, uint16_t type, dns_done_fn done, void *arg)
{
    struct dns_query *query = weir__calloc(1, sizeof(*query) + strlen(name) + 1);

    if (!query) {
        done(arg, NULL);
        return;
    }
    memcpy(query->name, name, strlen(name) + 1);
    query->dns = dns;
    query->done = done;
    query->arg = arg;
    query->type = type;
    dns->queries++;
    enter(dns);
    ares_query(dns->channel, name, CLASS_IN, type, on_answer, query);
    leave(dns);
}

/* Life */

static weir_error *open_channel(struct dns *dns, const weir_resolver_options *options)
{
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                     ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST |
                     ARES_OPT_SOCK_STATE_CB;
    weir_duration timeout = options->timeout.ns > 0 ? options->timeout : TIMEOUT_DEFAULT;
    struct in_addr placeholder = {.s_addr = htonl(INADDR_LOOPBACK)};
    struct ares_options ares = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .timeout = (int)(timeout.ns / 1000000),
        .tries = options->tries ? (int)options->tries : TRIES_DEFAULT,
        .ndots = 1,
        .servers = &placeholder,
        .nservers = 1,
        .lookups = (char *)(uintptr_t) "b",
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = dns,
    };
    int status = ares_init_options(&dns->channel, &ares, mask);

    if (status != ARES_SUCCESS)
        return weir_raise(WEIR_EDNS, "resolver: %s", ares_strerror(status));
    return NULL;
}

weir_error *weir__dns_new(weir_loop *loop, const weir_resolver_options *options,
                          const struct name_files *files, struct dns **ret)
{
    const char *servers = options->servers ? options->servers : files->servers;
    struct dns *dns;
    weir_error *error;
    int status;

    WEIR_TRY(weir__dns_library());
    dns = weir__calloc(1, sizeof(*dns));
    if (!dns)
        return weir_raise(WEIR_ENOMEM, "resolver");
    dns->loop = loop;
    list_init(&dns->link);
    list_init(&dns->sockets);
    list_init(&dns->closed);
    weir__timer_init(&dns->timer, timer_fired, WEIR_HERE);
    error = open_channel(dns, options);
    if (error) {
        weir__free(dns);
        return error;
    }
    status = *servers ? ares_set_servers_ports_csv(dns->channel, servers) : ARES_SUCCESS;
    if (status != ARES_SUCCESS) {
        weir__dns_free(dns);
        return weir_raise(WEIR_EINVAL, "resolver: bad list of servers \"%s\": %s", servers,
                          ares_strerror(status));
    }
    *ret = dns;
    return NULL;
}

void weir__dns_free(struct dns *dns)
{
    if (!dns)
        return;
    dns->retired = false;
    dns->depth++;
    list_remove(&dns->link);
    ares_destroy(dns->channel);
    weir__timer_stop(dns->loop, &dns->timer);
    weir_list_foreach_safe(socket, &dns->closed, struct dns_socket, link) {
        list_remove(&socket->link);
        weir__free(socket);
    }
    weir__free(dns);
}

void weir__dns_retire(struct dns *dns, struct list *retired)
{
    if (!dns)
        return;
    if (!dns->queries && !dns->depth) {
        weir__dns_free(dns);
        return;
    }
    dns->retired = true;
    list_append(retired, &dns->link);
}

void weir__dns_free_retired(struct list *retired)
{
    while (!list_empty(retired))
        weir__dns_free(container_of(retired->next, struct dns, link));
}
