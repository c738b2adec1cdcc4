/* SPDX-License-Identifier: Apache-2.0 */
/* What protocols ask of a connection that was inspected. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/inspect/inspect.h"
#include "host/listener/listener.h"

static const struct inspect_facts *facts_of(const weir_transport *transport)
{
    const struct connection *connection = weir__connection_of(transport);

    return connection ? connection->facts : NULL;
}

static void fill(weir_slice *into, const char *text)
{
    if (text && !into->len)
        *into = weir_slice_str(text);
}

void weir_listener_describe(weir_transport *transport, weir_subject *subject)
{
    const struct inspect_facts *facts = facts_of(transport);
    weir_tls_info tls;

    subject->client_ip = weir_transport_peer_ip(transport);
    if (weir_transport_tls_info(transport, &tls)) {
        fill(&subject->sni, tls.server_name);
        fill(&subject->alpn, tls.alpn);
    }
    if (!facts)
        return;
    fill(&subject->sni, facts->texts[WEIR_FACT_SNI]);
    fill(&subject->alpn, facts->texts[WEIR_FACT_ALPN]);
    fill(&subject->protocol, facts->texts[WEIR_FACT_PROTOCOL]);
}

bool weir_listener_preamble(weir_transport *transport, weir_slice *ret_send, weir_slice *ret_expect)
{
    const struct inspect_facts *facts = facts_of(transport);

    if (!facts || (!facts->send && !facts->expect))
        return false;
    *ret_send = weir_slice_of(facts->preamble, facts->send);
    *ret_expect = weir_slice_of(facts->preamble + facts->send, facts->expect);
    return true;
}

/* "127.0.0.1:8443", "[::1]:8443", "*:8443". */
static unsigned port_of(const char *name)
{
    const char *colon = strrchr(name, ':');

    return strncmp(name, "unix:", 5) == 0 || !colon ? 0 : (unsigned)strtoul(colon + 1, NULL, 10);
}

bool weir_listener_redirected(weir_transport *transport, unsigned *ret_port)
{
    const struct connection *connection = weir__connection_of(transport);
    const weir_listener *listener;

    if (!connection || !connection->redirected)
        return false;
    *ret_port = 0;
    listener = connection->local->current;
    for (size_t i = 0; listener && !*ret_port && i < listener->n_addresses; i++)
        if (!listener->addresses[i].redirects)
            *ret_port = port_of(weir__address_name(&listener->addresses[i]));
    return true;
}

weir_error *weir_listener_unrouted(weir_transport *transport, weir_outcome *ret)
{
    const struct inspect_facts *facts = facts_of(transport);

    *ret = WEIR_OUTCOME_ROUTE_NONE;
    switch (facts ? facts->end : INSPECT_KNOWN) {
    case INSPECT_TIMEOUT:
        *ret = WEIR_OUTCOME_CLIENT_TIMEOUT;
        return WEIR_RAISE_FAST(WEIR_ETIMEDOUT, "the first bytes did not come in time");
    case INSPECT_ENDED:
        *ret = WEIR_OUTCOME_CLIENT_GONE;
        return WEIR_RAISE_FAST(WEIR_EINCOMPLETE, "the client ended within its first bytes");
    case INSPECT_UNKNOWN:
        return WEIR_RAISE_FAST(WEIR_EPROTOCOL, "the first bytes are of no protocol of `inspect`");
    default:
        return NULL;
    }
}
