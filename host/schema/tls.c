/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said of TLS: for all, for a listener, for an upstream. */
#include "config.h"

#include <string.h>

#include "host/schema/schema.h"

static const char *const profiles[] = {"intermediate", "modern", "custom", NULL};
static const char *const client_auths[] = {"off", "optional", "required", NULL};
/* In the order of versions from TLS 1.2 on. */
static const char *const versions[] = {"1.2", "1.3", NULL};

/* What OpenSSL 3.0 has of them; those without an authentication, and of other times, are left out. */
const char *const weir__tls_ciphers[] = {
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES256-CCM",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "DHE-RSA-AES128-GCM-SHA256",
    "DHE-RSA-AES256-GCM-SHA384",
    "DHE-RSA-CHACHA20-POLY1305",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA256",
    "AES256-SHA256",
    "AES128-SHA",
    "AES256-SHA",
    NULL,
};

const char *const weir__tls_groups[] = {
    "X25519", "X448", "P-256", "P-384", "P-521", "ffdhe2048", "ffdhe3072", "ffdhe4096", NULL,
};

WEIR_OPTIONS(certificate_options,
             WEIR_OPTION_PEM(struct certificate_config, certificate, NULL,
                             "The chain, the certificate itself first: a path, or PEM text"),
             WEIR_OPTION_PEM(struct certificate_config, key, NULL, "Its private key",
                             .secret = true),
             WEIR_OPTION_STRING(struct certificate_config, password, NULL, "Of an encrypted key",
                                .optional = true, .secret = true),
             WEIR_OPTION_PATH(struct certificate_config, ocsp, NULL,
                              "An OCSP response (DER) to staple; read again when it changes",
                              .optional = true));

const weir_option *const weir__tls_options[] = {
    WEIR_OPTION_NAMED(struct tls_config, certificates, struct certificate_config, "certificate",
                      certificate_options, "Certificates, by name"),
    WEIR_OPTION_ENUM(struct tls_config, profile, profiles, "intermediate",
                     "What listeners accept: modern is TLS 1.3 only, intermediate 1.2 and 1.3; of "
                     "custom the next three keys say it, and where they do not it is intermediate"),
    WEIR_OPTION_LIST(struct tls_config, protocols, int,
                     WEIR_ELEMENT(WEIR_TYPE_ENUM, int, .words = versions), NULL,
                     "Versions, with `profile: custom`", .optional = true,
                     .example = "[\"1.2\", \"1.3\"]"),
    WEIR_OPTION_LIST(struct tls_config, ciphers, int,
                     WEIR_ELEMENT(WEIR_TYPE_ENUM, int, .words = weir__tls_ciphers), NULL,
                     "Ciphers of both versions, with `profile: custom`; the first that the client "
                     "has too is taken",
                     .optional = true,
                     .example = "[TLS_AES_128_GCM_SHA256, ECDHE-ECDSA-AES128-GCM-SHA256]"),
    WEIR_OPTION_LIST(struct tls_config, groups, int,
                     WEIR_ELEMENT(WEIR_TYPE_ENUM, int, .words = weir__tls_groups), NULL,
                     "Groups for the key exchange, with `profile: custom`", .optional = true,
                     .example = "[X25519, P-256]"),
    WEIR_OPTION_BOOL(struct tls_config, session_tickets, "true",
                     "Resumption by tickets, whose keys all listeners share and that "
                     "change by themselves"),
    WEIR_OPTION_PATH(struct tls_config, key_log, NULL,
                     "For debugging: secrets of every session are appended to this file, for "
                     "Wireshark; whoever reads it reads the traffic",
                     .optional = true),
    NULL,
};

const weir_option *const weir__listener_tls_options[] = {
    WEIR_OPTION_LIST(
        struct listener_tls_config, certificates, struct certificate_config *,
        WEIR_ELEMENT(WEIR_TYPE_REF, struct certificate_config *, .kind = "certificate"), NULL,
        "Names of tls.certificates; the first is the default", .required = true,
        .example = "[site]"),
    WEIR_OPTION_ENUM(struct listener_tls_config, min_version, versions, "1.2",
                     "Oldest version accepted"),
    WEIR_OPTION_LIST(struct listener_tls_config, alpn, const char *,
                     WEIR_ELEMENT(WEIR_TYPE_STRING, const char *), NULL,
                     "Protocols to agree on, by preference", .optional = true,
                     .example = "[http/1.1]"),
    WEIR_OPTION_PATH(struct listener_tls_config, client_ca, NULL,
                     "Who signs certificates of clients", .optional = true),
    WEIR_OPTION_ENUM(struct listener_tls_config, client_auth, client_auths, "off",
                     "Whether clients need a certificate that client_ca signed"),
    WEIR_OPTION_INT(struct listener_tls_config, max_handshakes, "0",
                    "Each loop accepts no more while so many handshakes are under way on an "
                    "address of this listener; 0: no limit",
                    .min = 0, .max = 1000000),
    WEIR_OPTION_INT(struct listener_tls_config, max_handshakes_per_address, "0",
                    "Each loop refuses a client's connection while so many handshakes of its "
                    "address (IPv6: its /64) are under way; 0: no limit",
                    .min = 0, .max = 1000000),
    NULL,
};

const weir_option *const weir__upstream_tls_options[] = {
    WEIR_OPTION_BOOL(struct upstream_tls_config, enabled, "true", "Speak TLS to the servers",
                     .primary = true),
    WEIR_OPTION_PATH(struct upstream_tls_config, ca, NULL,
                     "Authorities to verify with; the system's when not set", .optional = true),
    WEIR_OPTION_STRING(struct upstream_tls_config, server_name, NULL,
                       "Name to ask for and verify; the server's host when not set",
                       .optional = true),
    WEIR_OPTION_BOOL(struct upstream_tls_config, verify, "true",
                     "Refuse servers whose certificate does not verify"),
    WEIR_OPTION_REF(struct upstream_tls_config, certificate, "certificate", NULL,
                    "A name of tls.certificates: what weir shows to servers that want to know who "
                    "it is",
                    .optional = true),
    WEIR_OPTION_LIST(struct upstream_tls_config, alpn, const char *,
                     WEIR_ELEMENT(WEIR_TYPE_STRING, const char *), NULL,
                     "Protocols to offer, by preference; none is offered when not set",
                     .optional = true, .example = "[http/1.1]"),
    NULL,
};

static void only_custom(weir_config_context *context, const weir_array *list, const char *key)
{
    if (!list->count)
        return;
    weir_config_error(context, list, "`%s` is for `profile: custom`", key);
    weir_config_help(context, "write `profile: custom` too, or leave `%s` out", key);
}

void weir__tls_check(weir_config_context *context, const struct tls_config *tls)
{
    if (tls->profile == TLS_PROFILE_CUSTOM)
        return;
    only_custom(context, &tls->protocols, "protocols");
    only_custom(context, &tls->ciphers, "ciphers");
    only_custom(context, &tls->groups, "groups");
}
