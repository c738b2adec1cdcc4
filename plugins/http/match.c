/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What routes can ask of a request: host, path, method, header, query. Each matcher compiles a text
 * of the configuration to a key, and extracts the same kind of value from a request.
 */
#include <stdlib.h>

#include <weir/config.h>

#include "plugins/http/http.h"

static const weir_http *request_of(const weir_subject *subject)
{
    return subject->message;
}

static weir_slice lower_copy(weir_config_context *context, weir_slice text)
{
    char *copy = weir_config_alloc(context, text.len + 1);
    const char *from = text.data;

    for (size_t i = 0; i < text.len; i++)
        copy[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] | 0x20) : from[i];
    return weir_slice_of(copy, text.len);
}

static bool refuse(weir_config_context *context, weir_slice text, const char *why, const char *help)
{
    weir_config_error(context, NULL, "`%.*s` %s", (int)text.len, (const char *)text.data, why);
    if (help)
        weir_config_help(context, "%s", help);
    return false;
}

static bool has_star(weir_slice text)
{
    return text.len && memchr(text.data, '*', text.len);
}

/* `example.com`, or `*.example.com` for every name below it. */
static bool compile_host(weir_config_context *context, weir_slice parameter, weir_slice text,
                         weir_match_key *ret_key, void **ret_compiled)
{
    weir_slice name = text, bare;
    int port;

    (void)parameter;
    (void)ret_compiled;
    ret_key->mode = WEIR_MATCH_EXACT;
    if (weir_slice_starts_with(text, WEIR_SLICE("*."))) {
        ret_key->mode = WEIR_MATCH_SUFFIX;
        name = weir_slice_skip(text, 2);
        text = weir_slice_skip(text, 1);
    }
    if (has_star(name))
        return refuse(context, text, "has a `*` where none can stand",
                      "`*` stands at the front: `*.example.com`");
    if (!weir_http_is_host(name))
        return refuse(context, text, "is not a host name", NULL);
    weir_http_host_split(name, &bare, &port);
    if (port >= 0)
        return refuse(context, text, "has a port; routes match the name alone",
                      "leave the port out");
    ret_key->key = lower_copy(context, text);
    return true;
}

static bool extract_host(const weir_subject *subject, weir_slice parameter, weir_slice *ret_value)
{
    weir_slice authority = weir_http_request_authority(request_of(subject));
    int port;

    (void)parameter;
    if (!authority.len)
        return false;
    weir_http_host_split(authority, ret_value, &port);
    return true;
}

const weir_matcher http_match_host = {
    WEIR_SIZED(weir_matcher),
    .name = "host",
    .protocol = "http",
    .modes = WEIR_MATCH_EXACT | WEIR_MATCH_SUFFIX,
    .rank = 30,
    .doc = "Host of the request, without port: example.com, *.example.com",
    .compile = compile_host,
    .extract = extract_host,
};

/* `/exact`, or `/below/` with a star at its end. */
static bool compile_path(weir_config_context *context, weir_slice parameter, weir_slice text,
                         weir_match_key *ret_key, void **ret_compiled)
{
    const char *chars = text.data;
    weir_slice normal;
    char *buffer;

    (void)parameter;
    (void)ret_compiled;
    ret_key->mode = WEIR_MATCH_EXACT;
    if (!text.len || chars[0] != '/')
        return refuse(context, text, "does not begin with `/`", NULL);
    if (chars[text.len - 1] == '*') {
        ret_key->mode = WEIR_MATCH_PREFIX;
        text.len--;
    }
    if (has_star(text))
        return refuse(context, text, "has a `*` where none can stand",
                      "`*` stands at the end: `/assets/*`");
    buffer = weir_config_alloc(context, text.len + 1);
    if (!weir_http_path_normalise(text, buffer, text.len + 1, &normal))
        return refuse(context, text, "is not a path", NULL);
    if (normal.data != (const void *)buffer)
        memcpy(buffer, normal.data, normal.len);
    ret_key->key = weir_slice_of(buffer, normal.len);
    return true;
}

static bool extract_path(const weir_subject *subject, weir_slice parameter, weir_slice *ret_value)
{
    (void)parameter;
    *ret_value = weir_http_request_path(request_of(subject));
    return ret_value->len > 0;
}

