/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following: records as lines of JSON for whoever reads along, whatever the format of the access log is,
 * and though it be off. Conditions are looked at where the record is.
 *
 * Followers are in a list that is never changed: another takes its place. As with programs, a thread
 * says in its ring which list it reads and then looks whether that is still the one in force; who
 * replaces one waits until no ring says it, a few microseconds at most.
 */
#include "config.h"

#include <sched.h>
#include <stdlib.h>

#include <weir/host.h>

#include "host/access/access.h"

struct weir_access_follower {
    struct access_filter *filter; /* NULL: all */
    void (*take)(void *arg, const char *line, size_t len);
    void *arg;
};

struct access_taps {
    struct access_program *json;
    size_t n;
    struct weir_access_follower *followers[];
};

static _Atomic(struct access_taps *) taps;

bool weir__access_tapped(void)
{
    return atomic_load_explicit(&taps, memory_order_relaxed) != NULL;
}

static void taps_free(struct access_taps *old)
{
    if (!old)
        return;
    weir__access_program_free(old->json);
    free(old);
}

/* Nobody reads the old ones afterwards. */
static void replace(struct access_taps *with)
{
    struct access_taps *old = atomic_exchange(&taps, with);

    for (struct access_ring *ring = weir__access_rings(); ring && old; ring = ring->next)
        while (atomic_load(&ring->tapping) == old)
            sched_yield();
    taps_free(old);
}

/* A list with one more, or one less; `*ret` NULL: with nobody. */
static weir_error *taps_new(struct weir_access_follower *more,
                            const struct weir_access_follower *less, struct access_taps **ret)
{
    const struct access_config config = {.format = "json", .output = "stderr", .sample = 1};
    const struct access_taps *old = atomic_load(&taps);
    size_t room = (old ? old->n : 0) + 1;
    struct access_taps *made = calloc(1, sizeof *made + room * sizeof(void *));
    weir_error *error;

    if (!made)
        return weir_raise(WEIR_ENOMEM, "follower");
    for (size_t i = 0; old && i < old->n; i++)
        if (old->followers[i] != less)
            made->followers[made->n++] = old->followers[i];
    if (more)
        made->followers[made->n++] = more;
    error = made->n ? weir__access_program_new(&config, &made->json) : NULL;
    if (error || !made->n) {
        free(made);
        made = NULL;
    }
    if (!error)
        *ret = made;
    return error;
}

weir_error *weir_host_follow_access(const char *filter,
                                    void (*take)(void *arg, const char *line, size_t len),
                                    void *arg, weir_access_follower **ret)
{
    weir_access_follower *follower = calloc(1, sizeof *follower);
    struct access_taps *with = NULL;
    const char *meant;
    char why[200] = "no memory";
    weir_error *error;

    if (!follower)
        return weir_raise(WEIR_ENOMEM, "follower");
    follower->take = take;
    follower->arg = arg;
    if (filter && *filter) {
        follower->filter = weir__access_filter_new(filter, why, sizeof why, &meant);
        if (!follower->filter) {
            free(follower);
            return weir_raise(WEIR_EINVAL, "%s", why);
        }
    }
    error = taps_new(follower, NULL, &with);
    if (error) {
        weir__access_filter_free(follower->filter);
        free(follower);
        return error;
    }
    replace(with);
    *ret = follower;
    return NULL;
}

void weir_host_unfollow_access(weir_access_follower *take_follower)
{
    struct access_taps *with = NULL;
    weir_error *error = taps_new(NULL, take_follower, &with);

    /* Without memory the others go without records too, rather than this one stay. */
    weir_ignore(error);
    replace(with);
    weir__access_filter_free(take_follower->filter);
    free(take_follower);
}

static const struct access_taps *begin_reading(struct access_ring *ring)
{
    const struct access_taps *now;

    do {
        now = atomic_load_explicit(&taps, memory_order_relaxed);
        atomic_store(&ring->tapping, now);
    } while (atomic_load(&taps) != now);
    return now;
}

void weir__access_tap(struct access_ring *ring, struct access_entry *entry)
{
    const struct access_taps *now = begin_reading(ring);
    size_t len = 0;

    for (size_t i = 0; now && i < now->n; i++) {
        const struct weir_access_follower *follower = now->followers[i];

        if (follower->filter && !weir__access_filter_fits(follower->filter, entry))
            continue;
        if (!len) /* without the newline */
            len = weir__access_format(now->json, entry, ring->line, sizeof ring->line) - 1;
        follower->take(follower->arg, ring->line, len);
    }
    atomic_store_explicit(&ring->tapping, NULL, memory_order_release);
}
