/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolving a name: literal, localhost, the hosts file, the cache, and only then DNS, where one
 * look-up per name serves all who ask. The files are read in an executor before the first look-up
 * and again when they are no longer fresh; meanwhile their last contents hold. Whatever is known at
 * once still completes by the ready queue, never inside the call.
 */
#include "config.h"

#include "core/net/resolver.h"

#include <ctype.h>
#include <string.h>

#include <weir/executor.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/task/wait.h"

#define RESOLVING_MAGIC  WEIR_MAGIC('r', 's', 'l', 'v')
#define MIN_TTL_DEFAULT  WEIR_S(1)
#define MAX_TTL_DEFAULT  WEIR_S(3600)
#define NEGATIVE_DEFAULT WEIR_S(10)
#define SLOW_LOOKUP      WEIR_MS(100)

struct resolver {
    weir_loop *loop;
    weir_resolver_options options;
    char *servers; /* the options' copy */
    struct cache *cache;
    struct dns *dns;
    struct name_files *files;
    weir_future *loading;
    int64_t loaded_at;
    struct list unstarted; /* resolvings that wait for the files */
    struct list lookups;
    struct list ended; /* resolvings whose job is queued */
    size_t lookup_count;
    bool used; /* options are fixed */
    bool closing;
};

/* One name that DNS is asked for. */
struct lookup {
    struct list link;
    struct list waiters; /* resolvings */
    struct resolver *resolver;
    int64_t started; /* debug mode */
    char name[];
};

struct weir_resolving {
    uint32_t magic;
    uint16_t port;
    struct list link; /* in one of the lists above */
    struct resolver *resolver;
    struct job job;
    void (*done)(weir_addresses *take, weir_error *take_error, void *arg);
    void *arg;
    weir_addresses *addresses; /* the outcome */
    weir_error *error;
    char name[];
};

/* Outcomes */

static weir_error *found_error(const struct found *found, const char *name)
{
    switch (found->code) {
    case WEIR_ENONAME:
        return weir_raise(WEIR_ENONAME, "no address is known for \"%s\"", name);
    case WEIR_EDNS:
        return weir_raise(WEIR_EDNS, "name resolution of \"%s\" failed: %s", name, found->why);
    default:
        return weir_raise(found->code, "name resolution of \"%s\"", name);
    }
}

static void resolving_free(struct weir_resolving *resolving)
{
    list_remove(&resolving->link);
    weir__job_cancel(&resolving->job);
    weir_addresses_unref(resolving->addresses);
    weir_ignore(resolving->error);
    weir_magic_clear(resolving);
    weir__free(resolving);
}

static weir_error *run_done(struct job *job)
{
    struct weir_resolving *resolving = container_of(job, struct weir_resolving, job);
    void (*done)(weir_addresses *, weir_error *, void *) = resolving->done;
    weir_addresses *addresses = WEIR_TAKE(resolving->addresses);
    weir_error *error = WEIR_TAKE(resolving->error);
    void *arg = resolving->arg;

    resolving_free(resolving);
    done(addresses, error, arg);
    return NULL;
}

static void end_with_error(struct weir_resolving *resolving, weir_error *take_error)
{
    resolving->error = take_error;
    list_remove(&resolving->link);
    list_append(&resolving->resolver->ended, &resolving->link);
    weir__loop_ready(resolving->resolver->loop, &resolving->job);
}

static void end_with(struct weir_resolving *resolving, const struct found *found)
{
    weir_error *error = NULL;

    if (found->count) {
        resolving->addresses = weir__addresses_new(found->list, found->count, resolving->port);
        if (!resolving->addresses)
            error = weir_raise(WEIR_ENOMEM, "resolver");
    } else {
        error = found_error(found, resolving->name);
    }
    end_with_error(resolving, error);
}

/* What needs no server */

static void add_literal(struct found *found, const char *literal)
{
    struct address address;

    if (weir__address_literal(literal, 0, &address))
        memcpy(&found->list[found->count++], &address.in6, address.length);
}

static bool is_localhost(const char *name)
{
    size_t len = strlen(name), tail = strlen(".localhost");

    return strcmp(name, "localhost") == 0 ||
           (len > tail && strcmp(name + len - tail, ".localhost") == 0);
}

