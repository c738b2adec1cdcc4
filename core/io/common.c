/* SPDX-License-Identifier: Apache-2.0 */
/* What the backends share. */
#include "config.h"

#include "core/io/common.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/invariant.h"
#include "core/base/text.h"

/* Places that an array of files gets above what it needs now, and a quarter. */
#define FILES_MORE 64

/* The connection failed before it was accepted: accept(2) says to go on. */
bool weir__io_accept_passes(int result)
{
    static const int passing[] = {ECONNABORTED, EINTR,       EPROTO,    ENETDOWN,
                                  ENOPROTOOPT,  EHOSTDOWN,   ENONET,    EOPNOTSUPP,
                                  EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, EPERM};

    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        if (-result == passing[i])
            return true;
    }
    return false;
}

struct io_accept_faults weir__io_accept_faults;

int weir__io_accept(int fd, struct sockaddr_storage *ret_peer, socklen_t *ret_length)
{
    int accepted;

    *ret_length = sizeof(*ret_peer);
    accepted = accept4(fd, (struct sockaddr *)ret_peer, ret_length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0 && weir_unlikely(weir__io_accept_faults.count > 0)) {
        weir__io_accept_faults.count--;
        close(accepted);
        return -weir__io_accept_faults.code;
    }
    if (accepted >= 0)
        return accepted;
    return -errno;
}

bool weir__io_files_reach(struct io_file ***files, size_t *count, int fd)
{
    size_t wanted = (size_t)fd + FILES_MORE + (size_t)fd / 4;
    struct io_file **grown;

    if ((size_t)fd < *count)
        return true;
    grown = weir__reallocarray(*files, wanted, sizeof(grown[0]));
    if (!grown)
        return false;
    memset(grown + *count, 0, (wanted - *count) * sizeof(grown[0]));
    *files = grown;
    *count = wanted;
    return true;
}

/* Whoever has the descriptor already. */
static weir_error *taken_error(int fd, const struct io_file *user)
{
    const char *what = "a transport";

    if (!user || !user->site)
        return weir_raise(WEIR_EBUSY, "descriptor %d is registered with this loop already", fd);
    if (user->accepting)
        what = "a server";
    else if (user->poll_events)
        what = "a reader or writer";
    return weir_raise(WEIR_EBUSY, "descriptor %d is used by %s created at %s:%d", fd, what,
                      text_site_file(user->site), user->site->line);
}

weir_error *weir__io_register_error(int code, int fd, const struct io_file *user)
{
    if (code == EPERM)
        return weir_error_hint(
            weir_raise(EPERM, "descriptor %d cannot be polled: a regular file or directory", fd),
            "file work belongs in an executor");
    if (code == EEXIST)
        return taken_error(fd, user);
    return weir_raise(code, "descriptor %d cannot be registered", fd);
}
