/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol `admin`: metrics, health and facts over HTTP, for `admin.http`.
 *
 *     GET /metrics        what Prometheus reads
 *     GET /health         200 as long as this loop turns
 *     GET /ready          200 while weir serves and every loop turns, else 503 and why
 *     GET /api/v1/NAME    the answer of the control socket's method NAME, of those that only look
 *
 * It only shows, to whoever reaches its address. Pages of other sites do not: a browser that was led
 * here under another name (DNS rebinding) sends that name as Host, and scripts send their Origin; both
 * are refused.
 */
#include <errno.h>
#include <stdlib.h>

#include <weir/http-connection.h>
#include <weir/inspect.h>
#include <weir/plugin.h>

#define ASK_LIMIT WEIR_S(1)

struct admin_config {
    bool metrics;
    weir_array hosts; /* of const char * */
};

WEIR_OPTIONS(admin_options,
             WEIR_OPTION_BOOL(struct admin_config, metrics, "true", "Whether /metrics is there"),
             WEIR_OPTION_LIST(struct admin_config, hosts, const char *,
                              WEIR_ELEMENT(WEIR_TYPE_STRING, const char *), NULL,
                              "Names by which browsers may ask, besides localhost and addresses",
                              .optional = true, .example = "[weir.example.net]"));

/* What hangs on a connection. */
struct admin_connection {
    weir_transport *transport;
    const struct admin_config *config;
    weir_listener *listener; /* of the request under way */
};

enum page { PAGE_METRICS, PAGE_READY, PAGE_API };

/* A question under way; freed by its answer. */
struct errand {
    weir_http *x; /* NULL: the client did not wait */
    enum page page;
};

/* The state of an exchange. */
struct exchange {
    struct errand *errand;
};

/* Answers. */

static void respond(weir_http *x, int status, weir_slice type, weir_slice body)
{
    weir_error *error =
        weir_http_set_header(x, WEIR_HTTP_RESPONSE, "Cache-Control", WEIR_SLICE("no-store"));

    if (!error)
        error = weir_http_set_header(x, WEIR_HTTP_RESPONSE, "X-Content-Type-Options",
                                     WEIR_SLICE("nosniff"));
    if (!error)
        error = weir_http_respond(x, status, type, body);
    if (error)
        weir_http_fail(x, 500, WEIR_OUTCOME_PLUGIN_ERROR, error);
}

static void respond_text(weir_http *x, int status, const char *text)
{
    respond(x, status, WEIR_SLICE("text/plain; charset=utf-8"), weir_slice_str(text));
}

static void respond_ready(weir_http *x, bool draining, const char *json)
{
    const char *why = draining                       ? "draining\n"
                      : strstr(json, "\"blocked\":") ? "a loop does not turn\n"
                                                     : "serving\n";

    respond_text(x, draining || strstr(json, "\"blocked\":") ? 503 : 200, why);
}

static void respond_error(weir_http *x, weir_error *take_error)
{
    char text[300];
    int code = weir_error_code(take_error);
    int status = code == ENOENT ? 404 : code == EACCES ? 403 : code == WEIR_EINVAL ? 400 : 503;
    size_t len = weir_error_message(take_error, text, sizeof text - 1);

    weir_ignore(take_error);
    len = len < sizeof text - 1 ? len : sizeof text - 2;
    text[len] = '\n';
    text[len + 1] = '\0';
    respond_text(x, status, text);
}

static void answered(void *arg, char *take_json, weir_error *take_error)
{
    struct errand *errand = arg;
    weir_http *x = errand->x;

    if (!x) {
        weir_ignore(take_error);
    } else {
        const struct admin_connection *connection = weir_http_context(x);

        ((struct exchange *)weir_http_state(x))->errand = NULL;
        if (take_error)
            respond_error(x, take_error);
        else if (errand->page == PAGE_METRICS)
            respond(x, 200, WEIR_SLICE("text/plain; version=0.0.4; charset=utf-8"),
                    weir_slice_str(take_json));
        else if (errand->page == PAGE_READY)
            respond_ready(x, weir_listener_draining(connection->listener), take_json);
        else
            respond(x, 200, WEIR_SLICE("application/json"), weir_slice_str(take_json));
    }
    free(take_json);
    free(errand);
}