static bool known(struct resolver *r, const char *name, struct found *found)
{
    memset(found->list, 0, sizeof(found->list[0]) * 2);
    found->code = 0;
    found->count = 0;
    add_literal(found, name);
    if (found->count)
        return true;
    if (is_localhost(name)) {
        add_literal(found, "127.0.0.1");
        add_literal(found, "::1");
        return true;
    }
    if (r->files && weir__name_files_find(r->files, name, found)) {
        weir__addresses_order(found);
        return true;
    }
    return weir__cache_get(r->cache, name, weir__loop_now(r->loop), found);
}

/* Look-ups */

static int64_t keep_for(const struct resolver *r, const struct found *found)
{
    int64_t ttl = found->ttl_ns;

    if (!found->count)
        return found->code == WEIR_ENONAME ? r->options.negative_ttl.ns : 0;
    if (ttl < r->options.min_ttl.ns)
        ttl = r->options.min_ttl.ns;
    return ttl > r->options.max_ttl.ns ? r->options.max_ttl.ns : ttl;
}

/* In debug mode: slow ones are worth a look. */
static void trace_lookup(const struct lookup *lookup, const struct found *found)
{
    int64_t took = weir_now().ns - lookup->started;
    int level = took >= SLOW_LOOKUP.ns ? WEIR_LOG_INFO : WEIR_LOG_DEBUG;

    weir_log(weir_logger_get("weir.dns"), level,
             "Getting address info of \"%s\" took %.3f ms: %zu addresses", lookup->name,
             (double)took / 1e6, (size_t)found->count);
}

static void lookup_done(void *arg, const struct found *answer)
{
    struct lookup *lookup = arg;
    struct resolver *r = lookup->resolver;
    struct found found = *answer;
    int64_t keep = keep_for(r, &found);

    if (r->closing)
        found.code = WEIR_ECANCELED;
    weir__addresses_order(&found);
    if (weir_unlikely(weir__thread_debug) && lookup->started)
        trace_lookup(lookup, &found);
    if (keep > 0 && !r->closing)
        weir__cache_put(r->cache, lookup->name, weir__loop_now(r->loop) + keep, &found);
    weir_list_foreach_safe(resolving, &lookup->waiters, struct weir_resolving, link)
        end_with(resolving, &found);
    list_remove(&lookup->link);
    r->lookup_count--;
    weir__free(lookup);
}

static struct lookup *find_lookup(struct resolver *r, const char *name)
{
    weir_list_foreach(lookup, &r->lookups, struct lookup, link) {
        if (strcmp(lookup->name, name) == 0)
            return lookup;
    }
    return NULL;
}

static struct lookup *new_lookup(struct resolver *r, const char *name)
{
    struct lookup *lookup = weir__calloc(1, sizeof(*lookup) + strlen(name) + 1);

    if (!lookup)
        return NULL;
    memcpy(lookup->name, name, strlen(name) + 1);
    lookup->resolver = r;
    if (weir_unlikely(weir__thread_debug))
        lookup->started = weir_now().ns;
    list_init(&lookup->waiters);
    list_append(&r->lookups, &lookup->link);
    r->lookup_count++;
    return lookup;
}

static void ask(struct weir_resolving *resolving)
{
    struct resolver *r = resolving->resolver;
    struct lookup *lookup = find_lookup(r, resolving->name);
    bool first = !lookup;
    weir_error *error = NULL;

    list_remove(&resolving->link);
    if (!r->dns)
        error = weir__dns_new(r->loop, &r->options, r->files, &r->dns);
    if (!error && first && r->lookup_count >= RESOLVER_LOOKUPS_MAX)
        error = weir_raise(WEIR_EFULL, "%zu names are being resolved already", r->lookup_count);
    if (!error && first)
        lookup = new_lookup(r, resolving->name);
    if (!error && !lookup)
        error = weir_raise(WEIR_ENOMEM, "resolver");
    if (error) {
        end_with_error(resolving, error);
        return;
    }
    list_append(&lookup->waiters, &resolving->link);
    if (first)
        weir__dns_ask(r->dns, lookup->name, lookup_done, lookup);
}

/* Files */

