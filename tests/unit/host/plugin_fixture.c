/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin in several builds, of which one is right: each other one differs by one macro and is
 * refused for it.
 */
#include <weir/plugin.h>

#ifndef FIXTURE_NAME
#    define FIXTURE_NAME "good"
#endif
#ifndef FIXTURE_MINOR
#    define FIXTURE_MINOR WEIR_ABI_MINOR
#endif
#ifndef FIXTURE_SIZE
#    define FIXTURE_SIZE sizeof(weir_plugin)
#endif
#ifndef FIXTURE_PROTOCOL_SIZE
#    define FIXTURE_PROTOCOL_SIZE sizeof(weir_protocol)
#endif

typedef struct fixture_config {
    const char *greeting;
    weir_upstream *upstream;
} fixture_config;

typedef struct fixture_action_config {
    const char *word;
} fixture_action_config;

WEIR_OPTIONS(fixture_options, WEIR_OPTION_STRING(fixture_config, greeting, "hello", "First line"));
WEIR_OPTIONS(action_options,
             WEIR_OPTION_STRING(fixture_action_config, word, "nothing", "What it says"));

static const weir_protocol fixture = {.size = FIXTURE_PROTOCOL_SIZE,
                                      .name = FIXTURE_NAME,
                                      .options = fixture_options,
                                      .config_size = sizeof(fixture_config),
                                      .action_kind = FIXTURE_NAME ".action"};
static const weir_extension_head say = {
    WEIR_SIZED(weir_extension_head), .name = "say", .options = action_options,
    .config_size = sizeof(fixture_action_config), .shorthand = "word"};
static const weir_extension say_action = {
    WEIR_SIZED(weir_extension), .kind = FIXTURE_NAME ".action", .name = "say", .table = &say};

#ifdef FIXTURE_CRASH
#    include <signal.h>

__attribute__((constructor)) static void crash(void)
{
    raise(FIXTURE_CRASH);
}
#endif

#ifdef FIXTURE_NO_SYMBOL
WEIR_PUBLIC const void *fixture_not_a_plugin(void);

const void *fixture_not_a_plugin(void)
{
    return (const void *[]){&fixture, &say_action}[0];
}
#else
WEIR_PUBLIC extern const weir_plugin weir_plugin_v1;
const weir_plugin weir_plugin_v1 = {.size = FIXTURE_SIZE,
                                    .abi_major = WEIR_ABI_MAJOR,
                                    .abi_minor = FIXTURE_MINOR,
                                    .name = FIXTURE_NAME,
                                    .version = "2.1",
                                    .summary = "For tests",
                                    .protocols = WEIR_LIST(&fixture),
                                    .extensions = WEIR_LIST(&say_action)};
#endif
