/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matchers `sni`, `alpn` and `protocol`: what inspection found out, or TLS agreed on. They are
 * host/'s own, for every protocol. Names are matched as those of certificates are: `*.example.com`
 * stands for one label in place of the `*`, and for no more.
 */
#include "config.h"

#include <string.h>

#include <weir/config.h>

#include "host/inspect/client_hello.h"
#include "host/route/routes.h"

static bool refuse(weir_config_context *context, weir_slice text, const char *what,
                   const char *help)
{
    weir_config_error(context, NULL, "`%.*s` %s", (int)text.len, (const char *)text.data, what);
    if (help)
        weir_config_help(context, "%s", help);
    return false;
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

static weir_slice lower_copy(weir_config_context *context, weir_slice text)
{
    char *copy = weir_config_alloc(context, text.len + 1);

    for (size_t i = 0; i < text.len; i++) {
        char c = ((const char *)text.data)[i];

        copy[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    return weir_slice_of(copy, text.len);
}

/* sni */

static bool is_server_name(weir_slice name)
{
    const char *bytes = name.data;

    if (!name.len || name.len > 253 || *bytes == '.' || bytes[name.len - 1] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_byte(bytes[i]) || (i && bytes[i] == '.' && bytes[i - 1] == '.'))
            return false;
    return true;
}

static bool compile_sni(weir_config_context *context, weir_slice parameter, weir_slice text,
                        weir_match_key *ret_key, void **ret_compiled)
{
    weir_slice name = lower_copy(context, text);
    bool wild = weir_slice_starts_with(name, WEIR_SLICE("*."));

    (void)parameter;
    if (weir_slice_equal(text, WEIR_SLICE("*")))
        return refuse(context, text, "stands for any name", "leave `sni` out");
    if (memchr((const char *)name.data + wild, '*', name.len - wild))
        return refuse(context, text, "has a `*` where none can stand",
                      "`*` stands for the first label: `*.example.com`");
    if (!is_server_name(weir_slice_skip(name, wild ? 2 : 0)))
        return refuse(context, text, "is no server name", NULL);
    ret_key->mode = WEIR_MATCH_EXACT;
    ret_key->key = name;
    if (wild) {
        weir_slice *kept = weir_config_alloc(context, sizeof *kept);

        *kept = weir_slice_skip(name, 1); /* ".example.com" */
        ret_key->mode = WEIR_MATCH_TEST;
        *ret_compiled = kept;
    }
    return true;
}

/* TLS gives names as the client wrote them. */
static bool extract_sni(const weir_subject *subject, weir_slice parameter, weir_slice *ret)
{
    static __thread char lower[256];
    weir_slice name = subject->sni;

    (void)parameter;
    if (!name.len || name.len > sizeof lower)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = ((const char *)name.data)[i];

        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    if (name.len > 1 && lower[name.len - 1] == '.')
        name.len--;
    *ret = weir_slice_of(lower, name.len);
    return true;
}

static bool test_sni(const weir_subject *subject, weir_slice parameter, const void *compiled)
{
    const weir_slice *behind = compiled;
    weir_slice name;
    const char *dot;

    if (!extract_sni(subject, parameter, &name))
        return false;
    dot = memchr(name.data, '.', name.len);
    return dot && dot > (const char *)name.data &&
           weir_slice_equal(weir_slice_skip(name, (size_t)(dot - (const char *)name.data)),
                            *behind);
}

const weir_matcher weir__sni_matcher = {
    WEIR_SIZED(weir_matcher),
    .name = "sni",
    .modes = WEIR_MATCH_EXACT | WEIR_MATCH_TEST,
    .rank = 15,
    .doc = "The server name that a TLS client asks for: example.com, *.example.com",
    .compile = compile_sni,
    .extract = extract_sni,
    .test = test_sni,
};

/* alpn */

static bool compile_alpn(weir_config_context *context, weir_slice parameter, weir_slice text,
                         weir_match_key *ret_key, void **ret_compiled)
{
    weir_slice *kept = weir_config_alloc(context, sizeof *kept);

    (void)parameter;
    if (!text.len || text.len > 255 || memchr(text.data, ',', text.len) ||
        memchr(text.data, ' ', text.len))
        return refuse(context, text, "is no name of a protocol", "such as h2 or http/1.1");
    *kept = weir_slice_of(weir_config_strdup(context, text.data), text.len);
    ret_key->mode = WEIR_MATCH_TEST;
    *ret_compiled = kept;
    return true;
}

static bool test_alpn(const weir_subject *subject, weir_slice parameter, const void *compiled)
{
    (void)parameter;
    return weir__alpn_has(subject->alpn, *(const weir_slice *)compiled);
}

const weir_matcher weir__alpn_matcher = {
    WEIR_SIZED(weir_matcher),
    .name = "alpn",
    .modes = WEIR_MATCH_TEST,
    .rank = 4,
    .doc = "A protocol that a TLS client offers, or, where TLS ends here, the one agreed on: h2",
    .compile = compile_alpn,
    .test = test_alpn,
};

/* protocol */

static bool compile_protocol(weir_config_context *context, weir_slice parameter, weir_slice text,
                             weir_match_key *ret_key, void **ret_compiled)
{
    (void)parameter;
    (void)ret_compiled;
    if (!text.len)
        return refuse(context, text, "is no protocol", NULL);
    ret_key->mode = WEIR_MATCH_EXACT;
    ret_key->key = lower_copy(context, text);
    return true;
}

static bool extract_protocol(const weir_subject *subject, weir_slice parameter, weir_slice *ret)
{
    (void)parameter;
    *ret = subject->protocol;
    return subject->protocol.len != 0;
}

const weir_matcher weir__protocol_matcher = {
    WEIR_SIZED(weir_matcher),
    .name = "protocol",
    .modes = WEIR_MATCH_EXACT,
    .rank = 12,
    .doc = "What `inspect` found: tls, ssh, postgres, or the name of a protocol",
    .compile = compile_protocol,
    .extract = extract_protocol,
};