static weir_error *read_files(void *arg)
{
    struct name_files *files = weir__name_files_read(weir__hosts_path, weir__resolv_path);

    (void)arg;
    if (!files)
        return weir_raise(WEIR_ENOMEM, "resolver");
    weir_job_set_result(files, (weir_drop_fn)weir__name_files_free);
    return NULL;
}

static void start_waiting(struct resolver *r)
{
    while (!list_empty(&r->unstarted)) {
        struct weir_resolving *resolving =
            container_of(r->unstarted.next, struct weir_resolving, link);
        struct found found;

        if (!r->files)
            end_with_error(resolving, weir_raise(WEIR_ENOMEM, "resolver"));
        else if (known(r, resolving->name, &found))
            end_with(resolving, &found);
        else
            ask(resolving);
    }
}

static void use_files(struct resolver *r, struct name_files *take_files)
{
    if (!take_files)
        return;
    if (r->dns && !r->options.servers && !r->lookup_count &&
        strcmp(take_files->servers, r->files->servers) != 0) {
        weir__dns_free(r->dns);
        r->dns = NULL;
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
    r->loaded_at = weir__loop_now(r->loop);
    weir_future_unref(future);
    weir_ignore(error);
    use_files(r, files);
    start_waiting(r);
    return NULL;
}

static void load_files(struct resolver *r)
{
    weir_executor *executor;
    weir_error *error;

    if (r->loading)
        return;
    error = weir_loop_default_executor(r->loop, &executor);
    if (!error)
        error = weir_executor_submit(executor, read_files, NULL, NULL, &r->loading);
    if (!error) {
        error = weir_future_add_done_callback(r->loading, files_read, r);
        if (error) {
            weir_future_unref(r->loading);
            r->loading = NULL;
        }
    }
    if (!error)
        return;
    /* A full executor: better to block for two small files than not to resolve. */
    weir_ignore(error);
    use_files(r, weir__name_files_read(weir__hosts_path, weir__resolv_path));
    r->loaded_at = weir__loop_now(r->loop);
    start_waiting(r);
}

/* The resolver of a loop */

static void end_all(struct list *list, weir_code code)
{
    weir_list_foreach_safe(resolving, list, struct weir_resolving, link)
        end_with_error(resolving, weir_raise(code, "resolver"));
}

static void resolver_cancel_all(weir_loop *loop, void *state)
{
    struct resolver *r = state;

    (void)loop;
    end_all(&r->unstarted, WEIR_ECANCELED);
    weir_list_foreach(lookup, &r->lookups, struct lookup, link)
        end_all(&lookup->waiters, WEIR_ECANCELED);
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
    weir__dns_free(r->dns);
    weir_list_foreach_safe(waiting, &r->unstarted, struct weir_resolving, link)
        resolving_free(waiting);
    weir_list_foreach_safe(ended, &r->ended, struct weir_resolving, link)
        resolving_free(ended);
    weir__cache_free(r->cache);
    weir__name_files_free(r->files);
    weir__free(r->servers);
    weir__free(r);
}

static const struct loop_slot_ops resolver_slot_ops = {
    .cancel_all = resolver_cancel_all,
    .destroy = resolver_destroy,
};

static weir_error *resolver_of(weir_loop *loop, struct resolver **ret)
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
        list_init(&r->unstarted);
        list_init(&r->lookups);
        list_init(&r->ended);
        weir__loop_set_slot(loop, LOOP_SLOT_RESOLVER, r, &resolver_slot_ops);
    }
    *ret = r;
    return NULL;
}

static void set_duration(weir_duration *place, weir_duration value)
{
    if (value.ns > 0)
        *place = value;
}

weir_error *weir_resolver_configure(weir_loop *loop, const weir_resolver_options *options)
{
    weir_resolver_options mine = {0};
    struct resolver *r;
    char *servers = NULL;

    WEIR_TRY(weir__loop_check_thread(loop));
    WEIR_TRY(resolver_of(loop, &r));
    if (r->used)
        return weir_raise(WEIR_EINVALSTATE, "the resolver has been used already");
    memcpy(&mine, options,
           options->size && options->size < sizeof(mine) ? options->size : sizeof(mine));
    if (mine.servers) {
        servers = weir__strdup(mine.servers);
        if (!servers)
            return weir_raise(WEIR_ENOMEM, "resolver");
    }
    weir__free(r->servers);
    r->servers = servers;
    r->options.servers = servers;
    r->options.timeout = mine.timeout;
    r->options.tries = mine.tries;
    r->options.cache_entries = mine.cache_entries;
    set_duration(&r->options.min_ttl, mine.min_ttl);
    set_duration(&r->options.max_ttl, mine.max_ttl);
    set_duration(&r->options.negative_ttl, mine.negative_ttl);
    return NULL;
}

