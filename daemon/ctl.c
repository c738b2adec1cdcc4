/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weirctl: finds the socket, asks one question, prints the answer.
 *
 *   socket: --socket, $WEIR_CONTROL, admin.control.socket of -f FILE, then the usual places
 *   exit:   what the daemon says; 64 the command line, 69 no daemon answers, 77 not allowed
 */
#include "config.h"

#include "daemon/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <weir/host.h>

/* Finding and talking. */

static int try_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return errno = ENAMETOOLONG, -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address)) {
        int code = errno;

        close(fd);
        errno = code;
        return -1;
    }
    return fd;
}

/* What the file says, as far as it can be read. */
static const char *socket_of_config(const char *path, char *buffer, size_t size)
{
    weir_host_options options = {WEIR_SIZED(weir_host_options), .config_path = path,
                                 .plugin_dir = getenv("WEIR_PLUGIN_DIR")};
    const char *found = NULL;
    weir_host *host;
    weir_error *error = weir_host_new(&options, &host);

    if (error) {
        weir_ignore(error);
        return NULL;
    }
    (void)weir_host_load(host);
    if (weir_host_settings_of(host)->control_socket) {
        (void)snprintf(buffer, size, "%s", weir_host_settings_of(host)->control_socket);
        found = buffer;
    }
    weir_host_free(host);
    return found;
}

static int unreachable(const char *path)
{
    int code = errno;

    fprintf(stderr, "weirctl: no daemon answers at %s: %s\n", path,
            code == ECONNREFUSED ? "nobody listens (a stale file)"
            : code == ENOENT     ? "there is no such socket"
                                 : weir_code_text(code));
    if (code == EACCES)
        return fprintf(stderr, "Try: as root, or as a member of admin.control.group\n"),
               -EXIT_NOPERM;
    fprintf(stderr, "Try: systemctl status weir, or say where: --socket PATH\n");
    return -EXIT_UNAVAILABLE;
}

/* A connected socket, or minus an exit code after saying why not. */
static int connect_daemon(const struct ctl_arguments *arguments)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR"), *path = arguments->socket;
    char said[200], own[200];
    int fd;

    if (!path)
        path = getenv("WEIR_CONTROL");
    if (!path && arguments->config)
        path = socket_of_config(arguments->config, said, sizeof said);
    if (path)
        return (fd = try_connect(path)) < 0 ? unreachable(path) : fd;
    fd = try_connect(WEIR_CONTROL_SOCKET);
    if (fd >= 0 || !runtime || strlen(runtime) > 150)
        return fd < 0 ? unreachable(WEIR_CONTROL_SOCKET) : fd;
    (void)snprintf(own, sizeof own, "%s/weir/control.sock", runtime);
    fd = try_connect(own);
    return fd < 0 ? unreachable(WEIR_CONTROL_SOCKET) : fd;
}

static int say_error(const json_t *error)
{
    const char *message = json_string_value(json_object_get(error, "message"));
    int code = (int)json_integer_value(json_object_get(error, "exit"));

    fprintf(stderr, "weirctl: %s\n", message ? message : "the daemon refused");
    return code ? code : EXIT_SOFTWARE;
}

/* Not ready, not served; or connections are left after a wait for their end. */
static bool says_no(const json_t *result)
{
    return json_is_false(json_object_get(result, "ready")) ||
           json_is_false(json_object_get(result, "served")) ||
           json_is_false(json_object_get(result, "found")) ||
           (json_object_get(result, "waited") &&
            json_integer_value(json_object_get(result, "connections")));
}

