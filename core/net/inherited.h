/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets that the process was started with: "fd:3", "systemd:web". */
#ifndef WEIR_CORE_NET_INHERITED_H
#define WEIR_CORE_NET_INHERITED_H

#include <weir/error.h>

bool weir__is_inherited(const char *address);
/* A duplicate, non-blocking and close-on-exec. Errors: as weir_listen_socket(). */
weir_error *weir__inherited_open(const char *address, int *ret_fd) WEIR_MUST_USE;

#endif
