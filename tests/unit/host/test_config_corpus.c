/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The corpus of tests/config: files that are right, and files whose mistakes are marked where they
 * stand, by a comment under the line:
 *
 *       keepalive: many
 *       #          ^ W0102 expected a number
 *
 * The caret is the column, the text must occur in what is reported there (parts separated by " | ").
 * `#<` means column 1, and `#@LINE:COLUMN` any place, for files in which a comment would change the
 * mistake. Nothing else may be reported.
 */
#include "config.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "tests/unit/host/config_tables.h"

#define MOST_MARKS 32

struct mark {
    unsigned line, column;
    int code;
    const char *text;
    bool met;
};

static char *slurp(const char *path)
{
    FILE *in = fopen(path, "r");
    char *text = calloc(1, 65536);

    assert_non_null(in);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, in) < 65535);
    fclose(in);
    return text;
}

static size_t read_marks(char *text, struct mark *ret)
{
    unsigned line = 0, target = 0;
    size_t n = 0;
    char *state, *copy = text;

    for (char *s = strsep(&copy, "\n"); s; s = strsep(&copy, "\n")) {
        char *hash = s + strspn(s, " "), *caret = hash + 1;
        struct mark *mark = &ret[n];

        line++;
        if (*hash != '#') {
            target = line;
            continue;
        }
        caret += strspn(caret, " ");
        mark->line = target;
        mark->column = (unsigned)(caret - s) + 1;
        if (*caret == '<')
            mark->column = 1;
        else if (*caret == '@' && sscanf(caret, "@%u:%u", &mark->line, &mark->column) != 2)
            continue;
        else if (*caret != '^' && *caret != '@')
            continue;
        state = strstr(caret, " W");
        if (!state || n == MOST_MARKS)
            continue;
        mark->code = (int)strtol(state + 2, NULL, 10);
        mark->text = state + 2 + strspn(state + 2, "0123456789 ");
        n++;
    }
    return n;
}

static bool says(const struct diagnostic *d, const char *part, size_t len)
{
    const char *texts[2 + DIAGNOSTIC_HELPS + DIAGNOSTIC_LABELS] = {d->message, d->primary.text};
    size_t n = 2;

    for (size_t i = 0; i < d->n_help; i++)
        texts[n++] = d->help[i];
    for (size_t i = 0; i < d->n_also; i++)
        texts[n++] = d->also[i].text;
    for (size_t i = 0; i < n; i++) {
        if (texts[i] && memmem(texts[i], strlen(texts[i]), part, len))
            return true;
    }
    return false;
}

static bool fits(const struct mark *mark, const struct diagnostic *d)
{
    const char *part = mark->text;

    if (mark->met || mark->code != d->code || mark->line != d->primary.span.line + 1 ||
        mark->column != d->primary.span.column + 1)
        return false;
    for (;;) {
        const char *end = strstr(part, " | ");

        if (!says(d, part, end ? (size_t)(end - part) : strlen(part)))
            return false;
        if (!end)
            return true;
        part = end + 3;
    }
}

/* The number of differences, each printed. */
static unsigned check_file(const char *path, bool good)
{
    struct mark marks[MOST_MARKS] = {{0}};
    char *text = slurp(path), *report;
    size_t n = read_marks(text, marks);
    struct config_settings settings = {.path = path, .version = 1};
    struct test_top *top;
    weir_config_context *c = test_config_load(&settings, &top);
    unsigned wrong = 0;

    if (!good && n == 0) {
        print_error("%s: nothing is marked\n", path);
        wrong++;
    }
    for (size_t i = 0; i < c->n_diagnostics; i++) {
        bool found = false;

        for (size_t m = 0; m < n && !found; m++)
            found = fits(&marks[m], c->diagnostics[i]) && (marks[m].met = true);
        wrong += !found;
    }
    for (size_t m = 0; m < n; m++) {
        if (!marks[m].met) {
            print_error("%s:%u:%u: expected W%04d %s\n", path, marks[m].line, marks[m].column,
                        marks[m].code, marks[m].text);
            wrong++;
        }
    }
    report = test_config_report(c, CONFIG_FORMAT_TEXT);
    if (wrong)
        print_error("%s: reported:\n%s", path, report);
    free(report);
    free(text);
    weir__config_unref(c);
    return wrong;
}

static unsigned check_folder(const char *name, bool good, unsigned least)
{
    const char *root = getenv("srcdir");
    unsigned wrong = 0, count = 0;
    char folder[512], path[1024];
    struct dirent *entry;
    DIR *dir;

    snprintf(folder, sizeof folder, "%s/tests/config/%s", root ? root : ".", name);
    dir = opendir(folder);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');

        if (!dot || strcmp(dot, ".yaml") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        wrong += check_file(path, good);
        count++;
    }
    closedir(dir);
    assert_true(count >= least);
    return wrong;
}

static void bad_files_give_the_marked_diagnostics_and_no_others(void **state)
{
    (void)state;
    assert_int_equal(check_folder("bad", false, 25), 0);
}

static void good_files_give_none(void **state)
{
    (void)state;
    assert_int_equal(check_folder("good", true, 5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files_give_the_marked_diagnostics_and_no_others),
        cmocka_unit_test(good_files_give_none),
    };

    setenv("CONFIG_TEST_LEVEL", "debug", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
