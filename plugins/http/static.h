/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the action `static`. */
#ifndef WEIR_PLUGINS_HTTP_STATIC_H
#define WEIR_PLUGINS_HTTP_STATIC_H

#include <weir/plugin.h>

/* Open files that a loop keeps for the next request, and for how long they are believed. */
#define FILE_CACHE_ENTRIES 128
#define FILE_CACHE_SECONDS 1

enum file_kind {
    FILE_REGULAR,
    FILE_DIRECTORY, /* asked for without the slash at its end */
    FILE_ABSENT,
    FILE_FORBIDDEN,
    FILE_BUSY, /* no descriptors */
    FILE_ERROR,
};

/* A file as a look-up found it. Reference-counted on one thread at a time. */
struct file {
    struct file *next; /* of its cache bucket */
    unsigned references;
    enum file_kind kind;
    int fd; /* -1 unless regular */
    uint64_t size;
    int64_t modified;    /* seconds */
    int64_t modified_ns; /* of that second */
    int64_t looked_up_ns;
    char etag[48];
    bool is_index; /* of the directory that was asked for */
    char path[];   /* below the root, as asked for */
};

/* Opens `path` below the directory `root`, never outside of it, whatever links say: openat2, or
   `portable`, step by step and following no link. -1 and errno. Blocks. */
int http_open_beneath(int root, const char *path, bool portable);

/* Looks a path up; blocks. The answer has one reference. NULL without memory. */
struct file *http_file_look_up(int root, const char *path, const char *index);
void http_file_unref(void *pointer);

/* "text/html; charset=utf-8" by the name's extension. */
const char *http_media_type(const char *path);

/* A loop's open files by path. */
struct file_cache {
    struct file *buckets[FILE_CACHE_ENTRIES]; /* one each */
};

/* One that is fresh and has not changed since, borrowed; NULL: look it up. */
struct file *http_file_cache_find(struct file_cache *cache, const char *path, int64_t now_ns);
/* Keeps a reference of its own. */
void http_file_cache_add(struct file_cache *cache, struct file *file);
void http_file_cache_clear(struct file_cache *cache);

#endif
