/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY header of an accepted connection: read from the bare descriptor before there is a
 * transport, so that nothing above ever sees another peer or the header's bytes.
 */
#ifndef WEIR_CORE_NET_PROXY_PROTOCOL_H
#define WEIR_CORE_NET_PROXY_PROTOCOL_H

#include <weir/proxy-protocol.h>

#include "core/net/server.h"

/* A header and the bytes that its slices point at. */
struct proxy_info {
    weir_proxy_header header;
    char bytes[];
};

/* True: the connection is kept back, until its header is there; `fd` has moved in. False: it has to
   have none. */
bool weir__proxy_awaits(weir_server *server, int fd, const struct sockaddr *peer, socklen_t length);
/* Drops those that wait. */
void weir__proxy_stop(weir_server *server);

#endif
