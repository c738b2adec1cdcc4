/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS contexts as parts: what was said did not change, so the next generation goes on with the same
 * context, its sessions and its watch over files.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/tls.h>

#include "host/generation/generation.h"
#include "host/generation/tls_watch.h"

struct tls_use {
    weir_tls_context *context;
    struct tls_watched *watched;
};

static void destroy_use(void *object)
{
    struct tls_use *use = object;

    weir__tls_watched_end(use->watched);
    weir_tls_context_unref(use->context);
    free(use);
}

const struct part_kind weir__tls_part = {.name = "tls", .destroy = destroy_use};

void weir__tls_part_begin(struct tls_plan *plan, const struct generation *g, const char *section,
                          const char *name, struct part *owner)
{
    const weir_config_node *said = weir__generation_node(g, section, name);
    const weir_config_node *common = weir__generation_node(g, "tls", NULL);

    *plan = (struct tls_plan){.owner = owner};
    (void)snprintf(plan->key, sizeof plan->key, "%s.%s", section, name);
    plan->content = weir__generation_content(g, said ? weir_config_node_find(said, "tls") : NULL);
    for (size_t i = 0; common && i < weir_config_node_count(common); i++)
        if (strcmp(weir_config_node_text(weir_config_node_key(common, i)), "certificates") != 0)
            weir__content_node(&plan->content, g->notes, weir_config_node_item(common, i));
}

weir_tls_context *weir__tls_part_take(struct generation *g, const struct tls_plan *plan)
{
    struct part *part = weir__generation_same(g, &weir__tls_part, plan->key, &plan->content);
    weir_error *error;

    if (!part)
        return NULL;
    error = weir__generation_take(g, part);
    if (!error)
        error = weir__part_add_below(plan->owner, part);
    if (error) {
        weir_ignore(error); /* no memory: the caller makes another, or reports that it cannot */
        return NULL;
    }
    return weir_tls_context_ref(((struct tls_use *)part->object)->context);
}

weir_error *weir__tls_part_keep(struct generation *g, const struct tls_plan *plan,
                                weir_tls_context *context, struct tls_watched **take_watched)
{
    struct tls_use *use = calloc(1, sizeof *use);
    struct part *part;

    if (!use)
        return weir_raise(WEIR_ENOMEM, "certificates");
    use->context = weir_tls_context_ref(context);
    use->watched = WEIR_TAKE(*take_watched);
    WEIR_TRY(weir__generation_add_part(g, &weir__tls_part, plan->key, &plan->content, use, &part));
    return weir__part_add_below(plan->owner, part);
}
