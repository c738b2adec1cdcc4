/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files below a root: opened so that no path and no link leads outside, looked at in an executor,
 * kept open for a second by the loop that asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plugins/http/static.h"

#define OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)

/* Component by component, each opened in the one before, no links. */
static int open_by_steps(int root, const char *path)
{
    int at = fcntl(root, F_DUPFD_CLOEXEC, 0);
    char name[256];

    while (at >= 0) {
        size_t len;
        int next, saved;
        bool last;

        path += strspn(path, "/");
        len = strcspn(path, "/");
        if (len >= sizeof name || (len == 2 && memcmp(path, "..", 2) == 0)) {
            close(at);
            errno = len == 2 ? EXDEV : ENAMETOOLONG;
            return -1;
        }
        memcpy(name, len ? path : ".", len ? len : 1);
        name[len ? len : 1] = '\0';
        last = path[len] == '\0';
        next = openat(at, name, OPEN_FLAGS | O_NOFOLLOW | (last ? 0 : O_DIRECTORY));
        saved = errno;
        close(at);
        errno = saved;
        if (last || next < 0)
            return next;
        at = next;
        path += len;
    }
    return -1;
}

int http_open_beneath(int root, const char *path, bool portable)
{
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd;

    if (!*path)
        path = ".";
    if (!portable) {
        /* EAGAIN: something was renamed on the way; the kernel cannot tell, so it is asked again */
        for (int tries = 0; tries < 3; tries++) {
            fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
            if (fd >= 0 || errno != EAGAIN)
                break;
        }
        if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
            return fd;
    }
    return open_by_steps(root, path);
}

static enum file_kind kind_of_errno(int number)
{
    switch (number) {
    case EACCES:
    case EPERM:
        return FILE_FORBIDDEN;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return FILE_BUSY;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:
    case ENXIO:
    case ENAMETOOLONG:
        return FILE_ABSENT;
    default:
        return FILE_ERROR;
    }
}

static void describe(struct file *file, int fd, const struct stat *status)
{
    file->kind = FILE_REGULAR;
    file->fd = fd;
    file->size = (uint64_t)status->st_size;
    file->modified = status->st_mtim.tv_sec;
    file->modified_ns = status->st_mtim.tv_nsec;
    (void)snprintf(file->etag, sizeof file->etag, "\"%llx.%lx-%llx\"",
                   (unsigned long long)status->st_mtim.tv_sec, status->st_mtim.tv_nsec,
                   (unsigned long long)status->st_size);
}

struct file *http_file_look_up(int root, const char *path, const char *index)
{
    size_t len = strlen(path);
    struct file *file = calloc(1, sizeof *file + len + 1);
    struct stat status;
    int fd, inner;

    if (!file)
        return NULL;
    file->references = 1;
    file->fd = -1;
    memcpy(file->path, path, len + 1);
    fd = http_open_beneath(root, path, false);
    if (fd < 0 || fstat(fd, &status) != 0) {
        file->kind = kind_of_errno(errno);
    } else if (S_ISDIR(status.st_mode) && len && path[len - 1] != '/') {
        file->kind = FILE_DIRECTORY;
    } else if (S_ISDIR(status.st_mode)) {
        inner = http_open_beneath(fd, index, false);
        file->is_index = true;
        file->kind = inner < 0 ? kind_of_errno(errno) : FILE_ABSENT;
        if (inner >= 0 && fstat(inner, &status) == 0 && S_ISREG(status.st_mode))
            describe(file, inner, &status);
        else if (inner >= 0)
            close(inner);
    } else if (S_ISREG(status.st_mode) && !(len && path[len - 1] == '/')) {
        describe(file, fd, &status);
        return file;
    } else {
        file->kind = FILE_ABSENT;
    }
    if (fd >= 0)
        close(fd);
    return file;
}

void http_file_unref(void *pointer)
{
    struct file *file = pointer;

    if (!file || --file->references)
        return;
    if (file->fd >= 0)
        close(file->fd);
    free(file);
}

static struct file **bucket_of(struct file_cache *cache, const char *path)
{
    uint32_t hash = 2166136261u;

    for (; *path; path++)
        hash = (hash ^ (unsigned char)*path) * 16777619u;
    return &cache->buckets[hash % FILE_CACHE_ENTRIES];
}

/* Written in place since it was opened? What is known of an open file does not wait for a disk. */
static bool is_unchanged(const struct file *file)
{
    struct stat status;

    return file->fd < 0 ||
           (fstat(file->fd, &status) == 0 && (uint64_t)status.st_size == file->size &&
            status.st_mtim.tv_sec == file->modified && status.st_mtim.tv_nsec == file->modified_ns);
}

struct file *http_file_cache_find(struct file_cache *cache, const char *path, int64_t now_ns)
{
    struct file *file = *bucket_of(cache, path);

    if (!file || strcmp(file->path, path) != 0 ||
        now_ns - file->looked_up_ns > FILE_CACHE_SECONDS * INT64_C(1000000000))
        return NULL;
    return is_unchanged(file) ? file : NULL;
}

void http_file_cache_add(struct file_cache *cache, struct file *file)
{
    struct file **bucket = bucket_of(cache, file->path);

    http_file_unref(*bucket);
    file->references++;
    *bucket = file;
}

void http_file_cache_clear(struct file_cache *cache)
{
    for (size_t i = 0; i < FILE_CACHE_ENTRIES; i++) {
        http_file_unref(cache->buckets[i]);
        cache->buckets[i] = NULL;
    }
}
