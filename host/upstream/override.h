/* SPDX-License-Identifier: Apache-2.0 */
/* Runtime overrides of servers: said by operators, kept through reloads. Control loop. */
#ifndef WEIR_HOST_UPSTREAM_OVERRIDE_H
#define WEIR_HOST_UPSTREAM_OVERRIDE_H

#include "host/upstream/upstream.h"

/* Who said it, and when. */
struct override_note {
    char by[64];
    weir_instant since;
};

/* What is known of a server's overrides beside the numbers in the server. */
struct server_said {
    struct hlist link;
    struct server *server;
    uint32_t configured; /* the weight in the file when it was said */
    unsigned epoch;
    struct override_note state, weight;
};

struct overrides {
    struct hlist said;
    unsigned epoch;
};

void weir__overrides_init(struct overrides *overrides);
/* Who said what is forgotten; what was said stays. */
void weir__overrides_free(struct overrides *overrides);
/* These upstreams are in force now: overrides of servers that left the file, or whose settings there
 * have changed, end. */
void weir__overrides_follow(struct overrides *overrides, weir_upstream *const *upstreams, size_t n);

/* SERVER_NO_OVERRIDE ends the others. */
weir_error *weir__override_state(struct overrides *overrides, const weir_upstream *upstream,
                                 size_t index, enum server_override state,
                                 const char *by) WEIR_MUST_USE;
/* The weight of the file ends an override. */
weir_error *weir__override_weight(struct overrides *overrides, const weir_upstream *upstream,
                                  size_t index, uint32_t weight, const char *by) WEIR_MUST_USE;
/* As the file says. */
void weir__override_reset(struct server *server);

#endif
