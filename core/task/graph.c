/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call graph of a future: its stack, and recursively what awaits it. The edges are there anyway:
 * whoever waits hangs a link on the future that names him, and a child knows its group. A node that
 * is met again on the way from the first one is marked as a cycle and not followed.
 */
#include "config.h"

#include "core/task/graph.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/text.h"

#define DEPTH_MAX 200 /* tasks that await each other in a chain */

void weir__future_each_waiter(weir_future *future, void (*fn)(weir_future *, void *), void *arg)
{
    weir_future *last = NULL;

    weir_list_foreach(link, &future->links, struct future_link, link) {
        if (link->waiter && link->waiter != last)
            fn(link->waiter, arg);
        if (link->waiter)
            last = link->waiter;
    }
    if (future->is_task && task_of(future)->group) {
        weir_task *parent = task_of(future)->group->scope.task;

        if (parent && &parent->future != last)
            fn(&parent->future, arg);
    }
}

/* On the way down to a node. */
struct path {
    const struct path *above;
    weir_future *future;
    size_t depth;
};

struct capture {
    struct frame_cache *cache;
    int limit;
};

struct waiters {
    const struct capture *capture;
    struct path path;
    weir_call_graph **nodes;
    size_t count, capacity;
    weir_error *error;
};

static weir_error *capture_node(const struct capture *capture, const struct path *path,
                                weir_call_graph **ret) WEIR_MUST_USE;

static bool room_for_one(struct waiters *waiters)
{
    size_t capacity = waiters->capacity ? waiters->capacity * 2 : 4;
    weir_call_graph **nodes;

    if (waiters->count < waiters->capacity)
        return true;
    nodes = weir__reallocarray(waiters->nodes, capacity, sizeof(weir_call_graph *));
    if (!nodes)
        return false;
    waiters->nodes = nodes;
    waiters->capacity = capacity;
    return true;
}

static void add_waiter(weir_future *future, void *arg)
{
    struct waiters *waiters = arg;
    struct path path = {&waiters->path, future, waiters->path.depth + 1};

    if (waiters->error)
        return;
    for (size_t i = 0; i < waiters->count; i++) {
        if (waiters->nodes[i]->id == (uintptr_t)future)
            return;
    }
    if (!room_for_one(waiters)) {
        waiters->error = weir_raise(WEIR_ENOMEM, "call graph");
        return;
    }
    waiters->error = capture_node(waiters->capture, &path, &waiters->nodes[waiters->count]);
    if (!waiters->error)
        waiters->count++;
}

static bool is_met_again(const struct path *path)
{
    for (const struct path *above = path->above; above; above = above->above) {
        if (above->future == path->future)
            return true;
    }
    return path->depth >= DEPTH_MAX;
}

static weir_error *describe(weir_call_graph *node, weir_future *future)
{
    weir_task *task = future->is_task ? task_of(future) : NULL;

    node->size = sizeof *node;
    node->is_task = task != NULL;
    node->id = (uintptr_t)future;
    node->state = weir__future_state_name(future);
    node->created = future->site;
    node->name = weir__strdup(task ? weir_task_name(task) : "");
    node->function = weir__strdup(task ? task->fn_name : "");
    if (!node->name || !node->function)
        return weir_raise(WEIR_ENOMEM, "call graph");
    return NULL;
}

static weir_error *fill_node(const struct capture *capture, const struct path *path,
                             weir_call_graph *node)
{
    struct waiters waiters = {.capture = capture, .path = *path};

    WEIR_TRY(describe(node, path->future));
    if (node->is_task) {
        weir_call_frame *frames;

        WEIR_TRY(weir__frames_capture(capture->cache, task_of(path->future), capture->limit,
                                      &frames, &node->frame_count));
        node->frames = frames;
    }
    if (is_met_again(path)) {
        node->cycle = true;
        return NULL;
    }
    weir__future_each_waiter(path->future, add_waiter, &waiters);
    node->awaited_by = waiters.nodes;
    node->awaited_by_count = waiters.count;
    return waiters.error;
}

static weir_error *capture_node(const struct capture *capture, const struct path *path,
                                weir_call_graph **ret)
{
    weir_call_graph *node = weir__calloc(1, sizeof *node);
    weir_error *error;

    if (!node)
        return weir_raise(WEIR_ENOMEM, "call graph");
    error = fill_node(capture, path, node);
    if (error) {
        weir_call_graph_free(node);
        return error;
    }
    *ret = node;
    return NULL;
}

weir_error *weir_call_graph_capture(weir_future *future, int limit, weir_call_graph **ret)
{
    struct capture capture = {.limit = limit};
    struct path path = {.future = future};
    weir_error *error;

    if (!future && !weir__current_task)
        return weir_raise(WEIR_ENOTASK, "a call graph of the running task, outside of tasks");
    if (!future)
        path.future = &weir__current_task->future;
    WEIR_TRY(weir__task_home_check(path.future->home));
    if (limit != 0)
        capture.cache = weir__frame_cache_new();
    error = capture_node(&capture, &path, ret);
    weir__frame_cache_free(capture.cache);
    return error;
}

void weir_call_graph_free(weir_call_graph *graph)
{
    if (!graph)
        return;
    for (size_t i = 0; i < graph->awaited_by_count; i++)
        weir_call_graph_free(graph->awaited_by[i]);
    weir__free((void *)graph->awaited_by);
    weir__free((void *)graph->frames);
    weir__free((void *)graph->name);
    weir__free((void *)graph->function);
    weir__free(graph);
}

static void format_node(struct text *text, const weir_call_graph *node, int level)
{
    int indent = level * 4;

    if (node->is_task)
        text_printf(text, "%*s* Task(name='%s', id=%#lx)", indent, "", node->name,
                    (unsigned long)node->id);
    else
        text_printf(text, "%*s* Future(id=%#lx)", indent, "", (unsigned long)node->id);
    text_add(text, node->cycle ? " (cycle)\n" : "\n");
    if (node->frame_count)
        text_printf(text, "%*s  + Call stack:\n", indent, "");
    for (size_t i = 0; i < node->frame_count; i++)
        text_printf(text, "%*s  |   File '%s', line %d, in %s()\n", indent, "",
                    node->frames[i].file, node->frames[i].line, node->frames[i].function);
    if (node->awaited_by_count)
        text_printf(text, "%*s  + Awaited by:\n", indent, "");
    for (size_t i = 0; i < node->awaited_by_count; i++)
        format_node(text, node->awaited_by[i], level + 1);
}

size_t weir_call_graph_format(const weir_call_graph *graph, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);

    format_node(&text, graph, 0);
    return text.len;
}

void weir_call_graph_print(const weir_call_graph *graph, FILE *file)
{
    size_t len = weir_call_graph_format(graph, NULL, 0);
    char *buffer = weir__malloc(len + 1);

    if (!buffer)
        return;
    weir_call_graph_format(graph, buffer, len + 1);
    fputs(buffer, file);
    weir__free(buffer);
}
