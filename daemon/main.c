/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir: reads the command line and hands over to a command.
 */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/daemon.h"

const struct command *const commands[] = {
    &command_run,     &command_check,   &command_config, &command_route,
    &command_explain, &command_version, &command_help,   NULL};

enum {
    FLAG_SET = 256,
    FLAG_LOG_LEVEL,
    FLAG_DEBUG,
    FLAG_COLOR,
    FLAG_PLUGIN_DIR,
    FLAG_FORMAT,
    FLAG_DEEP,
    FLAG_JSON,
    FLAG_PATH,
    FLAG_ONLY_SET,
    FLAG_FROM,
    FLAG_VERSION
};

static const struct option flags[] = {
    {"config", required_argument, NULL, 'f'},
    {"set", required_argument, NULL, FLAG_SET},
    {"log-level", required_argument, NULL, FLAG_LOG_LEVEL},
    {"debug", no_argument, NULL, FLAG_DEBUG},
    {"plugin-dir", required_argument, NULL, FLAG_PLUGIN_DIR},
    {"format", required_argument, NULL, FLAG_FORMAT},
    {"json", no_argument, NULL, FLAG_JSON},
    {"deep", no_argument, NULL, FLAG_DEEP},
    {"path", required_argument, NULL, FLAG_PATH},
    {"only-set", no_argument, NULL, FLAG_ONLY_SET},
    {"color", optional_argument, NULL, FLAG_COLOR},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, FLAG_VERSION},
    {"from", required_argument, NULL, FLAG_FROM},
    {"header", required_argument, NULL, 'H'},
    {"signal", required_argument, NULL, 's'},
    {NULL, 0, NULL, 0},
};

const char *command_flag_at(size_t index)
{
    return index < sizeof flags / sizeof *flags ? flags[index].name : NULL;
}

const struct command *find_command(const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return strcmp(name, command_complete.name) == 0 ? &command_complete : NULL;
}

bool use_color(const struct arguments *arguments)
{
    const char *no = getenv("NO_COLOR");

    if (arguments->color >= 0)
        return arguments->color;
    return isatty(STDERR_FILENO) && !(no && *no);
}

weir_host *open_host(const struct arguments *arguments)
{
    weir_host_options options = {
        .inspect = arguments->inspect,

        .size = sizeof options,
        .config_path = arguments->config_path,
        .sets = arguments->sets,
        .set_names = arguments->set_names,
        .set_count = arguments->set_count,
        .plugin_dir = arguments->plugin_dir,
    };
    weir_host *host;
    weir_error *error = weir_host_new(&options, &host);
    char text[512];

    if (!error)
        return host;
    weir_error_message(error, text, sizeof text);
    weir_error_unref(error);
    fprintf(stderr, "weir: %s\n", text);
    return NULL;
}

static bool add_set(struct arguments *arguments, const char *text, const char *name)
{
    if (arguments->set_count == MAX_SETS) {
        fprintf(stderr, "weir: more than %d settings on the command line\n", MAX_SETS);
        return false;
    }
    arguments->sets[arguments->set_count] = text;
    arguments->set_names[arguments->set_count++] = name;
    return true;
}

static bool set_log_level(struct arguments *arguments, const char *level)
{
    static char text[64];

    (void)snprintf(text, sizeof text, "log.level=%s", level);
    return add_set(arguments, text, "--log-level");
}

static bool set_format(struct arguments *arguments, const char *name)
{
    static const char *const names[] = {"text", "gcc", "json"};

    for (int i = 0; i < 3; i++)
        if (strcmp(names[i], name) == 0) {
            arguments->format = (weir_host_format)i;
            return true;
        }
    fprintf(stderr, "weir: --format is text, gcc or json, not `%s`\n", name);
    return false;
}

static bool set_color(struct arguments *arguments, const char *when)
{
    if (!when || strcmp(when, "always") == 0)
        arguments->color = 1;
    else if (strcmp(when, "never") == 0)
        arguments->color = 0;
    else if (strcmp(when, "auto") != 0)
        return fprintf(stderr, "weir: --color is auto, always or never, not `%s`\n", when), false;
    return true;
}

static bool add_field(struct arguments *arguments, const char *text)
{
    if (arguments->field_count == sizeof arguments->fields / sizeof *arguments->fields)
        return fprintf(stderr, "weir: too many headers\n"), false;
    arguments->fields[arguments->field_count++] = text;
    return true;
}

/* One flag; false after saying what is wrong with it. */
static bool take_flag(struct arguments *arguments, int flag, const struct command **command)
{
    switch (flag) {
    case 'f':
    case 'c':
        arguments->config_path = optarg;
        return true;
    case 'q':
        arguments->quiet = true;
        return true;
    case 'v':
        arguments->verbose = true;
        return true;
    case 't':
        *command = &command_check;
        return true;
    case 'h':
        *command = &command_help;
        return true;
    case 'V': /* nginx and haproxy print everything at it */
        arguments->verbose = true;
        *command = &command_version;
        return true;
    case FLAG_VERSION:
        *command = &command_version;
        return true;
    case 'T':
        *command = &command_dump;
        return true;
    case 's':
        arguments->signal = optarg;
        *command = &command_signal;
        return true;
    case 'H':
        return add_field(arguments, optarg);
    case FLAG_FROM:
        arguments->from = optarg;
        return true;
    case FLAG_SET:
        return add_set(arguments, optarg, "--set");
    case FLAG_LOG_LEVEL:
        return set_log_level(arguments, optarg);
    case FLAG_DEBUG:
        return add_set(arguments, "debug=true", "--debug");
    case FLAG_PLUGIN_DIR:
        arguments->plugin_dir = optarg;
        return true;
    case FLAG_FORMAT:
        return set_format(arguments, optarg);
    case FLAG_JSON:
        return set_format(arguments, "json");
    case FLAG_DEEP:
        arguments->deep = true;
        return true;
    case FLAG_PATH:
        arguments->path = optarg;
        return true;
    case FLAG_ONLY_SET:
        arguments->only_set = true;
        return true;
    case FLAG_COLOR:
        return set_color(arguments, optarg);
    default:
        fprintf(stderr, "Try: weir help\n");
        return false;
    }
}

/* weirctl is another name of weir. */
static bool is_ctl(const char *path)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash ? slash + 1 : path, "weirctl") == 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .config_path = WEIR_DEFAULT_CONFIG, .plugin_dir = getenv("WEIR_PLUGIN_DIR"), .color = -1};
    const struct command *command = NULL;
    int flag;

    if (is_ctl(argv[0]))
        return ctl_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "ctl") == 0)
        return ctl_main(argc - 2, argv + 2);
    while ((flag = getopt_long(argc, argv, "f:c:qvtThVH:s:", flags, NULL)) != -1)
        if (!take_flag(&arguments, flag, &command))
            return EXIT_USAGE;
    arguments.rest = argv + optind;
    arguments.rest_count = argc - optind;
    if (command)
        return command->run(&arguments);
    if (!arguments.rest_count && arguments.verbose)
        return command_version.run(&arguments);
    if (!arguments.rest_count)
        return command_help.run(&arguments), EXIT_USAGE;
    command = find_command(arguments.rest[0]);
    if (!command)
        return no_such_command(arguments.rest[0]);
    arguments.rest++;
    arguments.rest_count--;
    return command->run(&arguments);
}
