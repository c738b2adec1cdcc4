/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as the journal has them natively: one datagram each, of lines NAME=value, or
 *
 *     NAME \n, the length as 8 bytes, the value, \n
 *
 * where a value has lines of its own. A socket that takes nothing now is waited for as any sink is; one
 * that nobody listens on is no sink, and the record goes as text to the descriptor beside it.
 */
#include "config.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <weir/error.h>

#include "core/base/log.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

static void add_field(struct text *text, const char *name, const char *value, size_t len)
{
    uint64_t size = htole64(len);

    text_add(text, name);
    if (!memchr(value, '\n', len)) {
        text_add(text, "=");
    } else {
        text_add(text, "\n");
        text_add_bytes(text, (const char *)&size, sizeof(size));
    }
    text_add_bytes(text, value, len);
    text_add(text, "\n");
}

static void add_number(struct text *text, const char *name, int number)
{
    text_printf(text, "%s=%d\n", name, number);
}

/* What is a name of the journal's own, and the others below WEIR_. */
static void add_named(struct text *text, const char *name, const char *value)
{
    char big[64] = "WEIR_";
    size_t n = 5;

    if (strcmp(name, LOG_MESSAGE_ID) == 0 || strcmp(name, "trace_id") == 0)
        n = 0;
    for (const char *c = name; *c && n < sizeof(big) - 1; c++, n++) {
        bool letter = *c >= 'a' && *c <= 'z';
        bool kept = (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');

        big[n] = letter ? (char)(*c - 32) : kept ? *c : '_';
    }
    big[n] = '\0';
    add_field(text, big, value, strlen(value));
}

static void add_message(struct text *text, const struct log_record *record, const char *body)
{
    static char message[LOG_LINE_MAX / 2]; /* the writer's thread */
    struct text made = text_over(message, sizeof(message));
    const char *said = (const char *)(record + 1);

    if (record->tag)
        text_printf(&made, "[%s] ", record->tag);
    text_add_escaped(&made, said, strlen(said), "");
    if (*body) {
        size_t len = strlen(body);

        text_add(&made, "\n");
        text_add_bytes(&made, body, body[len - 1] == '\n' ? len - 1 : len);
    }
    add_field(text, "MESSAGE", message, text_length(&made));
}

void weir__log_format_journal(struct text *text, const struct log_record *record, const char *body)
{
    struct log_field_reader reader = weir__log_fields(record);
    const char *name, *value;

    add_message(text, record, body);
    add_number(text, "PRIORITY", weir__log_priority(record->level));
    add_field(text, "SYSLOG_IDENTIFIER", program_invocation_short_name,
              strlen(program_invocation_short_name));
    if (record->site) {
        const char *file = text_site_file(record->site);

        add_field(text, "CODE_FILE", file, strlen(file));
        add_number(text, "CODE_LINE", record->site->line);
        add_field(text, "CODE_FUNC", record->site->function, strlen(record->site->function));
    }
    if (record->error_number)
        add_number(text, "ERRNO", record->error_number);
    add_named(text, "logger", weir_logger_name(record->logger));
    while (weir__log_next_field(&reader, &name, &value))
        add_named(text, name, value);
}

weir_error *weir__log_journal_open(const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    path = path ? path : JOURNAL_SOCKET;
    if (strlen(path) >= sizeof(address.sun_path))
        return weir_raise(WEIR_EINVAL, "the path of the journal's socket is too long: %s", path);
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return weir_raise(errno, "cannot make a socket for the journal");
    /* Only to tell who asked for it: a journal that starts again later is found by each record. */
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        weir_error *error = weir_raise(errno, "cannot reach the journal at %s", path);

        close(fd);
        return error;
    }
    *ret_fd = fd;
    return NULL;
}

enum log_sent weir__log_journal_send(int fd, const char *datagram, size_t len)
{
    for (;;) {
        if (send(fd, datagram, len, MSG_NOSIGNAL) >= 0)
            return LOG_SENT;
        if (errno == EINTR)
            continue;
        return errno == EAGAIN || errno == ENOBUFS ? LOG_SEND_LATER : LOG_SEND_NEVER;
    }
}