/* Asking */

static weir_error *check_name(const char *host, size_t *ret_len)
{
    size_t len = strlen(host);

    if (len > 1 && host[len - 1] == '.')
        len--;
    if (len == 0 || len >= HOST_NAME_SIZE)
        return weir_raise(WEIR_EINVAL, "\"%.80s\" is no host name", host);
    *ret_len = len;
    return NULL;
}

static weir_error *prepare(struct resolver *r)
{
    size_t max = r->options.cache_entries;

    r->used = true;
    if (r->cache)
        return NULL;
    r->cache = weir__cache_new(max ? max : RESOLVER_CACHE_DEFAULT);
    return r->cache ? NULL : weir_raise(WEIR_ENOMEM, "resolver");
}

static void begin(struct weir_resolving *resolving)
{
    struct resolver *r = resolving->resolver;
    struct found found;

    if (known(r, resolving->name, &found)) {
        end_with(resolving, &found);
        return;
    }
    if (!r->files || weir__loop_now(r->loop) - r->loaded_at >= RESOLVER_FILES_FRESH.ns) {
        list_append(&r->unstarted, &resolving->link);
        load_files(r);
    } else {
        ask(resolving);
    }
}

weir_error *weir_resolve_start(weir_loop *loop, const char *host, uint16_t port,
                               void (*done)(weir_addresses *, weir_error *, void *), void *arg,
                               weir_resolving **ret)
{
    struct weir_resolving *resolving;
    struct resolver *r;
    size_t len = 0;

    WEIR_TRY(weir__loop_check_thread(loop));
    WEIR_TRY(resolver_of(loop, &r));
    WEIR_TRY(check_name(host, &len));
    WEIR_TRY(prepare(r));
    resolving = weir__calloc(1, sizeof(*resolving) + len + 1);
    if (!resolving)
        return weir_raise(WEIR_ENOMEM, "resolver");
    for (size_t i = 0; i < len; i++)
        resolving->name[i] = (char)tolower((unsigned char)host[i]);
    resolving->magic = RESOLVING_MAGIC;
    resolving->port = port;
    resolving->resolver = r;
    resolving->done = done;
    resolving->arg = arg;
    list_init(&resolving->link);
    job_init(&resolving->job, run_done, WEIR_HERE);
    begin(resolving);
    if (ret)
        *ret = resolving;
    return NULL;
}

void weir_resolving_cancel(weir_resolving *resolving)
{
    weir_check(resolving, RESOLVING_MAGIC);
    if (weir__loop_allows(resolving->resolver->loop))
        resolving_free(resolving);
}

/* For tasks */

struct resolve_wait {
    struct waiter waiter;
    weir_resolving *resolving;
    weir_addresses *addresses;
    weir_error *error;
};

static void resolve_done(weir_addresses *take, weir_error *take_error, void *arg)
{
    struct resolve_wait *wait = arg;

    wait->addresses = take;
    wait->error = take_error;
    weir__wait_wake(&wait->waiter);
}

static bool resolve_interrupt(struct waiter *waiter)
{
    weir_resolving_cancel(container_of(waiter, struct resolve_wait, waiter)->resolving);
    return true;
}

weir_error *weir_resolve(const char *host, uint16_t port, weir_addresses **ret)
{
    struct resolve_wait wait = {0};

    WEIR_TRY(weir__wait_begin(&wait.waiter));
    WEIR_TRY(
        weir_resolve_start(weir_loop_current(), host, port, resolve_done, &wait, &wait.resolving));
    WEIR_TRY(weir__wait(&wait.waiter, resolve_interrupt));
    if (wait.error)
        return weir_error_trace(wait.error, WEIR_HERE);
    *ret = wait.addresses;
    return NULL;
}
