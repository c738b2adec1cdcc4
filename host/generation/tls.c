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

#define MIN_1_3  1
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

/* Then check_certificate() has told. */
static bool is_bad(const struct certificate_config *said)
{
    weir_tls_certificate certificate = certificate_of(said);
    weir_tls_certificate_info info;
    weir_error *error = weir_tls_certificate_check(&certificate, &info);
    bool bad = error != NULL;

    weir_ignore(error);
    return bad;
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

static bool is_of_1_3(const char *cipher)
{
    return strncmp(cipher, "TLS_", 4) == 0;
}

static bool is_of_1_2(const char *cipher)
{
    return !is_of_1_3(cipher);
}

/* "A:B" of the chosen words that are wanted, each once; NULL: there are none. */
static const char *word_list(struct generation *g, const weir_array *chosen,
                             const char *const *words, bool (*wanted)(const char *word))
{
    uint64_t seen = 0;
    char text[2000];
    size_t used = 0;

    WEIR_ARRAY_EACH(const int, index, *chosen)
    {
        if (seen >> *index & 1 || (wanted && !wanted(words[*index])))
            continue;
        seen |= (uint64_t)1 << *index;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? ":" : "",
                                 words[*index]);
    }
    return used ? weir_config_strdup(g->config, text) : NULL;
}

static void add_custom(struct generation *g, weir_tls_options *into)
{
    static const weir_tls_version versions[] = {WEIR_TLS_1_2, WEIR_TLS_1_3};
    const struct tls_config *said = &g->top->tls;

    into->profile = WEIR_TLS_CUSTOM;
    into->ciphersuites = word_list(g, &said->ciphers, weir__tls_ciphers, is_of_1_3);
    into->ciphers = word_list(g, &said->ciphers, weir__tls_ciphers, is_of_1_2);
    into->groups = word_list(g, &said->groups, weir__tls_groups, NULL);
    into->min_version = said->protocols.count ? WEIR_TLS_1_3 : WEIR_TLS_1_2;
    WEIR_ARRAY_EACH(const int, index, said->protocols)
    {
        if (versions[*index] < into->min_version)
            into->min_version = versions[*index];
        if (versions[*index] > into->max_version)
            into->max_version = versions[*index];
    }
}

/* NULL-ended; NULL: there are none. */
static const char *const *alpn_of(struct generation *g, const weir_array *said)
{
    const char **list = weir_config_alloc(g->config, (said->count + 1) * sizeof *list);

    if (!said->count)
        return NULL;
    memcpy(list, said->items, said->count * sizeof *list);
    list[said->count] = NULL;
    return list;
}

static struct listener_tls *listener_plan(struct generation *g,
                                          const struct listener_tls_config *said,
                                          weir_tls_tickets *tickets)
{
    const struct tls_config *top = &g->top->tls;
    struct certificate_config *const *certificates = said->certificates.items;
    size_t n = said->certificates.count;
    struct listener_tls *plan =
        weir_config_alloc(g->config, sizeof *plan + n * sizeof *plan->certificates);
    bool only_1_3 = said->min_version == MIN_1_3;

    for (size_t i = 0; i < n; i++)
        plan->certificates[i] = certificate_of(certificates[i]);
    plan->options = (weir_tls_options){
        WEIR_SIZED(weir_tls_options),
        .certificates = plan->certificates,
        .certificate_count = n,
        .profile = top->profile == TLS_PROFILE_MODERN || only_1_3 ? WEIR_TLS_MODERN
                                                                  : WEIR_TLS_INTERMEDIATE,
        .alpn = alpn_of(g, &said->alpn),
        .ca_file = said->client_ca,
        .verify_client = said->client_auth != 0,
        .verify_client_if_given = said->client_auth == OPTIONAL,
        .no_tickets = !top->session_tickets,
        .tickets = tickets,
        .key_log = top->key_log,
    };
    if (top->profile == TLS_PROFILE_CUSTOM)
        add_custom(g, &plan->options);
    if (only_1_3)
        plan->options.min_version = WEIR_TLS_1_3;
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
    error = weir__tls_watch_add(g->host->tls,
                                &(struct tls_watch_entry){.what = what,
                                                          .context = listener->tls,
                                                          .config = g->config,
                                                          .make = make_server,
                                                          .arg = plan,
                                                          .paths = paths,
                                                          .n_paths = used},
                                &listener->tls_watched);
    if (error)
        report(g, said->tls, error);
}

