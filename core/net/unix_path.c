/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket file whose owner died refuses connections: only then is it replaced. What is no socket is
 * left alone. The file is known by its inode, for another process may have replaced it since.
 */
#include "config.h"

#include "core/net/unix_path.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"

static bool is_stale(const struct address *address, int type)
{
    struct stat status;
    bool stale;
    int fd;

    if (lstat(address->un.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;
    fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    stale = connect(fd, &address->any, address->length) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

int weir__unix_bind(int fd, const struct address *address, int type, int mode)
{
    const char *path = address->un.sun_path;

    if (bind(fd, &address->any, address->length) != 0) {
        if (errno != EADDRINUSE || !path[0] || !is_stale(address, type))
            return errno;
        if (unlink(path) != 0 && errno != ENOENT)
            return errno;
        if (bind(fd, &address->any, address->length) != 0)
            return errno;
    }
    if (mode && path[0] && chmod(path, (mode_t)mode) != 0) {
        int code = errno;

        (void)unlink(path);
        return code;
    }
    return 0;
}

weir_error *weir__unix_path_own(struct unix_path *path, const struct address *address)
{
    struct stat status;
    char *copy;

    if (address->any.sa_family != AF_UNIX || !address->un.sun_path[0])
        return NULL;
    copy = weir__strdup(address->un.sun_path);
    if (!copy)
        return weir_raise(WEIR_ENOMEM, "socket file");
    if (lstat(copy, &status) != 0) {
        weir__free(copy); /* somebody has removed it already */
        return NULL;
    }
    *path = (struct unix_path){copy, status.st_dev, status.st_ino};
    return NULL;
}

void weir__unix_path_remove(struct unix_path *path)
{
    struct stat status;

    if (path->path && lstat(path->path, &status) == 0 && status.st_dev == path->device &&
        status.st_ino == path->inode)
        (void)unlink(path->path);
    weir__free(path->path);
    path->path = NULL;
}
