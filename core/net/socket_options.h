/* SPDX-License-Identifier: Apache-2.0 */
/* weir_socket_options made true. */
#ifndef WEIR_CORE_NET_SOCKET_OPTIONS_H
#define WEIR_CORE_NET_SOCKET_OPTIONS_H

#include <weir/error.h>
#include <weir/socket.h>

/* A copy of the caller's, however old; all unset for NULL. */
weir_socket_options weir__socket_options_of(const weir_socket_options *given);
/* Sets what is asked for on a stream socket of `family`. `listens`: it will accept connections. 0, or
   errno and the option's name in `ret_option`. */
int weir__socket_options_apply(int fd, int family, bool listens, const weir_socket_options *options,
                               const char **ret_option);
int weir__socket_set(int fd, int level, int option, int value); /* 0 or errno */

#endif
