/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at the first bytes of a connection before it is routed (`inspect: [tls, ssh, echo]`).
 *
 * The inspectors of a listener are asked in order. The first that does not say no decides: when it
 * says yes the connection is known, when it wants more all wait for it. So what comes out depends on
 * the bytes alone, never on how they were cut on their way. Nothing is lost of what was looked at:
 * whoever gets the connection receives it again, but for what an inspector consumed.
 */
#ifndef WEIR_HOST_INSPECT_INSPECT_H
#define WEIR_HOST_INSPECT_INSPECT_H

#include <weir/listener.h>
#include <weir/plugin.h>

/* Replies and bytes consumed without a decision: so many at most. */
#define INSPECT_ROUNDS 4
/* What an inspector may ask for at most, whatever it says. */
#define INSPECT_LIMIT_MAX ((size_t)64 * 1024)

/* One of the list: an inspector, or a protocol that tells its own bytes. */
struct inspector_entry {
    const char *name;
    const weir_inspector *inspector;
    weir_verdict (*detect)(weir_slice first_bytes); /* when there is no inspector */
    size_t limit;
};

/* Of a listener; immutable, in the memory of its configuration. */
struct inspect_plan {
    const struct inspector_entry *entries;
    size_t n_entries;
    weir_duration timeout;
};

/* How it ended. */
enum inspect_end {
    INSPECT_MORE,    /* not yet */
    INSPECT_KNOWN,   /* one said yes */
    INSPECT_UNKNOWN, /* all said no */
    INSPECT_TIMEOUT, /* what was missing did not come in time */
    INSPECT_ENDED,   /* … or the client sends no more */
    INSPECT_FAILED,  /* an inspector went on and on, or could not answer the client */
};

#define INSPECT_FACTS ((size_t)WEIR_FACT_PROTOCOL + 1)

/* What is known of a connection. Belongs to its record. */
struct inspect_facts {
    char *texts[INSPECT_FACTS]; /* by weir_fact; NULL: unknown */
    char *preamble;             /* what to send to the server first, then what to expect of it */
    size_t send, expect;        /* bytes of each */
    enum inspect_end end;
};

void weir__facts_free(struct inspect_facts *facts);

/* An inspection without its connection. */
struct weir_inspection {
    const struct inspect_plan *plan;
    struct inspect_facts facts;
    weir_error *(*reply)(void *arg, weir_slice data);
    void *arg;
    /* Of the look under way: */
    size_t available, consumed;
    bool replied, failed;
    unsigned rounds;
};

/*
 * Looks at what has come and is not consumed. `final`: nothing more will come. `ret_consumed` is what to
 * drop from the front, whatever is decided. `reply` is called for answers to the client.
 */
enum inspect_end weir__inspection_look(weir_inspection *inspection, weir_slice bytes, bool final,
                                       size_t *ret_consumed);

/* connection.c: what a connection of a listener that inspects begins with. No configuration. */
extern const weir_protocol weir__inspect_protocol;
struct connection;
/* As for a connection that was just accepted, after inspection: the listener's protocol begins, and
 * receives `rest` first. Errors: as weir_transport_set_protocol(). */
weir_error *weir__connection_begin(struct connection *connection, weir_listener *listener,
                                   weir_slice rest) WEIR_MUST_USE;
/* Takes the facts, over those that were known already. Errors: WEIR_ENOMEM. */
weir_error *weir__connection_know(struct connection *connection,
                                  struct inspect_facts *facts) WEIR_MUST_USE;
/* The record of a connection that ends without having reached an action. */
void weir__connection_record(const struct connection *connection, weir_listener *listener,
                             weir_outcome outcome, const weir_error *reason);

/* Those that weir has itself; NULL-ended. */
extern const weir_inspector *const weir__inspectors[];
bool weir__inspector_is_own(const char *name);
extern const weir_inspector weir__inspect_tls, weir__inspect_ssh, weir__inspect_postgres;

#endif
