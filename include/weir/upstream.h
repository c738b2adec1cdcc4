/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Upstreams: groups of servers, and leases of connections to them.
 *
 * A lease borrows a connection: an idle one of this loop's pool, or a fresh one to the server that
 * balancing picks. The pool keeps the protocol and its state on the connection between leases.
 *
 * Example:
 *
 *     // One request over a connection to some server of the group.
 *     static weir_error *ask(weir_upstream *upstream)
 *     {
 *         weir_lease *lease;
 *         weir_error *error;
 *
 *         WEIR_TRY(weir_lease_take(upstream, NULL, &lease));
 *         error = weir_transport_write(weir_lease_transport(lease), WEIR_SLICE("ping\n"));
 *         weir_lease_release(lease, error ? WEIR_OUTCOME_UPSTREAM_RESET : WEIR_OUTCOME_OK, !error);
 *         return error;
 *     }
 */
#ifndef WEIR_UPSTREAM_H
#define WEIR_UPSTREAM_H

#include <weir/outcome.h>
#include <weir/transport.h>

WEIR_BEGIN_DECLS

/** A group of servers. An option of type REF and kind "upstream" stores a pointer to one. */
typedef struct weir_upstream weir_upstream;
typedef struct weir_lease weir_lease;

/** What speaks on connections to servers. Static. */
typedef struct weir_upstream_protocol {
    size_t size;
    const char *name;
    const weir_protocol *protocol;
    const char *alpn; /**< what it asks for and answers to; NULL: none */
    /** How many more uses the connection bears now; NULL: one at a time. */
    unsigned (*capacity)(weir_transport *transport, void *state);
    /** What its users give as `balance_key` on demand (`hash_key`), beside client_ip: "path"; with a
     *  colon at the end it takes a name, "header:". NULL-ended; NULL: nothing. */
    const char *const *hash_keys;
} weir_upstream_protocol;

/** What balancing looks at. */
typedef struct weir_hash_key {
    const char *source; /**< "client_ip", "path", "header:" */
    const char *name;   /**< after the colon; NULL: none */
} weir_hash_key;

typedef struct weir_lease_options {
    size_t size;
    const weir_upstream_protocol *protocol;
    const void *config;     /**< of the protocol; must live as long as the connection */
    bool fresh;             /**< never an idle connection of the pool */
    weir_slice balance_key; /**< for hashing balancers; borrowed for the call */
} weir_lease_options;

/**
 * Asks for a connection. `done(lease, error, arg)` comes exactly once, never inside this call;
 * with an error the lease is still to be released (or retried). The connection comes with reading
 * paused; `done` owns the error: WEIR_ENOSERVER, WEIR_EDNS, WEIR_ETIMEDOUT, errno of connect, WEIR_ETLS.
 * A connection that could not be made was tried on other servers before, while `retries` lasted.
 */
WEIR_PUBLIC weir_error *weir_lease_start(weir_upstream *upstream, const weir_lease_options *options,
                                         void (*done)(weir_lease *lease, weir_error *take_error,
                                                      void *arg),
                                         void *arg, weir_lease **ret) WEIR_MUST_USE;
/**
 * The quick way: leases an idle connection of this loop's pool at once, without waiting for `done`.
 * False: the pool has none for the server whose turn it is; ask with weir_lease_start(). `done` is
 * kept for a retry. Steady traffic so costs no turn of the loop.
 */
WEIR_PUBLIC bool weir_lease_try(weir_upstream *upstream, const weir_lease_options *options,
                                void (*done)(weir_lease *lease, weir_error *take_error, void *arg),
                                void *arg, weir_lease **ret) WEIR_MUST_USE;
/** As start, suspending the task. */
WEIR_PUBLIC weir_error *weir_lease_take(weir_upstream *upstream, const weir_lease_options *options,
                                        weir_lease **ret) WEIR_MUST_USE;
/**
 * Gives the present connection up (aborts it) and asks for another: on a fresh connection when a
 * pooled one turned out to be dead (once, and not counted), else on another server. `done` of start
 * comes again; a lease that was taken suspends here. After an error the lease has no connection, and is still to be released.
 * Errors: WEIR_ELIMIT no retry is left; WEIR_ENOSERVER.
 */
WEIR_PUBLIC weir_error *weir_lease_retry(weir_lease *lease, weir_outcome why) WEIR_MUST_USE;
/** Gives the connection back (`reusable`: to the pool, in a state to be used again; else it is
 *  aborted) and frees the lease. Legal in any state; `done` is not called any more. */
WEIR_PUBLIC void weir_lease_release(weir_lease *lease, weir_outcome outcome, bool reusable);

/** Borrowed until release or retry; NULL before `done`. */
WEIR_PUBLIC weir_transport *weir_lease_transport(weir_lease *lease);
/** The protocol's state on the connection. */
WEIR_PUBLIC void *weir_lease_state(weir_lease *lease);
/** Whether the connection came from the pool. */
WEIR_PUBLIC bool weir_lease_reused(const weir_lease *lease);
/** "10.0.0.11:8080"; NULL before a server was picked. */
WEIR_PUBLIC const char *weir_lease_server(const weir_lease *lease);
WEIR_PUBLIC unsigned weir_lease_retries(const weir_lease *lease);

/**
 * The use of a server for what is no connection that weir keeps, as datagrams of one client: chosen as
 * for a lease, counted as one while it lasts.
 */
typedef struct weir_server_use weir_server_use;
/** Chooses at once; waits for no look-up. On the thread of a traffic loop. `balance_key` may be empty.
 *  Errors: WEIR_ENOSERVER none is to be had, WEIR_EDNS its name is not known (yet); WEIR_ETHREAD,
 *  WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_upstream_use(weir_upstream *upstream, weir_slice balance_key,
                                          weir_server_use **ret) WEIR_MUST_USE;
/** "10.0.0.11:53": where to send. Borrowed until the end. */
WEIR_PUBLIC const char *weir_server_use_address(const weir_server_use *use);
/** As the configuration names it; as weir_lease_server(). */
WEIR_PUBLIC const char *weir_server_use_name(const weir_server_use *use);
/** It answers. */
WEIR_PUBLIC void weir_server_use_worked(weir_server_use *use);
/** Ends it; NULL is allowed. `outcome` says how it went: upstream.connect.refused passes the server over
 *  for a while, as it does for connections. */
WEIR_PUBLIC void weir_server_use_end(weir_server_use *use, weir_outcome outcome);

/** The other way round: tells the pool that a connection it keeps is not to be leased again, as when
 *  bytes arrive that nobody asked for. A connection that is lost leaves the pool by itself. */
WEIR_PUBLIC void weir_upstream_discard(weir_transport *transport);

/** Its name, and how long the head of a response may take. */
WEIR_PUBLIC const char *weir_upstream_name(const weir_upstream *upstream);
WEIR_PUBLIC weir_duration weir_upstream_response_timeout(const weir_upstream *upstream);
/** The `upstream_options` of a protocol, filled; NULL when it has none. */
WEIR_PUBLIC const void *weir_upstream_config(const weir_upstream *upstream,
                                             const weir_protocol *protocol);
/** What users of this upstream give as `balance_key`; NULL: its balancer asks for nothing. Leases without
 *  a key are balanced in turn. */
WEIR_PUBLIC const weir_hash_key *weir_upstream_hash_key(const weir_upstream *upstream);
/** Whether the servers are spoken to with TLS. */
WEIR_PUBLIC bool weir_upstream_tls(const weir_upstream *upstream);

WEIR_END_DECLS

#endif
