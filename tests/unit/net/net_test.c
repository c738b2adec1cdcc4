/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/unit/net/net_test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/net/address.h"
#include "core/net/stream.h"
#include "core/testing/kit.h"

void note(struct record *record, const char *format, ...)
{
    size_t len = strlen(record->events);
    va_list args;

    va_start(args, format);
    vsnprintf(record->events + len, sizeof(record->events) - len, format, args);
    va_end(args);
}

/* Neighbouring pieces of data become one. */
static void join_pieces(char *events)
{
    static const char between[] = ") data(";
    char *at = events;

    while ((at = strstr(at, between)) != NULL)
        memmove(at, at + sizeof(between) - 1, strlen(at + sizeof(between) - 1) + 1);
}

bool had_events(const struct record *record, const char *wanted)
{
    char had[sizeof(record->events)], expected[sizeof(record->events)];

    snprintf(had, sizeof(had), "%s", record->events);
    snprintf(expected, sizeof(expected), "%s", wanted);
    if (faults_wanted()) {
        join_pieces(had);
        join_pieces(expected);
    }
    return strcmp(had, expected) == 0;
}

const char *wrong_events(const struct record *record, const char *wanted)
{
    static char text[2200];

    snprintf(text, sizeof(text), "events \"%s\", expected \"%s\"", record->events, wanted);
    return text;
}

static struct record *record_of(weir_transport *t)
{
    return (struct record *)(uintptr_t)weir_transport_config(t);
}

static weir_error *on_made(weir_transport *t, void *state, const void *config)
{
    struct record *record = record_of(t);

    (void)state;
    EXPECT(config == record);
    record->transport = t;
    record->made = true;
    note(record, "made ");
    return record->made_fails ? weir_raise(record->made_fails, "made to fail") : NULL;
}

static weir_error *on_data(weir_transport *t, void *state, weir_slice data)
{
    struct record *record = record_of(t);

    (void)state;
    record->received += data.len;
    if (!record->no_text)
        note(record, "data(%.*s) ", (int)data.len, (const char *)data.data);
    if (record->on_data)
        return record->on_data(t, record, data);
    return record->data_fails ? weir_raise(record->data_fails, "made to fail") : NULL;
}

static weir_error *on_eof(weir_transport *t, void *state, bool *ret_keep_open)
{
    struct record *record = record_of(t);

    (void)state;
    record->eof = true;
    note(record, "eof ");
    *ret_keep_open = record->keep_open;
    return NULL;
}

static void on_pause(weir_transport *t, void *state)
{
    (void)state;
    record_of(t)->pauses++;
}

static void on_resume(weir_transport *t, void *state)
{
    struct record *record = record_of(t);

    (void)state;
    record->resumes++;
    if (record->on_resume)
        record->on_resume(t, record);
}

static void on_lost(weir_transport *t, void *state, const weir_error *reason)
{
    struct record *record = record_of(t);

    (void)state;
    record->lost = true;
    record->reason = reason ? weir_error_code(reason) : 0;
    if (record->reason)
        note(record, "lost(%s) ", weir_code_name(record->reason));
    else
        note(record, "lost ");
}

const weir_protocol recording = {
    WEIR_SIZED(weir_protocol),   .name = "recording",        .connection_made = on_made,
    .data_received = on_data,    .eof_received = on_eof,     .pause_writing = on_pause,
    .resume_writing = on_resume, .connection_lost = on_lost,
};

weir_transport *fd_transport(const weir_protocol *protocol, const void *config, int fd)
{
    struct transport_new options = {
        .fd = fd,
        .protocol = protocol,
        .config = config,
        .site = WEIR_HERE,
        .state = TRANSPORT_CONNECTING,
    };
    weir_transport *t;
    weir_error *error = weir__net_of(weir_loop_current(), &options.net);

    if (!error)
        error = weir__transport_new(&options, &t);
    if (error) {
        weir_ignore(error);
        close(fd);
        return NULL;
    }
    weir__transport_open(t);
    return t;
}

weir_transport *pair_transport(const weir_protocol *protocol, const void *config, int *ret_peer)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return NULL;
    *ret_peer = ends[1];
    return fd_transport(protocol, config, ends[0]);
}

weir_stream *pair_stream(int *ret_peer)
{
    weir_transport *t = pair_transport(&weir__stream_protocol, NULL, ret_peer);

    return t ? weir__stream_adopt(t) : NULL;
}

weir_error *end_server(weir_server *server)
{
    weir_server_close(server);
    weir_server_abort_connections(server);
    CHECK_OK(weir_server_wait_closed(server));
    weir_server_unref(server);
    return NULL;
}

bool send_all(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

ssize_t receive_some(int fd, void *buffer, size_t size)
{
    ssize_t n = recv(fd, buffer, size, MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN ? -1 : -2;
    return n;
}

size_t receive_more(int fd, void *buffer, size_t size, size_t *got)
{
    ssize_t n = recv(fd, (char *)buffer + *got, size - *got, MSG_DONTWAIT);

    *got += n > 0 ? (size_t)n : 0;
    return *got;
}

size_t unread(int fd)
{
    int n = 0;

    return ioctl(fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

size_t chunks_in_ring(void)
{
    const struct kit_io *kit = (struct kit_io *)weir__loop_io(weir_loop_current());
    const char *backend = weir_loop_backend(weir_loop_current());

    if (strcmp(backend, "test") == 0)
        backend = kit->real->ops->name;
    return strcmp(backend, "io_uring") == 0 ? 128 : 0;
}

int raw_connect(const char *name)
{
    struct address address;
    struct host_port parsed;
    int fd;

    if (strncmp(name, "unix:", 5) == 0) {
        if (weir__address_unix(name + 5, &address))
            return -1;
    } else if (weir__host_port_parse(name, &parsed) ||
               !weir__address_literal(parsed.host, parsed.port, &address)) {
        return -1;
    }
    fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Loopback connects complete without an accept. */
    if (fd < 0 || connect(fd, &address.any, address.length) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

void close_with_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

int refusing_port(char *name, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        return -1;
    snprintf(name, size, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

void fill_pattern(void *buffer, size_t size, size_t offset)
{
    unsigned char *bytes = buffer;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)((offset + i) * 2654435761u >> 13);
}

bool is_pattern(const void *buffer, size_t size, size_t offset)
{
    const unsigned char *bytes = buffer;

    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != (unsigned char)((offset + i) * 2654435761u >> 13))
            return false;
    }
    return true;
}

int pattern_file(size_t size)
{
    const char *folder = getenv("TMPDIR");
    char path[256];
    char *bytes = malloc(size + 1);
    int fd;

    snprintf(path, sizeof(path), "%s/weir-file-XXXXXX", folder ? folder : "/tmp");
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0 || !bytes) {
        free(bytes);
        return -1;
    }
    unlink(path);
    fill_pattern(bytes, size, 0);
    if (write(fd, bytes, size) != (ssize_t)size)
        fd = -1;
    free(bytes);
    return fd;
}
