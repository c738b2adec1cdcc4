/* SPDX-License-Identifier: Apache-2.0 */
/* The server under test. */
#include "config.h"

#include "tests/unit/http/serving.h"

struct serving serving;

static weir_error *on_request(weir_http *x, void *arg)
{
    weir_slice path = weir_http_request_path(x);

    (void)arg;
    serving.begun++;
    for (const struct serving_action *entry = serving_actions; entry->path; entry++)
        if (weir_slice_equal(path, weir_slice_str(entry->path)))
            return weir_http_begin(x, entry->action, NULL, NULL, &serving);
    weir_http_fail(x, 404, WEIR_OUTCOME_ROUTE_NONE, NULL);
    return NULL;
}

static void on_ended(weir_http *x, const weir_http_summary *summary, void *arg)
{
    const weir_http_head *head = weir_http_request_head(x);

    (void)arg;
    serving.ended++;
    serving.summary = *summary;
    serving.summary.reason = NULL;
    serving.reason = weir_error_code(summary->reason);
    /* Whatever is there has to be readable, also of a request that was cut short. */
    snprintf(serving.target, sizeof serving.target, "%.*s", (int)head->target.len,
             head->target.len ? (const char *)head->target.data : "");
    assert_true(head->field_count == 0 || weir_http_field_name(&head->fields[0]).len > 0);
    assert_true(head->method_text.len == 0 || *(const char *)head->method_text.data);
}

static void on_closed(weir_transport *transport, void *arg)
{
    (void)arg;
    serving.closed++;
    if (serving.last == transport)
        serving.last = NULL;
}

static const weir_http_server_events events = {
    .size = sizeof events, .request = on_request, .ended = on_ended, .closed = on_closed};

static weir_error *made(weir_transport *transport, void *state, const void *config)
{
    weir_slice none = {NULL, 0};

    (void)state;
    (void)config;
    serving.last = transport;
    return weir_http_serve(transport, &serving.options, &events, &serving, none);
}

static const weir_protocol protocol = {WEIR_SIZED(weir_protocol), .name = "test",
                                       .connection_made = made};

int serving_setup(void **state)
{
    weir_server_options options = {WEIR_SIZED(weir_server_options)};

    if (wire_setup(state))
        return -1;
    serving = (struct serving){.options = {.size = sizeof serving.options, .server_name = ""}};
    assert_done(weir_serve(wire_loop, "127.0.0.1:0", &options, &protocol, NULL, &serving.server));
    return 0;
}

int serving_teardown(void **state)
{
    for (int i = 0; i < 20; i++)
        turn();
    weir_server_close(serving.server);
    weir_server_abort_connections(serving.server);
    for (int i = 0; i < 20; i++)
        turn();
    weir_server_unref(serving.server);
    return wire_teardown(state);
}

static bool have_ended(void *arg)
{
    return serving.ended >= *(unsigned *)arg;
}

void until_ended(unsigned count)
{
    turn_until(have_ended, &count);
}

void strip_dates(struct wire *wire)
{
    char *date;

    while ((date = strstr(wire->data, "Date: "))) {
        size_t line = sizeof("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n") - 1;

        memmove(date, date + line, wire->len - (size_t)(date - wire->data) - line + 1);
        wire->len -= line;
    }
}

struct wire *ask(const char *request)
{
    struct wire *wire = wire_connect(serving.server);

    wire_say(wire, request);
    wire_until_end(wire);
    strip_dates(wire);
    return wire;
}
