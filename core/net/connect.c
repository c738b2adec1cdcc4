/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting: name → addresses → attempts → (TLS) → protocol.
 *
 *     address 1  ├────────── refused            the next starts when one fails,
 *     address 2       ├───────────── connected  or has had 250 ms (RFC 8305)
 *     address 3            ├─────── dropped
 *
 * The families take turns. Attempts begin with the addresses of the family that DNS answered first
 * (the resolver gives IPv6 50 ms); those of the other are woven in when they come. Each attempt is the
 * transport it may become. The first to connect wins; the others are dropped. `done` is told from the
 * loop's callbacks only, and this object is gone when it runs.
 */
#include "config.h"

#include "core/net/connect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/net/resolver.h"
#include "core/net/socket_options.h"
#include "core/net/stream.h"
#include "core/net/tls.h"

#define UNIX_PREFIX   "unix:"
#define ATTEMPT_DELAY WEIR_MS(250)
/* RFC 8305 §8: never less. */
#define ATTEMPT_DELAY_MIN WEIR_MS(10)
#define CONNECT_TIMEOUT   WEIR_S(30)
#define CONNECTING_MAGIC  WEIR_MAGIC('c', 'o', 'n', 'n')

struct attempt {
    struct list link;
    weir_connecting *connecting;
    weir_transport *transport;
};

struct weir_connecting {
    uint32_t magic;
    struct list link;
    struct net *net;
    const weir_site *site;
    const weir_protocol *protocol;
    const void *config;
    void (*done)(weir_transport *transport, weir_error *take_error, void *arg);
    void *arg;
    weir_duration timeout;
    weir_tls_context *tls;
    weir_socket_options socket;
    char *server_name;         /* to verify; NULL: none */
    struct address local;      /* length 0: any */
    struct address path;       /* of a Unix socket; length 0: none */
    weir_addresses *addresses; /* in the order to try them; ours alone */
    size_t next;               /* address to try */
    unsigned interleave;       /* so many of the first family come first */
    weir_duration attempt_delay;
    weir_resolving *resolving;
    struct list attempts;
    weir_transport *winner;  /* its TLS handshake runs */
    weir_error *error;       /* of the first that failed, others attached */
    weir_backtrace *created; /* debug mode: who connects; the winner's own is that of the loop */
    struct timer limit, stagger;
    struct job job;
    char target[];
};

static void attempt_drop(struct attempt *attempt)
{
    list_remove(&attempt->link);
    attempt->transport->attempt = NULL;
    weir__transport_leave(attempt->transport);
    weir__free(attempt);
}

static void drop_attempts(weir_connecting *c)
{
    weir_list_foreach_safe(attempt, &c->attempts, struct attempt, link)
        attempt_drop(attempt);
}

static void connecting_free(weir_connecting *c)
{
    list_remove(&c->link);
    weir__timer_stop(c->net->loop, &c->limit);
    weir__timer_stop(c->net->loop, &c->stagger);
    weir__job_cancel(&c->job);
    if (c->resolving)
        weir_resolving_cancel(c->resolving);
    drop_attempts(c);
    if (c->winner)
        weir__transport_leave(c->winner);
    weir_addresses_unref(c->addresses);
    weir_tls_context_unref(c->tls);
    weir__free(c->server_name);
    weir_ignore(c->error);
    weir__backtrace_free(c->created);
    weir__net_unref(c->net);
    weir_magic_clear(c);
    weir__free(c);
}

/* The last thing done with `c`. */
static void finish(weir_connecting *c, weir_transport *t, weir_error *take_error)
{
    void (*done)(weir_transport *, weir_error *, void *) = c->done;
    void *arg = c->arg;

    if (t && t->extra && c->created) {
        weir_backtrace *own = t->extra->created;

        t->extra->created = c->created;
        c->created = own;
    }
    connecting_free(c);
    done(t, take_error, arg);
}

static void fail(weir_connecting *c, weir_error *take_error)
{
    weir_code code = weir_error_code(take_error);

    finish(c, NULL, weir_wrap(take_error, code, "connect to %s", c->target));
}

static weir_error *limit_fired(struct job *job)
{
    weir_connecting *c = container_of(job, weir_connecting, limit.job);
    weir_error *error = weir_raise(ETIMEDOUT, "connect to %s: timed out after %lld ms", c->target,
                                   (long long)(c->timeout.ns / 1000000));

    if (c->error)
        weir_error_attach(error, WEIR_TAKE(c->error));
    finish(c, NULL, error);
    return NULL;
}

/* Attempts */

