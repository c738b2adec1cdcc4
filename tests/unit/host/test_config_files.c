/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole files with the real tables: those of tests/config/right are accepted, and printing one gives
 * a file that means the same. One of them is then broken in every place that a rule names, by a
 * program: a key misspelt, doubled, deleted, moved a level; each is one error, where it was broken.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/host.h>

#include "tests/unit/host/host_test.h"

static char *folder, *plugins;

static int set_up(void **state)
{
    (void)state;
    folder = new_folder();
    plugins = new_plugin_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_folder(folder);
    remove_folder(plugins);
    return 0;
}

static weir_host *new_host(const char *path)
{
    weir_host_options options = {
        .size = sizeof options, .config_path = path, .plugin_dir = plugins, .inspect = true};
    weir_host *host = NULL;

    assert_string_equal(message_of(weir_host_new(&options, &host)), "");
    return host;
}

static char *report_of(weir_host *host)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    weir_host_report(host, out, WEIR_HOST_GCC, false);
    fclose(out);
    return text;
}

/* The effective values, without the comments that say where they come from. */
static char *print_of(weir_host *host)
{
    weir_host_print_options how = {.size = sizeof how};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    assert_true(weir_host_print(host, out, &how));
    fclose(out);
    return text;
}

static void cut_comments(char *text)
{
    char *to = text;

    for (char *at = text; *at;) {
        size_t len = strcspn(at, "\n");
        char *comment = memmem(at, len, "  # ", 4);
        size_t keep = comment ? (size_t)(comment - at) : len;

        while (keep > 0 && at[keep - 1] == ' ')
            keep--;
        memmove(to, at, keep);
        to += keep;
        *to++ = '\n';
        at += len + (at[len] == '\n');
    }
    *to = '\0';
}

/* True when the file is accepted and its print is accepted and prints the same. */
static bool is_right(const char *path)
{
    weir_host *host = new_host(path), *again;
    bool ok = weir_host_load(host);
    char *report = report_of(host), *first, *second, printed[600];

    if (!ok || *report)
        print_error("%s is refused:\n%s", path, report);
    free(report);
    if (!ok) {
        weir_host_free(host);
        return false;
    }
    first = print_of(host);
    weir_host_free(host);
    write_file(folder, "printed.yaml", first);
    snprintf(printed, sizeof printed, "%s/printed.yaml", folder);
    again = new_host(printed);
    ok = weir_host_load(again);
    report = report_of(again);
    if (ok) {
        second = print_of(again);
        cut_comments(first);
        cut_comments(second);
        ok = strcmp(first, second) == 0;
        if (!ok)
            print_error("%s: printed as\n%s\nand again as\n%s", path, first, second);
        free(second);
    } else {
        print_error("%s: its print is refused:\n%s\n%s", path, report, first);
    }
    free(report);
    free(first);
    weir_host_free(again);
    return ok;
}

static void right_files_are_accepted_and_their_print_means_the_same(void **state)
{
    char root[400], path[700];
    unsigned count = 0, wrong = 0;
    struct dirent *entry;
    DIR *dir;

    (void)state;
    snprintf(root, sizeof root, "%s", source_path("tests/config/right"));
    dir = opendir(root);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        size_t len = strlen(entry->d_name);

        if (len < 5 || strcmp(entry->d_name + len - 5, ".yaml") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", root, entry->d_name);
        wrong += !is_right(path);
        count++;
    }
    closedir(dir);
    assert_true(count >= 25);
    assert_int_equal(wrong, 0);
}

/* Mutations. */

#define MOST_LINES 100

struct lines {
    char *text[MOST_LINES];
    size_t count;
};

static char *slurp(const char *path)
{
    FILE *in = fopen(path, "r");
    char *text = calloc(1, 65536);

    assert_non_null(in);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, in) > 0);
    fclose(in);
    return text;
}

static void split(char *text, struct lines *ret)
{
    ret->count = 0;
    for (char *s = strsep(&text, "\n"); s && ret->count < MOST_LINES; s = strsep(&text, "\n"))
        if (*s)
            ret->text[ret->count++] = s;
}

