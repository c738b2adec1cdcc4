/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of settings. A listener has the keys of every protocol here, since the tree describes all
 * files and not one; which of them a listener takes follows from its `protocol`.
 */
#include "config.h"

#include "host/schema/tree.h"

#include <string.h>

#include "host/config/internal.h"

struct builder {
    weir_config_context *c;
    struct registry *registry;
    struct config_lookup lookup;
    bool in_routes;
};

static void add_table(struct builder *b, struct setting *parent, const weir_option *const *options,
                      const char *owner);
static void describe(struct builder *b, struct setting *s);

static struct setting *find_child(const struct setting *parent, const char *name)
{
    struct setting *s = parent->first;

    while (s && strcmp(s->name, name) != 0)
        s = s->next;
    return s;
}

static struct setting *new_setting(struct builder *b, const char *name, const weir_option *option,
                                   const char *owner)
{
    struct setting *s = weir_config_alloc(b->c, sizeof *s);

    s->name = name;
    s->option = option;
    s->owner = owner;
    return s;
}

static void append(struct setting *parent, struct setting *s)
{
    if (parent->last)
        parent->last->next = s;
    else
        parent->first = s;
    parent->last = s;
}

static void add_option(struct builder *b, struct setting *parent, const weir_option *option,
                       const char *owner)
{
    struct setting *s = find_child(parent, option->name);

    if (s && s->option->type == WEIR_TYPE_MAP && option->type == WEIR_TYPE_MAP) {
        add_table(b, s, option->fields, owner);
        return;
    }
    if (s)
        return;
    s = new_setting(b, option->name, option, owner);
    append(parent, s);
    describe(b, s);
}

/* "http" of "http.action", for each protocol; NULL after the last. */
static const weir_protocol *protocol_at(const struct builder *b, size_t index)
{
    for (struct plugin *plugin = b->registry->plugins; plugin; plugin = plugin->next)
        for (const weir_protocol *const *p = plugin->descriptor->protocols; p && *p; p++)
            if (index-- == 0)
                return *p;
    return NULL;
}

static const char *scope_of(struct builder *b, const weir_protocol *protocol)
{
    const char *dot = protocol->action_kind ? strchr(protocol->action_kind, '.') : NULL;
    char *scope;

    if (!dot)
        return protocol->name;
    scope = weir_config_alloc(b->c, (size_t)(dot - protocol->action_kind) + 1);
    memcpy(scope, protocol->action_kind, (size_t)(dot - protocol->action_kind));
    return scope;
}

static void add_entry(struct builder *b, struct setting *parent, const char *name,
                      const struct config_entry *entry, const weir_option *like)
{
    weir_option *option = weir_config_alloc(b->c, sizeof *option);
    struct setting *s = find_child(parent, name);

    if (s) { /* of another protocol: both keys of `proxy` */
        add_table(b, s, entry->value ? entry->value->fields : entry->options, entry->owner);
        return;
    }
    if (entry->value)
        *option = *entry->value;
    else
        *option =
            (weir_option){WEIR_SIZED(weir_option), .type = WEIR_TYPE_MAP, .fields = entry->options};
    option->name = name;
    option->optional = true;
    option->planned = entry->planned;
    if (!option->doc)
        option->doc = like->doc;
    s = new_setting(b, name, option, entry->owner);
    append(parent, s);
    if (!entry->planned)
        describe(b, s);
}

static void add_kind(struct builder *b, struct setting *parent, const weir_option *option,
                     const char *kind)
{
    struct config_entry entry;
    const char *name;

    for (size_t i = 0; (name = b->lookup.name_at(b->lookup.arg, kind, i)); i++) {
        memset(&entry, 0, sizeof entry);
        if (b->lookup.find(b->lookup.arg, kind, name, &entry))
            add_entry(b, parent, name, &entry, option);
    }
}

/* The entries of a kind; ".match" is that of every protocol. */
static void add_kinds(struct builder *b, struct setting *parent, const weir_option *option)
{
    const weir_protocol *protocol;

    if (*option->kind != '.') {
        add_kind(b, parent, option, option->kind);
        return;
    }
    for (size_t i = 0; (protocol = protocol_at(b, i)); i++) {
        const char *scope = scope_of(b, protocol);
        size_t size = strlen(scope) + strlen(option->kind) + 1;
        char *kind = weir_config_alloc(b->c, size);

        snprintf(kind, size, "%s%s", scope, option->kind);
        add_kind(b, parent, option, kind);
    }
}

static void add_table(struct builder *b, struct setting *parent, const weir_option *const *options,
                      const char *owner)
{
    for (; options && *options; options++) {
        if ((*options)->inlined)
            add_kinds(b, parent, *options);
        else
            add_option(b, parent, *options, owner);
    }
}

static struct setting *add_block(struct builder *b, struct setting *parent, const char *name,
                                 const weir_option *const *fields, const char *doc,
                                 const char *owner)
{
    weir_option *option = weir_config_alloc(b->c, sizeof *option);

    *option = (weir_option){WEIR_SIZED(weir_option), .name = name, .type = WEIR_TYPE_MAP,
                            .fields = fields, .doc = doc};
    add_option(b, parent, option, owner);
    return find_child(parent, name);
}

