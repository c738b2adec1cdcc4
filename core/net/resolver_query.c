/* SPDX-License-Identifier: Apache-2.0 */
/* Records of one name and type, as DNS has them. */
#include "config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/net/resolver.h"
#include "core/task/wait.h"

#define QUERYING_MAGIC WEIR_MAGIC('d', 'q', 'r', 'y')

struct weir_dns_querying {
    uint32_t magic;
    uint16_t type;
    struct wanting wanting;
    struct ask ask;
    bool ended;
    void (*done)(weir_dns_records *take, weir_error *take_error, void *arg);
    void *arg;
    weir_error *error;
    char name[HOST_NAME_SIZE];
};

static void querying_free(struct weir_dns_querying *q)
{
    list_remove(&q->wanting.link);
    weir__job_cancel(&q->wanting.job);
    weir__ask_end(&q->ask);
    weir_ignore(q->error);
    weir_magic_clear(q);
    weir__free(q);
}

static void free_wanting(struct wanting *w)
{
    querying_free(container_of(w, struct weir_dns_querying, wanting));
}

static weir_error *run_tell(struct job *job)
{
    struct wanting *w = container_of(job, struct wanting, job);
    struct weir_dns_querying *q = container_of(w, struct weir_dns_querying, wanting);
    void (*done)(weir_dns_records *, weir_error *, void *) = q->done;
    weir_error *error = WEIR_TAKE(q->error);
    weir_dns_records *records = error ? NULL : WEIR_TAKE(q->ask.answer);
    void *arg = q->arg;

    querying_free(q);
    done(records, error, arg);
    return NULL;
}

static void end(struct weir_dns_querying *q, weir_error *take_error)
{
    if (q->ended) {
        weir_ignore(take_error);
        return;
    }
    q->ended = true;
    q->error = take_error;
    weir__wanting_tell(&q->wanting);
}

static void fail_wanting(struct wanting *w, weir_error *take_error)
{
    struct weir_dns_querying *q = container_of(w, struct weir_dns_querying, wanting);

    weir__ask_end(&q->ask);
    end(q, take_error);
}

static weir_error *no_record(const struct weir_dns_querying *q)
{
    return weir_raise(WEIR_ENONAME, "no such record is known for \"%s\"", q->name);
}

static void answered(struct ask *ask)
{
    struct weir_dns_querying *q = container_of(ask, struct weir_dns_querying, ask);
    const answer *a = ask->answer;

    if (a && a->count)
        end(q, NULL);
    else if (a && (!a->code || a->code == WEIR_ENONAME))
        end(q, no_record(q));
    else
        end(q, weir__answer_error(a, q->name));
}

static void start(struct wanting *w)
{
    struct weir_dns_querying *q = container_of(w, struct weir_dns_querying, wanting);
    weir_error *error = weir__ask(w->resolver, q->name, q->type, &q->ask);

    if (error)
        end(q, error);
    else if (!ask_pending(&q->ask) && !q->ended)
        answered(&q->ask);
}

/* "7.2.0.192.in-addr.arpa" of an address. */
static void reverse_name(const struct address *address, char ret[HOST_NAME_SIZE])
{
    struct text text = text_over(ret, HOST_NAME_SIZE);

    if (address->any.sa_family == AF_INET) {
        const unsigned char *b = (const void *)&address->in.sin_addr;

        text_printf(&text, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
        return;
    }
    for (int i = 15; i >= 0; i--) {
        unsigned byte = address->in6.sin6_addr.s6_addr[i];

        text_printf(&text, "%x.%x.", byte & 15, byte >> 4);
    }
    text_add(&text, "ip6.arpa");
}

static weir_error *set_name(struct weir_dns_querying *q, const char *name)
{
    struct address address;
    size_t len;

    if (q->type == WEIR_DNS_PTR && weir__address_literal(name, 0, &address)) {
        reverse_name(&address, q->name);
        return NULL;
    }
    WEIR_TRY(weir__name_check(name, &len));
    if (len > 1 && name[len - 1] == '.')
        len--;
    for (size_t i = 0; i < len; i++)
        q->name[i] = (char)tolower((unsigned char)name[i]);
    return NULL;
}

static bool is_type(weir_dns_type type)
{
    return type == WEIR_DNS_A || type == WEIR_DNS_AAAA || type == WEIR_DNS_PTR ||
           type == WEIR_DNS_TXT || type == WEIR_DNS_SRV;
}

weir_error *weir_dns_query_start(weir_loop *loop, const char *name, weir_dns_type type,
                                 void (*done)(weir_dns_records *take, weir_error *take_error,
                                              void *arg),
                                 void *arg, weir_dns_querying **ret)
{
    weir_dns_querying *q;
    struct resolver *r;
    weir_error *error;

    WEIR_TRY(weir__loop_check_call(loop, __func__, WEIR_HERE));
    WEIR_TRY(weir__resolver_of(loop, &r));
    if (!is_type(type))
        return weir_raise(WEIR_EINVAL, "%d is no type of record that is understood", (int)type);
    q = weir__calloc(1, sizeof(*q));
    if (!q)
        return weir_raise(WEIR_ENOMEM, "resolver");
    q->magic = QUERYING_MAGIC;
    q->type = (uint16_t)type;
    q->done = done;
    q->arg = arg;
    q->ask.answered = answered;
    list_init(&q->ask.link);
    q->wanting =
        (struct wanting){.resolver = r, .start = start, .fail = fail_wanting, .free = free_wanting};
    list_init(&q->wanting.link);
    job_init(&q->wanting.job, run_tell, WEIR_HERE);
    error = set_name(q, name);
    if (!error)
        error = weir__wanting_begin(&q->wanting);
    if (error) {
        querying_free(q);
        return error;
    }
    if (ret)
        *ret = q;
    return NULL;
}

void weir_dns_querying_cancel(weir_dns_querying *querying)
{
    weir_check(querying, QUERYING_MAGIC);
    if (weir__loop_allows(querying->wanting.resolver->loop))
        querying_free(querying);
}

/* For tasks */

struct query_wait {
    struct waiter waiter;
    weir_dns_querying *querying;
    weir_dns_records *records;
    weir_error *error;
};

static void query_done(weir_dns_records *take, weir_error *take_error, void *arg)
{
    struct query_wait *wait = arg;

    wait->records = take;
    wait->error = take_error;
    weir__wait_wake(&wait->waiter);
}

static bool query_interrupt(struct waiter *waiter)
{
    weir_dns_querying_cancel(container_of(waiter, struct query_wait, waiter)->querying);
    return true;
}

weir_error *weir_dns_query(const char *name, weir_dns_type type, weir_dns_records **ret)
{
    struct query_wait wait = {0};

    WEIR_TRY(weir__wait_begin(&wait.waiter));
    WEIR_TRY(
        weir_dns_query_start(weir_loop_current(), name, type, query_done, &wait, &wait.querying));
    WEIR_TRY(weir__wait(&wait.waiter, query_interrupt));
    if (wait.error)
        return weir_error_trace(wait.error, WEIR_HERE);
    *ret = wait.records;
    return NULL;
}
