/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Active health checks: who is asked when, and what follows.
 *
 *   waiting ──timer──▶ due ──a place is free──▶ probe under way ──▶ counted ──▶ waiting
 *                                                                   │ rise or fall in a row:
 *                                                                   └─▶ the server changes sides
 *
 * All of it lives on the control loop. What it finds is published in the durable server (checked_down),
 * which traffic loops read; checks belong to servers and outlive configurations as these do.
 */
#ifndef WEIR_HOST_HEALTH_HEALTH_H
#define WEIR_HOST_HEALTH_HEALTH_H

#include <weir/health.h>

#include "host/upstream/override.h"
#include "host/upstream/upstream.h"

/* Probes under way at a time; those that come later wait for a place. */
#define HEALTH_MAX_PROBES 1024

/* How an upstream's servers are checked: a part of its definition. */
struct health_spec {
    const weir_health_check *way;
    const void *config; /* lives as long as the upstream */
    weir_duration interval, timeout;
    unsigned rise, fall;
    unsigned port; /* 0: the server's */
    int proxy;     /* weir_proxy_version of the header that a probe begins with; 0: none */
};

struct health;

struct check {
    struct hlist link; /* in health->checks */
    struct hlist due;  /* in health->due while it waits for a place */
    struct health *health;
    struct server *server;
    weir_upstream *upstream; /* a reference: whose spec holds */
    unsigned epoch;          /* of the last weir__health_set() that had the server */
    unsigned passed, failed; /* in a row */
    weir_timer timer;        /* until the next probe; its limit while one is under way */
    weir_probe *probe;
    char last[200]; /* "GET /healthz → 200"; "" before the first answer */
    weir_duration took;
    bool last_passed;
};

struct health {
    weir_loop *loop;
    struct hlist checks, due;
    unsigned epoch, n_probes;
    bool starting;
    size_t n_checks;
    uint64_t random;
    struct overrides overrides; /* of servers: they follow configurations as checks do */
};

weir_error *weir__health_new(weir_loop *control, struct health **ret) WEIR_MUST_USE;
/**
 * These upstreams are in force now. Checks of servers that stay go on as they are, by the newest
 * definition; those of new servers begin, spread over a second; those of servers that left end, and
 * what they found is forgotten. So with overrides: they hold while the server's settings stay.
 */
weir_error *weir__health_set(struct health *health, weir_upstream *const *upstreams,
                             size_t n) WEIR_MUST_USE;
/* Ends every check; what they found stays. NULL: nothing. */
void weir__health_free(struct health *health);
/* The server is taken as well from now on, and asked soon. */
void weir__health_forgive(struct server *server);

/* probe.c */
/* The built-in check: a connection, with TLS where the upstream has it. */
extern const weir_health_check weir__health_tcp;

void weir__probe_start(struct check *check);
/* Gives up what is under way, without an outcome. */
void weir__probe_cancel(weir_probe *probe);
/* Its time is up. */
void weir__probe_expired(weir_probe *probe);
/* health.c: a probe has ended. */
void weir__health_count(struct check *check, bool passed, const char *text, weir_duration took);

#endif
