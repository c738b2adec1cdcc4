/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets: opened here, or handed in by whoever started the process. The port alone, or
 * "*", means both families on one socket where the machine has IPv6.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/server.h>

#include "core/loop/loop.h"
#include "core/net/address.h"
#include "core/net/inherited.h"
#include "core/net/socket_options.h"
#include "core/net/unix_path.h"

#define UNIX_PREFIX     "unix:"
#define BACKLOG_DEFAULT 4096
#define LINGER_TRIES    20
#define LINGER_WAIT_MS  10

struct listening {
    struct address address;
    bool dual_stack;
};

static weir_error *parse(const char *text, struct listening *ret)
{
    struct host_port parsed = {0};
    char with_colon[16];

    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        WEIR_TRY(weir__address_unix(text + strlen(UNIX_PREFIX), &ret->address));
        return NULL;
    }
    if (!strchr(text, ':') && strlen(text) < sizeof(with_colon) - 1) {
        snprintf(with_colon, sizeof(with_colon), ":%s", text);
        WEIR_TRY(weir__host_port_parse(with_colon, &parsed));
    } else {
        WEIR_TRY(weir__host_port_parse(text, &parsed));
    }
    if (!parsed.host[0] || strcmp(parsed.host, "*") == 0) {
        ret->dual_stack = true;
        (void)weir__address_literal("::", parsed.port, &ret->address);
        return NULL;
    }
    if (!weir__address_literal(parsed.host, parsed.port, &ret->address))
        return weir_error_hint(
            weir_raise(WEIR_EINVAL, "\"%s\" is no IP address", parsed.host),
            "listen on an address such as 127.0.0.1 or [::1], or on * for all of them");
    return NULL;
}

/* 0, or errno. */
static int set_tcp(int fd, const struct listening *listening, const weir_server_options *options)
{
    int64_t seconds = (options->defer_accept.ns + 999999999) / 1000000000;
    int code = weir__socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);

    if (!code && options->reuse_port)
        code = weir__socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (!code && listening->address.any.sa_family == AF_INET6)
        code = weir__socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY,
                                options->v6_only || !listening->dual_stack);
    if (!code && seconds > 0)
        code = weir__socket_set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT,
                                seconds > INT_MAX ? INT_MAX : (int)seconds);
    return code;
}

/* The ring of a process that was killed keeps what it listened on for a moment (7 to 50 ms here), so
   whoever uses rings, or has no loop to hold up, gives such an address a little time. */
static int bind_patiently(int fd, const struct address *address)
{
    const weir_loop *loop = weir__thread_loop;
    int tries = !loop || strcmp(weir_loop_backend(loop), "epoll") != 0 ? LINGER_TRIES : 0;

    while (bind(fd, &address->any, address->length) != 0) {
        if (errno != EADDRINUSE || tries-- == 0)
            return errno;
        (void)poll(NULL, 0, LINGER_WAIT_MS);
    }
    return 0;
}

/* 0, or errno; `ret_what` names an option when it was that. */
static int prepare(int fd, const struct listening *listening, const weir_server_options *options,
                   const char **ret_what)
{
    const weir_socket_options settings = weir__socket_options_of(options->socket);
    const struct address *address = &listening->address;
    int family = address->any.sa_family;
    int code = weir__socket_options_apply(fd, family, true, &settings, ret_what);

    if (code)
        return code;
    if (family == AF_UNIX)
        return weir__unix_bind(fd, address, SOCK_STREAM, options->unix_mode);
    code = set_tcp(fd, listening, options);
    return code ? code : bind_patiently(fd, address);
}

static weir_error *cannot_listen(const char *address, int code, const char *option)
{
    weir_error *error;

    if (option)
        return weir_raise(code, "cannot listen on %s: %s: %s", address, option,
                          weir_code_text(code));
    error = weir_raise(code, "cannot listen on %s: %s", address, weir_code_text(code));
    if (code == EADDRINUSE)
        return weir_error_hint(error, "another process has it: ss -ltnp shows which");
    if (code == EACCES)
        return weir_error_hint(error, "ports below 1024 need CAP_NET_BIND_SERVICE, "
                                      "socket files a directory that may be written");
    return error;
}

static int open_socket(struct listening *listening)
{
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(listening->address.any.sa_family, type, 0);

    if (fd < 0 && errno == EAFNOSUPPORT && listening->dual_stack) {
        (void)weir__address_literal("0.0.0.0", ntohs(listening->address.in6.sin6_port),
                                    &listening->address);
        fd = socket(AF_INET, type, 0);
    }
    return fd;
}

static void forget_path(const struct address *address)
{
    if (address->any.sa_family == AF_UNIX && address->un.sun_path[0])
        (void)unlink(address->un.sun_path);
}

static weir_error *open_listening(const char *address, const weir_server_options *options,
                                  int *ret_fd)
{
    struct listening listening = {0};
    weir_error *error = parse(address, &listening);
    int backlog = options->backlog > 0 ? options->backlog : BACKLOG_DEFAULT;
    const char *option = NULL;
    int fd, code;

    if (error)
        return weir_wrap(error, WEIR_EINVAL, "cannot listen on %s", address);
    fd = open_socket(&listening);
    if (fd < 0)
        return cannot_listen(address, errno, NULL);
    code = prepare(fd, &listening, options, &option);
    if (!code && listen(fd, backlog) != 0) {
        code = errno;
        forget_path(&listening.address);
    }
    if (code) {
        close(fd);
        return cannot_listen(address, code, option);
    }
    *ret_fd = fd;
    return NULL;
}

weir_error *weir_listen_socket(const char *address, const weir_server_options *given, int *ret_fd)
{
    weir_server_options options = {WEIR_SIZED(weir_server_options)};

    if (given)
        memcpy(&options, given,
               given->size && given->size < sizeof(options) ? given->size : sizeof(options));
    if (weir__is_inherited(address))
        WEIR_TRY(weir__inherited_open(address, ret_fd));
    else
        WEIR_TRY(open_listening(address, &options, ret_fd));
    return NULL;
}

static bool is_dual_any(int fd, const struct address *address)
{
    int v6only = 1;
    socklen_t length = sizeof(v6only);

    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr) &&
           getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &length) == 0 && !v6only;
}

weir_error *weir_socket_name(int fd, char *buffer, size_t size)
{
    struct address address = {.length = sizeof(address.un)};

    if (getsockname(fd, &address.any, &address.length) != 0)
        return weir_raise(errno, "the name of socket %d", fd);
    if (is_dual_any(fd, &address))
        snprintf(buffer, size, "*:%u", ntohs(address.in6.sin6_port));
    else
        weir__address_name(&address.any, address.length, buffer, size);
    return NULL;
}
