/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schedule of checks, and what their outcomes mean. A server is up until `fall` checks in a row
 * failed, also at the beginning: a start makes nobody wait for checks. The first ones are spread over a
 * second, the later ones vary by a sixteenth of the interval, so that they do not come in a crowd.
 */
#include "config.h"

#include "host/health/health.h"

#include <stdio.h>
#include <stdlib.h>

#include <weir/event.h>

#define FIRST_SPREAD WEIR_S(1)

static weir_logger *logger(void)
{
    return weir_logger_get("weir.health");
}

static const struct health_spec *spec_of(const struct check *check)
{
    return check->upstream->health;
}

/* The schedule. */

static void start_due(struct health *health)
{
    if (health->starting) /* a probe that ended at once: the loop below goes on */
        return;
    health->starting = true;
    while (health->n_probes < HEALTH_MAX_PROBES && !hlist_empty(&health->due)) {
        struct check *check = HLIST_ENTRY(health->due.next, struct check, due);

        hlist_remove(&check->due);
        weir_timer_start(&check->timer, spec_of(check)->timeout);
        weir__probe_start(check);
    }
    health->starting = false;
}

static weir_error *timer_fired(void *arg)
{
    struct check *check = arg;

    if (check->probe) {
        weir__probe_expired(check->probe);
    } else if (hlist_empty(&check->due)) {
        hlist_append(&check->health->due, &check->due);
        start_due(check->health);
    }
    return NULL;
}

static void wait_for_next(struct check *check)
{
    int64_t interval = spec_of(check)->interval.ns, spread = interval / 8;

    check->health->random = weir__hash_mix(check->health->random + 1);
    if (spread)
        interval += (int64_t)(check->health->random % (uint64_t)spread) - spread / 2;
    weir_timer_start(&check->timer, WEIR_NS(interval));
}

/* Outcomes. */

static void time_text(int64_t ns, char *text, size_t size)
{
    long long seconds = ns / 1000000000;

    if (seconds < 120)
        (void)snprintf(text, size, "%lld s", seconds);
    else if (seconds < 7200)
        (void)snprintf(text, size, "%lld min", seconds / 60);
    else
        (void)snprintf(text, size, "%lld h", seconds / 3600);
}

static void change(struct check *check, bool down, unsigned n, unsigned of)
{
    struct server *server = check->server;
    char why[sizeof((struct server_story *)0)->why], was[40];
    struct server_story story = weir__server_story(server, &server->check_story);

    (void)snprintf(why, sizeof why, "%.*s (%u of %u)", (int)sizeof why - 30, check->last, n, of);
    weir__server_check_says(server, down, why);
    if (down) {
        weir_log_with(logger(), WEIR_LOG_WARNING,
                      WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_SERVER_DOWN},
                                      {"upstream", server->upstream}, {"server", server->address}),
                      "upstream %s: server %s is down: %s", server->upstream, server->address, why);
    } else {
        time_text(weir_now().ns - story.since.ns, was, sizeof was);
        weir_log_with(logger(), WEIR_LOG_INFO,
                      WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_SERVER_UP},
                                      {"upstream", server->upstream}, {"server", server->address}),
                      "upstream %s: server %s is up again after %s: %s", server->upstream,
                      server->address, was, why);
    }
}

void weir__health_count(struct check *check, bool passed, const char *text, weir_duration took)
{
    const struct health_spec *spec = spec_of(check);
    bool is_down = check->server->checked_down;

    check->probe = NULL;
    check->health->n_probes--;
    check->took = took;
    check->last_passed = passed;
    (void)snprintf(check->last, sizeof check->last, "%s", text);
    check->passed = passed ? check->passed + 1 : 0;
    check->failed = passed ? 0 : check->failed + 1;
    HOST_COUNT(check->server->checks_passed, passed);
    HOST_COUNT(check->server->checks_failed, !passed);
    weir_log(logger(), WEIR_LOG_DEBUG, "upstream %s: server %s: %s, %.1f ms",
             check->server->upstream, check->server->address, text, (double)took.ns / 1e6);
    if (!is_down && check->failed >= spec->fall)
        change(check, true, check->failed, spec->fall);
    else if (is_down && check->passed >= spec->rise)
        change(check, false, check->passed, spec->rise);
    wait_for_next(check);
    start_due(check->health);
}

