/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at configurations and settings, for `weir config` and `weir explain`. */
#include "config.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "host/generation/generation.h"
#include "host/schema/tree.h"

bool weir_host_print(weir_host *host, FILE *out, const weir_host_print_options *options)
{
    struct config_print how = {options->path, options->only_set, options->json};

    return weir__config_print(host->generation->config, out, &how);
}

weir_host_changes weir_host_diff(weir_host *from, weir_host *to, FILE *out)
{
    struct config_changes changes =
        weir__config_diff(from->generation->config, to->generation->config, out);

    return (weir_host_changes){WEIR_SIZED(weir_host_changes), changes.hot, changes.sockets,
                               changes.restart};
}

/* Every plugin of the folder, by name; one that cannot be loaded has no settings to tell of. */
static void load_all(weir_host *host)
{
    struct dirent **entries;
    int n = scandir(host->plugin_dir, &entries, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        char *name = entries[i]->d_name;
        size_t len = strlen(name);
        struct plugin *plugin;

        if (len > 3 && strcmp(name + len - 3, ".so") == 0) {
            name[len - 3] = '\0';
            weir_ignore(weir__registry_load(host->generation->registry, name, NULL, &plugin));
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

void weir_host_schema(weir_host *host, FILE *out)
{
    weir_config_context *c = host->generation->config;

    load_all(host);
    weir__settings_json(c, weir__settings_tree(c, host->generation->registry), out);
}

static void suggest_setting(const struct setting *near, const char *path, const char *word,
                            FILE *out)
{
    size_t len = strcspn(word, ".["), before = (size_t)(word - path);
    struct suggestion s;
    char name[64];

    snprintf(name, sizeof name, "%.*s", (int)len, word);
    weir__suggest_begin(&s, name);
    for (const struct setting *child = near->first; child; child = child->next)
        weir__suggest_offer(&s, child->name);
    fprintf(out, "there is no setting `%s`", path);
    if (s.best)
        fprintf(out, "; did you mean `%.*s%s`?", (int)before, path, s.best);
    fputc('\n', out);
}

bool weir_host_explain_setting(weir_host *host, const char *path, FILE *out)
{
    weir_config_context *c = host->generation->config;
    const struct setting *found, *near = NULL, *root;
    const char *word = path;

    load_all(host);
    root = weir__settings_tree(c, host->generation->registry);
    found = weir__settings_find(root, path, &near, &word);
    if (found)
        weir__setting_explain(c, found, path, out);
    else
        suggest_setting(near, path, word, out);
    return found != NULL;
}
