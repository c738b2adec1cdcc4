/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances: the state that goes with one configuration of a provided thing. A loop's share is made
 * and used on the loop's own thread; the table of shares is sized before any loop starts and never
 * moves, so that finding a share takes no lock.
 */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/generation/durable.h"
#include "host/plugin/plugin.h"

weir_error *weir__instance_new(const weir_instance_ops *ops, struct plugin *plugin,
                               const void *config, const char *path, weir_instance **ret)
{
    weir_instance *instance = calloc(1, sizeof *instance);
    char name[128];

    if (!instance)
        return weir_raise(WEIR_ENOMEM, "instance");
    instance->ops = ops;
    instance->config = config;
    instance->plugin = plugin;
    instance->plugin_name = plugin->descriptor->name;
    instance->path = strdup(path);
    if (ops && ops->state_size)
        instance->state = calloc(1, ops->state_size);
    if (!instance->path || (ops && ops->state_size && !instance->state)) {
        weir__instance_free(instance);
        return weir_raise(WEIR_ENOMEM, "instance");
    }
    snprintf(name, sizeof name, "plugin.%s", plugin->descriptor->name);
    instance->logger = weir_logger_get(name);
    *ret = instance;
    return NULL;
}

void weir__instance_free(weir_instance *instance)
{
    if (!instance)
        return;
    if (instance->started && instance->ops && instance->ops->stop)
        instance->ops->stop(instance, instance->state);
    for (unsigned i = 0; i < instance->n_loops; i++)
        free(instance->loop_states[i]);
    free(instance->loop_states);
    free(instance->loop_started);
    if (instance->executor)
        weir_executor_unref(instance->executor);
    while (instance->n_kept)
        weir__durable_unref(instance->kept[--instance->n_kept]);
    free(instance->kept);
    free(instance->state);
    free(instance->path);
    free(instance);
}

bool weir__instance_has_life(const weir_instance_ops *ops)
{
    return ops && (ops->state_size || ops->loop_state_size || ops->start || ops->loop_start ||
                   ops->loop_stop || ops->commit || ops->stop);
}

/* States of another build of the plugin, or of another kind of instance, mean nothing to it. */
static void *state_of(const weir_instance *instance, const weir_instance *old)
{
    return old && old->started && old->ops == instance->ops ? old->state : NULL;
}

weir_error *weir__instance_start(weir_instance *instance, const weir_instance *old,
                                 unsigned n_loops)
{
    const weir_instance_ops *ops = instance->ops;

    if (!weir__instance_has_life(ops))
        return NULL;
    instance->loop_states = calloc(n_loops, sizeof *instance->loop_states);
    instance->loop_started = calloc(n_loops, sizeof *instance->loop_started);
    if (!instance->loop_states || !instance->loop_started)
        return weir_raise(WEIR_ENOMEM, "instance");
    instance->n_loops = n_loops;
    if (ops->start)
        WEIR_TRY(ops->start(instance, instance->state, instance->config, state_of(instance, old)));
    instance->started = true;
    return NULL;
}

void weir__instance_commit(weir_instance *instance, const weir_instance *old)
{
    if (!instance->committed && instance->ops && instance->ops->commit)
        instance->ops->commit(instance, instance->state, state_of(instance, old));
    instance->committed = true;
}

weir_error *weir__instance_loop_start(weir_instance *instance, struct traffic *traffic)
{
    const weir_instance_ops *ops = instance->ops;
    void *state = NULL;
    weir_error *error;

    if (!ops || (!ops->loop_state_size && !ops->loop_start))
        return NULL;
    free(instance->loop_states[traffic->index]); /* of an earlier time on this loop */
    instance->loop_states[traffic->index] = NULL;
    if (ops->loop_state_size) {
        state = calloc(1, ops->loop_state_size);
        if (!state)
            return weir_raise(WEIR_ENOMEM, "instance");
    }
    instance->loop_states[traffic->index] = state;
    error = ops->loop_start ? ops->loop_start(instance, state, traffic->loop) : NULL;
    if (error) {
        instance->loop_states[traffic->index] = NULL;
        free(state);
    }
    instance->loop_started[traffic->index] = !error;
    return error;
}

void weir__instance_loop_stop(weir_instance *instance, struct traffic *traffic)
{
    if (!instance->loop_started || !instance->loop_started[traffic->index])
        return;
    instance->loop_started[traffic->index] = false;
    if (instance->ops->loop_stop)
        instance->ops->loop_stop(instance, instance->loop_states[traffic->index], traffic->loop);
}

const void *weir_instance_config(const weir_instance *instance)
{
    return instance->config;
}

void *weir_instance_state(const weir_instance *instance)
{
    return instance->state;
}

void *weir_instance_loop_state(const weir_instance *instance)
{
    const struct traffic *traffic = weir__traffic();

    return traffic && traffic->index < instance->n_loops ? instance->loop_states[traffic->index]
                                                         : NULL;
}

const char *weir_instance_path(const weir_instance *instance)
{
    return instance->path;
}

weir_logger *weir_instance_logger(const weir_instance *instance)
{
    return instance->logger;
}

weir_executor *weir_instance_executor(const weir_instance *instance)
{
    return instance->executor;
}

static weir_error *call_make(void *state, void *arg)
{
    weir_error *(**make)(void *) = arg;

    return *make ? (*make)(state) : NULL;
}

static pthread_mutex_t kept_mutex = PTHREAD_MUTEX_INITIALIZER; /* of what instances keep */

/* It has one reference, however often it asks. */
static weir_error *keep(weir_instance *instance, void *take_state)
{
    for (size_t i = 0; i < instance->n_kept; i++) {
        if (instance->kept[i] == take_state) {
            weir__durable_unref(take_state);
            return NULL;
        }
    }
    if (instance->n_kept == instance->kept_room) {
        size_t room = instance->kept_room ? instance->kept_room * 2 : 4;
        void **kept = realloc(instance->kept, room * sizeof *kept);

        if (!kept) {
            weir__durable_unref(take_state);
            return weir_raise(WEIR_ENOMEM, "durable state");
        }
        instance->kept = kept;
        instance->kept_room = room;
    }
    instance->kept[instance->n_kept++] = take_state;
    return NULL;
}

weir_error *weir_durable_get(weir_instance *instance, const char *kind, const char *identity,
                             size_t size, weir_error *(*make)(void *state), weir_drop_fn drop,
                             void **ret_state)
{
    char *full;
    void *state;
    weir_error *error;

    /* Kinds of different plugins never meet. */
    if (asprintf(&full, "%s.%s", instance->plugin_name, kind) < 0)
        return weir_raise(WEIR_ENOMEM, "durable state");
    error = weir__durable_get(instance->durables,
                              &(struct durable_spec){full, identity, size, call_make, &make, drop},
                              &state);
    free(full);
    WEIR_TRY(error);
    pthread_mutex_lock(&kept_mutex);
    error = keep(instance, state);
    pthread_mutex_unlock(&kept_mutex);
    WEIR_TRY(error);
    *ret_state = state;
    return NULL;
}