/* One line of the daemon. True: it was the last. */
static bool take_answer(const struct ctl_verb *verb, const struct ctl_arguments *arguments,
                        const char *line, int *ret_code)
{
    json_t *reply = json_loads(line, 0, NULL);
    const json_t *record = json_object_get(reply, "record");
    const json_t *result = json_object_get(reply, "result");
    const json_t *error = json_object_get(reply, "error");
    bool last = !reply || result || error;

    if (!reply) {
        fprintf(stderr, "weirctl: the daemon speaks something else than weir's protocol\n");
        *ret_code = EXIT_UNAVAILABLE;
    } else if (error) {
        *ret_code = say_error(error);
    } else if (arguments->json && (result || record)) {
        json_dumpf(result ? result : record, stdout, JSON_COMPACT);
        printf("\n");
        (void)fflush(stdout);
        *ret_code = result && says_no(result) ? EXIT_NO
                    : result ? (int)json_integer_value(json_object_get(result, "exit"))
                             : EXIT_OK;
    } else if (record) {
        *ret_code = json_object_get(record, "waited")     ? ctl_print_waiting(record)
                    : strcmp(verb->method, "access") == 0 ? ctl_print_access(record)
                                                          : ctl_print_record(record);
    } else if (result && verb->print) {
        *ret_code = verb->print(arguments, result);
    }
    json_decref(reply);
    return last;
}

static bool send_request(int fd, const struct ctl_verb *verb, json_t *params)
{
    json_t *request =
        json_pack("{s:i, s:s, s:O}", "id", 1, "method", verb->method, "params", params);
    char *text = json_dumps(request, JSON_COMPACT);
    bool sent = text && send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text) &&
                send(fd, "\n", 1, MSG_NOSIGNAL) == 1;

    free(text);
    json_decref(request);
    return sent;
}

static int talk(int fd, const struct ctl_verb *verb, const struct ctl_arguments *arguments,
                json_t *params)
{
    FILE *in = fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0;
    int code = EXIT_UNAVAILABLE;
    bool ended = false;

    if (!in || !send_request(fd, verb, params)) {
        fprintf(stderr, "weirctl: the daemon closed the connection\n");
        ended = true;
    }
    while (!ended && getline(&line, &room, in) > 0) {
        if (strstr(line, "\"protocol\":") && strstr(line, "\"weir\":"))
            continue; /* the greeting */
        code = EXIT_OK;
        ended = take_answer(verb, arguments, line, &code);
        room = line ? room : 0;
    }
    if (!ended && code == EXIT_UNAVAILABLE)
        fprintf(stderr, "weirctl: the daemon closed the connection\n");
    free(line);
    if (in)
        fclose(in);
    else
        close(fd);
    return code;
}

/* The command line. */

static const struct flag {
    const char *name, *alias;
    size_t offset;
    bool has_value, everywhere;
} flags[] = {
    {"--socket", NULL, offsetof(struct ctl_arguments, socket), true, true},
    {"--config", "-f", offsetof(struct ctl_arguments, config), true, true},
    {"--json", NULL, offsetof(struct ctl_arguments, json), false, true},
    {"--help", "-h", offsetof(struct ctl_arguments, help), false, true},
    {"--for", NULL, offsetof(struct ctl_arguments, time), true, false},
    {"--top", NULL, offsetof(struct ctl_arguments, top), true, false},
    {"--limit", NULL, offsetof(struct ctl_arguments, limit), true, false},
    {"--level", NULL, offsetof(struct ctl_arguments, level), true, false},
    {"--filter", NULL, offsetof(struct ctl_arguments, filter), true, false},
    {"--from", NULL, offsetof(struct ctl_arguments, from), true, false},
    {"--header", "-H", offsetof(struct ctl_arguments, fields), true, false},
    {"--wait", NULL, offsetof(struct ctl_arguments, wait), true, false},
    {"--confirm", NULL, offsetof(struct ctl_arguments, confirm), true, false},
    {"--dry-run", NULL, offsetof(struct ctl_arguments, dry_run), false, false},
    {"--reset", NULL, offsetof(struct ctl_arguments, reset), false, false},
    {"--tree", NULL, offsetof(struct ctl_arguments, tree), false, false},
    {"--stack", NULL, offsetof(struct ctl_arguments, stack), false, false},
    {"--now", NULL, offsetof(struct ctl_arguments, now), false, false},
    {"--cache", NULL, offsetof(struct ctl_arguments, cache), false, false},
    {"--follow", NULL, offsetof(struct ctl_arguments, follow), false, false},
};

