/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The health check `http`: one request on a connection of its own; the status of the response is the
 * answer, its body does not matter.
 */
#include <stdlib.h>

#include <weir/config.h>

#include "plugins/http/http.h"

#define MAX_REQUEST 8192

struct status_range {
    int first, last;
};

struct http_check {
    const char *path, *host;
    int method;
    weir_array status; /* of struct status_range */
};

static const char *const methods[] = {"GET", "HEAD", "OPTIONS", NULL};
static const weir_http_method method_codes[] = {WEIR_HTTP_GET, WEIR_HTTP_HEAD, WEIR_HTTP_OPTIONS};

static bool parse_path(weir_config_context *context, const weir_config_node *node, void *field)
{
    const char *text = weir_config_node_text(node);
    bool good = *text == '/';

    for (const char *at = text; *at && good; at++)
        good = *at > ' ' && *at < 0x7f;
    if (!good || strlen(text) > MAX_REQUEST / 2) {
        weir_config_error_at(context, node, "`%s` is not a path", text);
        weir_config_help(context, "write the path of a URL: `/healthz`");
        return false;
    }
    *(const char **)field = weir_config_strdup(context, text);
    return true;
}

static bool parse_host(weir_config_context *context, const weir_config_node *node, void *field)
{
    const char *text = weir_config_node_text(node);

    if (!weir_http_is_host(weir_slice_str(text))) {
        weir_config_error_at(context, node, "`%s` is not a host name", text);
        return false;
    }
    *(const char **)field = weir_config_strdup(context, text);
    return true;
}

/* Three digits, or one with "xx". */
static bool read_status(const char *text, int *ret_first, int *ret_last)
{
    char *end;
    long number;

    if (text[0] >= '1' && text[0] <= '5' && strcmp(text + 1, "xx") == 0) {
        *ret_first = (text[0] - '0') * 100;
        *ret_last = *ret_first + 99;
        return true;
    }
    number = strtol(text, &end, 10);
    *ret_first = *ret_last = (int)number;
    return end == text + 3 && !*end && number >= 100 && number <= 599;
}

/* "200", "200-399", "2xx". */
static bool parse_status(weir_config_context *context, const weir_config_node *node, void *field)
{
    struct status_range *range = field;
    const char *text = weir_config_node_text(node), *dash = strchr(text, '-');
    char first[4] = "";
    int ignored;
    bool good;

    if (dash && dash - text == 3) {
        memcpy(first, text, 3);
        good = read_status(first, &range->first, &ignored) &&
               read_status(dash + 1, &ignored, &range->last) && range->first <= range->last;
    } else {
        good = read_status(text, &range->first, &range->last);
    }
    if (good)
        return true;
    weir_config_error_at(context, node, "`%s` is not a status", text);
    weir_config_help(context, "write `200`, `200-399` or `2xx`");
    return false;
}

WEIR_OPTIONS(
    check_options,
    WEIR_OPTION_CUSTOM(struct http_check, path, parse_path, "/", "What is asked for"),
    WEIR_OPTION_ENUM(struct http_check, method, methods, "GET", "How it is asked for"),
    WEIR_OPTION_CUSTOM(struct http_check, host, parse_host, NULL,
                       "The Host field; the server's address when not set", .optional = true),
    WEIR_OPTION_LIST(struct http_check, status, struct status_range,
                     WEIR_ELEMENT(WEIR_TYPE_CUSTOM, struct status_range, .parse = parse_status),
                     "[200-399]", "Answers of a server that is well: 200, 200-399, 2xx",
                     .required = true, .example = "[200, 204]"));

struct check_state {
    weir_http_client *client;
};

static bool is_expected(const struct http_check *check, int status)
{
    WEIR_ARRAY_EACH(const struct status_range, range, check->status)
    if (status >= range->first && status <= range->last)
        return true;
    return false;
}

/* The status is all there is to know: what comes of the body goes with the connection. */
static void on_response(void *arg, const weir_http_head *head, weir_slice first_body, bool last)
{
    weir_probe *probe = arg;
    struct check_state *state = weir_probe_state(probe);

    (void)first_body;
    if (!last)
        weir_http_client_detach(state->client);
    weir_probe_end(probe, is_expected(weir_probe_config(probe), head->status), "%d", head->status);
}

static void on_body(void *arg, weir_slice data, bool last)
{
    (void)arg, (void)data, (void)last;
}

static void on_failed(void *arg, weir_outcome outcome, const weir_error *reason)
{
    char text[120] = "";

    if (reason)
        weir_error_message(reason, text, sizeof text);
    weir_probe_end(arg, false, "%s%s%s", weir_outcome_name(outcome), reason ? ": " : "", text);
}

static const weir_http_client_events events = {
    .size = sizeof events, .response = on_response, .body = on_body, .failed = on_failed};

static weir_error *ask(weir_probe *probe, weir_transport *transport)
{
    const struct http_check *check = weir_probe_config(probe);
    struct check_state *state = weir_probe_state(probe);
    const char *server = weir_probe_server(probe);
    weir_http_client_request request = {.size = sizeof request,
                                        .method = method_codes[check->method],
                                        .framing = WEIR_HTTP_NO_BODY,
                                        .response_timeout = WEIR_FOREVER};
    char text[MAX_REQUEST];
    int n;

    if (!weir_http_is_host(weir_slice_str(server)))
        server = "localhost";
    n = snprintf(
        text, sizeof text,
        "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: weir-health\r\nConnection: close\r\n\r\n",
        methods[check->method], check->path, check->host ? check->host : server);
    weir_probe_says(probe, "%s %s", methods[check->method], check->path);
    state->client = weir_transport_state(transport);
    return weir_http_client_send(state->client, &request, weir_slice_of(text, (size_t)n),
                                 weir_slice_of(NULL, 0), true, &events, probe);
}

static void leave(weir_probe *probe, weir_transport *transport)
{
    struct check_state *state = weir_probe_state(probe);

    (void)transport;
    if (state->client)
        weir_http_client_detach(state->client);
}

const weir_health_check http_health_check = {
    .head = {.size = sizeof http_health_check,
             .name = "http",
             .options = check_options,
             .config_size = sizeof(struct http_check),
             .state_size = sizeof(struct check_state)},
    .protocol = &weir_http_client_protocol,
    .ask = ask,
    .leave = leave,
};
