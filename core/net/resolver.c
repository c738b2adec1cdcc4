/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver of a loop: its options, its files, and what those who want something have in common.
 * The files are read in the loop's DNS executor before the first look-up; later ones look first
 * whether they have changed, at most every few seconds. Whatever is known at once still completes by
 * the ready queue, never inside the call.
 */
#include "config.h"

#include "core/net/resolver.h"

#include <string.h>

#include <weir/executor.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

#define MIN_TTL_DEFAULT   WEIR_S(1)
#define MAX_TTL_DEFAULT   WEIR_S(3600)
#define NEGATIVE_DEFAULT  WEIR_S(10)
#define MAX_STALE_DEFAULT WEIR_S(86400)
/* So that sums of times do not overflow. */
#define MAX_STALE_LIMIT WEIR_S((int64_t)10 * 366 * 86400)

/* Files */

struct files_job {
    struct file_mark hosts, resolv;
    bool known;
};

/* In a thread. No result: what is known is still true. */
static weir_error *read_files(void *arg)
{
    const struct files_job *job = arg;
    struct name_files *files;

    if (job->known &&
        weir__name_files_current(&job->hosts, &job->resolv, weir__hosts_path, weir__resolv_path))
        return NULL;
    files = weir__name_files_read(weir__hosts_path, weir__resolv_path);
    if (!files)
        return weir_raise(WEIR_ENOMEM, "resolver");
    weir_job_set_result(files, (weir_drop_fn)weir__name_files_free);
    return NULL;
}

/* Each may append to another list, or to the same one's end only later. */
static void start_waiting(struct resolver *r)
{
    while (!list_empty(&r->unstarted)) {
        struct wanting *w = container_of(r->unstarted.next, struct wanting, link);

        list_remove(&w->link);
        list_append(&r->asking, &w->link);
        if (r->files)
            w->start(w);
        else
            w->fail(w, weir_raise(WEIR_ENOMEM, "resolver"));
    }
}

static void use_files(struct resolver *r, struct name_files *take_files)
{
    if (!take_files)
        return;
    r->stats.files++;
    if (r->files && !r->options.servers && strcmp(take_files->servers, r->files->servers) != 0) {
        weir__dns_retire(WEIR_TAKE(r->dns), &r->retired);
        weir__cache_expire(r->cache, weir__loop_now(r->loop));
    }
    weir__name_files_free(r->files);
    r->files = take_files;
}

static weir_error *files_read(weir_future *future, void *arg)
{
    struct resolver *r = arg;
    void *files = NULL;
    weir_error *error = weir_future_take_result(future, &files);

    r->loading = NULL;
    r->looked_at = weir__loop_now(r->loop);
    weir_future_unref(future);
    weir_ignore(error);
    use_files(r, files);
    start_waiting(r);
    return NULL;
}

static weir_error *submit(struct resolver *r, struct files_job *job)
{
    weir_executor *executor;
    weir_error *error;

    WEIR_TRY(weir_loop_executor(r->loop, WEIR_EXECUTOR_DNS, &executor));
    WEIR_TRY(weir_executor_submit(executor, read_files, job, weir__free, &r->loading));
    error = weir_future_add_done_callback(r->loading, files_read, r);
    if (error) {
        weir_future_unref(r->loading);
        r->loading = NULL;
        weir_ignore(error);
    }
    return NULL;
}

/* Without an executor or memory it goes on with what it knows, and looks again next time. */
static void load_files(struct resolver *r)
{
    struct files_job *job;
    weir_error *error = NULL;

    if (r->loading)
        return;
    job = weir__calloc(1, sizeof(*job));
    if (job && r->files)
        *job = (struct files_job){r->files->hosts_mark, r->files->resolv_mark, true};
    if (job)
        error = submit(r, job);
    if (error) {
        weir_ignore(error);
        weir__free(job);
    }
    if (!r->loading)
        start_waiting(r);
}

/* Those who want something */