static size_t key_column(const char *line)
{
    size_t at = strspn(line, " ");

    return line[at] == '-' ? at + 2 : at;
}

static size_t key_length(const char *line)
{
    return strspn(line + key_column(line), "abcdefghijklmnopqrstuvwxyz_");
}

/* Names of entries are the author's: nothing is misspelt there. */
static bool is_name(const char *line)
{
    static const char *const names[] = {"app", "api", "web"};
    size_t column = key_column(line), len = key_length(line);

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && strncmp(line + column, names[i], len) == 0)
            return true;
    return false;
}

static bool has_value(const char *line)
{
    const char *colon = strchr(line, ':');

    return colon && colon[1] == ' ';
}

/* Writes the lines with the one at `at` replaced (NULL: gone) and `more` behind it. */
static void write_with(const struct lines *lines, size_t at, const char *line, const char *more)
{
    char text[16384] = "";
    size_t len = 0;

    for (size_t i = 0; i < lines->count; i++) {
        const char *this = i == at ? line : lines->text[i];

        if (this)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s\n", this);
        if (i == at && more)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s\n", more);
    }
    assert_true(len < sizeof text);
    write_file(folder, "mutated.yaml", text);
}

/* Whether there is exactly one error, on one of the lines `from` to `to` (from 1). */
static bool is_one_error(const char *what, const char *line, size_t from, size_t to,
                         const char *says)
{
    char path[600], *report, *colon;
    unsigned long at;
    weir_host *host;
    bool ok;

    snprintf(path, sizeof path, "%s/mutated.yaml", folder);
    host = new_host(path);
    ok = !weir_host_load(host) && weir_host_exit_code(host) == 78;
    report = report_of(host);
    colon = strstr(report, "mutated.yaml:");
    at = colon ? strtoul(colon + strlen("mutated.yaml:"), NULL, 10) : 0;
    ok = ok && strchr(report, '\n') && !strchr(report, '\n')[1] && at >= from && at <= to &&
         strstr(report, says);
    if (!ok)
        print_error("%s `%s`, expected one error with `%s` on line %zu to %zu:\n%s\n", what, line,
                    says, from, to, report);
    free(report);
    weir_host_free(host);
    return ok;
}

static unsigned misspell(const struct lines *lines, unsigned *count)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < lines->count; i++) {
        const char *line = lines->text[i];
        size_t column = key_column(line), len = key_length(line);
        char changed[200], says[100];

        if (len < 3 || line[column + len] != ':' || is_name(line))
            continue;
        snprintf(changed, sizeof changed, "%s", line);
        changed[column + len - 1] = line[column + len - 2]; /* the last two letters swapped */
        changed[column + len - 2] = line[column + len - 1];
        if (strcmp(changed, line) == 0)
            continue;
        snprintf(says, sizeof says, "`%.*s`", (int)len, changed + column);
        write_with(lines, i, changed, NULL);
        wrong += !is_one_error("misspelt", line, i + 1, i + 1, says);
        ++*count;
    }
    return wrong;
}

static unsigned repeat(const struct lines *lines, unsigned *count)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < lines->count; i++) {
        const char *line = lines->text[i];

        if (!has_value(line) || line[strspn(line, " ")] == '-')
            continue;
        write_with(lines, i, line, line);
        wrong += !is_one_error("doubled", line, i + 2, i + 2, "stands twice");
        ++*count;
    }
    return wrong;
}

/* The line of the map around a line. */
static size_t around(const struct lines *lines, size_t at)
{
    size_t column = strspn(lines->text[at], " "), i = at;

    while (i > 0 && strspn(lines->text[i], " ") >= column)
        i--;
    return i + 1;
}