static const char *attempt_name(const weir_connecting *c, const struct sockaddr *address,
                                socklen_t length, char *buffer, size_t size)
{
    weir__address_name(address, length, buffer, size);
    return strcmp(buffer, c->target) == 0 ? NULL : buffer;
}

static void note_failure(weir_connecting *c, const struct sockaddr *address, socklen_t length,
                         int code, const char *what)
{
    char buffer[ADDRESS_NAME_MAX];
    const char *name = attempt_name(c, address, length, buffer, sizeof(buffer));
    weir_error *error;

    if (name)
        error = weir_raise(code, "connect to %s (%s): %s%s", c->target, name, what,
                           weir_code_text(code));
    else
        error = weir_raise(code, "connect to %s: %s%s", c->target, what, weir_code_text(code));
    if (c->error)
        weir_error_attach(c->error, error);
    else
        c->error = error;
}

/* 0, or errno. */
static int bind_local(const weir_connecting *c, int fd, sa_family_t family, const char **ret_what)
{
    if (!c->local.length)
        return 0;
    *ret_what = "the local address is of another family: ";
    if (c->local.any.sa_family != family)
        return EAFNOSUPPORT;
    *ret_what = "cannot bind the local address: ";
    return bind(fd, &c->local.any, c->local.length) == 0 ? 0 : errno;
}

/* 0, or errno. */
static int open_attempt(weir_connecting *c, const struct sockaddr *address, socklen_t length,
                        const char **ret_what)
{
    struct io_backend *io = c->net->io;
    struct attempt *attempt = weir__calloc(1, sizeof(*attempt));
    struct transport_new options = {
        .net = c->net,
        .protocol = c->protocol,
        .config = c->config,
        .peer = address,
        .peer_length = length,
        .site = c->site,
        .nagle = c->socket.nagle,
        .state = TRANSPORT_CONNECTING,
    };
    const char *what;
    weir_error *error;
    int code = ENOMEM;

    if (!attempt)
        return code;
    options.fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (options.fd < 0) {
        code = errno;
        weir__free(attempt);
        return code;
    }
    code = weir__socket_options_apply(options.fd, address->sa_family, false, &c->socket, &what);
    if (code)
        goto fail;
    code = bind_local(c, options.fd, address->sa_family, ret_what);
    if (code)
        goto fail;
    *ret_what = "";
    error = weir__transport_new(&options, &attempt->transport);
    if (error) {
        code = weir_code_errno(weir_error_code(error));
        weir_error_unref(error);
        goto fail;
    }
    attempt->connecting = c;
    attempt->transport->attempt = attempt;
    list_append(&c->attempts, &attempt->link);
    io->ops->connect(io, &attempt->transport->file, address, length);
    return 0;

fail:
    close(options.fd);
    weir__free(attempt);
    return code;
}

static const struct sockaddr *next_address(weir_connecting *c, socklen_t *ret_length)
{
    const struct sockaddr *address;
    size_t length;

    if (c->path.length) {
        *ret_length = c->path.length;
        return c->next++ ? NULL : &c->path.any;
    }
    if (c->next >= weir_addresses_count(c->addresses))
        return NULL;
    address = weir_addresses_get(c->addresses, c->next++, &length);
    *ret_length = (socklen_t)length;
    return address;
}

static bool more_addresses(const weir_connecting *c)
{
    return c->addresses && c->next < weir_addresses_count(c->addresses);
}

static void start_stagger(weir_connecting *c)
{
    if (!weir_is_forever(c->attempt_delay))
        weir_ignore(
            weir__timer_start(c->net->loop, &c->stagger,
                              weir_instant_after(weir_loop_time(c->net->loop), c->attempt_delay)));
}

/* Starts the next attempt that can be started. Without any under way it is over, unless more
   addresses may come. */
static void try_next(weir_connecting *c)
{
    const struct sockaddr *address;
    socklen_t length;

    while ((address = next_address(c, &length))) {
        const char *what = "";
        int code = open_attempt(c, address, length, &what);

        if (!code)
            break;
        note_failure(c, address, length, code, what);
    }
    if (list_empty(&c->attempts)) {
        if (!c->resolving)
            finish(c, NULL, WEIR_TAKE(c->error));
        return;
    }
    if (more_addresses(c))
        start_stagger(c);
}

static weir_error *stagger_fired(struct job *job)
{
    try_next(container_of(job, weir_connecting, stagger.job));
    return NULL;
}

static weir_error *run_job(struct job *job)
{
    try_next(container_of(job, weir_connecting, job));
    return NULL;
}

