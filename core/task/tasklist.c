/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All tasks of a loop, with who awaits them, and the tree that people read:
 *
 *     └── Task-1 main t.c:40, pending
 *         │   join_all t.c:31
 *         ├── Task-2 worker t.c:35, pending
 *         └── Task-3 worker t.c:35, cancelling
 *
 * A task numbers itself while the list is made, so that edges become indices without a search.
 */
#include "config.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/task/graph.h"

#define DEPTH_MAX 64 /* of the printed tree, and of futures between two tasks */

struct list_build {
    struct task_home *home;
    struct frame_cache *cache;
    int limit;
    weir_task_info *infos;
    size_t count;
};

struct edges {
    size_t *indices;
    size_t count, capacity;
    int depth;
    bool failed;
};

static void add_index(struct edges *edges, size_t index)
{
    for (size_t i = 0; i < edges->count; i++) {
        if (edges->indices[i] == index)
            return;
    }
    if (edges->count == edges->capacity) {
        size_t capacity = edges->capacity ? edges->capacity * 2 : 2;
        size_t *indices = weir__reallocarray(edges->indices, capacity, sizeof *indices);

        if (!indices) {
            edges->failed = true;
            return;
        }
        edges->indices = indices;
        edges->capacity = capacity;
    }
    edges->indices[edges->count++] = index;
}

/* Through futures between to the tasks behind them. */
static void add_edge(weir_future *waiter, void *arg)
{
    struct edges *edges = arg;

    if (waiter->is_task) {
        add_index(edges, task_of(waiter)->list_index);
    } else if (edges->depth < DEPTH_MAX) {
        edges->depth++;
        weir__future_each_waiter(waiter, add_edge, edges);
        edges->depth--;
    }
}

static weir_error *describe(struct list_build *build, weir_task *task, weir_task_info *info)
{
    struct edges edges = {0};
    weir_call_frame *frames;

    info->id = (uintptr_t)task;
    info->name = weir__strdup(weir_task_name(task));
    info->function = weir__strdup(task->fn_name);
    info->state = weir__future_state_name(&task->future);
    info->created = task->future.site;
    info->cancelling = task->cancelling;
    info->waits_at = task->wait_site;
    if (!info->name || !info->function)
        return weir_raise(WEIR_ENOMEM, "list of tasks");
    WEIR_TRY(weir__frames_capture(build->cache, task, build->limit, &frames, &info->frame_count));
    info->frames = frames;
    weir__future_each_waiter(&task->future, add_edge, &edges);
    info->awaited_by = edges.indices;
    info->awaited_by_count = edges.count;
    return edges.failed ? weir_raise(WEIR_ENOMEM, "list of tasks") : NULL;
}

static weir_error *describe_all(struct list_build *build)
{
    size_t index = 0;

    weir_list_foreach(numbered, &build->home->tasks, weir_task, link)
        numbered->list_index = index++;
    weir_list_foreach(task, &build->home->tasks, weir_task, link)
        WEIR_TRY(describe(build, task, &build->infos[build->count++]));
    return NULL;
}

weir_error *weir_task_list_capture(weir_loop *loop, int limit, weir_task_list **ret)
{
    struct list_build build = {.limit = limit};
    weir_task_list *list;
    weir_error *error;

    WEIR_TRY(weir__loop_check_thread(loop));
    WEIR_TRY(weir__task_home_of(loop, &build.home));
    list = weir__calloc(1, sizeof *list);
    build.infos = weir__calloc(build.home->live + 1, sizeof *build.infos);
    if (!list || !build.infos) {
        weir__free(list);
        weir__free(build.infos);
        return weir_raise(WEIR_ENOMEM, "list of tasks");
    }
    if (limit != 0)
        build.cache = weir__frame_cache_new();
    error = describe_all(&build);
    weir__frame_cache_free(build.cache);
    list->size = sizeof *list;
    list->tasks = build.infos;
    list->count = build.count;
    if (error) {
        weir_task_list_free(list);
        return error;
    }
    *ret = list;
    return NULL;
}

