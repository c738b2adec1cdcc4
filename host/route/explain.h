/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which listener, route and upstream would serve a request, and why the others would not: what
 * `weir route`, `weirctl route` and the configuration's `tests:` say. Found by the index and the
 * matchers that serve requests; only the reasons are looked for apart.
 *
 *   request.c   a request in words
 *   explain.c   the listener that fits, its routes in order, what the action refers to
 *   answer.c    the same as JSON
 *   tests.c     `tests:`
 *   rehearse.c  an answer of weir's own, asked for over a connection
 */
#ifndef WEIR_HOST_ROUTE_EXPLAIN_H
#define WEIR_HOST_ROUTE_EXPLAIN_H

#include <jansson.h>

#include "host/generation/generation.h"

/* What is asked. */
struct route_question {
    const char *request; /* "GET https://example.com/a", or the URL alone */
    const char *from;    /* NULL: 127.0.0.1 */
    const char *fields;  /* lines "Name: value"; NULL: none */
};

struct route_request {
    char *words; /* with the method in front, as `subject_of` takes it */
    bool tls;
    char scheme[16], host[256]; /* without brackets */
    unsigned port;
};

/* Errors: EINVAL, in words. */
weir_error *weir__route_request_parse(const struct route_question *question,
                                      struct route_request *ret) WEIR_MUST_USE;
void weir__route_request_done(struct route_request *request);

enum listener_fit {
    LISTENER_FITS,
    LISTENER_MAY_FIT,    /* its port is not known before it runs: systemd:NAME, fd:3, 0 */
    LISTENER_OTHER_PORT, /* it does not listen there */
    LISTENER_NEEDS_TLS,
    LISTENER_IS_PLAIN,
    LISTENER_OTHER_PROTOCOL
};

struct explained_listener {
    const struct listener_config *said;
    const weir_listener *part;
    enum listener_fit fit;
    size_t address; /* the one that fits, of `bind` and then of `redirect_from` */
    bool redirects; /* it is one of redirect_from: no route is asked */
};

struct explained_route {
    const struct route_config *said;
    const weir_route *route;
    char *name;
    bool fits;
    /* The first key that does not: */
    const struct match_test *test;
    const char *key, *parameter; /* "header", "X-Version"; NULL */
    const void *field;           /* where it stands */
    const weir_array *texts;     /* what it takes */
    bool has_value;
    char *value; /* what the request has */
};

struct explanation {
    const struct generation *generation;
    struct route_request request;
    char *from;
    struct explained_listener *listeners;
    size_t n_listeners;
    const struct explained_listener *listener; /* NULL: none fits */
    struct explained_route *routes; /* of that listener, in the order in which they are tried */
    size_t n_routes;
    const struct explained_route *route;     /* NULL: none takes it */
    const struct config_reference *upstream; /* of its action; NULL: none */
    const struct upstream_config *servers;   /* of that upstream */
    struct explanation *handed_to;           /* the listener that the action hands it to */
    weir_subject *subject;
};

/* Errors: EINVAL it is no request, or none that the listener's protocol understands; WEIR_ENOMEM. */
weir_error *weir__route_explain(const struct generation *g, const struct route_question *question,
                                struct explanation **ret) WEIR_MUST_USE;
void weir__explanation_free(struct explanation *explanation);
/* The last explanation of those that hand over to each other. */
const struct explanation *weir__explanation_end(const struct explanation *explanation);
/* A route takes it, or the listener itself sends the client on to its other address. */
bool weir__explanation_is_served(const struct explanation *explanation);
/* The i-th address that a listener names: of `bind`, then of `redirect_from`; NULL past the last. */
const weir_option_address *weir__listener_said_at(const struct listener_config *said, size_t index);
/* "port 80 is not 443": why a listener does not fit. */
void weir__explain_listener(const struct explanation *explanation,
                            const struct explained_listener *listener, char *text, size_t size);
/* "path is /x, not /assets/ and what is below". Only of routes that do not fit. */
void weir__explain_route(const struct explained_route *route, char *text, size_t size);
/* {"listener": …, "route": …, "action": …, "upstream": …, "routes": […]}; a new reference. */
json_t *weir__explanation_json(const struct explanation *explanation);

/* Runs the generation's `tests`: each that fails is an error at its expectation. False: some did. The
 * calling thread must have no loop. */
bool weir__generation_test(struct generation *g);

/* What weir itself would answer, asked for over a connection to a listener made for that. */
struct rehearsal {
    int status;
    weir_buffer *fields; /* lines "Name: value" */
};

/* Errors: in words; it takes a loop of its own, which the thread must not have yet. */
weir_error *weir__rehearse(const struct explanation *explanation,
                           struct rehearsal *ret) WEIR_MUST_USE;

#endif