/* Success */

static void established(weir_connecting *c, weir_transport *t)
{
    weir_transport_ref(t);
    weir__transport_open(t);
    t->by_callback = false; /* whoever connects is told */
    if (t->status == TRANSPORT_OPEN)
        finish(c, t, NULL);
    else if (t->reason)
        fail(c, weir_error_share(t->reason));
    else
        fail(c, weir_raise(WEIR_ECLOSED, "closed by its protocol"));
    weir_transport_unref(t);
}

static void handshake_done(weir_transport *t, weir_error *take_error, void *arg)
{
    weir_connecting *c = arg;

    c->winner = NULL;
    if (take_error)
        fail(c, take_error);
    else
        established(c, t);
}

static void secure(weir_connecting *c, weir_transport *t)
{
    struct tls_start start = {
        .context = c->tls,
        .server_name = c->server_name,
        .timeout = WEIR_FOREVER,
        .done = handshake_done,
        .arg = c,
    };
    weir_error *error;

    weir__transport_set_state(t, TRANSPORT_HANDSHAKE);
    c->winner = t;
    error = weir__tls_start(t, &start);
    if (!error)
        return;
    c->winner = NULL;
    weir__transport_lose(t, NULL);
    fail(c, error);
}

void weir__attempt_connected(weir_transport *t, int result)
{
    struct attempt *attempt = t->attempt;
    weir_connecting *c = attempt->connecting;

    weir__timer_stop(c->net->loop, &c->stagger);
    if (result < 0) {
        if (c->path.length)
            note_failure(c, &c->path.any, c->path.length, -result, "");
        else
            note_failure(c, &t->peer.any, sizeof(t->peer), -result, "");
        attempt_drop(attempt);
        try_next(c);
        return;
    }
    list_remove(&attempt->link);
    weir__free(attempt);
    t->attempt = NULL;
    drop_attempts(c);
    if (c->resolving)
        weir_resolving_cancel(WEIR_TAKE(c->resolving));
    t->stops |= STOP_PROTOCOL;
    transport_active(t);
    if (c->tls)
        secure(c, t);
    else
        established(c, t);
}

/* Start */

/* `count` of the first family, then one of each by turns; those of a family in their order. */
static void interleave(weir_addresses *addresses, unsigned count)
{
    size_t n = addresses->count, done = 0;
    union address_small *list = addresses->list;

    for (; done < n && done < count && list[done].any.sa_family == list[0].any.sa_family; done++)
        ;
    for (sa_family_t last = list[0].any.sa_family; done < n; last = list[done++].any.sa_family) {
        union address_small next;
        size_t k = done;

        while (k < n && list[k].any.sa_family == last)
            k++;
        if (k == n)
            return; /* one family is left */
        next = list[k];
        memmove(&list[done + 1], &list[done], (k - done) * sizeof(*list));
        list[done] = next;
    }
}

/* Leaves out what was tried. */
static void drop_tried(weir_addresses *addresses, const weir_addresses *old, size_t tried)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < addresses->count; i++) {
        bool was = false;

        for (size_t k = 0; k < tried && !was; k++)
            was = weir__address_same(&addresses->list[i].any, &old->list[k].any);
        if (!was)
            addresses->list[kept++] = addresses->list[i];
    }
    addresses->count = kept;
}

static void use_addresses(weir_connecting *c, weir_addresses *take)
{
    if (c->addresses)
        drop_tried(take, c->addresses, c->next);
    if (take->count)
        interleave(take, c->addresses ? 1 : c->interleave);
    weir_addresses_unref(c->addresses);
    c->addresses = take;
    c->next = 0;
    /* What runs already has its time, and its timer only when there was a next one. */
    if (list_empty(&c->attempts))
        try_next(c);
    else if (more_addresses(c) && !timer_running(&c->stagger))
        start_stagger(c);
}

static void some_resolved(weir_addresses *take, void *arg)
{
    use_addresses(arg, take);
}

static void resolved(weir_addresses *take, weir_error *take_error, void *arg)
{
    weir_connecting *c = arg;

    c->resolving = NULL;
    if (weir_error_is(take_error, WEIR_ETIMEDOUT)) {
        fail(c, weir_raise(ETIMEDOUT, "name resolution timed out"));
    } else if (take_error) {
        fail(c, take_error);
    } else {
        use_addresses(c, take);
    }
}

