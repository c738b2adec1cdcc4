/* SPDX-License-Identifier: Apache-2.0 */
/* An echo server in callback style: bytes go back without a copy, back-pressure included. */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *data_received(weir_transport *transport, void *state, weir_slice data)
{
    (void)state;
    return weir_transport_write(transport, data); /* keeps the chunk, copies nothing */
}

static void pause_writing(weir_transport *transport, void *state)
{
    (void)state;
    weir_transport_pause_reading(transport);
}

static void resume_writing(weir_transport *transport, void *state)
{
    (void)state;
    weir_transport_resume_reading(transport);
}

static const weir_protocol echo = {
    .size = sizeof(weir_protocol),
    .name = "echo",
    .data_received = data_received,
    .pause_writing = pause_writing,
    .resume_writing = resume_writing,
};

static weir_error *run(void *arg)
{
    weir_auto(weir_server) server = NULL;
    const char *address = arg;

    WEIR_TRY(weir_serve(weir_loop_current(), address, NULL, &echo, NULL, &server));
    printf("echo on %s, Ctrl-C ends it\n", weir_server_name(server));
    fflush(stdout);
    return weir_sleep(WEIR_FOREVER);
}

int main(int argc, char **argv)
{
    weir_error *error = weir_run(run, argc > 1 ? argv[1] : (void *)"127.0.0.1:7000", NULL);
    char text[1024];

    if (!error || weir_error_is(error, WEIR_ECANCELED)) {
        weir_error_unref(error);
        return 0;
    }
    weir_error_print(error, text, sizeof text);
    weir_error_unref(error);
    fprintf(stderr, "%s\n", text);
    return 1;
}