/* Requests. */

#define API "/api/v1/"

/* The question behind a path; NULL: there is none. */
static const char *question_of(weir_http *x, char *buffer, size_t size, enum page *ret_page)
{
    const struct admin_config *config = weir_http_config(x);
    weir_slice path = weir_http_request_path(x), name = weir_slice_skip(path, sizeof API - 1);

    if (config->metrics && weir_slice_equal(path, WEIR_SLICE("/metrics")))
        return *ret_page = PAGE_METRICS, "metrics";
    if (weir_slice_equal(path, WEIR_SLICE("/ready")))
        return *ret_page = PAGE_READY, "ping";
    if (!weir_slice_starts_with(path, WEIR_SLICE(API)) || name.len >= size)
        return NULL;
    memcpy(buffer, name.data, name.len);
    buffer[name.len] = '\0';
    *ret_page = PAGE_API;
    /* What `status` has besides belongs to the daemon; "metrics" has a page of its own. */
    return strcmp(buffer, "status") == 0 ? "summary" : strcmp(buffer, "metrics") ? buffer : NULL;
}

static weir_error *start(weir_http *x)
{
    struct exchange *exchange = weir_http_state(x);
    char name[64];
    enum page page = PAGE_API;
    const char *question = question_of(x, name, sizeof name, &page);
    weir_error *error;

    if (weir_slice_equal(weir_http_request_path(x), WEIR_SLICE("/health"))) {
        respond_text(x, 200, "ok\n");
        return NULL;
    }
    if (!question) {
        respond_text(x, 404, "here are /metrics, /health, /ready and /api/v1/NAME\n");
        return NULL;
    }
    exchange->errand = calloc(1, sizeof *exchange->errand);
    if (!exchange->errand)
        return weir_raise(WEIR_ENOMEM, "question");
    *exchange->errand = (struct errand){x, page};
    error = weir_inspect(question, NULL, ASK_LIMIT, answered, exchange->errand);
    if (error) {
        free(WEIR_TAKE(exchange->errand));
        respond_error(x, error);
    }
    return NULL;
}

static void ended(weir_http *x, const weir_error *reason)
{
    struct exchange *exchange = weir_http_state(x);

    (void)reason;
    if (exchange->errand)
        exchange->errand->x = NULL;
}

static const weir_http_action look = {
    WEIR_SIZED(weir_http_action),
    .name = "look",
    .state_size = sizeof(struct exchange),
    .start = start,
    .ended = ended,
};

/* Who may ask. */

/* Without its port; an IPv6 address keeps its brackets. */
static weir_slice host_of(weir_slice authority)
{
    const char *text = authority.data, *end;

    if (!authority.len)
        return authority;
    end = *text == '[' ? memchr(text, ']', authority.len) : memchr(text, ':', authority.len);
    if (!end)
        return authority;
    return weir_slice_of(text, (size_t)(end - text) + (*text == '['));
}

static bool is_address(weir_slice host)
{
    const char *text = host.data;

    if (host.len && *text == '[')
        return true;
    for (size_t i = 0; i < host.len; i++)
        if ((text[i] < '0' || text[i] > '9') && text[i] != '.')
            return false;
    return host.len > 0;
}

static bool may_be_named(const struct admin_config *config, weir_slice host)
{
    if (!host.len || is_address(host) || weir_slice_equal(host, WEIR_SLICE("localhost")))
        return true;
    for (size_t i = 0; i < config->hosts.count; i++)
        if (weir_slice_equal_nocase(host,
                                    weir_slice_str(((const char *const *)config->hosts.items)[i])))
            return true;
    return false;
}

