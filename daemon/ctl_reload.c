/* SPDX-License-Identifier: Apache-2.0 */
/* The screens of `weirctl reload`, `rollback` and `confirm`, and the reload's lines of `status`. */
#include "config.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/ctl.h"

static long long count_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static const char *clock_of(const json_t *object, const char *key, char *buffer, size_t size)
{
    time_t when = (time_t)count_of(object, key);
    struct tm tm;

    if (!localtime_r(&when, &tm) || !strftime(buffer, size, "%H:%M:%S", &tm))
        buffer[0] = '\0';
    return buffer;
}

static const char *s_of(long long n)
{
    return n == 1 ? "" : "s";
}

/* "preparing  1 certificate, 2 new sockets ............ FAILED  31 ms" */
static void print_step(const char *what, const char *details, bool ok, double took)
{
    static const char dots[] = "............................................................";
    size_t len = strlen(details) < 44 ? strlen(details) : 44;

    fprintf(stderr, "%-10s %s %.*s %-7s %5.0f ms\n", what, details, (int)(46 - len), dots,
            ok ? "ok" : "FAILED", took * 1e3);
}

static void print_steps(const json_t *answer)
{
    bool checked = json_is_true(json_object_get(answer, "checked"));
    long long files = count_of(answer, "files") - 1, sockets = count_of(answer, "new_sockets");
    long long certificates = count_of(answer, "certificates"),
              plugins = count_of(answer, "plugins");
    char text[300];

    if (!json_is_true(json_object_get(answer, "rollback"))) {
        if (files > 0)
            (void)snprintf(text, sizeof text, "%s + %lld included file%s",
                           text_of(answer, "config"), files, s_of(files));
        else
            (void)snprintf(text, sizeof text, "%s", text_of(answer, "config"));
        print_step("checking", text, checked, number_of(answer, "checking"));
        if (!checked)
            return;
    }
    (void)snprintf(text, sizeof text, "%lld certificate%s, %lld plugin%s, %lld new socket%s",
                   certificates, s_of(certificates), plugins, s_of(plugins), sockets,
                   s_of(sockets));
    print_step("preparing", text, count_of(answer, "exit") == 0, number_of(answer, "preparing"));
}

static void print_changes(const json_t *answer)
{
    const json_t *changes = json_object_get(answer, "changes");
    long long hot = count_of(changes, "hot"), sockets = count_of(changes, "sockets"),
              restart = count_of(changes, "restart"), all = hot + sockets + restart;

    if (!*text_of(answer, "diff"))
        return;
    fprintf(stderr, "%s%lld change%s: %lld hot, %lld socket%s, %lld need%s restart\n",
            text_of(answer, "diff"), all, s_of(all), hot, sockets, s_of(sockets), restart,
            restart == 1 ? "s" : "");
}

int ctl_print_reload(const struct ctl_arguments *arguments, const json_t *answer)
{
    int code = (int)count_of(answer, "exit");
    const char *diagnostics = text_of(answer, "diagnostics");
    char when[40];

    (void)arguments;
    print_changes(answer);
    print_steps(answer);
    if (*diagnostics)
        fprintf(stderr, "\n%s", diagnostics);
    else if (code)
        fprintf(stderr, "\nweirctl: %s\n", text_of(answer, "message"));
    clock_of(answer, "loaded", when, sizeof when);
    if (code)
        fprintf(stderr, "Nothing changed: still serving generation %lld (loaded %s).\n",
                count_of(answer, "generation"), when);
    else if (!json_is_true(json_object_get(answer, "committed")))
        fprintf(stderr, "A dry run: still serving generation %lld (loaded %s).\n",
                count_of(answer, "generation"), when);
    else
        fprintf(stderr, "Serving generation %lld after %.0f ms.\n", count_of(answer, "generation"),
                number_of(answer, "took") * 1e3);
    if (json_object_get(answer, "confirm_within"))
        fprintf(stderr, "It goes back in %.0f s unless you say: weirctl confirm\n",
                number_of(answer, "confirm_within"));
    return code;
}

int ctl_print_confirm(const struct ctl_arguments *arguments, const json_t *answer)
{
    (void)arguments, (void)answer;
    printf("confirmed\n");
    return EXIT_OK;
}

bool ctl_reload_params(const struct ctl_arguments *arguments, json_t *into)
{
    double time;

    if (arguments->dry_run)
        json_object_set_new(into, "dry_run", json_true());
    if (arguments->json)
        json_object_set_new(into, "json", json_true());
    else if (isatty(STDERR_FILENO))
        json_object_set_new(into, "color", json_true());
    if (arguments->wait && strcmp(arguments->wait, "drained") != 0)
        return fprintf(stderr, "weirctl: --wait is `drained`\n"), false;
    if (arguments->wait)
        json_object_set_new(into, "drained", json_true());
    if (!arguments->confirm)
        return true;
    if (!ctl_read_time(arguments->confirm, &time) || time <= 0)
        return fprintf(stderr, "weirctl: --confirm takes a time: 60s, 5m\n"), false;
    json_object_set_new(into, "confirm", json_real(time));
    return true;
}

static void print_outcome(const char *title, const json_t *one)
{
    char when[40];

    if (json_is_true(json_object_get(one, "ok")))
        printf("%s%s ok, %.0f ms", title, clock_of(one, "when", when, sizeof when),
               number_of(one, "took") * 1e3);
    else
        printf("%s%s REJECTED %s", title, clock_of(one, "when", when, sizeof when),
               text_of(one, "message"));
}

/* Generations that connections still use. */
static void print_pinned(const json_t *answer)
{
    const json_t *list = json_object_get(answer, "generations"), *one, *count;
    const char *name;
    size_t i;

    if (json_array_size(list) < 2)
        return;
    printf("  %-13s %zu live:", "generations", json_array_size(list));
    json_array_foreach((json_t *)list, i, one)
    {
        printf("%s %lld %s", i ? "," : "", count_of(one, "generation"), text_of(one, "state"));
        json_object_foreach(json_object_get(one, "listeners"), name, count)
            printf(" (%s: %lld connections)", name, (long long)json_integer_value(count));
    }
    printf("\n");
}

void ctl_print_reloads(const json_t *answer)
{
    const json_t *last = json_object_get(answer, "last_reload");
    const json_t *previous = json_object_get(answer, "previous_reload");

    if (last) {
        print_outcome("  last reload   ", last);
        if (previous)
            print_outcome("        previous: ", previous);
        printf("\n");
    }
    if (json_object_get(answer, "confirm_left"))
        printf("  %-13s goes back in %.0f s unless confirmed: weirctl confirm\n", "reload",
               number_of(answer, "confirm_left"));
    print_pinned(answer);
}
