/* SPDX-License-Identifier: Apache-2.0 */
/* Socket options as a table: what is asked for is set in order, the first refusal ends it. */
#include "config.h"

#include "core/net/socket_options.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* Of a listening socket: SYNs with data that may wait. */
#define FAST_OPEN_QUEUE 256

weir_socket_options weir__socket_options_of(const weir_socket_options *given)
{
    weir_socket_options options = {WEIR_SIZED(weir_socket_options)};

    if (given)
        memcpy(&options, given,
               given->size && given->size < sizeof(options) ? given->size : sizeof(options));
    options.size = sizeof(options);
    return options;
}

int weir__socket_set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : errno;
}

/* Rounded up; 0 stays "unset". */
static int units_of(weir_duration duration, int64_t unit_ns)
{
    int64_t units = duration.ns > 0 ? (duration.ns - 1) / unit_ns + 1 : 0;

    return units > INT_MAX ? INT_MAX : (int)units;
}

int weir__socket_options_apply(int fd, int family, bool listens, const weir_socket_options *options,
                               const char **ret_option)
{
    const bool tcp = family == AF_INET || family == AF_INET6;
    const int fast_open = options->fast_open ? (listens ? FAST_OPEN_QUEUE : 1) : 0;

    const struct {
        const char *name;
        int level, option, value;
        bool tcp;
    } settings[] = {
        {"receive_buffer", SOL_SOCKET, SO_RCVBUF, options->receive_buffer, false},
        {"send_buffer", SOL_SOCKET, SO_SNDBUF, options->send_buffer, false},
        {"keep_alive", SOL_SOCKET, SO_KEEPALIVE, options->keep_alive, true},
        {"keep_alive_idle", IPPROTO_TCP, TCP_KEEPIDLE,
         units_of(options->keep_alive_idle, 1000000000), true},
        {"keep_alive_interval", IPPROTO_TCP, TCP_KEEPINTVL,
         units_of(options->keep_alive_interval, 1000000000), true},
        {"keep_alive_count", IPPROTO_TCP, TCP_KEEPCNT, (int)options->keep_alive_count, true},
        {"user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT, units_of(options->user_timeout, 1000000),
         true},
        {"fast_open", IPPROTO_TCP, listens ? TCP_FASTOPEN : TCP_FASTOPEN_CONNECT, fast_open, true},
    };

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        int code;

        if (!settings[i].value || (settings[i].tcp && !tcp))
            continue;
        code = weir__socket_set(fd, settings[i].level, settings[i].option, settings[i].value);
        if (code) {
            *ret_option = settings[i].name;
            return code;
        }
    }
    return 0;
}