#define FLAG_COUNT (sizeof flags / sizeof *flags)

static const struct flag *find_flag(const char *text, size_t len)
{
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if ((strlen(flags[i].name) == len && strncmp(flags[i].name, text, len) == 0) ||
            (flags[i].alias && strcmp(flags[i].alias, text) == 0))
            return &flags[i];
    return NULL;
}

static bool takes(const struct ctl_verb *verb, const struct flag *flag)
{
    char word[20];

    if (flag->everywhere)
        return true;
    (void)snprintf(word, sizeof word, " %s ", flag->name + 2);
    return verb->flags && strstr(verb->flags, word);
}

/* -H may stand several times. */
static bool add_field(struct ctl_arguments *into, const char *text)
{
    if (into->n_fields == sizeof into->fields / sizeof *into->fields)
        return fprintf(stderr, "weirctl: too many headers\n"), false;
    into->fields[into->n_fields++] = text;
    return true;
}

/* One flag, with its value in the same word or the next. */
static bool take_flag(const struct ctl_verb *verb, struct ctl_arguments *into, int argc,
                      char **argv, int *at)
{
    const char *text = argv[*at], *equals = strchr(text, '=');
    const struct flag *flag = find_flag(text, equals ? (size_t)(equals - text) : strlen(text));

    if (verb && strcmp(text, "-f") == 0 && takes(verb, find_flag("--follow", 8)))
        flag = find_flag("--follow", 8);
    if (!flag || (verb && !takes(verb, flag))) {
        fprintf(stderr, "weirctl: %s%s%s has no flag %s\nTry: weirctl help%s%s\n", verb ? "`" : "",
                verb ? verb->name : "weirctl", verb ? "`" : "", text, verb ? " " : "",
                verb ? verb->name : "");
        return false;
    }
    if (!flag->has_value) {
        *(bool *)((char *)into + flag->offset) = true;
        return true;
    }
    if (!equals && *at + 1 >= argc) {
        fprintf(stderr, "weirctl: %s needs a value\n", text);
        return false;
    }
    if (flag->offset == offsetof(struct ctl_arguments, fields))
        return add_field(into, equals ? equals + 1 : argv[++*at]);
    *(const char **)(void *)((char *)into + flag->offset) = equals ? equals + 1 : argv[++*at];
    return true;
}

/* How many letters differ, roughly: for "did you mean". */
size_t words_differ(const char *a, const char *b)
{
    size_t row[32], n = strlen(b);

    if (n >= 31 || strlen(a) >= 31)
        return 99;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t replaced = diagonal + (a[i] != b[j]);

            diagonal = row[j + 1];
            row[j + 1] = row[j + 1] < row[j] ? row[j + 1] + 1 : row[j] + 1;
            row[j + 1] = replaced < row[j + 1] ? replaced : row[j + 1];
        }
    }
    return row[n];
}

static int no_such_verb(const char *word)
{
    const char *best = NULL;
    size_t least = 3;

    if (is_not_built(word)) {
        fprintf(stderr, "weirctl: `%s` is not built yet\n", word);
        return EXIT_UNAVAILABLE;
    }
    fprintf(stderr, "weirctl: there is no verb `%s`\n", word);
    for (const struct ctl_verb *verb = ctl_verbs; verb->name; verb++) {
        size_t d = words_differ(word, verb->name);

        if (d < least) {
            least = d;
            best = verb->name;
        }
    }
    if (best)
        fprintf(stderr, "  help: did you mean `%s`?\n", best);
    else
        fprintf(stderr, "Try: weirctl help\n");
    return EXIT_USAGE;
}

