/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared vectors, as far as the parser decides them: tests/unit/http/shared-vectors reads them
 * and asks this program, by standard input, how our parser frames each.
 *
 *     test_vectors                    runs the script
 *     test_vectors request            `request METHOD PATH HOST BODY-IN-HEX` for each message, then
 *                                     `end`, `more` (cut short) or `error STATUS NAME`
 *     test_vectors response METHOD    `response STATUS BODY-IN-HEX`, of an origin's answer
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <weir/http-message.h>

#define FIELDS    100
#define INPUT_MAX (16u << 20)

struct message {
    weir_http_head head;
    weir_http_field fields[FIELDS];
    weir_http_body body;
};

static bool refuse(weir_http_error error)
{
    printf("error %d %s\n", weir_http_error_status(error), weir_http_error_name(error));
    return false;
}

static void print_text(weir_slice text)
{
    printf("%.*s ", text.len ? (int)text.len : 1, text.len ? (const char *)text.data : "-");
}

/* Prints the body in hex; false when the input does not hold all of it. */
static bool body(struct message *m, weir_slice *in, bool closed)
{
    weir_http_result result;
    weir_slice data;
    size_t used;

    weir_http_body_init(&m->body, &m->head, NULL);
    do {
        result = weir_http_body_decode(&m->body, *in, &used, &data);
        *in = weir_slice_skip(*in, used);
        for (size_t i = 0; i < data.len; i++)
            printf("%02x", ((const unsigned char *)data.data)[i]);
    } while (result == WEIR_HTTP_MORE && used > 0);
    if (result == WEIR_HTTP_MORE && closed)
        result = weir_http_body_eof(&m->body);
    printf("\n");
    if (result == WEIR_HTTP_BAD)
        return refuse(m->body.error);
    if (result == WEIR_HTTP_MORE)
        printf("more\n");
    return result == WEIR_HTTP_DONE;
}

static bool request(struct message *m, weir_slice *in)
{
    weir_http_result result = weir_http_parse_request(&m->head, *in);

    if (result == WEIR_HTTP_BAD)
        return refuse(m->head.error);
    if (result == WEIR_HTTP_MORE) {
        printf("more\n");
        return false;
    }
    printf("request ");
    print_text(m->head.method_text);
    print_text(m->head.path);
    print_text(m->head.host);
    *in = weir_slice_skip(*in, m->head.length);
    return body(m, in, false) && m->head.keep_alive && !m->head.upgrade_asked;
}

static bool response(struct message *m, weir_slice *in, weir_http_method method)
{
    weir_http_result result = weir_http_parse_response(&m->head, *in, method, false);

    if (result == WEIR_HTTP_BAD)
        return refuse(m->head.error);
    if (result == WEIR_HTTP_MORE) {
        printf("more\n");
        return false;
    }
    printf("response %d ", m->head.status);
    *in = weir_slice_skip(*in, m->head.length);
    return body(m, in, true) && m->head.status < 200;
}

static int judge(bool of_response, weir_http_method method)
{
    char *input = malloc(INPUT_MAX);
    struct message m;
    weir_slice in;
    bool more = true;

    if (!input)
        return 1;
    in = weir_slice_of(input, fread(input, 1, INPUT_MAX, stdin));
    while (more && in.len > 0) {
        weir_http_head_init(&m.head, m.fields, FIELDS, NULL);
        more = of_response ? response(&m, &in, method) : request(&m, &in);
    }
    if (more)
        printf("end\n");
    free(input);
    return 0;
}

/* Replaces this process; the tested libraries are found by the environment, as for itself. */
static int run_script(void)
{
    const char *source = getenv("WEIR_SRCDIR");
    char script[4096], self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (len < 0)
        return 1;
    self[len] = '\0';
    snprintf(script, sizeof(script), "%s/tests/unit/http/shared-vectors", source ? source : ".");
    execlp("python3", "python3", script, self, (char *)NULL);
    perror("python3");
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return run_script();
    return judge(argc > 2,
                 argc > 2 ? weir_http_method_of(weir_slice_str(argv[2])) : WEIR_HTTP_OTHER);
}
