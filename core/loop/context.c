/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts: small arrays of (variable, value), counted and copied before the first write that
 * somebody else would see. Most programs set one or two variables, so a linear search is the fastest
 * map; an empty context is NULL and costs a spawn or a callback one test.
 */
#include "config.h"

#include "core/loop/context.h"

#include <weir/error.h>

#include "core/base/alloc.h"
#include "core/base/invariant.h"
#include "core/loop/loop.h"

struct value {
    unsigned refs;
    void *value;
    weir_drop_fn drop;
};

struct entry {
    const weir_context_var *var;
    struct value *value;
};

struct weir_context {
    const void *owner; /* of the thread whose it is; NULL: whoever takes it */
    unsigned refs;
    unsigned count;
    struct entry entries[];
};

__thread weir_context *weir__context __attribute__((tls_model("initial-exec")));

static void value_unref(struct value *value)
{
    if (--value->refs)
        return;
    if (value->drop)
        value->drop(value->value);
    weir__free(value);
}

static struct value *value_new(void *take_value, weir_drop_fn drop)
{
    struct value *value = weir__malloc(sizeof *value);

    if (value)
        *value = (struct value){.refs = 1, .value = take_value, .drop = drop};
    return value;
}

static struct entry *find(weir_context *context, const weir_context_var *var)
{
    for (unsigned i = 0; context && i < context->count; i++) {
        if (context->entries[i].var == var)
            return &context->entries[i];
    }
    return NULL;
}

static weir_context *context_new(unsigned capacity)
{
    weir_context *context = weir__malloc(sizeof *context + capacity * sizeof(struct entry));

    if (context) {
        context->owner = &weir__context;
        context->refs = 1;
        context->count = 0;
    }
    return context;
}

/* All entries but those of `without`, and room for one more. */
static weir_context *clone(const weir_context *context, const weir_context_var *without)
{
    weir_context *copy = context_new((context ? context->count : 0) + 1);

    for (unsigned i = 0; copy && context && i < context->count; i++) {
        if (context->entries[i].var == without)
            continue;
        copy->entries[copy->count] = context->entries[i];
        copy->entries[copy->count++].value->refs++;
    }
    return copy;
}

static bool allows(const weir_context *context, const char *operation)
{
    if (weir_likely(!context->owner || context->owner == &weir__context))
        return true;
    weir__loop_report_foreign("context", operation, NULL);
    return false;
}

weir_context *weir_context_ref(weir_context *context)
{
    if (context && !allows(context, "weir_context_ref"))
        return NULL;
    if (context)
        context->refs++;
    return context;
}

void weir_context_unref(weir_context *context)
{
    if (!context || !allows(context, "weir_context_unref") || --context->refs)
        return;
    for (unsigned i = 0; i < context->count; i++)
        value_unref(context->entries[i].value);
    weir__free(context);
}

weir_context *weir_context_current(void)
{
    return weir_context_ref(weir__context);
}

void *weir_context_get(const weir_context_var *var)
{
    struct entry *entry = find(weir__context, var);

    return entry ? entry->value->value : var->initial;
}

static void replace_current(weir_context *take_context)
{
    weir_context *before = weir__context;

    weir__context = take_context;
    weir_context_unref(before);
}

weir_error *weir_context_set(const weir_context_var *var, void *take_value, weir_drop_fn drop)
{
    struct value *value = value_new(take_value, drop);
    struct entry *entry = find(weir__context, var);
    weir_context *changed;

    if (!value)
        return weir_raise(WEIR_ENOMEM, "context variable");
    if (entry && weir__context->refs == 1) {
        struct value *before = entry->value;

        entry->value = value;
        value_unref(before);
        return NULL;
    }
    changed = clone(weir__context, var);
    if (!changed) {
        weir__free(value);
        return weir_raise(WEIR_ENOMEM, "context");
    }
    changed->entries[changed->count++] = (struct entry){var, value};
    replace_current(changed);
    return NULL;
}

bool weir_context_reset(const weir_context_var *var)
{
    weir_context *changed;

    if (!find(weir__context, var))
        return false;
    if (weir__context->count == 1) {
        replace_current(NULL);
        return true;
    }
    changed = clone(weir__context, var);
    if (!changed)
        return false;
    replace_current(changed);
    return true;
}

weir_error *weir_context_copy(weir_context **ret)
{
    weir_context *context = weir__context, *copy;

    if (!context) {
        *ret = NULL;
        return NULL;
    }
    copy = context_new(context->count);
    if (!copy)
        return weir_raise(WEIR_ENOMEM, "context");
    copy->owner = NULL; /* it may move */
    for (unsigned i = 0; i < context->count; i++) {
        const weir_context_var *var = context->entries[i].var;
        struct value *value;
        void *copied;

        if (!var->copy)
            continue;
        copied = var->copy(context->entries[i].value->value);
        value = value_new(copied, var->drop_copy);
        if (!value) {
            if (var->drop_copy)
                var->drop_copy(copied);
            weir_context_unref(copy);
            return weir_raise(WEIR_ENOMEM, "context");
        }
        copy->entries[copy->count++] = (struct entry){var, value};
    }
    if (copy->count == 0)
        weir_context_unref(WEIR_TAKE(copy));
    *ret = copy;
    return NULL;
}

weir_context *weir_context_enter(weir_context *take_context)
{
    weir_context *before = weir__context;

    if (take_context && !allows(take_context, "weir_context_enter"))
        take_context = NULL;
    if (take_context)
        take_context->owner = &weir__context;
    weir__context = take_context;
    return before;
}

void weir_context_leave(weir_context *take_before)
{
    replace_current(take_before);
}
