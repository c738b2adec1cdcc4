/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plugins provide, by kind and name, and how the configuration's front end asks for it: entries
 * of `X.match` are matchers of protocol X (or of all), everything else are extensions. Names that are
 * known and not built yet answer as such, so that they are one clear error each.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/plugin/plugin.h"
#include "host/route/routes.h"

static const weir_matcher *const own_matchers[] = {&weir__client_ip_matcher, &weir__sni_matcher,
                                                   &weir__alpn_matcher, &weir__protocol_matcher,
                                                   NULL};

static const char *const planned_matchers[] = {"path_regex", NULL};

WEIR_OPTIONS(match_value, WEIR_OPTION_LIST(struct match_texts, texts, const char *,
                                           WEIR_ELEMENT(WEIR_TYPE_STRING, const char *), NULL,
                                           "What to match; any of several", .required = true));
WEIR_OPTIONS(match_map, WEIR_OPTION_NAMED_VALUES(
                            struct match_parameters, parameters, struct match_parameter,
                            WEIR_ELEMENT_AT(WEIR_TYPE_LIST, struct match_parameter, texts,
                                            .element_size = sizeof(const char *),
                                            .element = WEIR_ELEMENT(WEIR_TYPE_STRING, const char *),
                                            .required = true),
                            "Names and what to match in each", .any_name = true, .required = true));
static const weir_option *const no_options[] = {NULL};

weir_error *weir__registry_new(const char *plugin_dir, bool in_place, struct registry **ret)
{
    struct registry *registry = calloc(1, sizeof *registry);

    if (registry)
        registry->plugin_dir = strdup(plugin_dir);
    if (!registry || !registry->plugin_dir) {
        free(registry);
        return weir_raise(WEIR_ENOMEM, "plugin registry");
    }
    registry->in_place = in_place;
    *ret = registry;
    return NULL;
}