static weir_error *begin_name(weir_connecting *c, const weir_connect_options *options)
{
    struct host_port parsed;

    WEIR_TRY(weir__host_port_parse(c->target, &parsed));
    if (!parsed.host[0] || !parsed.port)
        return weir_raise(WEIR_EINVAL, "expected HOST:PORT");
    if (c->tls && !options->server_name) {
        c->server_name = weir__strdup(parsed.host);
        if (!c->server_name)
            return weir_raise(WEIR_ENOMEM, "connect");
    }
    return weir__resolve_start(c->net->loop,
                               &(struct resolve_request){.host = parsed.host,
                                                         .port = parsed.port,
                                                         .some = some_resolved,
                                                         .done = resolved,
                                                         .arg = c},
                               &c->resolving);
}

static weir_error *apply_options(weir_connecting *c, const weir_connect_options *options)
{
    if (options->timeout.ns)
        c->timeout = options->timeout;
    if (options->attempt_delay.ns)
        c->attempt_delay = options->attempt_delay;
    if (c->attempt_delay.ns < ATTEMPT_DELAY_MIN.ns)
        c->attempt_delay = ATTEMPT_DELAY_MIN;
    if (options->interleave)
        c->interleave = options->interleave;
    c->tls = weir_tls_context_ref(options->tls);
    c->socket = weir__socket_options_of(options->socket);
    if (c->tls && options->server_name && *options->server_name) {
        c->server_name = weir__strdup(options->server_name);
        if (!c->server_name)
            return weir_raise(WEIR_ENOMEM, "connect");
    }
    if (options->local_address && !weir__address_literal(options->local_address, 0, &c->local))
        return weir_raise(WEIR_EINVAL, "local address \"%s\" is no IP address",
                          options->local_address);
    return NULL;
}

static weir_error *begin(weir_connecting *c, const weir_connect_options *options)
{
    static const weir_connect_options defaults = {WEIR_SIZED(weir_connect_options)};

    WEIR_TRY(apply_options(c, options ? options : &defaults));
    if (!weir_is_forever(c->timeout))
        WEIR_TRY(weir__timer_start(c->net->loop, &c->limit,
                                   weir_instant_after(weir_loop_time(c->net->loop), c->timeout)));
    if (strncmp(c->target, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0)
        return begin_name(c, options ? options : &defaults);
    WEIR_TRY(weir__address_unix(c->target + strlen(UNIX_PREFIX), &c->path));
    weir__loop_ready(c->net->loop, &c->job);
    return NULL;
}

weir_error *weir_connect_start_at(const weir_site *site, weir_loop *loop, const char *target,
                                  const weir_connect_options *options,
                                  const weir_protocol *protocol, const void *config,
                                  void (*done)(weir_transport *, weir_error *, void *), void *arg,
                                  weir_connecting **ret)
{
    weir_connecting *c;
    weir_error *error;
    struct net *net;

    WEIR_TRY(weir__loop_check_call(loop, __func__, site));
    WEIR_TRY(weir__net_of(loop, &net));
    c = weir__calloc(1, sizeof(*c) + strlen(target) + 1);
    if (!c)
        return weir_raise(WEIR_ENOMEM, "connect");
    memcpy(c->target, target, strlen(target) + 1);
    c->magic = CONNECTING_MAGIC;
    c->net = weir__net_ref(net);
    c->site = site;
    c->protocol = protocol;
    c->config = config;
    c->done = done;
    c->arg = arg;
    c->timeout = CONNECT_TIMEOUT;
    c->attempt_delay = ATTEMPT_DELAY;
    c->interleave = 1;
    if (weir_unlikely(weir__thread_debug))
        c->created = weir__backtrace_capture();
    list_init(&c->attempts);
    list_append(&net->connecting, &c->link);
    weir__timer_init(&c->limit, limit_fired, site);
    weir__timer_init(&c->stagger, stagger_fired, site);
    job_init(&c->job, run_job, site);
    error = begin(c, options);
    if (error) {
        weir_code code = weir_error_code(error);

        connecting_free(c);
        return weir_wrap(error, code, "connect to %s", target);
    }
    if (ret)
        *ret = c;
    return NULL;
}

void weir__connecting_cancel_all(struct net *net)
{
    struct list all;

    list_init(&all);
    list_splice(&all, &net->connecting);
    while (!list_empty(&all))
        finish(container_of(all.next, weir_connecting, link), NULL,
               weir_raise(WEIR_ECANCELED, "the loop closes"));
}

void weir_connecting_cancel(weir_connecting *c)
{
    weir_check(c, CONNECTING_MAGIC);
    if (weir__loop_allows(c->net->loop))
        connecting_free(c);
}
