/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control loop's side of a change of generation, and of the end of parts.
 *
 * What loops still use after it is told by them, one by one (weir__part_left()); a listener that no
 * loop uses lets go of what only it kept there, and what nobody refers to any more is destroyed in
 * the host's own thread.
 */
#include "config.h"

#include "host/generation/change.h"

#include <stdlib.h>

#include <weir/log.h>

static bool is_listener(const struct part *part)
{
    return part->kind == &weir__listener_part;
}

/* Counting */

static void list_part(struct change *change, struct part *part)
{
    if (part->kind->enter || part->kind->leave)
        change->parts[change->n_parts++] = part;
}

static void activate(struct change *change, struct part *part)
{
    bool was_present = part->present > 0;

    if (part->active++)
        return;
    if (hlist_empty(&part->link))
        hlist_append(&change->host->parts, &part->link);
    if (is_listener(part) || part->kind->enter || part->kind->leave)
        part->present += change->host->n_loops;
    list_part(change, part);
    if (is_listener(part) && !was_present)
        for (size_t i = 0; i < part->n_below; i++)
            activate(change, part->below[i]);
}

static void deactivate(struct change *change, struct part *part)
{
    if (--part->active == 0 && !is_listener(part))
        list_part(change, part);
}

static weir_error *change_alloc(weir_host *host, size_t n_parts, size_t n_slots,
                                struct change **ret)
{
    struct change *change = calloc(1, sizeof *change + host->n_loops * sizeof(struct change_share));

    if (!change)
        return weir_raise(WEIR_ENOMEM, "reload");
    change->host = host;
    change->parts = calloc(n_parts + 1, sizeof(struct part *));
    change->gone = calloc(n_slots + 1, sizeof(struct slot *));
    change->fresh = calloc(n_slots + 1, sizeof(struct slot *));
    if (!change->parts || !change->gone || !change->fresh) {
        weir__change_free(change);
        return weir_raise(WEIR_ENOMEM, "reload");
    }
    *ret = change;
    return NULL;
}

/* Slots of listeners of `a` that `b` lacks. */
static size_t slots_without(const struct generation *a, const struct generation *b,
                            struct slot **slots)
{
    size_t n = 0;

    for (size_t i = 0; a && i < a->n_listeners; i++)
        if (!b || !weir__part_find(&b->parts, &weir__listener_part, a->listeners[i]->name))
            slots[n++] = a->listeners[i]->slot;
    return n;
}

weir_error *weir__change_new(weir_host *host, struct generation *from, struct generation *to,
                             struct change **ret)
{
    size_t n_slots = (from ? from->n_listeners : 0) + to->n_listeners;
    struct change *change;

    WEIR_TRY(change_alloc(host, to->parts.count, n_slots, &change));
    change->from = from ? weir__generation_ref(from) : NULL;
    change->to = weir__generation_ref(to);
    change->n_gone = slots_without(from, to, change->gone);
    change->n_fresh = slots_without(to, from, change->fresh);
    for (size_t i = 0; i < to->parts.count; i++)
        activate(change, to->parts.items[i]);
    *ret = change;
    return NULL;
}

void weir__change_free(struct change *change)
{
    struct hlist dead;

    if (!change)
        return;
    hlist_init(&dead);
    weir__generation_unref(change->from, &dead);
    weir__generation_unref(change->to, &dead);
    weir__host_destroy(change->host, &dead);
    for (unsigned i = 0; i < change->host->n_loops; i++)
        weir_ignore(change->shares[i].error);
    weir_ignore(change->error);
    free(change->parts);
    free(change->gone);
    free(change->fresh);
    free(change);
}

/* Asking the loops */

static weir_error *acked(void *arg)
{
    struct change_share *share = arg;
    struct change *change = share->change;
    weir_error *error = WEIR_TAKE(share->error);

    if (!change->error)
        change->error = error;
    else
        weir_ignore(error);
    if (--change->waiting == 0)
        change->next(change);
    return NULL;
}

static void ack(struct change_share *share, weir_error *take_error)
{
    share->error = take_error ? weir_error_detach(take_error) : NULL;
    /* Only a loop that is closed refuses: then nobody waits any more. */
    weir_ignore(weir_loop_call_soon_threadsafe(share->change->host->control, acked, share, NULL));
}

static void ask(struct change *change, weir_fn fn, void (*next)(struct change *change))
{
    weir_host *host = change->host;

    change->next = next;
    change->waiting = 1;
    for (unsigned i = 0; i < host->n_threads; i++) {
        struct change_share *share = &change->shares[i];
        weir_error *error;

        *share = (struct change_share){.change = change, .thread = &host->threads[i]};
        if (!share->thread->started || share->thread->ended || !share->thread->traffic.loop)
            continue;
        change->waiting++;
        error = weir_loop_call_soon_threadsafe(share->thread->traffic.loop, fn, share, NULL);
        if (!error)
            continue;
        change->waiting--;
        if (!change->error)
            change->error = error;
        else
            weir_ignore(error);
    }
    if (--change->waiting == 0)
        next(change);
}

