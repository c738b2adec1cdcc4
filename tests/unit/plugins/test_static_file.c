/* SPDX-License-Identifier: Apache-2.0 */
/* Files below a root: what is opened and what never is, both ways of opening; look-ups; the cache. */
#include "config.h"

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/http/static.h"

static char base[] = "/tmp/weir-static-XXXXXX";
static int root = -1;

static void put(const char *path, const char *text)
{
    int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/*
 *  base/secret                      outside
 *  base/root/page.html  empty  dir/index.html  dir/sub/deep.txt  bare/  fifo
 *       good -> page.html  gooddir -> dir  out -> ../secret  outdir -> ..  abs -> /etc
 *       loop -> loop  proc -> /proc/self/root  dir/up -> ../page.html  dir/away -> ../../secret
 */
static int make_tree(void **state)
{
    static const char *const links[][2] = {
        {"page.html", "good"},
        {"dir", "gooddir"},
        {"../secret", "out"},
        {"..", "outdir"},
        {"/etc", "abs"},
        {"loop", "loop"},
        {"/proc/self/root", "proc"},
        {"../page.html", "dir/up"},
        {"../../secret", "dir/away"},
    };
    char path[64];

    (void)state;
    if (!mkdtemp(base))
        return -1;
    snprintf(path, sizeof path, "%s/root", base);
    if (mkdir(path, 0755))
        return -1;
    root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    put("../secret", "secret");
    assert_int_equal(mkdirat(root, "dir", 0755), 0);
    assert_int_equal(mkdirat(root, "dir/sub", 0755), 0);
    assert_int_equal(mkdirat(root, "bare", 0755), 0);
    put("page.html", "a page");
    put("empty", "");
    put("dir/index.html", "an index");
    put("dir/sub/deep.txt", "deep");
    assert_int_equal(mkfifoat(root, "fifo", 0644), 0);
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        assert_int_equal(symlinkat(links[i][0], root, links[i][1]), 0);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static int remove_tree(void **state)
{
    (void)state;
    close(root);
    return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static size_t descriptors(void)
{
    size_t count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void check_open(const char *path, bool portable, const char *content)
{
    char text[64];
    int fd = http_open_beneath(root, path, portable);
    ssize_t n;

    if (fd < 0)
        fail_msg("%s (%s): errno %d", path, portable ? "portable" : "openat2", errno);
    n = read(fd, text, sizeof text - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_string_equal(text, content);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

static void files_below_the_root_open_both_ways(void **state)
{
    (void)state;
    for (int portable = 0; portable < 2; portable++) {
        check_open("page.html", portable, "a page");
        check_open("empty", portable, "");
        check_open("dir/index.html", portable, "an index");
        check_open("dir/sub/deep.txt", portable, "deep");
        check_open("dir//sub/./deep.txt", portable, "deep");
    }
}

static void a_folder_opens_with_and_without_slash(void **state)
{
    static const char *const paths[] = {"", "dir", "dir/", "dir/sub/", "bare"};

    (void)state;
    for (int portable = 0; portable < 2; portable++)
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
            int fd = http_open_beneath(root, paths[i], portable);
            struct stat status;

            assert_true(fd >= 0);
            assert_int_equal(fstat(fd, &status), 0);
            assert_true(S_ISDIR(status.st_mode));
            close(fd);
        }
}

static void nothing_outside_opens_either_way(void **state)
{
    static const char *const paths[] = {
        "../secret",
        "dir/../../secret",
        "out",
        "outdir/secret",
        "abs/passwd",
        "proc/etc/passwd",
        "dir/away",
        "loop",
        "dir/sub/../../../secret",
        "outdir",
        "abs",
        "dir/../..",
    };
    size_t before = descriptors();

    (void)state;
    for (int portable = 0; portable < 2; portable++)
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
            int fd = http_open_beneath(root, paths[i], portable);

            if (fd >= 0)
                fail_msg("%s opened (%d)", paths[i], portable);
        }
    assert_int_equal(descriptors(), before);
}

static void an_absolute_path_is_not_the_systems(void **state)
{
    int fd = http_open_beneath(root, "/etc/passwd", false);

    (void)state;
    assert_true(fd < 0);
    assert_true(http_open_beneath(root, "/etc/passwd", true) < 0);
}

static void links_inside_open_where_the_kernel_guards_and_not_by_steps(void **state)
{
    int fd = http_open_beneath(root, "good", false);

    (void)state;
    if (fd < 0 && errno == ELOOP) {
        print_message("no openat2 here (old kernel, or valgrind)\n");
        skip();
    }
    close(fd);
    check_open("good", false, "a page");
    check_open("gooddir/index.html", false, "an index");
    check_open("dir/up", false, "a page");
    assert_true(http_open_beneath(root, "good", true) < 0);
    assert_int_equal(errno, ELOOP);
    assert_true(http_open_beneath(root, "gooddir/index.html", true) < 0);
}

static void what_is_not_there_says_so_both_ways(void **state)
{
    char longest[300];

    (void)state;
    memset(longest, 'n', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    for (int portable = 0; portable < 2; portable++) {
        assert_true(http_open_beneath(root, "nothing", portable) < 0);
        assert_int_equal(errno, ENOENT);
        assert_true(http_open_beneath(root, "page.html/", portable) < 0);
        assert_int_equal(errno, ENOTDIR);
        assert_true(http_open_beneath(root, "page.html/x", portable) < 0);
        assert_int_equal(errno, ENOTDIR);
        assert_true(http_open_beneath(root, longest, portable) < 0);
        assert_int_equal(errno, ENAMETOOLONG);
    }
}

static void opening_a_pipe_does_not_wait(void **state)
{
    (void)state;
    for (int portable = 0; portable < 2; portable++) {
        int fd = http_open_beneath(root, "fifo", portable);

        if (fd >= 0)
            close(fd);
    }
}

static void check_kind(const char *path, enum file_kind kind)
{
    struct file *file = http_file_look_up(root, path, "index.html");

    assert_non_null(file);
    if (file->kind != kind)
        fail_msg("%s: %d", path, file->kind);
    assert_int_equal(file->fd >= 0, kind == FILE_REGULAR);
    assert_string_equal(file->path, path);
    http_file_unref(file);
}

static void look_ups_tell_kinds_apart(void **state)
{
    size_t before = descriptors();

    (void)state;
    check_kind("page.html", FILE_REGULAR);
    check_kind("empty", FILE_REGULAR);
    check_kind("dir/", FILE_REGULAR); /* its index */
    check_kind("dir", FILE_DIRECTORY);
    check_kind("bare/", FILE_ABSENT);
    check_kind("", FILE_ABSENT);
    check_kind("nothing", FILE_ABSENT);
    check_kind("page.html/", FILE_ABSENT);
    check_kind("fifo", FILE_ABSENT);
    check_kind("out", FILE_ABSENT);
    check_kind("../secret", FILE_ABSENT);
    check_kind("loop", FILE_ABSENT);
    assert_int_equal(descriptors(), before);
}

static void an_unreadable_file_is_forbidden(void **state)
{
    uid_t self = geteuid();

    (void)state;
    put("closed", "x");
    assert_int_equal(fchmodat(root, "closed", 0, 0), 0);
    if (self == 0) /* root reads everything */
        assert_int_equal(seteuid(65534), 0);
    check_kind("closed", FILE_FORBIDDEN);
    assert_int_equal(seteuid(self), 0);
}

static void a_look_up_knows_size_time_and_tag(void **state)
{
    struct timespec times[2] = {{.tv_sec = 784111777}, {.tv_sec = 784111777, .tv_nsec = 5}};
    struct file *one, *other;

    (void)state;
    assert_int_equal(utimensat(root, "page.html", times, 0), 0);
    one = http_file_look_up(root, "page.html", "index.html");
    assert_int_equal(one->size, 6);
    assert_int_equal(one->modified, 784111777);
    assert_false(one->is_index);
    assert_int_equal(one->etag[0], '"');
    assert_int_equal(one->etag[strlen(one->etag) - 1], '"');
    times[1].tv_nsec = 6;
    assert_int_equal(utimensat(root, "page.html", times, 0), 0);
    other = http_file_look_up(root, "page.html", "index.html");
    assert_string_not_equal(one->etag, other->etag);
    http_file_unref(one);
    http_file_unref(other);
    other = http_file_look_up(root, "dir/", "index.html");
    assert_true(other->is_index);
    assert_int_equal(other->size, 8);
    http_file_unref(other);
}

static void the_cache_believes_a_file_for_a_second(void **state)
{
    struct file_cache cache = {0};
    struct file *file = http_file_look_up(root, "page.html", "index.html");
    int64_t second = INT64_C(1000000000);

    (void)state;
    file->looked_up_ns = 5 * second;
    http_file_cache_add(&cache, file);
    assert_int_equal(file->references, 2);
    assert_ptr_equal(http_file_cache_find(&cache, "page.html", 5 * second), file);
    assert_ptr_equal(http_file_cache_find(&cache, "page.html", 6 * second), file);
    assert_null(http_file_cache_find(&cache, "page.html", 6 * second + 1));
    assert_null(http_file_cache_find(&cache, "page.htm", 5 * second));
    http_file_unref(file);
    http_file_cache_clear(&cache);
    assert_null(http_file_cache_find(&cache, "page.html", 5 * second));
}

static void a_file_that_changes_in_place_leaves_the_cache(void **state)
{
    struct file_cache cache = {0};
    struct file *file = http_file_look_up(root, "empty", "index.html");

    (void)state;
    http_file_cache_add(&cache, file);
    assert_ptr_equal(http_file_cache_find(&cache, "empty", 0), file);
    put("empty", "not any more");
    assert_null(http_file_cache_find(&cache, "empty", 0));
    put("empty", "");
    http_file_unref(file);
    http_file_cache_clear(&cache);
}

static void more_files_than_places_replace_each_other(void **state)
{
    struct file_cache cache = {0};
    size_t before = descriptors();

    (void)state;
    for (int i = 0; i < 4 * FILE_CACHE_ENTRIES; i++) {
        char name[16];
        struct file *file;

        snprintf(name, sizeof name, "n%d", i);
        put(name, "x");
        file = http_file_look_up(root, name, "index.html");
        http_file_cache_add(&cache, file);
        assert_ptr_equal(http_file_cache_find(&cache, name, 0), file);
        http_file_unref(file);
        assert_int_equal(unlinkat(root, name, 0), 0);
    }
    http_file_cache_clear(&cache);
    assert_int_equal(descriptors(), before);
}

static void media_types_follow_the_last_extension(void **state)
{
    (void)state;
    assert_string_equal(http_media_type("a.html"), "text/html; charset=utf-8");
    assert_string_equal(http_media_type("a/b.c/D.HTML"), "text/html; charset=utf-8");
    assert_string_equal(http_media_type("x.min.js"), "text/javascript; charset=utf-8");
    assert_string_equal(http_media_type("x.tar.gz"), "application/gzip");
    assert_string_equal(http_media_type("a.html/plain"), "application/octet-stream");
    assert_string_equal(http_media_type("none"), "application/octet-stream");
    assert_string_equal(http_media_type("dot."), "application/octet-stream");
    assert_string_equal(http_media_type("x.unheard"), "application/octet-stream");
    assert_string_equal(http_media_type(""), "application/octet-stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_below_the_root_open_both_ways),
        cmocka_unit_test(a_folder_opens_with_and_without_slash),
        cmocka_unit_test(nothing_outside_opens_either_way),
        cmocka_unit_test(an_absolute_path_is_not_the_systems),
        cmocka_unit_test(links_inside_open_where_the_kernel_guards_and_not_by_steps),
        cmocka_unit_test(what_is_not_there_says_so_both_ways),
        cmocka_unit_test(opening_a_pipe_does_not_wait),
        cmocka_unit_test(look_ups_tell_kinds_apart),
        cmocka_unit_test(an_unreadable_file_is_forbidden),
        cmocka_unit_test(a_look_up_knows_size_time_and_tag),
        cmocka_unit_test(the_cache_believes_a_file_for_a_second),
        cmocka_unit_test(a_file_that_changes_in_place_leaves_the_cache),
        cmocka_unit_test(more_files_than_places_replace_each_other),
        cmocka_unit_test(media_types_follow_the_last_extension),
    };

    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
