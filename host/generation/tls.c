/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of listeners and upstreams: each certificate is read and judged by itself, so that what is wrong
 * with it is told at its place in the file; then the contexts are made, and watched.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include <weir/tls.h>

#include "host/generation/generation.h"
#include "host/generation/tls_watch.h"

#define MODERN   1
#define OPTIONAL 1

/* How to make a listener's context, now and when its files change. In the configuration's memory. */
struct listener_tls {
    weir_tls_options options;
    weir_tls_certificate certificates[];
};

static void report(struct generation *g, const void *field, weir_error *take_error)
{
    char text[600];

    weir_error_message(take_error, text, sizeof text);
    weir_error_unref(take_error);
    weir_config_error(g->config, field, "%s", text);
}

static const char *pem_text(const weir_pem *pem)
{
    return pem->text ? pem->text : pem->path;
}

static weir_tls_certificate certificate_of(const struct certificate_config *said)
{
    return (weir_tls_certificate){.certificate = pem_text(&said->certificate),
                                  .key = pem_text(&said->key),
                                  .password = said->password,
                                  .ocsp = said->ocsp};
}

/* Errors and warnings about one, at the key of the file that they are about. */
static void check_certificate(struct generation *g, const struct certificate_config *said)
{
    weir_tls_certificate certificate = certificate_of(said);
    weir_tls_certificate_info info;
    weir_error *error = weir_tls_certificate_check(&certificate, &info);
    const void *field = &said->certificate;
    char text[600];

    if (!error && *info.warning)
        weir_config_warning(g->config, field, "certificate `%s`: %s", said->name, info.warning);
    if (!error)
        return;
    weir_error_message(error, text, sizeof text);
    if (strstr(text, "private key"))
        field = &said->key;
    else if (strstr(text, "OCSP"))
        field = &said->ocsp;
    report(g, field, error);
}

static bool check_client_auth(struct generation *g, const struct listener_tls_config *said)
{
    if (said->client_auth && !said->client_ca)
        weir_config_error(g->config, &said->client_auth,
                          "`client_auth` needs `client_ca`: who signs certificates of clients");
    else if (said->client_ca && !said->client_auth)
        weir_config_error(g->config, &said->client_ca,
                          "`client_ca` does nothing while `client_auth` is off");
    else
        return true;
    return false;
}

static weir_error *make_server(const void *arg, weir_tls_context **ret)
{
    return weir_tls_server_context_new(&((const struct listener_tls *)arg)->options, ret);
}

static weir_error *make_client(const void *arg, weir_tls_context **ret)
{
    return weir_tls_client_context_new(arg, ret);
}

static struct listener_tls *listener_plan(struct generation *g,
                                          const struct listener_tls_config *said,
                                          weir_tls_tickets *tickets)
{
    const struct tls_config *top = &g->top->tls;
    struct certificate_config *const *certificates = said->certificates.items;
    size_t n = said->certificates.count, n_alpn = said->alpn.count;
    struct listener_tls *plan =
        weir_config_alloc(g->config, sizeof *plan + n * sizeof *plan->certificates);
    const char **alpn = weir_config_alloc(g->config, (n_alpn + 1) * sizeof *alpn);

    for (size_t i = 0; i < n; i++)
        plan->certificates[i] = certificate_of(certificates[i]);
    if (n_alpn)
        memcpy(alpn, said->alpn.items, n_alpn * sizeof *alpn);
    alpn[n_alpn] = NULL;
    plan->options = (weir_tls_options){
        WEIR_SIZED(weir_tls_options),
        .certificates = plan->certificates,
        .certificate_count = n,
        .profile = said->min_version == MODERN || top->profile == MODERN ? WEIR_TLS_MODERN
                                                                         : WEIR_TLS_INTERMEDIATE,
        .alpn = n_alpn ? alpn : NULL,
        .ca_file = said->client_ca,
        .verify_client = said->client_auth != 0,
        .verify_client_if_given = said->client_auth == OPTIONAL,
        .no_tickets = !top->session_tickets,
        .tickets = tickets,
    };
    return plan;
}