/* On a loop: another portion in its next turn. */
static void again(struct change_share *share, weir_fn fn)
{
    weir_error *error = weir_loop_call_soon(share->thread->traffic.loop, fn, share, NULL, NULL);

    if (error)
        ack(share, error);
}

static weir_error *enter(void *arg)
{
    struct change_share *share = arg;
    bool more;
    weir_error *error = weir__loop_enter(share, &more);

    if (more)
        again(share, enter);
    else
        ack(share, error);
    return NULL;
}

static weir_error *swap(void *arg)
{
    struct change_share *share = arg;

    weir__loop_swap(share);
    ack(share, WEIR_TAKE(share->error));
    return NULL;
}

static weir_error *restore(void *arg)
{
    weir__loop_restore(arg);
    ack(arg, NULL);
    return NULL;
}

static weir_error *leave(void *arg)
{
    struct change_share *share = arg;
    bool more;

    weir__loop_leave(share, &more);
    if (more)
        again(share, leave);
    else
        ack(share, NULL);
    return NULL;
}

/* Leaving parts */

static void have_left(struct change *change)
{
    struct hlist dead;

    hlist_init(&dead);
    for (size_t i = 0; i < change->n_parts; i++) {
        struct part *part = change->parts[i];

        part->present -= change->host->n_loops;
        weir__part_bury(part, &dead);
    }
    weir__host_destroy(change->host, &dead);
    weir__change_free(change);
}

static void leave_all(struct change *change)
{
    if (change->n_parts)
        ask(change, leave, have_left);
    else
        weir__change_free(change);
}

/* What a generation had on the loops and nobody else has. */
static void leave_generation(weir_host *host, struct generation *g)
{
    struct change *change;
    weir_error *error = change_alloc(host, g->parts.count, 0, &change);

    if (error) {
        weir_log_error(weir_logger_get("weir.host"), WEIR_LOG_ERROR, error,
                       "parts of generation %u stay on the loops", g->number);
        return;
    }
    for (size_t i = 0; i < g->parts.count; i++)
        deactivate(change, g->parts.items[i]);
    leave_all(change);
}

struct leaving_listener {
    weir_host *host;
    struct part *part;
};

/* No loop uses the listener. */
static void listener_gone(weir_host *host, struct part *part)
{
    struct change *change;
    struct hlist dead;
    weir_error *error = change_alloc(host, part->n_below, 0, &change);

    if (error) { /* it stays */
        weir_ignore(error);
        return;
    }
    for (size_t i = 0; i < part->n_below; i++)
        deactivate(change, part->below[i]);
    hlist_init(&dead);
    weir__part_bury(part, &dead);
    weir__host_destroy(host, &dead);
    leave_all(change);
}

static weir_error *left(void *arg)
{
    struct leaving_listener *leaving = arg;
    weir_host *host = leaving->host;
    struct part *part = leaving->part;

    free(leaving);
    if (--part->present == 0 && host->state == HOST_RUNNING)
        listener_gone(host, part);
    return NULL;
}

void weir__part_left(struct part *part, struct traffic *traffic)
{
    struct traffic_thread *thread = HLIST_ENTRY(traffic, struct traffic_thread, traffic);
    struct leaving_listener *leaving;
    weir_error *error;

    if (!__atomic_load_n(&thread->host->serving, __ATOMIC_ACQUIRE) || traffic->draining)
        return; /* the host's end frees all */
    leaving = malloc(sizeof *leaving);
    if (!leaving)
        return; /* it stays until the end */
    *leaving = (struct leaving_listener){thread->host, part};
    error = weir_loop_call_soon_threadsafe(thread->host->control, left, leaving, free);
    if (error)
        free(leaving);
    weir_ignore(error);
}

/* The change */

static void end(struct change *change, weir_error *take_error)
{
    change->done(change->arg, take_error);
    weir__change_free(change);
}

static void restored(struct change *change)
{
    weir_error *error = WEIR_TAKE(change->failure);

    leave_generation(change->host, change->to);
    end(change, error);
}

static void swapped(struct change *change)
{
    weir_host *host = change->host;
    weir_error *error = WEIR_TAKE(change->error);

    if (error) /* of a loop's own settings */
        weir_log_error(weir_logger_get("weir.host"), WEIR_LOG_ERROR, error,
                       "a traffic loop cannot take a setting");
    leave_generation(host, change->from);
    end(change, NULL);
}

static void entered(struct change *change)
{
    weir_error *first = change->error;

    if (!first) {
        ask(change, swap, swapped);
        return;
    }
    change->failure = first;
    change->error = NULL;
    ask(change, restore, restored);
}

void weir__change_start(struct change *change, void (*done)(void *arg, weir_error *take_error),
                        void *arg)
{
    change->done = done;
    change->arg = arg;
    ask(change, enter, entered);
}
