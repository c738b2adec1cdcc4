/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions: one for each name and type however many ask, the cache before it, and what becomes of an
 * answer that has expired when the servers fail (RFC 8767):
 *
 *     good ──TTL──> expired: the servers are asked; who asks waits at most 1.8 s for them
 *                      └─ they failed: as good for 5 s; then given at once while they are asked again
 *
 * until max_stale has passed, or the servers say something. That the servers failed is never kept.
 */
#include "config.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/net/resolver.h"

#define LOOKUP_LISTS (sizeof(((struct resolver *)0)->lookups) / sizeof(struct list))

struct lookup {
    struct list link;
    struct list asks;
    struct resolver *resolver;
    struct timer patience; /* runs when the cache has an expired answer */
    uint16_t type;
    char name[];
};

/* Telling */

void weir__ask_end(struct ask *ask)
{
    list_remove(&ask->link);
    weir_dns_records_unref(ask->answer);
    ask->answer = NULL;
}

static void give(struct ask *ask, answer *a, int64_t good_until)
{
    list_remove(&ask->link);
    weir_dns_records_unref(ask->answer);
    ask->answer = answer_ref(a);
    ask->good_until = good_until;
}

static void give_all(struct lookup *lookup, answer *a, int64_t good_until)
{
    while (!list_empty(&lookup->asks)) {
        struct ask *ask = container_of(lookup->asks.next, struct ask, link);

        give(ask, a, good_until);
        ask->answered(ask);
    }
}

/* There was no memory for an answer. */
static void give_nothing(struct lookup *lookup)
{
    while (!list_empty(&lookup->asks)) {
        struct ask *ask = container_of(lookup->asks.next, struct ask, link);

        list_remove(&ask->link);
        ask->answered(ask);
    }
}

static void lookup_free(struct lookup *lookup)
{
    struct resolver *r = lookup->resolver;

    while (!list_empty(&lookup->asks))
        list_remove(lookup->asks.next);
    weir__timer_stop(r->loop, &lookup->patience);
    list_remove(&lookup->link);
    r->lookup_count--;
    weir__free(lookup);
}

/* The answer that has expired, good for a little longer; NULL: there is none. */
static struct cache_entry *use_stale(struct lookup *lookup, int64_t now)
{
    struct resolver *r = lookup->resolver;
    struct cache_entry *entry = weir__cache_find(r->cache, lookup->name, lookup->type, now);

    if (!entry || !entry->answer->count)
        return NULL;
    entry->retry_at = now + RESOLVER_STALE_TTL.ns;
    weir_list_foreach(ask, &lookup->asks, struct ask, link)
        r->stats.stale++;
    return entry;
}

static weir_error *patience_ended(struct job *job)
{
    struct lookup *lookup = container_of(job, struct lookup, patience.job);
    struct cache_entry *entry = use_stale(lookup, weir__loop_now(lookup->resolver->loop));

    if (entry)
        give_all(lookup, entry->answer, entry->retry_at);
    return NULL;
}

/* Answers */

static int64_t clamp(int64_t value, int64_t min, int64_t max)
{
    value = value < min ? min : value;
    return value > max ? max : value;
}

static int64_t good_for(const struct resolver *r, const answer *a)
{
    const weir_resolver_options *o = &r->options;
    int64_t ttl = (int64_t)a->ttl * 1000000000;

    if (a->code == WEIR_ENONAME)
        return clamp(ttl, o->min_ttl.ns, o->negative_ttl.ns);
    return a->code ? 0 : clamp(ttl, o->min_ttl.ns, o->max_ttl.ns);
}

static void count(struct resolver *r, const answer *a)
{
    if (a->code == WEIR_ENONAME)
        r->stats.no_name++;
    else if (a->code == WEIR_ETIMEDOUT)
        r->stats.timeouts++;
    else if (a->code)
        r->stats.failed++;
}

static void keep(struct lookup *lookup, answer *a, int64_t now)
{
    struct resolver *r = lookup->resolver;
    int64_t expires = now + good_for(r, a);
    int64_t stale = a->count && r->options.max_stale.ns > 0 ? r->options.max_stale.ns : 0;

    if (expires > now)
        weir__cache_put(r->cache, lookup->name, a, expires, expires + stale);
    give_all(lookup, a, expires);
}