static void watch_listener(struct generation *g, weir_listener *listener,
                           const struct listener_config *said, const struct listener_tls *plan)
{
    struct certificate_config *const *certificates = said->tls->certificates.items;
    size_t n = said->tls->certificates.count, used = 0;
    const char **paths = weir_config_alloc(g->config, (3 * n + 1) * sizeof *paths);
    char what[200];
    weir_error *error;

    for (size_t i = 0; i < n; i++) {
        const struct certificate_config *c = certificates[i];

        paths[used++] = c->certificate.text ? NULL : c->certificate.path;
        paths[used++] = c->key.text ? NULL : c->key.path;
        paths[used++] = c->ocsp;
    }
    paths[used++] = said->tls->client_ca;
    snprintf(what, sizeof what, "listener `%s`", said->name);
    error = weir__tls_watch_add(g->host->tls, what, listener->tls, make_server, plan, paths, used);
    if (error)
        report(g, said->tls, error);
}

static void prepare_listener(struct generation *g, weir_listener *listener,
                             const struct listener_config *said, weir_tls_tickets *tickets)
{
    struct certificate_config *const *certificates = said->tls->certificates.items;
    const struct listener_tls *plan = listener_plan(g, said->tls, tickets);
    weir_error *error;

    if (!check_client_auth(g, said->tls))
        return;
    error = make_server(plan, &listener->tls);
    if (!error) {
        watch_listener(g, listener, said, plan);
        return;
    }
    /* Told already when it is about a certificate. */
    for (size_t i = 0; i < said->tls->certificates.count; i++) {
        weir_tls_certificate certificate = certificate_of(certificates[i]);
        weir_tls_certificate_info info;
        weir_error *own = weir_tls_certificate_check(&certificate, &info);

        if (own) {
            weir_ignore(own);
            weir_ignore(error);
            return;
        }
    }
    report(g, said->tls->client_ca ? (const void *)&said->tls->client_ca : said->tls, error);
}

static void prepare_upstream(struct generation *g, weir_upstream *upstream,
                             const struct upstream_config *said)
{
    weir_tls_options *options = weir_config_alloc(g->config, sizeof *options);
    const void *field = said->tls->ca ? (const void *)&said->tls->ca : said->tls;
    char what[200];
    weir_error *error;

    *options = (weir_tls_options){WEIR_SIZED(weir_tls_options), .ca_file = said->tls->ca,
                                  .no_verify = !said->tls->verify};
    error = make_client(options, &upstream->tls);
    snprintf(what, sizeof what, "upstream `%s`", said->name);
    if (!error && said->tls->ca)
        error = weir__tls_watch_add(g->host->tls, what, upstream->tls, make_client, options,
                                    &said->tls->ca, 1);
    if (error)
        report(g, field, error);
}

void weir__generation_prepare_tls(struct generation *g)
{
    weir_tls_tickets *tickets = NULL;
    weir_error *error = weir__tls_watch_new(&g->host->tls);

    if (!error)
        error = weir_tls_tickets_new(WEIR_NS(0), &tickets);
    if (error) {
        report(g, &g->top->tls, error);
        return;
    }
    g->host->tickets = tickets;
    WEIR_ARRAY_EACH(const struct certificate_config, said, g->top->tls.certificates)
    check_certificate(g, said);
    for (size_t i = 0; i < g->n_listeners; i++) {
        WEIR_ARRAY_EACH(const struct listener_config, said, g->top->listeners)
        if (said->tls && !strcmp(said->name, g->listeners[i]->name))
            prepare_listener(g, g->listeners[i], said, tickets);
    }
    for (size_t i = 0; i < g->n_upstreams; i++)
        if (g->upstream_configs[i]->tls && g->upstream_configs[i]->tls->enabled)
            prepare_upstream(g, g->upstreams[i], g->upstream_configs[i]);
}