static void prepare_listener(struct generation *g, weir_listener *listener,
                             const struct listener_config *said, weir_tls_tickets *tickets)
{
    struct certificate_config *const *certificates = said->tls->certificates.items;
    const struct listener_tls *plan = listener_plan(g, said->tls, tickets);
    struct tls_plan shared;
    weir_error *error;

    listener->max_handshakes = said->tls->max_handshakes;
    listener->max_handshakes_per_address = said->tls->max_handshakes_per_address;
    if (!check_client_auth(g, said->tls))
        return;
    if (plan->options.max_version && plan->options.max_version < plan->options.min_version) {
        weir_config_error(g->config, &said->tls->min_version,
                          "`min_version` and `tls.protocols` have no version in common");
        return;
    }
    weir__tls_part_begin(&shared, g, "listeners", said->name, listener->part);
    listener->tls = weir__tls_part_take(g, &shared);
    if (listener->tls)
        return;
    error = make_server(plan, &listener->tls);
    (void)weir_tls_kernel(NULL); /* says so in the log, the first time */
    if (!error) {
        watch_listener(g, listener, said, plan);
        error = weir__tls_part_keep(g, &shared, listener->tls, &listener->tls_watched);
        if (error)
            report(g, said->tls, error);
        return;
    }
    for (size_t i = 0; i < said->tls->certificates.count; i++) {
        if (is_bad(certificates[i])) {
            weir_ignore(error);
            return;
        }
    }
    report(g, said->tls->client_ca ? (const void *)&said->tls->client_ca : said->tls, error);
}

static void watch_upstream(struct generation *g, weir_upstream *upstream,
                           const struct upstream_config *said, const weir_tls_options *options)
{
    const struct certificate_config *c = said->tls->certificate;
    const char *paths[] = {said->tls->ca, c && !c->certificate.text ? c->certificate.path : NULL,
                           c && !c->key.text ? c->key.path : NULL};
    char what[200];
    weir_error *error;

    if (!said->tls->ca && !c)
        return;
    snprintf(what, sizeof what, "upstream `%s`", said->name);
    error = weir__tls_watch_add(g->host->tls,
                                &(struct tls_watch_entry){.what = what,
                                                          .context = upstream->tls,
                                                          .config = g->config,
                                                          .make = make_client,
                                                          .arg = options,
                                                          .paths = paths,
                                                          .n_paths = sizeof paths / sizeof *paths},
                                &upstream->tls_watched);
    if (error)
        report(g, said->tls, error);
}

static void prepare_upstream(struct generation *g, weir_upstream *upstream,
                             const struct upstream_config *said)
{
    weir_tls_options *options = weir_config_alloc(g->config, sizeof *options);
    weir_tls_certificate *certificate = weir_config_alloc(g->config, sizeof *certificate);
    struct tls_plan shared;
    weir_error *error;

    weir__tls_part_begin(&shared, g, "upstreams", said->name, upstream->part);
    upstream->security = shared.content.a | 1;
    upstream->tls = weir__tls_part_take(g, &shared);
    if (upstream->tls)
        return;

    *options = (weir_tls_options){
        WEIR_SIZED(weir_tls_options), .ca_file = said->tls->ca, .no_verify = !said->tls->verify,
        .alpn = alpn_of(g, &said->tls->alpn), .key_log = g->top->tls.key_log};
    if (said->tls->certificate) {
        *certificate = certificate_of(said->tls->certificate);
        options->certificates = certificate;
        options->certificate_count = 1;
    }
    error = make_client(options, &upstream->tls);
    if (!error) {
        watch_upstream(g, upstream, said, options);
        error = weir__tls_part_keep(g, &shared, upstream->tls, &upstream->tls_watched);
    }
    if (!error)
        return;
    if (said->tls->certificate && is_bad(said->tls->certificate))
        weir_ignore(error);
    else
        report(g, said->tls->ca ? (const void *)&said->tls->ca : said->tls, error);
}

static weir_error *begin(weir_host *host)
{
    WEIR_TRY(weir__tls_watch_new(&host->tls));
    /* Durable: sessions outlive the configuration that they began with. */
    return host->tickets ? NULL : weir_tls_tickets_new(WEIR_NS(0), &host->tickets);
}

void weir__generation_prepare_tls(struct generation *g)
{
    weir_error *error = begin(g->host);

    if (error) {
        report(g, &g->top->tls, error);
        return;
    }
    if (g->top->tls.key_log)
        weir_config_warning(g->config, &g->top->tls.key_log,
                            "secrets of all sessions are written to %s: whoever reads it reads "
                            "the traffic",
                            g->top->tls.key_log);
    WEIR_ARRAY_EACH(const struct certificate_config, said, g->top->tls.certificates)
    check_certificate(g, said);
    for (size_t i = 0; i < g->n_listeners; i++) {
        WEIR_ARRAY_EACH(const struct listener_config, said, g->top->listeners)
        if (said->tls && !strcmp(said->name, g->listeners[i]->name) &&
            weir__generation_made(g, g->listeners[i]->part))
            prepare_listener(g, g->listeners[i], said, g->host->tickets);
    }
    for (size_t i = 0; i < g->n_upstreams; i++)
        if (g->upstream_configs[i]->tls && g->upstream_configs[i]->tls->enabled &&
            weir__generation_made(g, g->upstreams[i]->part))
            prepare_upstream(g, g->upstreams[i], g->upstream_configs[i]);
}
