/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The actions `respond` (a fixed answer) and `redirect` (to a target made of the request's parts).
 */
#include <stdlib.h>

#include <weir/config.h>

#include "plugins/http/http.h"

struct respond_config {
    int64_t status;
    const char *body;
    const char *type;
};

WEIR_OPTIONS(respond_options,
             WEIR_OPTION_INT(struct respond_config, status, "200", "Status of the response",
                             .min = 200, .max = 599),
             WEIR_OPTION_STRING(struct respond_config, body, "", "Its body"),
             WEIR_OPTION_STRING(struct respond_config, type, "text/plain; charset=utf-8",
                                "Content-Type of the body"));

static weir_error *respond_start(weir_http *x)
{
    const struct respond_config *config = weir_http_config(x);
    weir_slice body = weir_slice_str(config->body);

    return weir_http_respond(x, (int)config->status,
                             body.len ? weir_slice_str(config->type) : weir_slice_of(NULL, 0),
                             body);
}

static void respond_check(weir_config_context *context, const void *config)
{
    const struct respond_config *conf = config;

    if (!weir_http_is_value(weir_slice_str(conf->type)))
        weir_config_error(context, &conf->type, "`type` holds characters that no field may have");
    if (*conf->body && (conf->status == 204 || conf->status == 304))
        weir_config_error(context, &conf->body, "a %d has no body", (int)conf->status);
}

static const weir_instance_ops respond_instance = {WEIR_SIZED(weir_instance_ops),
                                                   .check = respond_check};

const weir_http_action http_respond = {
    WEIR_SIZED(weir_http_action),  .name = "respond",
    .options = respond_options,    .config_size = sizeof(struct respond_config),
    .instance = &respond_instance, .shorthand = "status",
    .start = respond_start,
};

struct redirect_config {
    const char *to;
    int64_t status;
};

WEIR_OPTIONS(redirect_options,
             WEIR_OPTION_TEMPLATE(struct redirect_config, to, NULL,
                                  "Target; ${scheme} ${host} ${path} ${query} ${uri} are the "
                                  "request's"),
             WEIR_OPTION_INT(struct redirect_config, status, "308", "301, 302, 303, 307 or 308",
                             .min = 300, .max = 399));

/* Path and query as the client wrote them. */
weir_slice http_uri_of(weir_http *x)
{
    const weir_http_head *head = weir_http_request_head(x);
    size_t len = head->path.len;

    if (head->has_query)
        len = (size_t)((const char *)head->query.data + head->query.len -
                       (const char *)head->path.data);
    return weir_slice_of(head->path.data, len);
}

static bool variable(weir_http *x, weir_slice name, weir_slice *ret)
{
    if (weir_slice_equal(name, WEIR_SLICE("scheme")))
        *ret = weir_http_request_scheme(x);
    else if (weir_slice_equal(name, WEIR_SLICE("host")))
        *ret = weir_http_request_authority(x);
    else if (weir_slice_equal(name, WEIR_SLICE("path")))
        *ret = weir_http_request_head(x)->path;
    else if (weir_slice_equal(name, WEIR_SLICE("query")))
        *ret = weir_http_request_query(x);
    else if (weir_slice_equal(name, WEIR_SLICE("uri")))
        *ret = http_uri_of(x);
    else
        return false;
    return true;
}

static const char *const variables[] = {"scheme", "host", "path", "query", "uri", NULL};

/* The next part of a template: text, or the name inside `${…}`. False at its end. */
static bool next_part(const char **at, weir_slice *ret_text, bool *ret_is_variable)
{
    const char *start = *at, *end;

    if (!*start)
        return false;
    *ret_is_variable = start[0] == '$' && start[1] == '{' && (end = strchr(start, '}'));
    if (*ret_is_variable) {
        *ret_text = weir_slice_of(start + 2, (size_t)(end - start - 2));
        *at = end + 1;
        return true;
    }
    end = strstr(start + 1, "${");
    *ret_text = weir_slice_of(start, end ? (size_t)(end - start) : strlen(start));
    *at = start + ret_text->len;
    return true;
}

static void redirect_check(weir_config_context *context, const void *config)
{
    const struct redirect_config *conf = config;
    const char *at = conf->to;
    weir_slice text;
    bool is_variable;

    if (!weir_http_is_value(weir_slice_str(conf->to)) || !*conf->to)
        weir_config_error(context, &conf->to, "`to` is not a target of a redirect");
    while (next_part(&at, &text, &is_variable)) {
        size_t i = 0;

        while (is_variable && variables[i] && !weir_slice_equal(text, weir_slice_str(variables[i])))
            i++;
        if (is_variable && !variables[i]) {
            weir_config_error(context, &conf->to, "there is no variable `${%.*s}` here",
                              (int)text.len, (const char *)text.data);
            weir_config_help(context, "known are ${scheme} ${host} ${path} ${query} ${uri}");
        }
    }
}

static weir_error *redirect_start(weir_http *x)
{
    const struct redirect_config *config = weir_http_config(x);
    const char *at = config->to;
    weir_auto(weir_buffer) target = NULL;
    weir_slice text;
    bool is_variable;

    WEIR_TRY(weir_buffer_new(65536, &target));
    while (next_part(&at, &text, &is_variable)) {
        if (is_variable)
            (void)variable(x, text, &text);
        WEIR_TRY(weir_buffer_append(target, text));
    }
    WEIR_TRY(weir_buffer_linear(target, &text));
    WEIR_TRY(weir_http_set_header(x, WEIR_HTTP_RESPONSE, "Location", text));
    return weir_http_respond(x, (int)config->status, weir_slice_of(NULL, 0),
                             weir_slice_of(NULL, 0));
}

static const weir_instance_ops redirect_instance = {WEIR_SIZED(weir_instance_ops),
                                                    .check = redirect_check};

const weir_http_action http_redirect = {
    WEIR_SIZED(weir_http_action),   .name = "redirect",
    .options = redirect_options,    .config_size = sizeof(struct redirect_config),
    .instance = &redirect_instance, .shorthand = "to",
    .start = redirect_start,
};
