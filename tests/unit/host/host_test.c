/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the tests of host/. */
#include "tests/unit/host/host_test.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/loop.h>

void run_task(weir_fn fn, void *arg)
{
    weir_error *error = weir_run_at(WEIR_HERE, "test", fn, arg, NULL);

    if (error)
        fail_msg("%s", message_of(error));
}

char *new_folder(void)
{
    char *folder = strdup("/tmp/weir-host-test-XXXXXX");

    assert_non_null(folder);
    assert_non_null(mkdtemp(folder));
    return folder;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

void remove_folder(char *folder)
{
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(folder);
}

void write_file(const char *folder, const char *name, const char *text)
{
    char path[PATH_MAX];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

const char *build_path(const char *path)
{
    static char full[PATH_MAX];
    const char *top = getenv("WEIR_BUILDDIR");
    char here[PATH_MAX];

    if (!top)
        top = getcwd(here, sizeof here);
    snprintf(full, sizeof full, "%s/%s", top, path);
    return full;
}

const char *source_path(const char *path)
{
    static char full[PATH_MAX];
    const char *top = getenv("WEIR_SRCDIR");

    snprintf(full, sizeof full, "%s/%s", top ? top : ".", path);
    return full;
}

const char *message_of(weir_error *take_error)
{
    static char text[1000];

    *text = '\0';
    if (take_error) {
        weir_error_message(take_error, text, sizeof text);
        weir_error_unref(take_error);
    }
    return text;
}

static void link_plugin(const char *folder, const char *name, const char *file)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s.so", folder, name);
    if (access(build_path(file), R_OK) == 0)
        assert_int_equal(symlink(build_path(file), path), 0);
}

char *new_plugin_folder(void)
{
    static const char *const bundled[] = {"http", "tcp", "echo", "admin", "udp"};
    static const char *const fixtures[] = {"good", "old", "small", "other", "none", "resized"};
    char *folder = new_folder(), file[200];

    for (size_t i = 0; i < sizeof bundled / sizeof *bundled; i++) {
        snprintf(file, sizeof file, "plugins/%s/.libs/%s.so", bundled[i], bundled[i]);
        link_plugin(folder, bundled[i], file);
    }
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        snprintf(file, sizeof file, "tests/unit/host/.libs/fixture_%s.so", fixtures[i]);
        link_plugin(folder, fixtures[i], file);
    }
    return folder;
}
