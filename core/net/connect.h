/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts of a connection under way. */
#ifndef WEIR_CORE_NET_CONNECT_H
#define WEIR_CORE_NET_CONNECT_H

#include <weir/transport.h>

/* The backend is done with connecting a transport in state CONNECTING. */
void weir__attempt_connected(weir_transport *t, int result);
/* Tells each that it is cancelled, for a loop that closes by force. */
struct net;
void weir__connecting_cancel_all(struct net *net);

#endif
