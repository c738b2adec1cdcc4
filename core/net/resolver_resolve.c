/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of a name: literal, localhost, the hosts file, then both families from DNS for each name of
 * the search list until one has addresses. One that is not there leads to the next; so does one whose
 * servers fail, which is told when no other is found either.
 */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/net/resolver.h"
#include "core/task/wait.h"

#define RESOLVING_MAGIC WEIR_MAGIC('r', 's', 'l', 'v')
#define SLOW_LOOKUP     WEIR_MS(100)

struct weir_resolving {
    uint32_t magic;
    uint16_t port;
    struct wanting wanting;
    struct ask v6, v4;
    struct timer delay;    /* IPv4 addresses wait for IPv6 ones */
    unsigned candidate;    /* of the search list, the next one */
    answer *failure;       /* the most telling so far */
    bool some_told, ended; /* `some` was, or is being told; the outcome is known */
    bool asking;           /* answers that come at once are looked at when both were asked for */
    int64_t started;       /* debug mode */
    void (*some)(weir_addresses *take, void *arg);
    void (*done)(weir_addresses *take, weir_error *take_error, void *arg);
    void *arg;
    weir_addresses *addresses; /* for the job: the outcome, or some */
    weir_error *error;
    char name[];
};

static void resolving_free(struct weir_resolving *resolving)
{
    struct wanting *w = &resolving->wanting;

    list_remove(&w->link);
    weir__job_cancel(&w->job);
    weir__timer_stop(w->resolver->loop, &resolving->delay);
    weir__ask_end(&resolving->v6);
    weir__ask_end(&resolving->v4);
    weir_dns_records_unref(resolving->failure);
    weir_addresses_unref(resolving->addresses);
    weir_ignore(resolving->error);
    weir_magic_clear(resolving);
    weir__free(resolving);
}

static void free_wanting(struct wanting *w)
{
    resolving_free(container_of(w, struct weir_resolving, wanting));
}

/* Telling */

static weir_error *run_tell(struct job *job)
{
    struct wanting *w = container_of(job, struct wanting, job);
    struct weir_resolving *resolving = container_of(w, struct weir_resolving, wanting);
    void (*done)(weir_addresses *, weir_error *, void *) = resolving->done;
    weir_addresses *addresses = WEIR_TAKE(resolving->addresses);
    weir_error *error;
    void *arg = resolving->arg;

    w->queued = false;
    if (!resolving->ended) {
        resolving->some(addresses, arg);
        return NULL;
    }
    error = WEIR_TAKE(resolving->error);
    resolving_free(resolving);
    done(addresses, error, arg);
    return NULL;
}

/* In debug mode: slow ones are worth a look. */
static void trace_end(const struct weir_resolving *resolving, size_t count)
{
    int64_t took = weir_now().ns - resolving->started;
    int level = took >= SLOW_LOOKUP.ns ? WEIR_LOG_INFO : WEIR_LOG_DEBUG;

    weir_log(weir_logger_get("weir.dns"), level,
             "Getting address info of \"%s\" took %.3f ms: %zu addresses", resolving->name,
             (double)took / 1e6, count);
}

static void end_with_error(struct weir_resolving *resolving, weir_error *take_error)
{
    if (resolving->ended) {
        weir_ignore(take_error);
        return;
    }
    if (weir_unlikely(resolving->started))
        trace_end(resolving, resolving->addresses ? resolving->addresses->count : 0);
    weir__ask_end(&resolving->v6);
    weir__ask_end(&resolving->v4);
    weir__timer_stop(resolving->wanting.resolver->loop, &resolving->delay);
    if (take_error) {
        weir_addresses_unref(resolving->addresses);
        resolving->addresses = NULL;
    }
    resolving->error = take_error;
    resolving->ended = true;
    weir__wanting_tell(&resolving->wanting);
}