static weir_error *prepare(struct resolver *r)
{
    size_t max = r->options.cache_entries;

    if (r->closing)
        return weir_raise(WEIR_ECLOSED, "the loop is closed");
    if (r->cache)
        return NULL;
    r->cache = weir__cache_new(max ? max : RESOLVER_CACHE);
    return r->cache ? NULL : weir_raise(WEIR_ENOMEM, "resolver");
}

weir_error *weir__wanting_begin(struct wanting *w)
{
    struct resolver *r = w->resolver;

    WEIR_TRY(prepare(r));
    if (r->files && !r->loading &&
        weir__loop_now(r->loop) - r->looked_at < RESOLVER_FILES_FRESH.ns) {
        list_append(&r->asking, &w->link);
        w->start(w);
        return NULL;
    }
    list_append(&r->unstarted, &w->link);
    load_files(r);
    return NULL;
}

void weir__wanting_tell(struct wanting *w)
{
    list_remove(&w->link);
    list_append(&w->resolver->ended, &w->link);
    if (!w->queued)
        weir__loop_ready(w->resolver->loop, &w->job);
    w->queued = true;
}

weir_error *weir__answer_error(const answer *a, const char *name)
{
    weir_code code = a ? a->code : WEIR_ENOMEM;

    switch (code) {
    case 0:
    case WEIR_ENONAME:
        return weir_raise(WEIR_ENONAME, "no address is known for \"%s\"", name);
    case WEIR_EDNS:
        return weir_raise(WEIR_EDNS, "name resolution of \"%s\" failed: %s", name,
                          a->why ? a->why : "");
    default:
        return weir_raise(code, "name resolution of \"%s\"", name);
    }
}

/* The resolver of a loop */

static void end_all(struct list *list)
{
    weir_list_foreach_safe(w, list, struct wanting, link)
        w->fail(w, weir_raise(WEIR_ECANCELED, "resolver"));
}

static void free_all(struct list *list)
{
    weir_list_foreach_safe(w, list, struct wanting, link)
        w->free(w);
}

static void resolver_cancel_all(weir_loop *loop, void *state)
{
    struct resolver *r = state;

    (void)loop;
    end_all(&r->unstarted);
    end_all(&r->asking);
}

static void resolver_destroy(weir_loop *loop, void *state)
{
    struct resolver *r = state;

    (void)loop;
    r->closing = true;
    if (r->loading) {
        (void)weir_future_remove_done_callback(r->loading, files_read, r);
        weir_future_unref(r->loading);
    }
    free_all(&r->unstarted);
    free_all(&r->asking);
    free_all(&r->ended);
    weir__lookups_free(r);
    weir__cache_free(r->cache);
    weir__name_files_free(r->files);
    weir__free(r->servers);
    weir__free(r);
}

static const struct loop_slot_ops resolver_slot_ops = {
    .cancel_all = resolver_cancel_all,
    .destroy = resolver_destroy,
};

weir_error *weir__resolver_of(weir_loop *loop, struct resolver **ret)
{
    struct resolver *r;

    WEIR_TRY(weir__loop_check_thread(loop));
    r = weir__loop_slot(loop, LOOP_SLOT_RESOLVER);
    if (!r) {
        if (weir__loop_closed(loop))
            return weir_raise(WEIR_ECLOSED, "the loop is closed");
        r = weir__calloc(1, sizeof(*r));
        if (!r)
            return weir_raise(WEIR_ENOMEM, "resolver");
        r->loop = loop;
        r->options.min_ttl = MIN_TTL_DEFAULT;
        r->options.max_ttl = MAX_TTL_DEFAULT;
        r->options.negative_ttl = NEGATIVE_DEFAULT;
        r->options.max_stale = MAX_STALE_DEFAULT;
        list_init(&r->retired);
        list_init(&r->unstarted);
        list_init(&r->asking);
        list_init(&r->ended);
        for (size_t i = 0; i < sizeof(r->lookups) / sizeof(r->lookups[0]); i++)
            list_init(&r->lookups[i]);
        weir__loop_set_slot(loop, LOOP_SLOT_RESOLVER, r, &resolver_slot_ops);
    }
    *ret = r;
    return NULL;
}

static void set_duration(weir_duration *place, weir_duration value)
{
    if (value.ns)
        *place = value;
}

