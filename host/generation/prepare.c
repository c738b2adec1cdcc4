/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that the system may refuse: executors, certificates, sockets, the start of instances.
 * Each failure is reported at the value that asked for it; all of them in one run.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/config/codes.h"
#include "host/generation/generation.h"

static void report(struct generation *g, const void *field, weir_error *take_error)
{
    char text[600];

    weir_error_message(take_error, text, sizeof text);
    weir_error_unref(take_error);
    weir_config_error(g->config, field, "%s", text);
}

static void prepare_sockets(struct generation *g)
{
    for (size_t l = 0; l < g->n_listeners; l++) {
        weir_listener *listener = g->listeners[l];

        for (size_t i = 0; i < listener->n_addresses; i++) {
            const weir_option_address *address = listener->addresses[i].field;
            weir_error *error = weir__listener_bind(listener, i, address->text);
            char text[300];

            if (!error)
                continue;
            snprintf(text, sizeof text, "%s", weir_code_text(weir_error_code(error)));
            weir__config_error_code(g->config, CONFIG_LISTEN, address, "cannot listen on %s: %s",
                                    address->text, text);
            if (weir_code_errno(weir_error_code(error)) == EADDRINUSE)
                weir_config_label(g->config, "another process holds this address");
            weir_error_unref(error);
            g->n_system_errors++;
        }
    }
}

static weir_error *make_executor(struct executor_config *said)
{
    weir_executor_options options = {
        WEIR_SIZED(weir_executor_options), .name = said->name,
        .threads = said->threads == WEIR_INT_WORD(0) ? 0 : (unsigned)said->threads,
        .queue = said->queue, .reject_when_full = said->on_full == 1};

    return weir_executor_new(&options, &said->made);
}

static void prepare_executors(struct generation *g)
{
    WEIR_ARRAY_EACH(struct executor_config, said, g->top->executors)
    {
        weir_error *error = make_executor(said);

        if (error)
            report(g, said, error);
        else if (!strcmp(said->name, "default"))
            g->host->executor = weir_executor_ref(said->made);
    }
    if (!g->host->executor) {
        weir_error *error = weir_executor_new(
            &(weir_executor_options){WEIR_SIZED(weir_executor_options), .name = "default"},
            &g->host->executor);

        if (error)
            report(g, NULL, error);
    }
    WEIR_ARRAY_EACH(const struct plugin_config, said, g->top->plugins)
    if (said->plugin && said->executor)
        said->plugin->executor = said->executor->made;
}

static void start_instances(struct generation *g)
{
    for (weir_instance *i = g->instances; i; i = i->next) {
        weir_error *error;

        i->executor = g->host->executor;
        error = weir__instance_start(i, g->n_loops);
        if (error)
            report(g, i->config, error);
    }
}

void weir__generation_prepare(struct generation *g)
{
    weir_config_context *c = g->config;

    weir__process_check(c, &g->top->runtime);
    prepare_executors(g);
    weir__generation_prepare_tls(g);
    prepare_sockets(g);
    /* Instances may touch files and start threads: only when everything else is right. */
    if (weir__config_error_count(c) == 0)
        start_instances(g);
}