static void fail_wanting(struct wanting *w, weir_error *take_error)
{
    end_with_error(container_of(w, struct weir_resolving, wanting), take_error);
}

static void set_addresses(struct weir_resolving *resolving, const struct address_list *list,
                          weir_duration ttl)
{
    weir_addresses_unref(resolving->addresses);
    resolving->addresses = weir__addresses_new(list, resolving->port, ttl);
}

static void end_with(struct weir_resolving *resolving, const struct address_list *list,
                     weir_duration ttl)
{
    set_addresses(resolving, list, ttl);
    end_with_error(resolving, resolving->addresses ? NULL : weir_raise(WEIR_ENOMEM, "resolver"));
}

/* What needs no server */

static bool add_literal(struct address_list *list, const char *literal)
{
    struct address address;

    if (!weir__address_literal(literal, 0, &address))
        return false;
    memset(&list->list[list->count], 0, sizeof(list->list[0]));
    memcpy(&list->list[list->count++], &address.in6, address.length);
    return true;
}

/* Without the last dot. */
static void plain_name(const char *name, char ret[HOST_NAME_SIZE])
{
    size_t len = strlen(name);

    if (len > 1 && name[len - 1] == '.')
        len--;
    memcpy(ret, name, len);
    ret[len] = '\0';
}

static bool is_localhost(const char *name)
{
    size_t len = strlen(name), tail = strlen(".localhost");

    return strcmp(name, "localhost") == 0 ||
           (len > tail && strcmp(name + len - tail, ".localhost") == 0);
}

static bool is_literal(const char *name, weir_resolver_prefer prefer, struct address_list *list)
{
    list->count = 0;
    if (add_literal(list, name))
        return true;
    if (!is_localhost(name))
        return false;
    add_literal(list, prefer == WEIR_PREFER_IPV6 ? "::1" : "127.0.0.1");
    add_literal(list, prefer == WEIR_PREFER_IPV6 ? "127.0.0.1" : "::1");
    return true;
}

/* DNS */

static void add_answer(struct address_list *list, const answer *a)
{
    for (uint32_t i = 0; a && i < a->count && list->count < RESOLVER_ADDRESSES; i++) {
        union address_small *address = &list->list[list->count++];

        memset(address, 0, sizeof(*address));
        if (a->type == WEIR_DNS_AAAA) {
            address->in6.sin6_family = AF_INET6;
            memcpy(&address->in6.sin6_addr, a->list[i].data.data, 16);
        } else {
            address->in.sin_family = AF_INET;
            memcpy(&address->in.sin_addr, a->list[i].data.data, 4);
        }
    }
}

/* What has been answered so far. */
static void gather(const struct weir_resolving *resolving, struct address_list *list,
                   weir_duration *ret_ttl)
{
    const struct resolver *r = resolving->wanting.resolver;
    const struct ask *asks[] = {&resolving->v6, &resolving->v4};
    int64_t until = INT64_MAX;

    list->count = 0;
    for (size_t i = 0; i < 2; i++) {
        add_answer(list, asks[i]->answer);
        if (asks[i]->answer && asks[i]->answer->count && asks[i]->good_until < until)
            until = asks[i]->good_until;
    }
    if (list->count)
        weir__addresses_sort(list, r->options.prefer, NULL);
    *ret_ttl = WEIR_NS(until - weir__loop_now(r->loop));
}

/* "No such name" is what everything else tells more than. */
static void note_failure(struct weir_resolving *resolving, answer *a)
{
    answer *old = resolving->failure;

    if (!a || !a->code || (old && (old->code != WEIR_ENONAME || a->code == WEIR_ENONAME)))
        return;
    weir_dns_records_unref(old);
    resolving->failure = answer_ref(a);
}

