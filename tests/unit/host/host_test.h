/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of host/ share: cmocka, temporary folders, files, messages of errors. */
#ifndef WEIR_TESTS_HOST_TEST_H
#define WEIR_TESTS_HOST_TEST_H

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <weir/error.h>
#include <weir/host.h>

/* In a task, where no assertion may leave by longjmp: what is false ends it with an error. */
#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition))                                                                  \
            return weir_raise(WEIR_EINVAL, "line %d: not true: %s", __LINE__, #condition); \
    } while (0)
/* Runs `fn(arg)` as the main task of a new loop; its error fails the test. */
void run_task(weir_fn fn, void *arg);

/* A new folder, removed with all that is in it by remove_folder(). */
char *new_folder(void);
void remove_folder(char *folder);
/* Writes folder/name. */
void write_file(const char *folder, const char *name, const char *text);
/* Below the build tree, into a static buffer. */
const char *build_path(const char *path);
const char *source_path(const char *path);
/* The error's message, in a static buffer; drops it. "" for NULL. */
const char *message_of(weir_error *take_error);
/* A folder with the bundled plugins and the fixtures, as links. */
char *new_plugin_folder(void);

/* A file through the host, for tests of what becomes of a configuration. */
extern struct loaded {
    char *folder, *plugins;
    weir_host *host;
    char *report; /* a line for each diagnostic: "weir.yaml:4:3: error: …" */
} loaded;

int loaded_set_up(void **state);
int loaded_tear_down(void **state);
/* In place of the one before. False: it was rejected. */
bool loaded_file(const char *path);
bool loaded_text(const char *text);
/* The report as it is now. */
const char *loaded_report(void);
/* Whether the bundled plugin was built. */
bool loaded_has(const char *plugin);

#endif
