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

struct loaded loaded;

int loaded_set_up(void **state)
{
    (void)state;
    loaded.folder = new_folder();
    loaded.plugins = new_plugin_folder();
    return 0;
}

int loaded_tear_down(void **state)
{
    (void)state;
    weir_host_free(loaded.host);
    free(loaded.report);
    remove_folder(loaded.folder);
    remove_folder(loaded.plugins);
    loaded = (struct loaded){NULL, NULL, NULL, NULL};
    return 0;
}

const char *loaded_report(void)
{
    size_t size;
    FILE *out;

    free(loaded.report);
    out = open_memstream(&loaded.report, &size);
    weir_host_report(loaded.host, out, WEIR_HOST_GCC, false);
    fclose(out);
    return loaded.report;
}

bool loaded_file(const char *path)
{
    weir_host_options options = {WEIR_SIZED(weir_host_options), .config_path = path,
                                 .plugin_dir = loaded.plugins};
    bool ok;

    weir_host_free(loaded.host);
    assert_string_equal(message_of(weir_host_new(&options, &loaded.host)), "");
    ok = weir_host_load(loaded.host);
    (void)loaded_report();
    return ok;
}

bool loaded_text(const char *text)
{
    char path[300];

    write_file(loaded.folder, "weir.yaml", text);
    (void)snprintf(path, sizeof path, "%s/weir.yaml", loaded.folder);
    return loaded_file(path);
}

bool loaded_has(const char *plugin)
{
    char path[300];

    (void)snprintf(path, sizeof path, "%s/%s.so", loaded.plugins, plugin);
    return access(path, R_OK) == 0;
}
