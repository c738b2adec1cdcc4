/* SPDX-License-Identifier: Apache-2.0 */
/* Asking inspectors in order, and what they say of a connection. Knows no connections. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/inspect/inspect.h"

const weir_inspector *const weir__inspectors[] = {&weir__inspect_tls, &weir__inspect_ssh,
                                                  &weir__inspect_postgres, NULL};

bool weir__inspector_is_own(const char *name)
{
    for (const weir_inspector *const *own = weir__inspectors; *own; own++)
        if (!strcmp((*own)->name, name))
            return true;
    return false;
}

void weir__facts_free(struct inspect_facts *facts)
{
    for (size_t i = 0; i < INSPECT_FACTS; i++)
        free(facts->texts[i]);
    free(facts->preamble);
    memset(facts, 0, sizeof *facts);
}

/* What inspectors do. */

weir_error *weir_inspection_set(weir_inspection *inspection, weir_fact fact, weir_slice value)
{
    char *copy;

    if ((size_t)fact >= INSPECT_FACTS)
        return weir_raise(WEIR_EINVAL, "there is no fact %d", (int)fact);
    copy = malloc(value.len + 1);
    if (!copy)
        return weir_raise(WEIR_ENOMEM, "inspection");
    if (value.len)
        memcpy(copy, value.data, value.len);
    copy[value.len] = '\0';
    free(inspection->facts.texts[fact]);
    inspection->facts.texts[fact] = copy;
    return NULL;
}

weir_slice weir_inspection_fact(const weir_inspection *inspection, weir_fact fact)
{
    if ((size_t)fact >= INSPECT_FACTS || !inspection->facts.texts[fact])
        return weir_slice_of(NULL, 0);
    return weir_slice_str(inspection->facts.texts[fact]);
}

weir_error *weir_inspection_reply(weir_inspection *inspection, weir_slice data)
{
    weir_error *error;

    inspection->replied = true;
    error = inspection->reply ? inspection->reply(inspection->arg, data) : NULL;
    inspection->failed |= error != NULL;
    return error;
}

void weir_inspection_consume(weir_inspection *inspection, size_t n)
{
    size_t left = inspection->available - inspection->consumed;

    inspection->consumed += n < left ? n : left;
}

weir_error *weir_inspection_preamble(weir_inspection *inspection, weir_slice send,
                                     weir_slice expect)
{
    struct inspect_facts *facts = &inspection->facts;
    size_t size = facts->send + facts->expect + send.len + expect.len;
    char *both = malloc(size ? size : 1), *at = both;

    if (!both)
        return weir_raise(WEIR_ENOMEM, "inspection");
    /* Behind that of an earlier round. */
    if (facts->send)
        memcpy(at, facts->preamble, facts->send);
    at += facts->send;
    if (send.len)
        memcpy(at, send.data, send.len);
    at += send.len;
    if (facts->expect)
        memcpy(at, facts->preamble + facts->send, facts->expect);
    at += facts->expect;
    if (expect.len)
        memcpy(at, expect.data, expect.len);
    free(facts->preamble);
    facts->preamble = both;
    facts->send += send.len;
    facts->expect += expect.len;
    return NULL;
}

/* Asking them. */

static weir_look ask(weir_inspection *inspection, const struct inspector_entry *entry,
                     weir_slice bytes)
{
    weir_slice seen =
        weir_slice_of(bytes.data, bytes.len < entry->limit ? bytes.len : entry->limit);
    weir_look look;

    inspection->available = seen.len;
    inspection->consumed = 0;
    inspection->replied = false;
    if (entry->inspector) {
        look = entry->inspector->look(inspection, seen);
    } else {
        weir_verdict verdict = entry->detect(seen);

        look = verdict == WEIR_VERDICT_YES    ? WEIR_LOOK_YES
               : verdict == WEIR_VERDICT_MORE ? WEIR_LOOK_MORE
                                              : WEIR_LOOK_NO;
    }
    /* It has all that it may have. */
    if (look == WEIR_LOOK_MORE && seen.len >= entry->limit)
        look = WEIR_LOOK_NO;
    return look;
}

static enum inspect_end known(weir_inspection *inspection, const struct inspector_entry *entry)
{
    weir_error *error = NULL;

    if (!inspection->facts.texts[WEIR_FACT_PROTOCOL])
        error = weir_inspection_set(inspection, WEIR_FACT_PROTOCOL, weir_slice_str(entry->name));
    if (!error)
        return INSPECT_KNOWN;
    weir_ignore(error);
    return INSPECT_FAILED;
}

/* One walk over the list; MORE with something consumed or replied asks for another. */
static enum inspect_end walk(weir_inspection *inspection, weir_slice bytes, bool final)
{
    for (size_t i = 0; i < inspection->plan->n_entries; i++) {
        const struct inspector_entry *entry = &inspection->plan->entries[i];
        weir_look look = ask(inspection, entry, bytes);

        if (inspection->failed)
            return INSPECT_FAILED;
        if (look == WEIR_LOOK_YES)
            return known(inspection, entry);
        if (look == WEIR_LOOK_AGAIN)
            return inspection->consumed || inspection->replied ? INSPECT_MORE : INSPECT_FAILED;
        inspection->consumed = 0;
        inspection->replied = false;
        if (look == WEIR_LOOK_MORE && !final)
            return INSPECT_MORE;
    }
    return final ? INSPECT_ENDED : INSPECT_UNKNOWN;
}

enum inspect_end weir__inspection_look(weir_inspection *inspection, weir_slice bytes, bool final,
                                       size_t *ret_consumed)
{
    enum inspect_end end;

    *ret_consumed = 0;
    do {
        if (!bytes.len)
            return final ? INSPECT_ENDED : INSPECT_MORE;
        end = walk(inspection, bytes, final);
        *ret_consumed += inspection->consumed;
        bytes = weir_slice_skip(bytes, inspection->consumed);
        if (end != INSPECT_MORE || (!inspection->consumed && !inspection->replied))
            return end;
    } while (++inspection->rounds < INSPECT_ROUNDS);
    return INSPECT_FAILED;
}
