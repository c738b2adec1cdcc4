/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the kernel can be told about the sockets of connections. One struct for both sides: clients
 * name it in weir_connect_options.socket, servers in weir_server_options.socket, where it holds for
 * each connection that they accept (the kernel copies it from the listening socket). Unset members
 * leave what the system has, but for TCP_NODELAY, which is on unless `nagle`. What is of TCP is left
 * out on Unix sockets. Copied by the call that it is given to.
 *
 * Example:
 *
 *     static weir_error *dial(const char *target, weir_stream **ret)
 *     {
 *         // A peer that vanished is found out after 60 s of silence and three probes.
 *         const weir_socket_options patient = {
 *             WEIR_SIZED(weir_socket_options),
 *             .keep_alive = true,
 *             .keep_alive_idle = WEIR_S(60),
 *             .keep_alive_interval = WEIR_S(10),
 *             .keep_alive_count = 3,
 *         };
 *         const weir_connect_options options = {
 *             WEIR_SIZED(weir_connect_options),
 *             .socket = &patient,
 *         };
 *
 *         return weir_connect(target, &options, ret);
 *     }
 */
#ifndef WEIR_SOCKET_H
#define WEIR_SOCKET_H

#include <weir/base.h>
#include <weir/time.h>

WEIR_BEGIN_DECLS

typedef struct weir_socket_options {
    size_t size;
    bool nagle;                        /**< collects small writes; TCP_NODELAY is off */
    bool keep_alive;                   /**< probes of silent peers (SO_KEEPALIVE) */
    weir_duration keep_alive_idle;     /**< silence before the first; rounded up to seconds */
    weir_duration keep_alive_interval; /**< between probes */
    unsigned keep_alive_count;         /**< unanswered ones that end the connection */
    weir_duration user_timeout;        /**< unacknowledged bytes end it (TCP_USER_TIMEOUT, ms) */
    int receive_buffer; /**< bytes in the kernel (SO_RCVBUF); stops its auto-tuning */
    int send_buffer;    /**< SO_SNDBUF */
    /** Clients: the first bytes go with the SYN (TCP_FASTOPEN_CONNECT; a refusal then comes with the
     *  first write). Servers: such SYNs are accepted. */
    bool fast_open;
} weir_socket_options;

WEIR_END_DECLS

#endif