const weir_matcher http_match_path = {
    WEIR_SIZED(weir_matcher),
    .name = "path",
    .protocol = "http",
    .modes = WEIR_MATCH_EXACT | WEIR_MATCH_PREFIX,
    .rank = 20,
    .doc = "Path of the request, decoded and without dot segments: /exact, /below/*",
    .compile = compile_path,
    .extract = extract_path,
};

static bool compile_method(weir_config_context *context, weir_slice parameter, weir_slice text,
                           weir_match_key *ret_key, void **ret_compiled)
{
    (void)parameter;
    (void)ret_compiled;
    if (!weir_http_is_token(text))
        return refuse(context, text, "is not a method", NULL);
    ret_key->mode = WEIR_MATCH_EXACT;
    ret_key->key = weir_slice_of(weir_config_strdup(context, text.data), text.len);
    return true;
}

static bool extract_method(const weir_subject *subject, weir_slice parameter, weir_slice *ret_value)
{
    (void)parameter;
    *ret_value = weir_http_request_method(request_of(subject));
    return true;
}

const weir_matcher http_match_method = {
    WEIR_SIZED(weir_matcher),
    .name = "method",
    .protocol = "http",
    .modes = WEIR_MATCH_EXACT,
    .rank = 5,
    .doc = "Method of the request: GET",
    .compile = compile_method,
    .extract = extract_method,
};

/* A whole value, or the beginning of one with a star at its end. */
static bool compile_value(weir_config_context *context, weir_slice parameter, weir_slice text,
                          weir_match_key *ret_key, void **ret_compiled)
{
    char *copy;

    (void)parameter;
    (void)ret_compiled;
    ret_key->mode = WEIR_MATCH_EXACT;
    if (text.len && ((const char *)text.data)[text.len - 1] == '*') {
        ret_key->mode = WEIR_MATCH_PREFIX;
        text.len--;
    }
    copy = weir_config_alloc(context, text.len + 1);
    if (text.len)
        memcpy(copy, text.data, text.len);
    ret_key->key = weir_slice_of(copy, text.len);
    return true;
}

static bool compile_header(weir_config_context *context, weir_slice parameter, weir_slice text,
                           weir_match_key *ret_key, void **ret_compiled)
{
    if (!weir_http_is_token(parameter))
        return refuse(context, parameter, "is not the name of a header", NULL);
    return compile_value(context, parameter, text, ret_key, ret_compiled);
}

static bool extract_header(const weir_subject *subject, weir_slice parameter, weir_slice *ret_value)
{
    const weir_http_head *head = weir_http_request_head(request_of(subject));
    const weir_http_field *field = weir_http_head_find(head, parameter);

    if (!field)
        return false;
    *ret_value = weir_http_field_value(field);
    return true;
}

const weir_matcher http_match_header = {
    WEIR_SIZED(weir_matcher),
    .name = "header",
    .protocol = "http",
    .modes = WEIR_MATCH_EXACT | WEIR_MATCH_PREFIX,
    .rank = 1,
    .parameter = true,
    .doc = "Value of a header: { X-Version: v2 }, { User-Agent: curl/* }",
    .compile = compile_header,
    .extract = extract_header,
};

/* The raw value of the first `name=` of the query. */
static bool extract_query(const weir_subject *subject, weir_slice parameter, weir_slice *ret_value)
{
    weir_slice rest = weir_http_request_query(request_of(subject));

    while (rest.len) {
        const char *end = memchr(rest.data, '&', rest.len);
        weir_slice pair =
            weir_slice_of(rest.data, end ? (size_t)(end - (const char *)rest.data) : rest.len);

        if (weir_slice_starts_with(pair, parameter)) {
            weir_slice value = weir_slice_skip(pair, parameter.len);

            if (!value.len || *(const char *)value.data == '=') {
                *ret_value = weir_slice_skip(value, 1);
                return true;
            }
        }
        rest = weir_slice_skip(rest, pair.len + 1);
    }
    return false;
}

const weir_matcher http_match_query = {
    WEIR_SIZED(weir_matcher),
    .name = "query",
    .protocol = "http",
    .modes = WEIR_MATCH_EXACT | WEIR_MATCH_PREFIX,
    .rank = 1,
    .parameter = true,
    .doc = "Value of a parameter in the query, as written: { version: 2 }",
    .compile = compile_value,
    .extract = extract_query,
};
