/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that the system may refuse: executors, certificates, sockets, the start of instances.
 * Each failure is reported at the value that asked for it; all of them in one run.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/access/access.h"
#include "host/config/codes.h"
#include "host/config/internal.h"
#include "host/generation/generation.h"

static void report(struct generation *g, const void *field, weir_error *take_error)
{
    char text[600];

    weir_error_message(take_error, text, sizeof text);
    weir_error_unref(take_error);
    weir_config_error(g->config, field, "%s", text);
}

/* One that the generation before listens on: the same descriptor goes on, for whichever listener. */
static struct bound_socket *find_socket(const struct generation *from,
                                        const weir_listener *listener,
                                        const weir_option_address *address)
{
    bool any_port = address->kind == WEIR_ADDRESS_INET && address->port == 0;

    for (size_t l = 0; from && l < from->n_listeners; l++) {
        const weir_listener *other = from->listeners[l];

        if (any_port && strcmp(other->name, listener->name) != 0)
            continue;
        for (size_t i = 0; i < other->n_addresses; i++) {
            struct bound_socket *socket = other->addresses[i].socket;

            if (socket && socket->fd >= 0 && !strcmp(socket->text, address->text) &&
                socket->datagram == (listener->protocol->datagram != NULL))
                return socket;
        }
    }
    return NULL;
}

static weir_error *prepare_socket(struct generation *g, weir_listener *listener, size_t i)
{
    const weir_option_address *address = listener->addresses[i].field;
    struct bound_socket *same = find_socket(g->from, listener, address);

    if (same) {
        weir__listener_share(listener, i, same);
        return NULL;
    }
    g->n_new_sockets++;
    return weir__listener_bind(listener, i, address->text);
}

static void report_socket(struct generation *g, const weir_option_address *address,
                          weir_error *take_error)
{
    char text[300];

    snprintf(text, sizeof text, "%s", weir_code_text(weir_error_code(take_error)));
    weir__config_error_code(g->config, CONFIG_LISTEN, address, "cannot listen on %s: %s",
                            address->text, text);
    if (weir_code_errno(weir_error_code(take_error)) == EADDRINUSE)
        weir_config_label(g->config, "another process holds this address");
    weir_error_unref(take_error);
    g->n_system_errors++;
}

void weir__generation_prepare_sockets(struct generation *g)
{
    for (size_t l = 0; l < g->n_listeners; l++) {
        weir_listener *listener = g->listeners[l];

        for (size_t i = 0; i < listener->n_addresses; i++) {
            weir_error *error;

            if (weir__address_fd(&listener->addresses[i]) >= 0)
                continue; /* a part of the generation before */
            error = prepare_socket(g, listener, i);
            if (error)
                report_socket(g, listener->addresses[i].field, error);
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

/* What is said of it did not change: the next generation goes on with it. */
static bool take_executor(const struct generation *from, struct executor_config *said)
{
    if (from)
        WEIR_ARRAY_EACH(const struct executor_config, before, from->top->executors)
        {
            if (before->made && !strcmp(before->name, said->name) && before->type == said->type &&
                before->threads == said->threads && before->queue == said->queue &&
                before->on_full == said->on_full)
                said->made = weir_executor_ref(before->made);
        }
    return said->made != NULL;
}

static bool has_default(const struct generation *g)
{
    WEIR_ARRAY_EACH(const struct executor_config, said, g->top->executors)
    if (!strcmp(said->name, "default"))
        return true;
    return false;
}

static void prepare_executors(struct generation *g)
{
    weir_executor_options options = {WEIR_SIZED(weir_executor_options), .name = "default"};

    WEIR_ARRAY_EACH(struct executor_config, said, g->top->executors)
    {
        weir_error *error = take_executor(g->from, said) ? NULL : make_executor(said);

        if (error)
            report(g, said, error);
        else if (!strcmp(said->name, "default"))
            g->executor = weir_executor_ref(said->made);
    }
    if (!g->executor && g->from && !has_default(g->from)) {
        g->executor = weir_executor_ref(g->from->executor);
    } else if (!g->executor) {
        weir_error *error = weir_executor_new(&options, &g->executor);

        if (error)
            report(g, NULL, error);
    }
    WEIR_ARRAY_EACH(const struct plugin_config, said, g->top->plugins)
    if (said->plugin && said->executor)
        said->plugin->executor = said->executor->made;
}

static void start_instances(struct generation *g)
{
    for (weir_instance *i = g->made; i; i = i->next) {
        weir_error *error;

        i->executor = weir_executor_ref(i->plugin->executor ? i->plugin->executor : g->executor);
        error = weir__instance_start(i, weir__generation_replaced(g, i), g->n_loops);
        if (error)
            report(g, i->config, error);
    }
}

/* The value that says the file, or what stands for the whole block. */
static const void *access_place(const struct generation *g)
{
    const struct access_config *access = g->top->log.access;

    return weir__position_find(g->config, &access->output).source ? (const void *)&access->output
                                                                  : (const void *)&access->format;
}

void weir__generation_prepare_access(struct generation *g)
{
    weir_error *error;
    char text[600];

    weir__access_discard(WEIR_TAKE(g->access));
    /* The first one opens it when the process has become who it is to be. */
    if (!g->from || weir__content_equal(&g->from->log, &g->log))
        return;
    error = weir__access_prepare(g->top->log.access, &g->access);
    if (!error)
        return;
    weir_error_message(error, text, sizeof text);
    weir_config_error(g->config, g->top->log.access ? access_place(g) : NULL, "%s: %s", text,
                      weir_code_text(weir_error_code(error)));
    weir_error_unref(error);
    g->n_system_errors++;
}

void weir__generation_prepare(struct generation *g)
{
    weir_config_context *c = g->config;

    weir__process_check(c, &g->top->runtime);
    prepare_executors(g);
    weir__generation_prepare_tls(g);
    weir__generation_prepare_sockets(g);
    weir__generation_prepare_access(g);
    /* Instances may touch files and start threads: only when everything else is right. */
    if (weir__config_error_count(c) == 0)
        start_instances(g);
    g->made = NULL;
    g->made_end = &g->made;
    weir__content_notes_free(g->notes);
    g->notes = NULL;
}
