/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets handed in. systemd passes descriptors from 3 on: LISTEN_FDS says how many, LISTEN_FDNAMES
 * what each is called ("unknown" without), LISTEN_PID for whom: a child that inherits the environment
 * must not take its parent's. The descriptors themselves stay open and the program's, so that a
 * server may be made over them again; what is given out are duplicates.
 */
#include "config.h"

#include "core/net/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/server.h>

#include "core/base/text.h"

#define FD_PREFIX      "fd:"
#define SYSTEMD_PREFIX "systemd:"
#define FIRST_FD       3
#define NAMES_MAX      1024

static bool parse_number(const char *text, int *ret)
{
    long value;
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    value = strtol(text, &end, 10);
    if (errno || *end || value > 1 << 20)
        return false;
    *ret = (int)value;
    return true;
}

bool weir__is_inherited(const char *address)
{
    return strncmp(address, FD_PREFIX, strlen(FD_PREFIX)) == 0 ||
           strncmp(address, SYSTEMD_PREFIX, strlen(SYSTEMD_PREFIX)) == 0;
}

static weir_error *check_listening(int fd, const char *address)
{
    socklen_t length = sizeof(int);
    int type = 0, listening = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0)
        return weir_raise(errno, "cannot listen on %s: descriptor %d: %s", address, fd,
                          weir_code_text(errno));
    length = sizeof(int);
    if (type != SOCK_STREAM ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0 || !listening)
        return weir_raise(WEIR_EINVAL,
                          "cannot listen on %s: descriptor %d is no listening stream socket",
                          address, fd);
    return NULL;
}

static weir_error *duplicate(int fd, const char *address, int *ret_fd)
{
    int own, flags;

    WEIR_TRY(check_listening(fd, address));
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    flags = own < 0 ? -1 : fcntl(own, F_GETFL);
    if (flags < 0 || fcntl(own, F_SETFL, flags | O_NONBLOCK) != 0) {
        weir_error *error = weir_raise(errno, "cannot listen on %s", address);

        if (own >= 0)
            close(own);
        return error;
    }
    *ret_fd = own;
    return NULL;
}

/* How many systemd passed to this process. */
static int passed(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    int number;

    if (!pid || !count || !parse_number(pid, &number) || number != getpid() ||
        !parse_number(count, &number))
        return 0;
    return number;
}

/* The name of the `index`-th, not ended by a NUL. */
static weir_slice name_of(int index)
{
    const char *names = getenv("LISTEN_FDNAMES");

    for (; names && index > 0; index--) {
        names = strchr(names, ':');
        if (names)
            names++;
    }
    return names ? weir_slice_of(names, strcspn(names, ":")) : weir_slice_of("unknown", 7);
}

weir_error *weir_inherited_sockets(const char *name, int *fds, size_t size, size_t *ret_count)
{
    char have[NAMES_MAX];
    struct text names = TEXT_INIT(have);
    int count = passed();
    size_t found = 0;

    have[0] = '\0';
    for (int i = 0; i < count; i++) {
        weir_slice own = name_of(i);

        text_add(&names, i ? ", " : "");
        text_add_escaped(&names, own.data, own.len, "");
        if (name && (own.len != strlen(name) || memcmp(own.data, name, own.len) != 0))
            continue;
        if (found < size)
            fds[found] = FIRST_FD + i;
        found++;
    }
    if (!found && !count)
        return weir_error_hint(
            weir_raise(ENOENT, "no socket was passed by systemd (wanted \"%s\")",
                       name ? name : "any"),
            "start it by its .socket unit; LISTEN_PID and LISTEN_FDS say what was passed");
    if (!found)
        return weir_raise(ENOENT, "no socket named \"%s\" was passed by systemd, but: %s", name,
                          have);
    *ret_count = found;
    return NULL;
}

static weir_error *open_systemd(const char *address, int *ret_fd)
{
    const char *name = address + strlen(SYSTEMD_PREFIX);
    size_t count = 0;
    int fd = -1;

    WEIR_TRY(weir_inherited_sockets(name, &fd, 1, &count));
    if (count > 1)
        return weir_error_hint(weir_raise(WEIR_EINVAL,
                                          "cannot listen on %s: %zu sockets have this name",
                                          address, count),
                               "weir_inherited_sockets() gives all of them");
    return duplicate(fd, address, ret_fd);
}

weir_error *weir__inherited_open(const char *address, int *ret_fd)
{
    int fd;

    if (strncmp(address, SYSTEMD_PREFIX, strlen(SYSTEMD_PREFIX)) == 0)
        return open_systemd(address, ret_fd);
    if (!parse_number(address + strlen(FD_PREFIX), &fd))
        return weir_raise(WEIR_EINVAL, "cannot listen on %s: expected a number after \"fd:\"",
                          address);
    return duplicate(fd, address, ret_fd);
}