/* Whether the next name of the search list is worth a question. */
static bool conclude(struct weir_resolving *resolving)
{
    answer *v6 = resolving->v6.answer, *v4 = resolving->v4.answer;
    struct address_list list;
    weir_duration ttl;
    weir_code code;

    gather(resolving, &list, &ttl);
    if (list.count) {
        end_with(resolving, &list, ttl);
        return false;
    }
    if (!v6 || !v4) {
        end_with_error(resolving, weir_raise(WEIR_ENOMEM, "resolver"));
        return false;
    }
    note_failure(resolving, v6);
    note_failure(resolving, v4);
    code = resolving->failure ? resolving->failure->code : WEIR_ENONAME;
    weir__ask_end(&resolving->v6);
    weir__ask_end(&resolving->v4);
    if (code == WEIR_ENONAME || code == WEIR_EDNS)
        return true;
    end_with_error(resolving, weir__answer_error(resolving->failure, resolving->name));
    return false;
}

static weir_error *ask_both(struct weir_resolving *resolving, const char *name)
{
    struct resolver *r = resolving->wanting.resolver;
    weir_error *error;

    resolving->asking = true;
    error = weir__ask(r, name, WEIR_DNS_AAAA, &resolving->v6);
    if (!error)
        error = weir__ask(r, name, WEIR_DNS_A, &resolving->v4);
    resolving->asking = false;
    return error;
}

static void tell_some(struct weir_resolving *resolving)
{
    struct address_list list;
    weir_duration ttl;

    gather(resolving, &list, &ttl);
    set_addresses(resolving, &list, ttl);
    if (!resolving->addresses)
        return;
    resolving->some_told = true;
    resolving->wanting.queued = true;
    weir__loop_ready(resolving->wanting.resolver->loop, &resolving->wanting.job);
}

static weir_error *delay_ended(struct job *job)
{
    tell_some(container_of(job, struct weir_resolving, delay.job));
    return NULL;
}

/* One family is known: IPv6 can be tried at once, IPv4 gives IPv6 a moment. */
static void one_family(struct weir_resolving *resolving)
{
    weir_loop *loop = resolving->wanting.resolver->loop;
    bool v6 = resolving->v6.answer != NULL;
    const answer *a = v6 ? resolving->v6.answer : resolving->v4.answer;

    if (!resolving->some || resolving->some_told || !a || !a->count)
        return;
    if (v6)
        tell_some(resolving);
    else
        weir_ignore(weir__timer_start(loop, &resolving->delay,
                                      weir_instant_after(weir_loop_time(loop), RESOLVER_DELAY)));
}

static bool any_pending(const struct weir_resolving *resolving)
{
    return ask_pending(&resolving->v6) || ask_pending(&resolving->v4);
}

static void ask_next(struct weir_resolving *resolving)
{
    struct resolver *r = resolving->wanting.resolver;
    char name[HOST_NAME_SIZE];

    while (weir__name_candidate(r->files, resolving->name, resolving->candidate++, name)) {
        weir_error *error = name[0] ? ask_both(resolving, name) : NULL;

        if (error) {
            end_with_error(resolving, error);
            return;
        }
        if (!name[0])
            continue;
        if (any_pending(resolving)) {
            one_family(resolving);
            return;
        }
        if (!conclude(resolving))
            return;
    }
    end_with_error(resolving, resolving->failure
                                  ? weir__answer_error(resolving->failure, resolving->name)
                                  : weir_raise(WEIR_ENONAME, "no address is known for \"%s\"",
                                               resolving->name));
}

static void answered(struct weir_resolving *resolving)
{
    if (resolving->asking)
        return;
    if (any_pending(resolving))
        one_family(resolving);
    else if (conclude(resolving))
        ask_next(resolving);
}

static void answered_v6(struct ask *ask)
{
    answered(container_of(ask, struct weir_resolving, v6));
}

static void answered_v4(struct ask *ask)
{
    answered(container_of(ask, struct weir_resolving, v4));
}

