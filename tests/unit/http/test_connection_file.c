/* SPDX-License-Identifier: Apache-2.0 */
/* Files as the bodies of responses: what is sent of them, and how an exchange ends that cannot. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "tests/unit/http/serving.h"

#define SIZE ((size_t)8 * 1024 * 1024)

static int file = -1;
static uint64_t offset;
static int64_t length; /* to be announced */
static weir_code refused;

static char byte_at(size_t position)
{
    return (char)('a' + position / 1000 % 26);
}

static weir_error *file_start(weir_http *x)
{
    weir_error *error;

    WEIR_TRY(weir_http_respond_head(x, 200, length));
    error = weir_http_respond_file(x, file, offset);
    refused = weir_error_code(error);
    return error;
}

static const weir_http_action sends_file = {WEIR_SIZED(weir_http_action), .name = "file",
                                            .start = file_start};

const struct serving_action serving_actions[] = {{"/file", &sends_file}, {NULL, NULL}};

static struct wire *get(const char *method, const char *more)
{
    struct wire *wire = wire_connect(serving.server);
    char request[128];

    (void)snprintf(request, sizeof request, "%s /file HTTP/1.1\r\nHost: a\r\n%s\r\n", method, more);
    wire_say(wire, request);
    return wire;
}

/* The part that was asked for follows the head, and nothing else. */
static void assert_part(const struct wire *wire, size_t at, size_t len)
{
    const char *body = strstr(wire->data, "\r\n\r\n");

    assert_non_null(body);
    body += 4;
    assert_int_equal(wire->len - (size_t)(body - wire->data), len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(body[i], byte_at(at + i));
}

static void parts_are_sent_and_the_connection_lives_on(void **state)
{
    static const struct {
        uint64_t offset;
        int64_t length;
    } parts[] = {{0, SIZE}, {0, 0}, {1, 5000}, {4097, 100000}, {SIZE - 1, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct wire *wire;
        size_t head;

        offset = parts[i].offset;
        length = parts[i].length;
        wire = get("GET", "");
        wire_until(wire, "\r\n\r\n");
        head = (size_t)(strstr(wire->data, "\r\n\r\n") + 4 - wire->data);
        wire_until_bytes(wire, head + (size_t)length);
        until_ended((unsigned)(2 * i + 1));
        assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_OK);
        assert_part(wire, offset, (size_t)length);
        assert_int_equal(serving.summary.bytes_out, wire->len);
        wire_clear(wire);
        wire_say(wire, "HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n");
        wire_until(wire, "\r\n\r\n");
        until_ended((unsigned)(2 * i + 2));
        assert_part(wire, 0, 0);
        wire_free(wire);
    }
}

static void requests_behind_it_wait_for_its_end(void **state)
{
    struct wire *wire;

    (void)state;
    length = SIZE;
    wire = wire_connect(serving.server);
    wire_say(wire, "GET /file HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    turn();
    assert_int_equal(serving.ended, 0);
    wire_until(wire, "404 ");
    assert_true(wire->len > SIZE);
    wire_free(wire);
}

static void the_connection_closes_behind_it_when_asked_to(void **state)
{
    struct wire *wire;

    (void)state;
    length = SIZE;
    wire = get("GET", CLOSE_TEXT);
    wire_until_end(wire);
    assert_true(wire->ended);
    assert_part(wire, 0, SIZE);
    wire_free(wire);
}

static void a_file_that_is_shorter_fails_the_exchange(void **state)
{
    struct wire *wire;

    (void)state;
    length = SIZE + 1;
    wire = get("GET", "");
    wire_until_end(wire);
    until_ended(1);
    assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_PLUGIN_ERROR);
    assert_int_equal(serving.reason, WEIR_EINCOMPLETE);
    assert_part(wire, 0, SIZE);
    wire_free(wire);
}

static void a_file_that_cannot_be_read_fails_the_exchange(void **state)
{
    int whole = file;
    struct wire *wire;

    (void)state;
    length = 10;
    file = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    wire = get("GET", "");
    wire_until_end(wire);
    until_ended(1);
    assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_PLUGIN_ERROR);
    assert_int_equal(serving.reason, EISDIR);
    assert_part(wire, 0, 0);
    wire_free(wire);
    close(file);
    file = whole;
}

static void a_response_without_a_length_is_no_file(void **state)
{
    struct wire *wire;

    (void)state;
    length = -1;
    wire = get("GET", "");
    wire_until_end(wire);
    assert_int_equal(refused, WEIR_EINVAL);
    wire_free(wire);
}

static void a_client_that_leaves_in_the_middle_ends_the_exchange(void **state)
{
    struct wire *wire;

    (void)state;
    length = SIZE;
    wire = get("GET", "");
    wire_until_bytes(wire, 100000);
    wire_free(wire);
    until_ended(1);
    assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_CLIENT_GONE);
    assert_true(serving.summary.bytes_out > 100000 && serving.summary.bytes_out < SIZE);
}

static void a_client_that_does_not_read_it_is_given_up(void **state)
{
    struct wire *wire;

    (void)state;
    serving.options.write_timeout = WEIR_MS(40);
    length = SIZE;
    wire = get("GET", "");
    until_ended(1);
    assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_CLIENT_TIMEOUT);
    assert_int_equal(serving.reason, WEIR_ETIMEDOUT);
    wire_free(wire);
}

static void an_exchange_that_is_failed_meanwhile_stops_it(void **state)
{
    struct wire *wire;

    (void)state;
    length = SIZE;
    wire = get("GET", "");
    wire_until_bytes(wire, 100000);
    weir_http_server_drain(serving.last); /* lets it finish */
    turn();
    assert_int_equal(serving.ended, 0);
    weir_transport_abort(serving.last, weir_raise(EIO, "enough"));
    until_ended(1);
    assert_int_equal(serving.reason, EIO);
    wire_free(wire);
}

static int setup(void **state)
{
    offset = 0;
    return serving_setup(state);
}

static int begin(void **state)
{
    const char *folder = getenv("TMPDIR");
    char path[256], *bytes = malloc(SIZE);

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(path, sizeof path, "%s/weir-body-XXXXXX", folder ? folder : "/tmp");
    file = mkostemp(path, O_CLOEXEC);
    assert_true(file >= 0 && bytes);
    (void)unlink(path);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = byte_at(i);
    assert_int_equal(write(file, bytes, SIZE), SIZE);
    free(bytes);
    return 0;
}

static int end(void **state)
{
    (void)state;
    close(file);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, serving_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parts_are_sent_and_the_connection_lives_on),
        TEST(requests_behind_it_wait_for_its_end),
        TEST(the_connection_closes_behind_it_when_asked_to),
        TEST(a_file_that_is_shorter_fails_the_exchange),
        TEST(a_file_that_cannot_be_read_fails_the_exchange),
        TEST(a_response_without_a_length_is_no_file),
        TEST(a_client_that_leaves_in_the_middle_ends_the_exchange),
        TEST(a_client_that_does_not_read_it_is_given_up),
        TEST(an_exchange_that_is_failed_meanwhile_stops_it),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
