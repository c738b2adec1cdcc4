/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking: the table of questions, and the collection of what each traffic loop says.
 *
 * A collection lives until its last holder is gone: the control loop until it has answered, and each
 * loop that was asked until it has looked, however late that is. What comes late is dropped.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/status/status.h"

static const struct question_kind *const kinds[] = {
    &weir__ask_listeners, &weir__ask_routes,    &weir__ask_upstreams, &weir__ask_conns,
    &weir__ask_tls,       &weir__ask_tasks,     &weir__ask_loops,     &weir__ask_executors,
    &weir__ask_dns,       &weir__ask_dns_flush, &weir__ask_plugins,   &weir__ask_server,
    &weir__ask_drain,     &weir__ask_enable,    &weir__ask_disable,   &weir__ask_weight,
    &weir__ask_debug,     &weir__ask_ping,      &weir__ask_summary,   &weir__ask_metrics,
    &weir__ask_route,     &weir__ask_memory,    &weir__ask_conn,
};

#define KIND_COUNT (sizeof kinds / sizeof *kinds)

struct collection;

struct share {
    struct collection *collection;
    struct traffic_thread *thread;
    unsigned index;
    json_t *value; /* of the loop until it has posted, then of the control loop */
    bool asked, came;
};

struct collection {
    unsigned refs; /* atomic */
    const struct question_kind *kind;
    struct question question;
    json_t *params;
    weir_loop *control;
    weir_timer deadline;
    weir_host_answer_fn answer;
    void *arg;
    bool ended; /* control loop */
    unsigned n_missing, n_shares;
    struct share shares[];
};

bool weir_host_question_at(size_t index, weir_host_question *ret)
{
    if (index >= KIND_COUNT)
        return false;
    *ret = kinds[index]->question;
    return true;
}

struct dropped {
    weir_host *host;
    struct generation *generation;
};

static weir_error *drop_here(void *arg)
{
    struct dropped *dropped = arg;
    struct hlist dead;

    hlist_init(&dead);
    weir__generation_unref(dropped->generation, &dead);
    weir__host_destroy(dropped->host, &dead);
    return NULL;
}

static weir_error *drop_there(void *arg)
{
    weir_error *error = drop_here(arg);

    free(arg);
    return error;
}

/* Generations are counted on the control loop; the last who looks may be another. */
static void drop_generation(weir_host *host, struct generation *generation, weir_loop *control)
{
    struct dropped here = {host, generation}, *there;
    weir_error *error;

    if (weir_loop_current() == control || host->state >= HOST_STOPPED) {
        weir_ignore(drop_here(&here));
        return;
    }
    there = malloc(sizeof *there);
    if (!there)
        return; /* it stays until the end */
    *there = here;
    error = weir_loop_call_soon_threadsafe(control, drop_there, there, free);
    if (error)
        free(there);
    weir_ignore(error);
}

static void collection_unref(struct collection *collection)
{
    if (__atomic_sub_fetch(&collection->refs, 1, __ATOMIC_ACQ_REL))
        return;
    for (unsigned i = 0; i < collection->n_shares; i++)
        json_decref(collection->shares[i].value);
    json_decref(collection->params);
    drop_generation(collection->question.host, collection->question.generation,
                    collection->control);
    weir_loop_unref(collection->control);
    free(collection);
}

static void give(struct collection *collection, json_t *take_answer)
{
    bool is_text = json_is_string(take_answer);
    char *text = is_text       ? strdup(json_string_value(take_answer))
                 : take_answer ? json_dumps(take_answer, JSON_COMPACT)
                               : NULL;

    json_decref(take_answer);
    collection->answer(collection->arg, text,
                       text ? NULL : weir_raise(WEIR_ENOMEM, "no memory for the answer"));
}

/* Names the loops that did not answer. */
static void add_blocked(const struct collection *collection, json_t *answer)
{
    json_t *blocked = json_array();
    char name[32];

    for (unsigned i = 0; i < collection->n_shares; i++) {
        if (!collection->shares[i].asked || collection->shares[i].came)
            continue;
        (void)snprintf(name, sizeof name, "traffic-%u", i);
        json_array_append_new(blocked, json_string(name));
    }
    if (json_array_size(blocked))
        json_object_set(answer, "blocked", blocked);
    json_decref(blocked);
}

static void finish(struct collection *collection)
{
    json_t **values = calloc(collection->n_shares + 1, sizeof *values);
    json_t *answer = NULL;

    collection->ended = true;
    weir_timer_stop(&collection->deadline);
    for (unsigned i = 0; values && i < collection->n_shares; i++)
        values[i] = collection->shares[i].came ? collection->shares[i].value : NULL;
    if (values)
        answer = collection->kind->finish(&collection->question, values, collection->n_shares);
    if (answer)
        add_blocked(collection, answer);
    free(values);
    give(collection, answer);
    collection_unref(collection);
}