static void start(struct wanting *w)
{
    struct weir_resolving *resolving = container_of(w, struct weir_resolving, wanting);
    struct address_list list;
    char plain[HOST_NAME_SIZE];

    plain_name(resolving->name, plain);
    if (weir__name_files_find(w->resolver->files, plain, &list)) {
        weir__addresses_sort(&list, w->resolver->options.prefer, NULL);
        end_with(resolving, &list, WEIR_FOREVER);
        return;
    }
    if (weir_unlikely(weir__thread_debug))
        resolving->started = weir_now().ns;
    ask_next(resolving);
}

/* Asking */

weir_error *weir__name_check(const char *name, size_t *ret_len)
{
    size_t len = strlen(name), label = 0;
    size_t counted = len > 1 && name[len - 1] == '.' ? len - 1 : len;
    bool good = counted > 0 && counted <= 253;

    for (size_t i = 0; good && i < counted; i++) {
        unsigned char c = (unsigned char)name[i];

        label = c == '.' ? 0 : label + 1;
        good = c > ' ' && c != 0x7f && c != '\\' && label <= 63 &&
               (c != '.' || (i && name[i - 1] != '.'));
    }
    if (!good)
        return weir_raise(WEIR_EINVAL, "\"%.80s\" is no host name", name);
    *ret_len = len;
    return NULL;
}

static weir_resolving *new_resolving(struct resolver *r, const struct resolve_request *request,
                                     size_t len)
{
    weir_resolving *resolving = weir__calloc(1, sizeof(*resolving) + len + 1);

    if (!resolving)
        return NULL;
    for (size_t i = 0; i < len; i++)
        resolving->name[i] = (char)tolower((unsigned char)request->host[i]);
    resolving->magic = RESOLVING_MAGIC;
    resolving->port = request->port;
    resolving->some = request->some;
    resolving->done = request->done;
    resolving->arg = request->arg;
    resolving->v6.answered = answered_v6;
    resolving->v4.answered = answered_v4;
    list_init(&resolving->v6.link);
    list_init(&resolving->v4.link);
    weir__timer_init(&resolving->delay, delay_ended, WEIR_HERE);
    resolving->wanting =
        (struct wanting){.resolver = r, .start = start, .fail = fail_wanting, .free = free_wanting};
    list_init(&resolving->wanting.link);
    job_init(&resolving->wanting.job, run_tell, WEIR_HERE);
    return resolving;
}

weir_error *weir__resolve_start(weir_loop *loop, const struct resolve_request *request,
                                weir_resolving **ret)
{
    struct address_list literal;
    weir_resolving *resolving;
    struct resolver *r;
    weir_error *error = NULL;
    char plain[HOST_NAME_SIZE];
    size_t len;

    WEIR_TRY(weir__resolver_of(loop, &r));
    WEIR_TRY(weir__name_check(request->host, &len));
    resolving = new_resolving(r, request, len);
    if (!resolving)
        return weir_raise(WEIR_ENOMEM, "resolver");
    plain_name(resolving->name, plain);
    if (is_literal(strchr(plain, '%') ? request->host : plain, r->options.prefer, &literal))
        end_with(resolving, &literal, WEIR_FOREVER);
    else
        error = weir__wanting_begin(&resolving->wanting);
    if (error) {
        resolving_free(resolving);
        return error;
    }
    if (ret)
        *ret = resolving;
    return NULL;
}

weir_error *weir_resolve_start(weir_loop *loop, const char *host, uint16_t port,
                               void (*done)(weir_addresses *take, weir_error *take_error,
                                            void *arg),
                               void *arg, weir_resolving **ret)
{
    struct resolve_request request = {.host = host, .port = port, .done = done, .arg = arg};

    WEIR_TRY(weir__loop_check_call(loop, __func__, WEIR_HERE));
    return weir__resolve_start(loop, &request, ret);
}

void weir_resolving_cancel(weir_resolving *resolving)
{
    weir_check(resolving, RESOLVING_MAGIC);
    if (weir__loop_allows(resolving->wanting.resolver->loop))
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
