/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a plugin.
 *
 * The file is copied into memory and opened there: dlopen() knows files by inode, and replacing the
 * file must not change code that runs. What was opened once is kept with the file's identity for the
 * life of the process (log records, destructors and formats point into it) and found again when the
 * same build comes back, were it in another file. Refusals say what is wrong in words, before any member behind the two that
 * every version has in common is touched.
 */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/config/content.h"
#include "host/plugin/plugin.h"

#define BUILDS_MAX 8 /* of one plugin; each stays in memory, with a descriptor */

struct opened {
    struct opened *next;
    struct stat file;
    struct content content;
    char *name;
    const weir_plugin *descriptor;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct opened *all_opened;

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static weir_error *raise_file(int code, const char *name, const char *path)
{
    return weir_raise(WEIR_EPLUGIN, "plugin `%s`: cannot read %s: %s", name, path,
                      weir_code_text(code));
}

static weir_error *read_content(const char *name, const char *path, int fd, struct content *ret)
{
    unsigned char block[16384];
    ssize_t n;

    weir__content_begin(ret);
    for (off_t at = 0; (n = pread(fd, block, sizeof block, at)) != 0;) {
        if (n < 0 && errno != EINTR)
            return raise_file(errno, name, path);
        if (n < 0)
            continue;
        weir__content_bytes(ret, block, (size_t)n);
        at += n;
    }
    return NULL;
}

/* -1: no such copy can be made here, the file itself will do. */
static int copy_to_memory(const char *name, int fd, off_t size)
{
    off_t done = 0;
    int copy = memfd_create(name, MFD_CLOEXEC);

    while (copy >= 0 && done < size) {
        ssize_t n = sendfile(copy, fd, &done, (size_t)(size - done));

        if (n > 0 || (n < 0 && errno == EINTR))
            continue;
        close(copy);
        copy = -1;
    }
    return copy;
}

static weir_error *load(const char *name, const char *path, int fd, off_t size, bool in_place,
                        const weir_plugin **ret)
{
    char copied[64];
    int copy = in_place ? -1 : copy_to_memory(name, fd, size);
    void *handle;

    snprintf(copied, sizeof copied, "/proc/self/fd/%d", copy);
    handle = dlopen(copy >= 0 ? copied : path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *text = dlerror();
        const char *rest = text && copy >= 0 ? strstr(text, copied) : NULL;

        /* The name of the copy means nothing to the reader. */
        if (rest && rest == text && !strncmp(rest + strlen(copied), ": ", 2))
            text = rest + strlen(copied) + 2;
        if (copy >= 0)
            close(copy);
        return weir_raise(WEIR_EPLUGIN, "plugin `%s`: %s cannot be loaded: %s", name, path,
                          text ? text : "unknown reason");
    }
    *ret = dlsym(handle, "weir_plugin_v1");
    /* The copy stays open beside the code: dlopen() takes a name that it has seen for the same
     * library, so the number must not be used again. Debuggers read it, too. */
    if (*ret)
        return NULL;
    dlclose(handle);
    if (copy >= 0)
        close(copy);
    return weir_raise(WEIR_EPLUGIN,
                      "plugin `%s`: %s is not a weir plugin: it exports no `weir_plugin_v1` "
                      "(WEIR_PLUGIN defines it)",
                      name, path);
}

/* Code that has run is never unloaded, so what a plugin is replaced by has a limit. */
static weir_error *check_builds(const char *name, const char *path)
{
    size_t n = 0;

    for (const struct opened *opened = all_opened; opened; opened = opened->next)
        n += !strcmp(opened->name, name);
    if (n < BUILDS_MAX)
        return NULL;
    return weir_raise(WEIR_EPLUGIN,
                      "plugin `%s`: %s is another build, and %d builds of it are loaded already, "
                      "which stay until weir ends: restart weir to load it",
                      name, path, BUILDS_MAX);
}

static weir_error *open_new(const char *name, const char *path, int fd, bool in_place,
                            const struct opened *like, const weir_plugin **ret)
{
    const weir_plugin *descriptor;
    struct opened *opened;

    WEIR_TRY(check_builds(name, path));
    WEIR_TRY(load(name, path, fd, like->file.st_size, in_place, &descriptor));
    /* Remembered even when it is refused: a second look at it costs no second copy. */
    opened = malloc(sizeof *opened);
    if (!opened)
        return weir_raise(WEIR_ENOMEM, "plugin");
    *opened = *like;
    opened->name = strdup(name);
    if (!opened->name) {
        free(opened);
        return weir_raise(WEIR_ENOMEM, "plugin");
    }
    opened->descriptor = descriptor;
    opened->next = all_opened;
    all_opened = opened;
    WEIR_TRY(weir__plugin_check(descriptor, name));
    *ret = descriptor;
    return NULL;
}

static weir_error *use_again(struct opened *opened, const char *name, const struct stat *file,
                             const weir_plugin **ret)
{
    opened->file = *file;
    WEIR_TRY(weir__plugin_check(opened->descriptor, name));
    *ret = opened->descriptor;
    return NULL;
}

static weir_error *open_locked(const char *name, const char *path, int fd, bool in_place,
                               const weir_plugin **ret)
{
    struct opened like = {0};

    if (fstat(fd, &like.file))
        return raise_file(errno, name, path);
    if (!S_ISREG(like.file.st_mode))
        return weir_raise(WEIR_EPLUGIN, "plugin `%s`: %s is not a file", name, path);
    for (struct opened *opened = all_opened; opened; opened = opened->next)
        if (same_file(&opened->file, &like.file))
            return use_again(opened, name, &like.file, ret);
    WEIR_TRY(read_content(name, path, fd, &like.content));
    for (struct opened *opened = all_opened; opened; opened = opened->next)
        if (opened->file.st_size == like.file.st_size &&
            weir__content_equal(&opened->content, &like.content))
            return use_again(opened, name, &like.file, ret);
    return open_new(name, path, fd, in_place, &like, ret);
}

weir_error *weir__plugin_open(const char *name, const char *path, bool in_place,
                              const weir_plugin **ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    weir_error *error;

    if (fd < 0 && errno == ENOENT)
        return weir_raise(WEIR_EPLUGIN, "plugin `%s`: no such file: %s", name, path);
    if (fd < 0)
        return raise_file(errno, name, path);
    pthread_mutex_lock(&mutex);
    error = open_locked(name, path, fd, in_place, ret);
    pthread_mutex_unlock(&mutex);
    close(fd);
    return error;
}

static weir_error *refuse_size(const weir_plugin *plugin, const char *what)
{
    return weir_raise(WEIR_EPLUGIN,
                      "plugin `%s` %s: its `%s` has another size than this weir's (%s): rebuild it "
                      "with this weir's headers",
                      plugin->name, plugin->version, what, weir_version());
}

#define CHECK_SIZES(plugin, list, type)                                   \
    for (const type *const *each = (plugin)->list; each && *each; each++) \
        if ((*each)->size != sizeof(type))                                \
            return refuse_size((plugin), #type);

static weir_error *check_parts(const weir_plugin *plugin)
{
    CHECK_SIZES(plugin, protocols, weir_protocol);
    CHECK_SIZES(plugin, matchers, weir_matcher);
    CHECK_SIZES(plugin, inspectors, weir_inspector);
    CHECK_SIZES(plugin, upstream_protocols, weir_upstream_protocol);
    CHECK_SIZES(plugin, extensions, weir_extension);
    for (const weir_extension *const *each = plugin->extensions; each && *each; each++) {
        const weir_extension_head *head = (*each)->table;

        if (!(*each)->kind || !(*each)->name || !head || head->size < sizeof *head)
            return weir_raise(WEIR_EPLUGIN,
                              "plugin `%s` %s: an extension has no kind, name or table",
                              plugin->name, plugin->version);
    }
    return NULL;
}

weir_error *weir__plugin_check(const weir_plugin *plugin, const char *name)
{
    /* Size and ABI are where they are in every version; nothing else may be read before. */
    if (plugin->size < offsetof(weir_plugin, name))
        return weir_raise(WEIR_EPLUGIN, "plugin `%s`: its descriptor is damaged (size %zu)", name,
                          plugin->size);
    if (plugin->abi_major != WEIR_ABI_MAJOR || plugin->abi_minor != WEIR_ABI_MINOR)
        return weir_raise(
            WEIR_EPLUGIN,
            "plugin `%s` was built for weir ABI %u.%u; this weir %s offers ABI %d.%d: "
            "rebuild it here",
            name, plugin->abi_major, plugin->abi_minor, weir_version(), WEIR_ABI_MAJOR,
            WEIR_ABI_MINOR);
    if (plugin->size != sizeof *plugin)
        return weir_raise(WEIR_EPLUGIN,
                          "plugin `%s`: its descriptor has %zu bytes, this weir's (%s) has %zu: "
                          "rebuild it here",
                          name, plugin->size, weir_version(), sizeof *plugin);
    if (!plugin->name || !plugin->version || !plugin->summary)
        return weir_raise(WEIR_EPLUGIN,
                          "plugin `%s`: its descriptor lacks a name, a version or a summary", name);
    if (strcmp(plugin->name, name) != 0)
        return weir_raise(WEIR_EPLUGIN, "plugin `%s`: the file holds a plugin named `%s`", name,
                          plugin->name);
    return check_parts(plugin);
}