static const struct ctl_verb *find_verb(const char *word)
{
    for (const struct ctl_verb *verb = ctl_verbs; verb->name; verb++)
        if (strcmp(verb->name, word) == 0 || (verb->alias && strcmp(verb->alias, word) == 0))
            return verb;
    return NULL;
}

const char *ctl_flag_at(const char *word, size_t index)
{
    const struct ctl_verb *verb = word ? find_verb(word) : NULL;

    if (index >= FLAG_COUNT)
        return NULL;
    return (verb ? takes(verb, &flags[index]) : flags[index].everywhere) ? flags[index].name : "";
}

bool ctl_has_verb(const char *word)
{
    return find_verb(word) || is_not_built(word);
}

static void help_of(const struct ctl_verb *verb)
{
    printf("weirctl %s%s%s\n%s\n", verb->name, *verb->synopsis ? " " : "", verb->synopsis,
           verb->summary);
    if (verb->alias)
        printf("also: weirctl %s\n", verb->alias);
    printf("\n%s", verb->help);
}

static int help(const char *word)
{
    const struct ctl_verb *verb = word ? find_verb(word) : NULL;

    if (verb)
        return help_of(verb), EXIT_OK;
    if (word)
        return no_such_verb(word);
    printf("weirctl: looks into a running weir, and changes what may change while it runs\n\n"
           "  weirctl status                          one screen\n"
           "  weirctl drain app/10.0.0.11:8080        no new requests to a server\n"
           "  weirctl log level tls debug --for 10m   more detail, for a while\n\n"
           "Verbs:\n");
    for (verb = ctl_verbs; verb->name; verb++)
        printf("  %-10s %-34s %s\n", verb->name, verb->synopsis, verb->summary);
    printf("\nFlags of every verb:\n"
           "  --json           the daemon's answer as it is, for programs\n"
           "  --socket PATH    the daemon's control socket (also: WEIR_CONTROL)\n"
           "  -f, --config F   take the socket that this configuration names\n\n"
           "Not built yet: ");
    for (size_t i = 0; verbs_not_built[i]; i++)
        printf("%s%s", i ? ", " : "", verbs_not_built[i]);
    printf("\nMore: weirctl help VERB\n");
    return EXIT_OK;
}

static int run_verb(const struct ctl_verb *verb, const struct ctl_arguments *arguments)
{
    json_t *params = json_object();
    int code, fd;

    if (arguments->n_words < verb->min_words || arguments->n_words > verb->max_words) {
        fprintf(stderr, "weirctl: usage: weirctl %s%s%s\n", verb->name, *verb->synopsis ? " " : "",
                verb->synopsis);
        code = EXIT_USAGE;
    } else if (verb->params && !verb->params(arguments, params)) {
        code = EXIT_USAGE;
    } else {
        fd = connect_daemon(arguments);
        code = fd < 0 ? -fd : talk(fd, verb, arguments, params);
    }
    json_decref(params);
    return code;
}

int ctl_main(int argc, char **argv)
{
    struct ctl_arguments arguments = {0};
    const struct ctl_verb *verb = NULL;
    const char *word = NULL;

    for (int i = 0; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1]) {
            if (!take_flag(verb, &arguments, argc, argv, &i))
                return EXIT_USAGE;
        } else if (!word) {
            word = argv[i];
            if (strcmp(word, "pstree") == 0) {
                arguments.tree = true;
                word = "tasks";
            }
            verb = find_verb(word);
            if (!verb && strcmp(word, "help") != 0)
                return no_such_verb(word);
        } else if (arguments.n_words < 8) {
            arguments.words[arguments.n_words++] = argv[i];
        }
    }
    if (!word)
        return help(NULL), arguments.help ? EXIT_OK : EXIT_USAGE;
    if (!verb)
        return help(arguments.n_words ? arguments.words[0] : NULL);
    if (arguments.help)
        return help_of(verb), EXIT_OK;
    arguments.verb = verb->name;
    return run_verb(verb, &arguments);
}