static unsigned delete_needed(const struct lines *lines, unsigned *count)
{
    static const char *const needed[] = {"version: ", "servers: ", "proxy: api"};
    unsigned wrong = 0;

    for (size_t i = 0; i < lines->count; i++) {
        const char *key = lines->text[i] + strspn(lines->text[i], " ");

        for (size_t n = 0; n < sizeof needed / sizeof *needed; n++) {
            if (strncmp(key, needed[n], strlen(needed[n])) != 0)
                continue;
            write_with(lines, i, NULL, NULL);
            wrong += !is_one_error("deleted", lines->text[i], around(lines, i), i + 1, "");
            ++*count;
        }
    }
    return wrong;
}

/* The last key of a map, two columns further left: it joins the map around. */
static unsigned move_out(const struct lines *lines, unsigned *count)
{
    unsigned wrong = 0;

    for (size_t i = 1; i < lines->count; i++) {
        const char *line = lines->text[i];
        size_t column = strspn(line, " "),
               next = i + 1 < lines->count ? strspn(lines->text[i + 1], " ") : 0;

        if (column < 2 || !has_value(line) || line[column] == '-' || next >= column)
            continue;
        write_with(lines, i, line + 2, NULL);
        wrong += !is_one_error("moved out", line, i, i + 2, "");
        ++*count;
    }
    return wrong;
}

/* Two columns further right, behind a key that has a value. */
static unsigned move_in(const struct lines *lines, unsigned *count)
{
    unsigned wrong = 0;

    for (size_t i = 1; i < lines->count; i++) {
        const char *line = lines->text[i], *before = lines->text[i - 1];
        char changed[200];

        if (!has_value(line) || !has_value(before) || line[strspn(line, " ")] == '-' ||
            before[strspn(before, " ")] == '-' || strspn(line, " ") != strspn(before, " "))
            continue;
        snprintf(changed, sizeof changed, "  %s", line);
        write_with(lines, i, changed, NULL);
        wrong += !is_one_error("moved in", line, i, i + 1, "");
        ++*count;
    }
    return wrong;
}

static void each_mutation_is_one_error_where_it_was_made(void **state)
{
    char *text = slurp(source_path("tests/config/right/29-whole-site.yaml"));
    unsigned count = 0, wrong = 0;
    struct lines lines;

    (void)state;
    split(text, &lines);
    wrong += misspell(&lines, &count);
    wrong += repeat(&lines, &count);
    wrong += delete_needed(&lines, &count);
    wrong += move_out(&lines, &count);
    wrong += move_in(&lines, &count);
    free(text);
    assert_true(count >= 40);
    if (wrong)
        fail_msg("%u of %u mutations", wrong, count);
}

/* A plugin that crashes. */

static int load_it(weir_host *host, void *arg)
{
    (void)arg;
    return weir_host_load(host) ? 0 : 7;
}

static void a_plugin_that_crashes_is_a_diagnostic_at_its_name(void **state)
{
    char text[600], path[600], *report;
    weir_host *host;

    (void)state;
    snprintf(text, sizeof text, "version: 1\nplugins:\n  crash: { path: %s }\n",
             build_path("tests/unit/host/.libs/fixture_crash.so"));
    write_file(folder, "crash.yaml", text);
    snprintf(path, sizeof path, "%s/crash.yaml", folder);
    host = new_host(path);
    assert_int_equal(weir_host_run_apart(host, load_it, NULL), -1);
    report = report_of(host);
    assert_non_null(strstr(report, "crash.yaml:3:3: error: plugin `crash` crashed (SIGSEGV) while "
                                   "it was loaded [W0303]\n"));
    assert_int_equal(weir_host_exit_code(host), 78);
    free(report);
    weir_host_free(host);
}

static void a_child_gives_what_its_function_gives(void **state)
{
    weir_host *host = new_host(source_path("tests/config/right/01-one-line.yaml"));

    (void)state;
    assert_int_equal(weir_host_run_apart(host, load_it, NULL), 0);
    weir_host_free(host);
    host = new_host("/nonexistent/weir.yaml");
    assert_int_equal(weir_host_run_apart(host, load_it, NULL), 7);
    weir_host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(right_files_are_accepted_and_their_print_means_the_same,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_plugin_that_crashes_is_a_diagnostic_at_its_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_child_gives_what_its_function_gives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_mutation_is_one_error_where_it_was_made, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
