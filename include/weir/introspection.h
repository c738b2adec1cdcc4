/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Looking into a running loop: who awaits whom, and where each task is suspended in C.
 *
 * Captures are made on the loop's own thread, between two instructions of any task, so they are
 * consistent; from another thread post a callback that captures. What is captured is a copy: tasks
 * may end while it is read. Frames are of the program and its libraries, not of the runtime, and have
 * files and lines where debug information is installed (functions only, else). Capturing reads debug
 * information, a few microseconds a frame that was not met before: for people, not for every request.
 * (rows of section 2.14: capture_call_graph, print_call_graph, ps, pstree)
 *
 * Example:
 *
 *     weir_error *who_waits_for_me(void *arg);
 *     weir_error *who_waits_for_me(void *arg)
 *     {
 *         weir_auto(weir_call_graph) graph = NULL;
 *
 *         (void)arg;
 *         WEIR_TRY(weir_call_graph_capture(NULL, WEIR_CALL_GRAPH_ALL, &graph));
 *         weir_call_graph_print(graph, stderr); // * Task(name='Task-1', id=0x7f…) …
 *         weir_loop_print_tasks(weir_loop_current(), stderr);
 *         return NULL;
 *     }
 */
#ifndef WEIR_INTROSPECTION_H
#define WEIR_INTROSPECTION_H

#include <limits.h>
#include <stdio.h>

#include <weir/task.h>

WEIR_BEGIN_DECLS

/** A frame of a C stack. */
typedef struct weir_call_frame {
    const char *function; /**< "?" where nothing is known */
    const char *file;     /**< "" without debug information */
    int line;             /**< 0 without debug information */
} weir_call_frame;

typedef struct weir_call_graph weir_call_graph;

/** A future or task, its stack, and what awaits it, the same way. */
struct weir_call_graph {
    size_t size;
    bool is_task;
    bool cycle;               /**< it is met again below itself; not followed further */
    uintptr_t id;             /**< tells objects apart that live at the same time */
    const char *name;         /**< of a task; "" for a future */
    const char *function;     /**< of a task's body; "" for a future */
    const char *state;        /**< pending, cancelling, finished, cancelled */
    const weir_site *created; /**< where it was made */
    size_t frame_count;
    const weir_call_frame *frames; /**< innermost first */
    size_t awaited_by_count;
    weir_call_graph *const *awaited_by;
};

/** All frames; another limit: > 0 so many of the innermost, < 0 so many of the outermost, 0 none. */
#define WEIR_CALL_GRAPH_ALL INT_MAX

/** Captures the graph upwards from a future (weir_task_future() of a task), or from the running task
 *  (`future` NULL). Errors: WEIR_ENOTASK NULL outside of tasks, WEIR_ETHREAD, WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_call_graph_capture(weir_future *future, int limit,
                                                weir_call_graph **ret) WEIR_MUST_USE;
WEIR_PUBLIC void weir_call_graph_free(weir_call_graph *graph);
/**
 * As asyncio writes it:
 *
 *     * Task(name='worker', id=0x7f2a10)
 *       + Call stack:
 *       |   File 't.c', line 12, in read_all()
 *       + Awaited by:
 *         * Task(name='Task-1', id=0x7f2b10)
 *
 * The length, as snprintf. Any thread. */
WEIR_PUBLIC size_t weir_call_graph_format(const weir_call_graph *graph, char *buffer, size_t size);
WEIR_PUBLIC void weir_call_graph_print(const weir_call_graph *graph, FILE *file);

/** One of all tasks of a loop. */
typedef struct weir_task_info {
    uintptr_t id;
    const char *name, *function, *state;
    const weir_site *created;
    unsigned cancelling;       /**< requests that are pending */
    const weir_site *waits_at; /**< the suspending call, when it said so; or NULL */
    size_t frame_count;
    const weir_call_frame *frames; /**< innermost first */
    size_t awaited_by_count;
    const size_t *awaited_by; /**< indices of tasks in the list */
} weir_task_info;

/** What weirctl and the dashboard show. */
typedef struct weir_task_list {
    size_t size;
    size_t count;
    const weir_task_info *tasks; /**< in the order of their starts */
} weir_task_list;

/** All tasks of the loop that are not done, with `limit` frames each as above.
 *  Errors: WEIR_ETHREAD, WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_task_list_capture(weir_loop *loop, int limit,
                                               weir_task_list **ret) WEIR_MUST_USE;
WEIR_PUBLIC void weir_task_list_free(weir_task_list *list);
/** As a tree: below each task those that it awaits. Tasks that await each other in a circle are
 *  listed below "cycle:". Any thread. */
WEIR_PUBLIC void weir_task_list_print(const weir_task_list *list, FILE *file);
/** Captures with all frames and prints; an error is printed instead. The loop's thread. */
WEIR_PUBLIC void weir_loop_print_tasks(weir_loop *loop, FILE *file);

/** Measures from now on how much of its stack each task uses: costs a few microseconds a spawn. Any
 *  thread. (T91) */
WEIR_PUBLIC void weir_stack_census_start(void);
WEIR_PUBLIC void weir_stack_census_stop(void);

/** Of the tasks that ended since the start, by spawn site. */
typedef struct weir_stack_use {
    const weir_site *site;
    const char *function;
    size_t tasks;   /**< how many were measured */
    size_t highest; /**< bytes, of the one that used most */
    size_t size;    /**< of the stack, bytes */
} weir_stack_use;

/** Up to `max` of them, in no order; returns how many there are. Any thread. */
WEIR_PUBLIC size_t weir_stack_census(weir_stack_use *ret, size_t max);

WEIR_DEFINE_CLEANUP(weir_call_graph, weir_call_graph_free)
WEIR_DEFINE_CLEANUP(weir_task_list, weir_task_list_free)

WEIR_END_DECLS

#endif