/* Better to hear of a typing error now than at the first look-up. */
static weir_error *check_servers(const char *servers)
{
    ares_channel channel;
    struct ares_options options = {.lookups = (char *)(uintptr_t) "b"};
    int status;

    WEIR_TRY(weir__dns_library());
    status = ares_init_options(&channel, &options, ARES_OPT_LOOKUPS);
    if (status != ARES_SUCCESS)
        return weir_raise(WEIR_ENOMEM, "resolver");
    status = ares_set_servers_ports_csv(channel, servers);
    ares_destroy(channel);
    if (status != ARES_SUCCESS)
        return weir_raise(WEIR_EINVAL, "resolver: bad list of servers \"%s\": %s", servers,
                          ares_strerror(status));
    return NULL;
}

weir_error *weir_resolver_configure(weir_loop *loop, const weir_resolver_options *options)
{
    weir_resolver_options mine = {0};
    struct resolver *r;
    char *servers = NULL;
    bool others;

    WEIR_TRY(weir__loop_check_thread(loop));
    WEIR_TRY(weir__resolver_of(loop, &r));
    memcpy(&mine, options,
           options->size && options->size < sizeof(mine) ? options->size : sizeof(mine));
    if (mine.servers) {
        WEIR_TRY(check_servers(mine.servers));
        servers = weir__strdup(mine.servers);
        if (!servers)
            return weir_raise(WEIR_ENOMEM, "resolver");
    }
    others = !servers != !r->servers || (servers && strcmp(servers, r->servers) != 0);
    weir__dns_retire(WEIR_TAKE(r->dns), &r->retired);
    weir__free(r->servers);
    r->servers = servers;
    r->options.servers = servers;
    r->options.timeout = mine.timeout;
    r->options.tries = mine.tries;
    r->options.cache_entries = mine.cache_entries;
    r->options.prefer = mine.prefer;
    r->options.max_queries = mine.max_queries;
    set_duration(&r->options.min_ttl, mine.min_ttl);
    set_duration(&r->options.max_ttl, mine.max_ttl);
    set_duration(&r->options.negative_ttl, mine.negative_ttl);
    set_duration(&r->options.max_stale, mine.max_stale);
    if (r->options.max_stale.ns > MAX_STALE_LIMIT.ns)
        r->options.max_stale = MAX_STALE_LIMIT;
    if (r->cache)
        weir__cache_limit(r->cache, mine.cache_entries ? mine.cache_entries : RESOLVER_CACHE);
    if (r->cache && others)
        weir__cache_expire(r->cache, weir__loop_now(loop));
    return NULL;
}

/* Looking at it */

static struct resolver *existing(weir_loop *loop)
{
    if (!weir__loop_allows(loop))
        return NULL;
    return weir__loop_slot(loop, LOOP_SLOT_RESOLVER);
}

void weir_resolver_get_stats(weir_loop *loop, weir_resolver_stats *ret)
{
    const struct resolver *r = existing(loop);

    memset(ret, 0, sizeof(*ret));
    if (!r)
        return;
    *ret = r->stats;
    ret->in_flight = r->lookup_count;
    ret->entries = r->cache ? r->cache->count : 0;
    ret->evicted = r->cache ? r->cache->evicted : 0;
}

void weir_resolver_each(weir_loop *loop, bool (*visit)(const weir_dns_cached *cached, void *arg),
                        void *arg)
{
    const struct resolver *r = existing(loop);

    if (!r || !r->cache)
        return;
    weir_list_foreach(entry, &r->cache->uses, struct cache_entry, use) {
        weir_dns_cached cached = {.name = entry->name,
                                  .type = (weir_dns_type)entry->answer->type,
                                  .code = entry->answer->code,
                                  .records = entry->answer,
                                  .left = WEIR_NS(entry->expires - weir__loop_now(loop))};

        if (!visit(&cached, arg))
            return;
    }
}

size_t weir_resolver_flush(weir_loop *loop, const char *name)
{
    const struct resolver *r = existing(loop);

    return r && r->cache ? weir__cache_drop(r->cache, name) : 0;
}
