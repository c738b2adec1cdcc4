/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of an error, for its own files and for debug mode. */
#ifndef WEIR_CORE_BASE_ERROR_H
#define WEIR_CORE_BASE_ERROR_H

#include <weir/debug.h>
#include <weir/error.h>

#include "core/base/text.h"

#define ERROR_TRACE_MAX   16   /* sites of a trace; further ones are counted */
#define ERROR_MESSAGE_MAX 1024 /* bytes of one message; longer ones end in "…" */
#define ERROR_ARGS_MAX    4
#define ERROR_POOL_SIZE   256 /* fast errors of a thread that live at once; then malloc */

enum error_kind { ERROR_STATIC, ERROR_HEAP, ERROR_POOL };

struct weir_error {
    uint32_t magic;
    uint32_t refs;
    weir_code code;
    uint8_t kind;
    uint8_t nargs;
    uint8_t ntrace;
    bool read;
    bool shares;      /* made by weir_error_share(): says what its cause says */
    uint32_t omitted; /* sites that did not fit */
    const weir_site *site;
    const char *format; /* fast: literal; else the message itself, allocated with the error */
    weir_error *cause;
    weir_error *more; /* attached errors, newest last */
    weir_error *next; /* in the list of who it is attached to */
    char *hint;
    struct error_pool *pool;
    int64_t args[ERROR_ARGS_MAX];
    weir_backtrace *raised; /* debug mode: where it was made */
    const weir_site *trace[ERROR_TRACE_MAX];
    char text[];
};

/* Debug mode of this thread: unread errors are warnings. Set by the loop. */
extern __thread bool weir__thread_debug;

/* The number of the task that runs on this thread, 0: none. Set by core/task. */
extern uint64_t (*weir__running_task_number)(void);
/* Debug mode: a static error was made, or passed a WEIR_TRY, in the running task. */
void weir__error_note(const weir_error *error, const weir_site *site, bool made);
/* Where the running task's static error was made and what it passed since; returns how many. */
size_t weir__error_way(const weir_error *error, const weir_site **sites, size_t max);
/* Until it is called again: errors printed on this thread are this task's (0: the running one's).
   Returns what was in force. For reports of a task that has ended. */
uint64_t weir__error_about(uint64_t task);

/* weir_error_print() with a say in how backtraces are written. */
void weir__error_print(struct text *text, const weir_error *error,
                       void (*add_backtrace)(struct text *, const weir_backtrace *));
/* Without marking it read. */
weir_code weir__error_peek_code(const weir_error *error);
bool weir__error_was_read(const weir_error *error);
/* A fast error's message or a stored one, without causes; at most `size`, as snprintf. */
size_t weir__error_own_message(const weir_error *error, char *buffer, size_t size);

/* The error of a failed system call: `-errno` or `errno`, and what was tried. No formatting. */
#define weir__raise_errno(result, literal) \
    WEIR_RAISE_FAST((result) < 0 ? -(int)(result) : (int)(result), literal)

#endif