void weir__health_forgive(struct server *server)
{
    struct check *check = server->check;

    if (!check)
        return;
    check->passed = check->failed = 0;
    if (!check->probe && hlist_empty(&check->due))
        weir_timer_start(&check->timer, WEIR_NS(0));
}

/* Which servers are checked. */

weir_error *weir__health_new(weir_loop *control, struct health **ret)
{
    struct health *health = calloc(1, sizeof *health);

    if (!health)
        return weir_raise(WEIR_ENOMEM, "health checks");
    health->loop = control;
    health->random = (uint64_t)weir_now().ns;
    hlist_init(&health->checks);
    hlist_init(&health->due);
    weir__overrides_init(&health->overrides);
    *ret = health;
    return NULL;
}

static void end_check(struct check *check)
{
    if (check->probe) {
        weir__probe_cancel(WEIR_TAKE(check->probe));
        check->health->n_probes--;
    }
    weir_timer_stop(&check->timer);
    hlist_remove(&check->due);
    hlist_remove(&check->link);
    check->health->n_checks--;
    check->server->check = NULL;
    weir__upstream_unref(check->upstream);
    free(check);
}

/* Finds the check of the server, or makes one. */
static weir_error *check_of(struct health *health, weir_upstream *upstream, struct server *server,
                            bool *ret_new)
{
    struct check *check = server->check;

    *ret_new = !check;
    if (check && check->upstream != upstream) {
        /* What is under way belongs to the old definition, which may go. */
        if (check->probe) {
            weir__probe_cancel(WEIR_TAKE(check->probe));
            health->n_probes--;
            weir_timer_stop(&check->timer);
            *ret_new = true;
        }
        weir__upstream_unref(check->upstream);
        check->upstream = weir__upstream_ref(upstream);
    }
    if (!check) {
        check = calloc(1, sizeof *check);
        if (!check)
            return weir_raise(WEIR_ENOMEM, "health check");
        check->health = health;
        check->server = server;
        check->upstream = weir__upstream_ref(upstream);
        hlist_init(&check->due);
        weir_timer_init(&check->timer, health->loop, timer_fired, check);
        hlist_append(&health->checks, &check->link);
        server->check = check;
        health->n_checks++;
    }
    check->epoch = health->epoch;
    return NULL;
}

/* Checks that have not begun begin, evenly over their first interval or a second. */
static void spread_new(struct health *health, size_t n)
{
    size_t i = 0;

    for (struct hlist *at = health->checks.next; n && at != &health->checks; at = at->next) {
        struct check *check = HLIST_ENTRY(at, struct check, link);
        int64_t spread = spec_of(check)->interval.ns;

        if (check->probe || !hlist_empty(&check->due) || weir_timer_running(&check->timer))
            continue;
        if (spread > FIRST_SPREAD.ns)
            spread = FIRST_SPREAD.ns;
        weir_timer_start(&check->timer, WEIR_NS(spread * (int64_t)i++ / (int64_t)n));
    }
}

static void end_others(struct health *health)
{
    struct hlist *next;

    for (struct hlist *at = health->checks.next; at != &health->checks; at = next) {
        struct check *check = HLIST_ENTRY(at, struct check, link);

        next = at->next;
        if (check->epoch == health->epoch)
            continue;
        __atomic_store_n(&check->server->checked_down, false, __ATOMIC_RELAXED);
        end_check(check);
    }
}

weir_error *weir__health_set(struct health *health, weir_upstream *const *upstreams, size_t n)
{
    size_t n_new = 0;

    weir__overrides_follow(&health->overrides, upstreams, n);
    health->epoch++;
    for (size_t i = 0; i < n; i++) {
        if (!upstreams[i]->health)
            continue;
        for (size_t k = 0; k < upstreams[i]->n_servers; k++) {
            bool is_new;

            WEIR_TRY(check_of(health, upstreams[i], upstreams[i]->servers[k], &is_new));
            n_new += is_new;
        }
    }
    end_others(health);
    spread_new(health, n_new);
    return NULL;
}

void weir__health_free(struct health *health)
{
    if (!health)
        return;
    while (!hlist_empty(&health->checks))
        end_check(HLIST_ENTRY(health->checks.next, struct check, link));
    weir__overrides_free(&health->overrides);
    free(health);
}
