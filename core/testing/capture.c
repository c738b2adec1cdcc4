/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log as values: records go to a file in memory, one JSON object a line, and are searched there.
 * Texts are compared as JSON has them, so the wanted one is escaped in the same way.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/testing/kit.h"

#define CATEGORIES 3

static int log_file = -1;
static weir_warning_action actions[CATEGORIES];

static void configure(int fd, weir_log_format format)
{
    weir_log_options options = {WEIR_SIZED(weir_log_options), .fd = fd, .format = format};
    weir_error *error = weir_log_configure(&options);

    if (error) {
        weir_ignore(error);
        weir__check_fail(weir__test_current, "the log cannot be captured");
    }
}

void weir_test_log_begin(void)
{
    (void)weir_log_flush(WEIR_S(10));
    log_file = memfd_create("weir-test-log", MFD_CLOEXEC);
    if (log_file < 0) {
        weir__check_fail(weir__test_current, "no file for the log");
        return;
    }
    for (int i = 0; i < CATEGORIES; i++) {
        actions[i] = weir_warnings_get((weir_warning)i);
        weir_warnings_set((weir_warning)i, WEIR_WARNING_ALWAYS);
    }
    configure(log_file, WEIR_LOG_JSON);
}

void weir_test_log_end(void)
{
    if (log_file < 0)
        return;
    (void)weir_log_flush(WEIR_S(10));
    configure(STDERR_FILENO, WEIR_LOG_TEXT);
    for (int i = 0; i < CATEGORIES; i++)
        weir_warnings_set((weir_warning)i, actions[i]);
    close(log_file);
    log_file = -1;
}

/* Everything so far, to be freed; NULL: nothing. */
static char *read_log(void)
{
    off_t size;
    ssize_t n;
    char *text;

    if (log_file < 0 || !weir_log_flush(WEIR_S(10)))
        return NULL;
    size = lseek(log_file, 0, SEEK_END);
    if (size <= 0)
        return NULL;
    text = weir__kit_alloc((size_t)size + 1);
    n = pread(log_file, text, (size_t)size, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Whether the line has this member; `wanted` NULL: any. */
static bool has(const char *line, const char *name, const char *wanted)
{
    char member[512];
    struct text text = TEXT_INIT(member);

    if (!wanted)
        return true;
    text_printf(&text, "\"%s\":", name);
    text_add_json(&text, wanted, strlen(wanted));
    return strstr(line, member) != NULL;
}

static bool contains(const char *line, const char *wanted)
{
    char quoted[2048];
    struct text text = TEXT_INIT(quoted);

    if (!wanted)
        return true;
    text_add_json(&text, wanted, strlen(wanted));
    if (text_truncated(&text) || text.len < 2)
        return false;
    quoted[text.len - 1] = '\0';
    return strstr(line, quoted + 1) != NULL;
}

static size_t count(const char *logger, const char *level, const char *category, const char *wanted)
{
    char *text = read_log(), *rest = NULL;
    size_t found = 0;

    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest))
        found += has(line, "level", level) && has(line, "logger", logger) &&
                 has(line, "category", category) && contains(line, wanted);
    weir__free(text);
    return found;
}

size_t weir_test_logged(const char *logger, int level, const char *text)
{
    return count(logger, level ? weir_log_level_name(level) : NULL, NULL, text);
}

size_t weir_test_warned(weir_warning category, const char *text)
{
    /* RUNTIME warnings are logged without their category. */
    static const char *const tags[CATEGORIES] = {"RESOURCE", NULL, "DEPRECATION"};

    return count("weir", "warning", (unsigned)category < CATEGORIES ? tags[category] : NULL, text);
}

size_t weir_test_log_text(char *buffer, size_t size)
{
    char *text = read_log();
    size_t lines = 0;

    if (size)
        snprintf(buffer, size, "%s", text ? text : "");
    for (const char *at = text; at && *at; at++)
        lines += *at == '\n';
    weir__free(text);
    return lines;
}
