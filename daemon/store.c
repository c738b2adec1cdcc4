/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets that systemd keeps while the daemon restarts, under the names of their listeners.
 *
 * What is kept there is what is served: a socket that no listener has any more would take clients into
 * a queue that nobody empties, so it goes from the store, and the one that systemd passed is given up.
 * The store forgets by name only, so what else has that name is put there again.
 */
#include "config.h"

#include "daemon/run.h"

#ifdef WEIR_WITH_SYSTEMD

#    include <fcntl.h>
#    include <stdio.h>
#    include <stdlib.h>
#    include <string.h>
#    include <sys/stat.h>
#    include <systemd/sd-daemon.h>
#    include <unistd.h>

#    define KEPT_MAX 512 /* FileDescriptorStoreMax of the unit */

/* A socket that systemd has. */
struct kept {
    char name[200];
    dev_t device;
    ino_t inode;
    int passed; /* the descriptor that the process was started with; -1: none */
};

static struct kept kept[KEPT_MAX];
static size_t n_kept;
static bool begun;

static bool add(const char *name, int fd, int passed)
{
    struct stat status;

    if (n_kept == KEPT_MAX || fstat(fd, &status) != 0)
        return false;
    kept[n_kept] = (struct kept){.device = status.st_dev, .inode = status.st_ino, .passed = passed};
    (void)snprintf(kept[n_kept++].name, sizeof kept->name, "%s", name);
    return true;
}

static void take_passed(void)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(0, &names);

    for (int i = 0; i < n; i++) {
        (void)add(names[i], SD_LISTEN_FDS_START + i, SD_LISTEN_FDS_START + i);
        free(names[i]);
    }
    free(names);
}

static bool is_same(const struct kept *one, int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && one->device == status.st_dev && one->inode == status.st_ino;
}

static bool is_served(const struct daemon *daemon, const struct kept *one)
{
    weir_host_socket socket;

    for (size_t i = 0; weir_host_socket_at(daemon->host, i, &socket); i++)
        if (is_same(one, socket.fd))
            return true;
    return false;
}

static bool is_kept(const char *name, int fd)
{
    for (size_t i = 0; i < n_kept; i++)
        if (strcmp(kept[i].name, name) == 0 && is_same(&kept[i], fd))
            return true;
    return false;
}

/* The number stays taken: nobody else's descriptor shall be found under it. */
static void give_up(int fd)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (nothing < 0)
        return;
    (void)dup3(nothing, fd, O_CLOEXEC);
    close(nothing);
}

static void keep(const weir_host_socket *socket)
{
    char text[240];

    (void)snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s", socket->listener);
    (void)sd_pid_notify_with_fds(0, 0, text, &socket->fd, 1);
    (void)add(socket->listener, socket->fd, -1);
}

static void forget(const struct daemon *daemon, const char *of)
{
    weir_host_socket socket;
    char name[sizeof kept->name], text[240];
    size_t n = 0;

    (void)snprintf(name, sizeof name, "%s", of);
    (void)snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    (void)sd_notify(0, text);
    for (size_t i = 0; i < n_kept; i++) {
        if (strcmp(kept[i].name, name) != 0)
            kept[n++] = kept[i];
        else if (kept[i].passed >= 0 && !is_served(daemon, &kept[i]))
            give_up(kept[i].passed);
    }
    n_kept = n;
    for (size_t i = 0; weir_host_socket_at(daemon->host, i, &socket); i++)
        if (strcmp(socket.listener, name) == 0)
            keep(&socket);
}

void store_sockets(const struct daemon *daemon)
{
    weir_host_socket socket;

    if (!getenv("NOTIFY_SOCKET"))
        return;
    if (!begun)
        take_passed();
    begun = true;
    for (size_t i = 0; i < n_kept;) {
        if (is_served(daemon, &kept[i])) {
            i++;
            continue;
        }
        weir_log(daemon->logger, WEIR_LOG_INFO,
                 "the socket `%s` that systemd keeps is no listener's any more: it is given up",
                 kept[i].name);
        forget(daemon, kept[i].name);
        i = 0;
    }
    for (size_t i = 0; weir_host_socket_at(daemon->host, i, &socket); i++)
        if (!socket.inherited && !is_kept(socket.listener, socket.fd))
            keep(&socket);
    weir_host_keep_sockets(daemon->host);
}

#else

void store_sockets(const struct daemon *daemon)
{
    (void)daemon;
}

#endif