static void lookup_done(void *arg, answer *take)
{
    struct lookup *lookup = arg;
    struct resolver *r = lookup->resolver;
    int64_t now = weir__loop_now(r->loop);
    struct cache_entry *entry = NULL;

    if (r->closing) {
        lookup_free(lookup);
        weir_dns_records_unref(take);
        return;
    }
    if (take)
        count(r, take);
    if (!take || (take->code && take->code != WEIR_ENONAME))
        entry = use_stale(lookup, now);
    if (entry)
        give_all(lookup, entry->answer, entry->retry_at);
    else if (take)
        keep(lookup, take, now);
    else
        give_nothing(lookup);
    lookup_free(lookup);
    weir_dns_records_unref(take);
}

/* Asking */

static struct list *list_of(struct resolver *r, const char *name, uint16_t type)
{
    return &r->lookups[weir__name_hash(name, type) % LOOKUP_LISTS];
}

static struct lookup *find_lookup(struct resolver *r, const char *name, uint16_t type)
{
    struct list *list = list_of(r, name, type);

    weir_list_foreach(lookup, list, struct lookup, link) {
        if (lookup->type == type && strcmp(lookup->name, name) == 0)
            return lookup;
    }
    return NULL;
}

static weir_error *new_lookup(struct resolver *r, const char *name, uint16_t type,
                              struct lookup **ret)
{
    size_t len = strlen(name), max = r->options.max_queries;
    struct lookup *lookup;

    if (r->lookup_count >= (max ? max : RESOLVER_QUERIES))
        return weir_raise(WEIR_EFULL, "%zu questions are being asked already", r->lookup_count);
    if (!r->dns)
        WEIR_TRY(weir__dns_new(r->loop, &r->options, r->files, &r->dns));
    lookup = weir__calloc(1, sizeof(*lookup) + len + 1);
    if (!lookup)
        return weir_raise(WEIR_ENOMEM, "resolver");
    memcpy(lookup->name, name, len + 1);
    lookup->resolver = r;
    lookup->type = type;
    list_init(&lookup->asks);
    weir__timer_init(&lookup->patience, patience_ended, WEIR_HERE);
    list_append(list_of(r, name, type), &lookup->link);
    r->lookup_count++;
    r->stats.queries++;
    *ret = lookup;
    return NULL;
}

/* `ask` NULL: for the cache only. */
static weir_error *ask_servers(struct resolver *r, const char *name, uint16_t type, struct ask *ask,
                               bool has_stale)
{
    struct lookup *lookup = find_lookup(r, name, type);

    if (lookup) {
        r->stats.shared += ask != NULL;
        if (ask)
            list_append(&lookup->asks, &ask->link);
        return NULL;
    }
    WEIR_TRY(new_lookup(r, name, type, &lookup));
    if (ask)
        list_append(&lookup->asks, &ask->link);
    if (has_stale && ask)
        weir_ignore(
            weir__timer_start(r->loop, &lookup->patience,
                              weir_instant_after(weir_loop_time(r->loop), RESOLVER_STALE_WAIT)));
    weir__dns_ask(r->dns, lookup->name, type, lookup_done, lookup);
    return NULL;
}

weir_error *weir__ask(struct resolver *r, const char *name, uint16_t type, struct ask *ask)
{
    int64_t now = weir__loop_now(r->loop);
    struct cache_entry *entry = weir__cache_find(r->cache, name, type, now);

    if (!entry)
        return ask_servers(r, name, type, ask, false);
    if (entry->expires > now) {
        r->stats.hits++;
        give(ask, entry->answer, entry->expires);
        return NULL;
    }
    if (!entry->retry_at)
        return ask_servers(r, name, type, ask, true);
    r->stats.stale++;
    if (entry->retry_at > now) {
        give(ask, entry->answer, entry->retry_at);
        return NULL;
    }
    /* Before the question: its answer may come at once and replace the entry. */
    give(ask, entry->answer, now + RESOLVER_STALE_TTL.ns);
    entry->retry_at = ask->good_until;
    weir_ignore(ask_servers(r, name, type, NULL, true));
    return NULL;
}

void weir__lookups_free(struct resolver *r)
{
    /* Each ends by its query, of which a closing resolver makes nothing. */
    weir__dns_free(r->dns);
    r->dns = NULL;
    weir__dns_free_retired(&r->retired);
}