/* Scripts say from where they come: only from here. */
static bool is_own_origin(weir_http *x)
{
    weir_slice origin, authority = weir_http_request_authority(x);

    if (!weir_http_header(x, WEIR_HTTP_REQUEST, "Origin", &origin))
        return true;
    if (weir_slice_starts_with(origin, WEIR_SLICE("http://")))
        origin = weir_slice_skip(origin, 7);
    else if (weir_slice_starts_with(origin, WEIR_SLICE("https://")))
        origin = weir_slice_skip(origin, 8);
    else
        return false;
    return weir_slice_equal_nocase(origin, authority);
}

static weir_error *on_request(weir_http *x, void *arg)
{
    struct admin_connection *connection = arg;
    weir_slice method = weir_http_request_method(x);

    connection->listener = weir_listener_acquire(connection->transport);
    if (!connection->listener)
        return weir_raise(WEIR_ECLOSED, "the listener is gone");
    weir_listener_request_begins(connection->listener);
    if (!may_be_named(connection->config, host_of(weir_http_request_authority(x))) ||
        !is_own_origin(x)) {
        weir_http_set_outcome(x, WEIR_OUTCOME_DENIED);
        respond_text(x, 403, "refused: this name or origin is not in `hosts` of admin.http\n");
        return NULL;
    }
    if (!weir_slice_equal(method, WEIR_SLICE("GET")) &&
        !weir_slice_equal(method, WEIR_SLICE("HEAD"))) {
        WEIR_TRY(weir_http_set_header(x, WEIR_HTTP_RESPONSE, "Allow", WEIR_SLICE("GET, HEAD")));
        respond_text(x, 405, "only GET and HEAD: this is for looking\n");
        return NULL;
    }
    return weir_http_begin(x, &look, connection->config, NULL, connection);
}

static void on_ended(weir_http *x, const weir_http_summary *summary, void *arg)
{
    struct admin_connection *connection = arg;
    weir_listener *listener = WEIR_TAKE(connection->listener);
    const weir_http_head *head = weir_http_request_head(x);
    weir_access_record record = {
        .size = sizeof record,
        .outcome = summary->outcome,
        .status = summary->status,
        .method = head->method_text,
        .duration_ns = summary->duration_ns,
        .reason = summary->reason,
        .host = weir_http_request_authority(x),
        .path = head->path,
        .query = head->query,
        .proto = head->minor_version ? WEIR_SLICE("HTTP/1.1") : WEIR_SLICE("HTTP/1.0"),
        .bytes_in = summary->bytes_in,
        .bytes_out = summary->bytes_out,
        .head_bytes_out = summary->head_bytes_out,
    };

    if (listener) {
        weir_listener_request_ends(listener);
    } else {
        listener = weir_listener_acquire(connection->transport);
    }
    if (!listener)
        return;
    weir_listener_record(listener, connection->transport, &record);
    weir_listener_release(listener);
}

static const weir_http_server_events events = {WEIR_SIZED(weir_http_server_events),
                                               .request = on_request, .ended = on_ended};

static weir_error *connection_made(weir_transport *transport, void *state, const void *config)
{
    static const weir_http_server_options options = {WEIR_SIZED(weir_http_server_options)};
    struct admin_connection *connection = state;

    connection->transport = transport;
    connection->config = config;
    return weir_http_serve(transport, &options, &events, connection, weir_slice_of(NULL, 0));
}

static const weir_protocol admin = {
    WEIR_SIZED(weir_protocol),
    .name = "admin",
    .state_size = sizeof(struct admin_connection),
    .room = WEIR_HTTP_SERVER_ROOM,
    .connection_made = connection_made,
    .options = admin_options,
    .config_size = sizeof(struct admin_config),
};

WEIR_PLUGIN(.name = "admin", .version = "0.1.0", .summary = "Metrics, health and facts over HTTP",
            .protocols = WEIR_LIST(&admin));