void weir_task_list_free(weir_task_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++) {
        weir__free((void *)list->tasks[i].name);
        weir__free((void *)list->tasks[i].function);
        weir__free((void *)list->tasks[i].frames);
        weir__free((void *)list->tasks[i].awaited_by);
    }
    weir__free((void *)list->tasks);
    weir__free(list);
}

/* Whom each task awaits: the edges the other way, as lists in one array. */
struct tree {
    const weir_task_list *list;
    size_t *first; /* count + 1 */
    size_t *children;
    bool *shown;
    FILE *file;
};

static bool tree_init(struct tree *tree, const weir_task_list *list, FILE *file)
{
    size_t edges = 0;

    for (size_t i = 0; i < list->count; i++)
        edges += list->tasks[i].awaited_by_count;
    *tree = (struct tree){.list = list, .file = file};
    tree->first = weir__calloc(list->count + 2, sizeof(size_t));
    tree->children = weir__calloc(edges + 1, sizeof(size_t));
    tree->shown = weir__calloc(list->count + 1, sizeof(bool));
    if (!tree->first || !tree->children || !tree->shown)
        return false;
    /* Counted one slot further on, so that filling moves each start to its place. */
    for (size_t i = 0; i < list->count; i++) {
        for (size_t k = 0; k < list->tasks[i].awaited_by_count; k++)
            tree->first[list->tasks[i].awaited_by[k] + 2]++;
    }
    for (size_t i = 2; i < list->count + 2; i++)
        tree->first[i] += tree->first[i - 1];
    for (size_t i = 0; i < list->count; i++) {
        for (size_t k = 0; k < list->tasks[i].awaited_by_count; k++)
            tree->children[tree->first[list->tasks[i].awaited_by[k] + 1]++] = i;
    }
    return true;
}

static void tree_done(struct tree *tree)
{
    weir__free(tree->first);
    weir__free(tree->children);
    weir__free(tree->shown);
}

static void print_task(const struct tree *tree, const weir_task_info *task, const char *prefix,
                       bool last)
{
    size_t index = (size_t)(task - tree->list->tasks);
    bool parent = tree->first[index] < tree->first[index + 1];

    fprintf(tree->file, "%s%s %s %s %s:%d, %s%s\n", prefix, last ? "└──" : "├──", task->name,
            task->function, text_site_file(task->created), task->created->line, task->state,
            tree->shown[index] ? " (see above)" : "");
    if (tree->shown[index])
        return;
    for (size_t i = 0; i < task->frame_count; i++)
        fprintf(tree->file, "%s%s   %s   %s %s:%d\n", prefix, last ? " " : "│", parent ? "│" : " ",
                task->frames[i].function, task->frames[i].file, task->frames[i].line);
}

static void print_branch(struct tree *tree, size_t index, const char *prefix, bool last, int depth)
{
    char below[DEPTH_MAX * 6 + 8];
    bool seen = tree->shown[index];

    print_task(tree, &tree->list->tasks[index], prefix, last);
    tree->shown[index] = true;
    if (seen || depth >= DEPTH_MAX)
        return;
    snprintf(below, sizeof below, "%s%s   ", prefix, last ? " " : "│");
    for (size_t i = tree->first[index]; i < tree->first[index + 1]; i++)
        print_branch(tree, tree->children[i], below, i + 1 == tree->first[index + 1], depth + 1);
}

void weir_task_list_print(const weir_task_list *list, FILE *file)
{
    struct tree tree;

    if (!tree_init(&tree, list, file)) {
        tree_done(&tree);
        fputs("out of memory\n", file);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->tasks[i].awaited_by_count == 0)
            print_branch(&tree, i, "", true, 0);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (tree.shown[i])
            continue;
        fputs("cycle:\n", file);
        print_branch(&tree, i, "", true, 0);
    }
    tree_done(&tree);
}

void weir_loop_print_tasks(weir_loop *loop, FILE *file)
{
    weir_auto(weir_task_list) list = NULL;
    weir_error *error = weir_task_list_capture(loop, WEIR_CALL_GRAPH_ALL, &list);

    if (error) {
        char text[256];

        weir_error_message(error, text, sizeof text);
        fprintf(file, "%s\n", text);
        weir_error_unref(error);
        return;
    }
    weir_task_list_print(list, file);
}
