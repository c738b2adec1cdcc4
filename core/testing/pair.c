/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transports and streams over connections in memory. They are made as an accepted or connected
 * socket's are, so nothing above the backend knows the difference.
 */
#include "config.h"

#include <unistd.h>

#include "core/net/server.h"
#include "core/net/stream.h"
#include "core/net/transport.h"
#include "core/testing/kit.h"

/* Takes the descriptor. */
static weir_error *transport_over(weir_test *test, int fd, const weir_protocol *protocol,
                                  const void *config, weir_transport **ret)
{
    struct transport_new options = {
        .fd = fd,
        .protocol = protocol,
        .config = config,
        .site = WEIR_HERE,
        .state = TRANSPORT_CONNECTING,
    };
    weir_error *error = weir__net_of(test->loop, &options.net);

    if (!error)
        error = weir__transport_new(&options, ret);
    if (error)
        close(fd);
    return error;
}

/* connection_made; its error comes back, and connection_lost follows. */
static weir_error *open_transport(weir_transport *t)
{
    weir__transport_open(t);
    if (t->status != TRANSPORT_OPEN && t->reason)
        return weir_error_share(t->reason);
    return NULL;
}

weir_error *weir_test_pair(weir_test *test, const weir_protocol *protocol_a, const void *config_a,
                           const weir_protocol *protocol_b, const void *config_b,
                           weir_transport **ret_a, weir_transport **ret_b)
{
    weir_transport *a = NULL, *b = NULL;
    weir_error *error;
    int ends[2];

    WEIR_TRY(weir__memory_pair(test->io, ends));
    error = transport_over(test, ends[0], protocol_a, config_a, &a);
    if (error) {
        close(ends[1]);
        return error;
    }
    error = transport_over(test, ends[1], protocol_b, config_b, &b);
    if (error) {
        weir_transport_abort(a, NULL);
        return error;
    }
    error = open_transport(a);
    if (!error)
        error = open_transport(b);
    else
        weir_transport_abort(b, NULL);
    if (error)
        return error;
    if (ret_a)
        *ret_a = a;
    if (ret_b)
        *ret_b = b;
    return NULL;
}

weir_error *weir_test_streams(weir_test *test, weir_stream **ret_a, weir_stream **ret_b)
{
    weir_transport *a = NULL, *b = NULL;

    WEIR_TRY(
        weir_test_pair(test, &weir__stream_protocol, NULL, &weir__stream_protocol, NULL, &a, &b));
    *ret_a = weir__stream_adopt(a);
    *ret_b = weir__stream_adopt(b);
    return NULL;
}

weir_error *weir_test_peer(weir_test *test, const weir_protocol *protocol, const void *config,
                           weir_stream **ret_peer)
{
    weir_transport *peer = NULL;

    WEIR_TRY(weir_test_pair(test, protocol, config, &weir__stream_protocol, NULL, NULL, &peer));
    *ret_peer = weir__stream_adopt(peer);
    return NULL;
}

weir_error *weir_test_connect(weir_test *test, weir_server *server, weir_stream **ret_peer)
{
    weir_transport *peer = NULL;
    int fd = -1;

    if (server->closed)
        return weir_raise(WEIR_ECLOSED, "server %s is closed", server->name);
    WEIR_TRY(weir__memory_connect(test->io, &server->file, &fd));
    WEIR_TRY(transport_over(test, fd, &weir__stream_protocol, NULL, &peer));
    WEIR_TRY(open_transport(peer));
    *ret_peer = weir__stream_adopt(peer);
    return NULL;
}

void weir_test_set_faults(weir_test *test, const weir_test_faults *faults)
{
    weir__faults_copy(&test->io->faults, faults);
}

static void set_file_faults(weir_test *test, struct io_file *user, const weir_test_faults *faults)
{
    struct kit_file *file;

    if (user->closed)
        return;
    file = weir__kit_file(test->io, user);
    weir__faults_copy(&file->faults, faults);
    file->refusals = file->faults.refuse;
    file->sends = file->receives = file->accepts = 0;
    file->sent = file->received = 0;
}

void weir_test_set_transport_faults(weir_test *test, weir_transport *transport,
                                    const weir_test_faults *faults)
{
    set_file_faults(test, &transport->file, faults);
}

void weir_test_set_server_faults(weir_test *test, weir_server *server,
                                 const weir_test_faults *faults)
{
    set_file_faults(test, &server->file, faults);
}

void weir_test_reset(weir_test *test, weir_transport *transport)
{
    struct kit_file *file;

    if (transport->file.closed)
        return;
    file = weir__kit_file(test->io, &transport->file);
    if (!file->end)
        return;
    test->io->counts.reset++;
    weir__memory_reset(file->end);
}

weir_test_fault_counts weir_test_faults_seen(const weir_test *test)
{
    weir_test_fault_counts counts = test->io->counts;

    counts.size = sizeof(counts);
    return counts;
}