void weir__registry_free(struct registry *registry)
{
    if (!registry)
        return;
    for (struct provided *p = registry->provided, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    for (struct plugin *p = registry->plugins, *next; p; p = next) {
        next = p->next;
        free(p->owner);
        free(p);
    }
    free(registry->plugin_dir);
    free(registry);
}

struct plugin *weir__registry_plugin(const struct registry *registry, const char *name)
{
    for (struct plugin *plugin = registry->plugins; plugin; plugin = plugin->next)
        if (!strcmp(plugin->descriptor->name, name))
            return plugin;
    return NULL;
}

const weir_protocol *weir__registry_protocol(const struct registry *registry, const char *name,
                                             struct plugin **ret_plugin)
{
    for (struct plugin *plugin = registry->plugins; plugin; plugin = plugin->next) {
        const weir_protocol *const *each = plugin->descriptor->protocols;

        for (; each && *each; each++) {
            if (strcmp((*each)->name, name) != 0)
                continue;
            *ret_plugin = plugin;
            return *each;
        }
    }
    return NULL;
}

static const weir_matcher *find_matcher(const struct registry *registry, const char *protocol,
                                        size_t protocol_len, const char *name,
                                        struct plugin **ret_plugin)
{
    *ret_plugin = NULL;
    for (const weir_matcher *const *own = own_matchers; *own; own++)
        if (!strcmp((*own)->name, name))
            return *own;
    for (struct plugin *plugin = registry->plugins; plugin; plugin = plugin->next) {
        const weir_matcher *const *each = plugin->descriptor->matchers;

        for (; each && *each; each++) {
            const char *of = (*each)->protocol;

            if (strcmp((*each)->name, name) != 0 ||
                (of && (strlen(of) != protocol_len || memcmp(of, protocol, protocol_len) != 0)))
                continue;
            *ret_plugin = plugin;
            return *each;
        }
    }
    return NULL;
}

static struct provided *find_provided(const struct registry *registry, const char *kind,
                                      const char *name)
{
    for (struct provided *p = registry->provided; p; p = p->next)
        if (!strcmp(p->extension->kind, kind) && !strcmp(p->extension->name, name))
            return p;
    return NULL;
}

/* Two plugins that provide the same thing: the reader has to choose. */
static weir_error *check_clashes(const struct registry *registry, const weir_plugin *descriptor)
{
    struct plugin *other;

    for (const weir_protocol *const *each = descriptor->protocols; each && *each; each++)
        if (weir__registry_protocol(registry, (*each)->name, &other))
            return weir_raise(WEIR_EPLUGIN, "plugin `%s`: protocol `%s` is provided by %s already",
                              descriptor->name, (*each)->name, other->owner);
    for (const weir_extension *const *each = descriptor->extensions; each && *each; each++) {
        struct provided *p = find_provided(registry, (*each)->kind, (*each)->name);

        if (p)
            return weir_raise(WEIR_EPLUGIN, "plugin `%s`: %s `%s` is provided by %s already",
                              descriptor->name, (*each)->kind, (*each)->name, p->owner);
    }
    return NULL;
}

static weir_error *add_extension(struct registry *registry, struct plugin *plugin,
                                 const weir_extension *extension)
{
    const weir_extension_head *head = extension->table;
    struct provided *provided = calloc(1, sizeof *provided);

    if (!provided)
        return weir_raise(WEIR_ENOMEM, "plugin registry");
    provided->plugin = plugin;
    provided->extension = extension;
    provided->head = head;
    provided->owner = plugin->owner;
    provided->option = (weir_option){WEIR_SIZED(weir_option),
                                     .name = extension->name,
                                     .type = WEIR_TYPE_MAP,
                                     .width = head->config_size,
                                     .fields = head->options ? head->options : no_options,
                                     .shorthand = head->shorthand};
    provided->next = registry->provided;
    registry->provided = provided;
    return NULL;
}

weir_error *weir__registry_add(struct registry *registry, const weir_plugin *descriptor,
                               struct plugin **ret)
{
    struct plugin *plugin, **end = &registry->plugins;

    WEIR_TRY(check_clashes(registry, descriptor));
    plugin = calloc(1, sizeof *plugin);
    if (!plugin || asprintf(&plugin->owner, "plugin `%s`", descriptor->name) < 0) {
        free(plugin);
        return weir_raise(WEIR_ENOMEM, "plugin registry");
    }
    plugin->descriptor = descriptor;
    while (*end)
        end = &(*end)->next;
    *end = plugin;
    for (const weir_extension *const *each = descriptor->extensions; each && *each; each++)
        WEIR_TRY(add_extension(registry, plugin, *each));
    *ret = plugin;
    return NULL;
}

static weir_error *path_of(const struct registry *registry, const char *name, char **ret)
{
    if (asprintf(ret, "%s/%s.so", registry->plugin_dir, name) < 0)
        return weir_raise(WEIR_ENOMEM, "plugin");
    return NULL;
}

bool weir__registry_has_file(const struct registry *registry, const char *name)
{
    char *path;
    weir_error *error = path_of(registry, name, &path);
    bool has;

    if (error) {
        weir_ignore(error);
        return false;
    }
    has = !strchr(name, '/') && access(path, R_OK) == 0;
    free(path);
    return has;
}

weir_error *weir__registry_load(struct registry *registry, const char *name, const char *path,
                                struct plugin **ret)
{
    const weir_plugin *descriptor;
    struct plugin *known = weir__registry_plugin(registry, name);
    char *made = NULL;
    weir_error *error;

    if (known) {
        *ret = known;
        return NULL;
    }
    if (!path)
        WEIR_TRY(path_of(registry, name, &made));
    if (registry->note)
        snprintf(registry->note, HOST_NOTE_SIZE, "%s", name);
    error = weir__plugin_open(name, path ? path : made, registry->in_place, &descriptor);
    if (registry->note)
        *registry->note = '\0';
    free(made);
    WEIR_TRY(error);
    return weir__registry_add(registry, descriptor, ret);
}

/* The front end's questions. */

static bool is_planned(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (!strcmp(*names, name))
            return true;
    return false;
}

static bool find_match(const struct registry *registry, const char *kind, size_t protocol_len,
                       const char *name, struct config_entry *ret)
{
    struct plugin *plugin;
    const weir_matcher *matcher = find_matcher(registry, kind, protocol_len, name, &plugin);

    if (!matcher) {
        ret->planned = is_planned(planned_matchers, name);
        return ret->planned;
    }
    ret->value = matcher->parameter ? match_map[0] : match_value[0];
    ret->config_size =
        matcher->parameter ? sizeof(struct match_parameters) : sizeof(struct match_texts);
    ret->table = matcher;
    ret->owner = plugin ? plugin->owner : NULL;
    return true;
}

static bool find_entry(void *arg, const char *kind, const char *name, struct config_entry *ret)
{
    struct registry *registry = arg;
    const char *dot = strrchr(kind, '.');
    struct provided *provided;

    *ret = (struct config_entry){0};
    if (dot && !strcmp(dot, ".match"))
        return find_match(registry, kind, (size_t)(dot - kind), name, ret);
    provided = find_provided(registry, kind, name);
    if (!provided) {
        return false;
    }
    ret->value = &provided->option;
    ret->config_size = provided->head->config_size;
    ret->table = provided->extension->table;
    ret->host = provided;
    ret->owner = provided->owner;
    return true;
}

static const char *matcher_at(const struct registry *registry, const char *kind, size_t len,
                              size_t i)
{
    for (const weir_matcher *const *own = own_matchers; *own; own++)
        if (i-- == 0)
            return (*own)->name;
    for (struct plugin *plugin = registry->plugins; plugin; plugin = plugin->next) {
        const weir_matcher *const *each = plugin->descriptor->matchers;

        for (; each && *each; each++) {
            const char *of = (*each)->protocol;

            if ((!of || (strlen(of) == len && !memcmp(of, kind, len))) && i-- == 0)
                return (*each)->name;
        }
    }
    return NULL;
}

static const char *name_at(void *arg, const char *kind, size_t i)
{
    const struct registry *registry = arg;
    const char *dot = strrchr(kind, '.');

    if (dot && !strcmp(dot, ".match"))
        return matcher_at(registry, kind, (size_t)(dot - kind), i);
    for (const struct provided *p = registry->provided; p; p = p->next)
        if (!strcmp(p->extension->kind, kind) && i-- == 0)
            return p->extension->name;
    return NULL;
}

struct config_lookup weir__registry_lookup(struct registry *registry)
{
    return (struct config_lookup){find_entry, name_at, registry};
}
