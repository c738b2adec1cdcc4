/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which certificate goes with the name that a client asks for: first the one that has this very name,
 * then one with a wildcard in place of its first label, and of no more than that. One table of all
 * names, so a listener with ten thousand of them looks twice.
 */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/net/address.h"
#include "core/net/tls.h"

static size_t hash(const char *name)
{
    uint64_t h = 0xCBF29CE484222325u;

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001B3u;
    return (size_t)(h ^ h >> 29);
}

static struct tls_name *slot_of(const struct tls_names *names, const char *name)
{
    size_t at = hash(name) & names->mask;

    while (names->slots[at].name && strcmp(names->slots[at].name, name) != 0)
        at = (at + 1) & names->mask;
    return &names->slots[at];
}

weir_error *weir__tls_names_build(weir_tls_context *context)
{
    struct tls_names *names = &context->names;
    size_t count = 0, size = 8;

    for (size_t i = 0; i < context->identity_count; i++)
        count += context->identities[i].name_count;
    while (size < count * 2)
        size *= 2;
    names->slots = weir__calloc(size, sizeof(*names->slots));
    if (!names->slots)
        return weir_raise(WEIR_ENOMEM, "TLS");
    names->mask = size - 1;
    for (size_t i = 0; i < context->identity_count; i++) {
        const struct tls_identity *identity = &context->identities[i];

        for (size_t j = 0; j < identity->name_count; j++) {
            struct tls_name *slot = slot_of(names, identity->names[j]);

            if (!slot->name)
                *slot = (struct tls_name){identity->names[j], identity};
        }
    }
    return NULL;
}

const struct tls_identity *weir__tls_names_find(const struct tls_names *names, const char *asked)
{
    char name[HOST_NAME_SIZE];
    const struct tls_name *slot;
    size_t len = 0;
    char *dot;

    for (; asked[len] && len < sizeof(name) - 1; len++)
        name[len] = (char)tolower((unsigned char)asked[len]);
    name[len] = '\0';
    slot = slot_of(names, name);
    dot = strchr(name, '.');
    if (!slot->name && dot && dot > name) {
        dot[-1] = '*';
        slot = slot_of(names, dot - 1);
    }
    return slot->name ? slot->identity : NULL;
}

void weir__tls_names_free(struct tls_names *names)
{
    weir__free(names->slots);
    names->slots = NULL;
}
