/* SPDX-License-Identifier: Apache-2.0 */
/* `weir help` and `weir version`. */
#include "config.h"

#include <ares.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <yaml.h>

#include <weir/base.h>
#include <weir/plugin.h>

#include "daemon/daemon.h"

static int run_help(const struct arguments *arguments)
{
    const struct command *command = arguments->rest_count ? find_command(arguments->rest[0]) : NULL;

    if (command) {
        printf("weir %s %s\n%s\n\n%s", command->name, command->synopsis, command->summary,
               command->help);
        return EXIT_OK;
    }
    printf("weir: a reverse proxy for HTTP, TCP and TLS, configured by one YAML file\n\n"
           "  weir run -f weir.yaml      serve, in the foreground\n"
           "  weir check -f weir.yaml    say what is wrong with a configuration\n\n"
           "Commands:\n");
    for (size_t i = 0; commands[i]; i++)
        printf("  %-9s %-46s %s\n", commands[i]->name, commands[i]->synopsis, commands[i]->summary);
    printf("\n"
           "Flags of every command:\n"
           "  -f, --config FILE    the configuration (default " WEIR_DEFAULT_CONFIG ")\n"
           "  --set PATH=VALUE     a setting in place of the file's: --set log.level=debug\n"
           "  --log-level LEVEL    short for --set log.level=LEVEL\n"
           "  --debug              short for --set debug=true\n"
           "  --plugin-dir DIR     where plugins are (also: WEIR_PLUGIN_DIR)\n"
           "  --color[=WHEN]       auto, always or never\n"
           "  -q, --quiet          less output\n"
           "\n"
           "More: weir help COMMAND\n");
    return EXIT_OK;
}

const struct command command_help = {
    .name = "help",
    .synopsis = "[COMMAND]",
    .summary = "explain a command",
    .help = "  weir help run\n",
    .run = run_help,
};

static int run_version(const struct arguments *arguments)
{
    int major, minor, patch;

    printf("weir %s\n", weir_version());
    if (!arguments->verbose)
        return EXIT_OK;
    yaml_get_version(&major, &minor, &patch);
    printf("plugin ABI %d.%d\n", WEIR_ABI_MAJOR, WEIR_ABI_MINOR);
    printf("OpenSSL %s (built with %s)\n", OpenSSL_version(OPENSSL_VERSION_STRING),
           OPENSSL_VERSION_STR);
    printf("c-ares %s (built with %s)\n", ares_version(NULL), ARES_VERSION_STR);
    printf("libyaml %d.%d.%d\n", major, minor, patch);
    printf("configuration " WEIR_DEFAULT_CONFIG "\n");
    printf("plugins " WEIR_PLUGIN_DIR "\n");
#if defined(__SANITIZE_ADDRESS__)
    printf("built with AddressSanitizer\n");
#elif defined(__SANITIZE_THREAD__)
    printf("built with ThreadSanitizer\n");
#endif
    return EXIT_OK;
}

const struct command command_version = {
    .name = "version",
    .synopsis = "[-v]",
    .summary = "print versions",
    .help = "  weir version -v    libraries, ABI and default paths as well\n",
    .run = run_version,
};