static void extend_listener(struct builder *b, struct setting *s)
{
    for (struct plugin *plugin = b->registry->plugins; plugin; plugin = plugin->next) {
        for (const weir_protocol *const *p = plugin->descriptor->protocols; p && *p; p++) {
            if ((*p)->options)
                add_block(b, s, (*p)->name, (*p)->options, "Settings of the protocol",
                          plugin->owner);
            add_table(b, s, (*p)->listener_options, plugin->owner);
        }
    }
    add_table(b, s, weir__listener_routes, NULL);
}

static void extend_upstream(struct builder *b, struct setting *s)
{
    for (struct plugin *plugin = b->registry->plugins; plugin; plugin = plugin->next)
        for (const weir_protocol *const *p = plugin->descriptor->protocols; p && *p; p++)
            add_table(b, s, (*p)->upstream_options, plugin->owner);
}

static void extend_health_check(struct builder *b, struct setting *s)
{
    for (const struct provided *p = b->registry->provided; p; p = p->next)
        if (strcmp(p->extension->kind, "health_check") == 0)
            add_table(b, s, p->head->options, p->owner);
}

static void extend_admin(struct builder *b, struct setting *s)
{
    for (struct plugin *plugin = b->registry->plugins; plugin; plugin = plugin->next)
        for (const weir_protocol *const *p = plugin->descriptor->protocols; p && *p; p++)
            if (strcmp((*p)->name, "admin") == 0)
                add_table(b, s, (*p)->options, plugin->owner);
}

static void extend_plugin(struct builder *b, struct setting *s)
{
    struct setting *config = add_block(b, s, "config", NULL, "The plugin's own settings", NULL);

    for (struct plugin *plugin = b->registry->plugins; plugin; plugin = plugin->next)
        add_table(b, config, plugin->descriptor->options, plugin->owner);
}

static void extend_route(struct builder *b, struct setting *s)
{
    add_table(b, s, weir__route_choices, NULL);
}

static void describe_map(struct builder *b, struct setting *s)
{
    const weir_option *option = s->option;

    add_table(b, s, option->fields, s->owner);
    if (option->extend == weir__listener_extend)
        extend_listener(b, s);
    else if (option->extend == weir__upstream_extend)
        extend_upstream(b, s);
    else if (option->extend == weir__health_extend)
        extend_health_check(b, s);
    else if (option->extend == weir__admin_extend)
        extend_admin(b, s);
    else if (option->extend == weir__plugin_extend)
        extend_plugin(b, s);
    else if (option->extend == weir__route_extend)
        extend_route(b, s);
}

static void describe_element(struct builder *b, struct setting *s)
{
    const weir_option *element = s->option->element;
    bool routes = element && element->extend == weir__route_extend, outer = b->in_routes;

    if (routes && outer) {
        s->recursive = true;
        return;
    }
    b->in_routes = outer || routes;
    s->element = new_setting(b, "", element ? element : s->option, s->owner);
    if (element)
        describe(b, s->element);
    else
        describe_map(b, s->element);
    b->in_routes = outer;
}

static void describe(struct builder *b, struct setting *s)
{
    switch (s->option->type) {
    case WEIR_TYPE_MAP:
        describe_map(b, s);
        break;
    case WEIR_TYPE_LIST:
    case WEIR_TYPE_NAMED:
        describe_element(b, s);
        break;
    case WEIR_TYPE_ONE_OF:
    case WEIR_TYPE_ANY_OF:
        s->choice = true;
        add_kinds(b, s, s->option);
        break;
    default:
        break;
    }
}

const struct setting *weir__settings_tree(weir_config_context *c, struct registry *registry)
{
    static const weir_option top = {
        .size = sizeof top, .name = "", .type = WEIR_TYPE_MAP, .doc = "The configuration of weir"};
    struct builder b = {c, registry, weir__registry_lookup(registry), false};
    struct setting *root = new_setting(&b, "", &top, NULL);

    add_table(&b, root, weir__top_options, NULL);
    return root;
}

static const struct setting *find_key(const struct setting *s, const char *name, size_t len)
{
    const struct setting *child = s->first;

    while (child && (strncmp(child->name, name, len) != 0 || child->name[len]))
        child = child->next;
    return child;
}

/* `upstreams.retris` is a setting misspelt rather than an upstream of that name. */
static bool is_nearly_key(const struct setting *s, const char *word)
{
    for (const struct setting *child = s->first; child; child = child->next)
        if (weir__edit_distance(word, child->name, 2) <= 2)
            return true;
    return false;
}

const struct setting *weir__settings_find(const struct setting *root, const char *path,
                                          const struct setting **ret_near, const char **ret_word)
{
    const struct setting *s = root, *routes = NULL;

    for (; *path; path += *path == '.') {
        size_t len = strcspn(path, ".[");
        const struct setting *next = find_key(s, path, len);

        if (!next && s->element) { /* the name of an entry may be left out */
            next = find_key(s->element, path, len);
            if (!next && s->option->type == WEIR_TYPE_NAMED && !is_nearly_key(s->element, path))
                next = s->element;
        }
        if (!next) {
            *ret_near = s->element ? s->element : s;
            *ret_word = path;
            return NULL;
        }
        if (next->recursive && routes)
            next = routes;
        else if (next->option->type == WEIR_TYPE_LIST && !strcmp(next->name, "routes"))
            routes = next;
        s = next;
        path += len;
        path += *path == '[' ? strcspn(path, "]") : 0;
        path += *path == ']';
    }
    return s;
}