static weir_error *too_late(void *arg)
{
    finish(arg);
    return NULL;
}

static void drop_share(void *arg)
{
    collection_unref(((struct share *)arg)->collection);
}

/* Control loop: a loop has looked. */
static weir_error *arrived(void *arg)
{
    struct share *share = arg;
    struct collection *collection = share->collection;

    share->came = true;
    if (!collection->ended && --collection->n_missing == 0)
        finish(collection);
    collection_unref(collection);
    return NULL;
}

/* A traffic loop. */
static weir_error *look(void *arg)
{
    struct share *share = arg;
    struct collection *collection = share->collection;
    weir_error *error;

    share->value = collection->kind->on_loop(&collection->question, share->thread);
    error = weir_loop_call_soon_threadsafe(collection->control, arrived, share, drop_share);
    if (error)
        collection_unref(collection);
    weir_ignore(error);
    return NULL;
}

static void ask_loops(struct collection *collection)
{
    weir_host *host = collection->question.host;

    for (unsigned i = 0; i < collection->n_shares; i++) {
        struct share *share = &collection->shares[i];
        struct traffic_thread *thread = &host->threads[i];
        weir_error *error;

        *share = (struct share){.collection = collection, .thread = thread, .index = i};
        if (!thread->started || thread->ended || !thread->traffic.loop)
            continue;
        __atomic_add_fetch(&collection->refs, 1, __ATOMIC_RELAXED);
        error = weir_loop_call_soon_threadsafe(thread->traffic.loop, look, share, drop_share);
        share->asked = !error;
        collection->n_missing += share->asked;
        if (error)
            collection_unref(collection);
        weir_ignore(error);
    }
}

static struct collection *collection_new(weir_host *host, const struct question_kind *kind,
                                         json_t *take_params)
{
    unsigned n = kind->on_loop ? host->n_threads : 0;
    struct collection *collection = calloc(1, sizeof *collection + n * sizeof(struct share));

    if (!collection) {
        json_decref(take_params);
        return NULL;
    }
    collection->refs = 1;
    collection->kind = kind;
    collection->params = take_params;
    collection->question = (struct question){
        .host = host, .generation = weir__generation_ref(host->generation), .params = take_params};
    collection->control = weir_loop_ref(host->control);
    collection->n_shares = n;
    weir_timer_init(&collection->deadline, host->control, too_late, collection);
    return collection;
}

static weir_error *parse_params(const char *text, json_t **ret)
{
    json_error_t problem;
    json_t *params = text ? json_loads(text, JSON_REJECT_DUPLICATES, &problem) : json_object();

    if (!params)
        return weir_raise(WEIR_EINVAL, "the parameters are not JSON: %s", problem.text);
    if (!json_is_object(params)) {
        json_decref(params);
        return weir_raise(WEIR_EINVAL, "the parameters are not a JSON object");
    }
    *ret = params;
    return NULL;
}

weir_error *weir_host_ask(weir_host *host, const char *name, const char *params,
                          weir_duration limit, weir_host_answer_fn answer, void *arg)
{
    const struct question_kind *kind = NULL;
    struct collection *collection;
    json_t *parsed;
    weir_error *error;

    for (size_t i = 0; i < KIND_COUNT && !kind; i++)
        kind = strcmp(kinds[i]->question.name, name) == 0 ? kinds[i] : NULL;
    if (!kind)
        return weir_raise(ENOENT, "there is no question `%s`", name);
    if (host->state != HOST_RUNNING && host->state != HOST_STOPPING)
        return weir_raise(WEIR_EINVALSTATE, "the host does not run");
    WEIR_TRY(parse_params(params, &parsed));
    collection = collection_new(host, kind, parsed);
    if (!collection)
        return weir_raise(WEIR_ENOMEM, "question");
    collection->answer = answer;
    collection->arg = arg;
    error = kind->begin ? kind->begin(&collection->question) : NULL;
    if (error) {
        answer(arg, NULL, error);
        collection_unref(collection);
        return NULL;
    }
    ask_loops(collection);
    if (collection->n_missing)
        weir_timer_start(&collection->deadline, limit);
    else
        finish(collection);
    return NULL;
}

json_t *weir__status_join(json_t *const *shares, unsigned n)
{
    json_t *all = json_array();

    for (unsigned i = 0; i < n; i++)
        if (json_is_array(shares[i]))
            json_array_extend(all, shares[i]);
    return all;
}

json_t *weir__status_seconds(int64_t ns)
{
    return json_real((double)ns / 1e9);
}

json_t *weir__status_count(uint64_t count)
{
    return json_integer((json_int_t)count);
}

json_t *weir__status_where(const weir_host *host, const void *field)
{
    char place[600];

    weir__config_where(host->generation->config, field, place, sizeof place);
    return json_string(place);
}
