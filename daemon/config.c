/* SPDX-License-Identifier: Apache-2.0 */
/* `weir config`: looking at configurations: what is in force, what differs, how to begin. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/daemon.h"

/* Loaded with what print and diff need; NULL after a report, and its exit code. */
static weir_host *load(const struct arguments *arguments, const char *path, int *ret_code)
{
    struct arguments with = *arguments;
    weir_host *host;

    with.inspect = true;
    if (path)
        with.config_path = path;
    host = open_host(&with);
    if (!host) {
        *ret_code = EXIT_SOFTWARE;
        return NULL;
    }
    if (weir_host_load(host))
        return host;
    weir_host_report(host, stderr, arguments->format, use_color(arguments));
    if (arguments->format == WEIR_HOST_TEXT)
        weir_host_summary(host, stderr);
    *ret_code = weir_host_exit_code(host);
    weir_host_free(host);
    return NULL;
}

static int print(const struct arguments *arguments)
{
    weir_host_print_options options = {WEIR_SIZED(weir_host_print_options), .path = arguments->path,
                                       .only_set = arguments->only_set,
                                       .json = arguments->format == WEIR_HOST_JSON};
    int code = EXIT_OK;
    weir_host *host = load(arguments, NULL, &code);

    if (!host)
        return code;
    if (!weir_host_print(host, stdout, &options)) {
        fprintf(stderr, "weir: nothing is set at `%s`; try: weir explain %s\n", arguments->path,
                arguments->path);
        code = EXIT_NO;
    }
    weir_host_free(host);
    return code;
}

static void print_changes(weir_host_changes n)
{
    size_t total = n.hot + n.sockets + n.restart;

    if (!total) {
        printf("no difference\n");
        return;
    }
    printf("%zu change%s: %zu hot, %zu socket%s, %zu need%s restart\n", total,
           total == 1 ? "" : "s", n.hot, n.sockets, n.sockets == 1 ? "" : "s", n.restart,
           n.restart == 1 ? "s" : "");
}

static int diff(const struct arguments *arguments)
{
    weir_host_changes changes;
    weir_host *from, *to;
    int code = EXIT_OK;

    if (arguments->rest_count < 2 || arguments->rest_count > 3) {
        fprintf(stderr, "weir: config diff takes the file as it was and as it is to be\n");
        return EXIT_USAGE;
    }
    from = load(arguments, arguments->rest[1], &code);
    to = from ? load(arguments, arguments->rest_count == 3 ? arguments->rest[2] : NULL, &code)
              : NULL;
    if (to) {
        changes = weir_host_diff(from, to, stdout);
        print_changes(changes);
        code = changes.hot + changes.sockets + changes.restart ? EXIT_NO : EXIT_OK;
    }
    weir_host_free(to);
    weir_host_free(from);
    return code;
}

static int schema(const struct arguments *arguments)
{
    weir_host *host = open_host(arguments);

    if (!host)
        return EXIT_SOFTWARE;
    weir_host_schema(host, stdout);
    weir_host_free(host);
    return EXIT_OK;
}

static const char beginning[] =
    "# yaml-language-server: $schema=" WEIR_SCHEMA_PATH "\n"
    "# The configuration of weir. `weir check` says what is wrong with it, `weir explain KEY` what a\n"
    "# setting is, `weir config print` what is in force.\n"
    "version: 1\n"
    "\n"
    "upstreams:\n"
    "  app:\n"
    "    servers: [127.0.0.1:3000]\n"
    "\n"
    "listeners:\n"
    "  web:\n"
    "    bind: 8080\n"
    "    routes:\n"
    "      - proxy: app\n";

/* A file to begin with; one that is there is never overwritten. */
static int init(const struct arguments *arguments)
{
    const char *path = arguments->rest_count > 1 ? arguments->rest[1] : arguments->config_path;
    size_t len = sizeof beginning - 1;
    char why[128];
    ssize_t n;
    int fd;

    if (strcmp(path, "-") == 0)
        return fputs(beginning, stdout) < 0 ? EXIT_CANTCREAT : EXIT_OK;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        fprintf(stderr, "weir: cannot make %s: %s\n", path, strerror_r(errno, why, sizeof why));
        return EXIT_CANTCREAT;
    }
    n = write(fd, beginning, len);
    if (close(fd) != 0 || n != (ssize_t)len) {
        fprintf(stderr, "weir: cannot write %s\n", path);
        (void)unlink(path);
        return EXIT_CANTCREAT;
    }
    if (!arguments->quiet)
        printf("%s is written; next: weir run -f %s\n", path, path);
    return EXIT_OK;
}

static int run_config(const struct arguments *arguments)
{
    static const struct {
        const char *name;
        int (*run)(const struct arguments *arguments);
    } verbs[] = {{"print", print}, {"diff", diff}, {"init", init}, {"schema", schema}};

    const char *verb = arguments->rest_count ? arguments->rest[0] : "";

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, verb) == 0)
            return verbs[i].run(arguments);
    fprintf(stderr, "weir: config print, diff, init or schema%s%s%s\nTry: weir help config\n",
            *verb ? ", not `" : "", verb, *verb ? "`" : "");
    return EXIT_USAGE;
}

const struct command command_config = {
    .name = "config",
    .synopsis = "print|diff|init|schema …",
    .summary = "look at configurations",
    .help =
        "  weir config print                          what is in force, and where it came from\n"
        "  weir config print --only-set               without defaults\n"
        "  weir config print --path listeners.web     one part\n"
        "  weir config print --json                   as JSON, without origins\n"
        "  weir config diff OLD.yaml [NEW.yaml]       what a change does to a running weir\n"
        "  weir config init [FILE]                    write a file to begin with\n"
        "  weir config schema > weir.schema.json      JSON Schema for editors\n"
        "\n"
        "Secrets are not shown. Exit status: as `weir check`; diff gives 1 when something\n"
        "differs, print when nothing is at the path; 73 a file cannot be made.\n",
    .run = run_config,
};
