/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers for what is no connection of ours: chosen, counted and judged as for leases. A name is that
 * of the last look-up; who asks before the first one is told so.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/address.h>
#include <weir/log.h>

#include "host/upstream/upstream.h"

struct weir_server_use {
    weir_upstream *upstream;
    struct server *server;
    unsigned loop;
    char address[WEIR_ADDRESS_TEXT_SIZE];
};

/* The first address of its name, with the port. */
static weir_error *address_by_name(struct server *server, char *buffer, size_t size)
{
    const char *port = strrchr(server->address, ':');
    struct server_name_state name;
    bool v6;

    if (port && strncmp(server->address, "localhost:", 10) == 0) {
        snprintf(buffer, size, "127.0.0.1%s", port);
        return NULL;
    }
    if (!port || !weir__server_name_state(server, &name) || !name.n_addresses)
        return WEIR_RAISE_FAST(WEIR_EDNS, "the name of the server is not known");
    name.addresses[strcspn(name.addresses, ",")] = '\0';
    v6 = strchr(name.addresses, ':') != NULL;
    snprintf(buffer, size, "%s%.60s%s%s", v6 ? "[" : "", name.addresses, v6 ? "]" : "", port);
    return NULL;
}

static weir_error *find_address(struct server *server, char *buffer, size_t size)
{
    weir_address address;
    weir_error *error = weir_address_parse(server->address, &address);

    if (error) {
        weir_ignore(error);
        return address_by_name(server, buffer, size);
    }
    snprintf(buffer, size, "%s", server->address);
    return NULL;
}

weir_error *weir_upstream_use(weir_upstream *upstream, weir_slice balance_key,
                              weir_server_use **ret)
{
    struct traffic *traffic = weir__traffic();
    struct pick pick = {.has_key = balance_key.len != 0};
    weir_server_use *use;
    weir_error *error;
    size_t index;

    if (!traffic || traffic->index >= upstream->n_loops)
        return weir_raise(WEIR_ETHREAD, "a server was asked for outside of the traffic loops");
    pick.now = weir_loop_time(traffic->loop).ns;
    pick.key = pick.has_key ? weir__hash_bytes(balance_key) : 0;
    if (!weir__upstream_pick(upstream, traffic->index, &pick, &index))
        return WEIR_RAISE_FAST(WEIR_ENOSERVER, "no server is to be had");
    use = calloc(1, sizeof *use);
    if (!use)
        return weir_raise(WEIR_ENOMEM, "server");
    use->upstream = upstream;
    use->server = upstream->servers[index];
    use->loop = traffic->index;
    error = find_address(use->server, use->address, sizeof use->address);
    if (error) {
        free(use);
        return error;
    }
    HOST_COUNT(upstream->loops[use->loop].leases, 1);
    HOST_COUNT(use->server->pools[use->loop].active, 1);
    *ret = use;
    return NULL;
}

const char *weir_server_use_address(const weir_server_use *use)
{
    return use->address;
}

const char *weir_server_use_name(const weir_server_use *use)
{
    return use->server->address;
}

void weir_server_use_worked(weir_server_use *use)
{
    if (weir__server_worked(use->server))
        weir_log(weir_logger_get("weir.upstream"), WEIR_LOG_INFO,
                 "upstream %s: server %s works again", use->upstream->name, use->server->address);
}

void weir_server_use_end(weir_server_use *use, weir_outcome outcome)
{
    if (!use)
        return;
    if (outcome == WEIR_OUTCOME_UPSTREAM_CONNECT_REFUSED &&
        weir__server_failed(use->server, weir_now().ns))
        weir_log(weir_logger_get("weir.upstream"), WEIR_LOG_WARNING,
                 "upstream %s: server %s failed: %s", use->upstream->name, use->server->address,
                 weir_outcome_name(outcome));
    HOST_COUNT(use->server->pools[use->loop].active, -1);
    HOST_COUNT(use->upstream->loops[use->loop].leases, -1);
    free(use);
}
