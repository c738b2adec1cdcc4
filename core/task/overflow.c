/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task that outgrows its stack touches the guard below it. The handler of SIGSEGV runs on an
 * alternate stack (there is no other), compares the address with the guard of the running task,
 * says which task and how large its stack is, restores the handler that was there before and
 * returns: the fault happens again and ends the process as it would have (core dump, sanitizer
 * report).
 */
#include "config.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/crash.h"
#include "core/task/task.h"

#ifndef AT_MINSIGSTKSZ
#    define AT_MINSIGSTKSZ 51
#endif

/* What the handler itself needs, on top of the signal frame. */
#define HANDLER_STACK ((size_t)32 * 1024)
#define MESSAGE_MAX   512

struct overflow_watch {
    void *stack; /* NULL: the thread had an alternate stack */
};

static struct sigaction previous;
static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile sig_atomic_t faults;

/* Async-signal-safe; truncates. */
static void append(char *message, size_t *used, const char *text)
{
    size_t length = strlen(text);

    if (length > MESSAGE_MAX - *used)
        length = MESSAGE_MAX - *used;
    memcpy(message + *used, text, length);
    *used += length;
}

static void append_number(char *message, size_t *used, size_t number)
{
    char digits[24];
    char *at = digits + sizeof digits - 1;

    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    append(message, used, at);
}

static void append_name(char *message, size_t *used, const weir_task *task)
{
    if (task->own_name) {
        append(message, used, task->own_name);
        return;
    }
    append(message, used, "Task-");
    append_number(message, used, (size_t)task->number);
}

static void report(const weir_task *task, size_t size)
{
    char message[MESSAGE_MAX];
    size_t used = 0;

    append(message, &used, "weir: stack overflow in task '");
    append_name(message, &used, task);
    append(message, &used, "' (");
    append(message, &used, task->fn_name);
    append(message, &used, ", created at ");
    append(message, &used, task->future.site->file);
    append(message, &used, ":");
    append_number(message, &used, (size_t)task->future.site->line);
    append(message, &used, "): its stack of ");
    append_number(message, &used, size);
    append(message, &used, " bytes is used up; raise stack_size of the loop\n");
    if (write(STDERR_FILENO, message, used) < 0)
        return; /* nobody is left to tell */
}

void weir__overflow_found(const weir_task *task)
{
    const struct stack_pool *pool = &task->future.home->stacks;

    report(task, pool->stride - pool->guard);
    abort();
}

/* For reports of signal handlers. */
static bool running_task(char *name, size_t size, const weir_site **ret_site)
{
    const weir_task *task = weir__current_task;
    char text[MESSAGE_MAX + 1];
    size_t used = 0;

    if (!task || size == 0)
        return false;
    append_name(text, &used, task);
    if (used > size - 1)
        used = size - 1;
    memcpy(name, text, used);
    name[used] = '\0';
    *ret_site = task->future.site;
    return true;
}

static uint64_t running_number(void)
{
    return weir__current_task ? weir__current_task->number : 0;
}

static void on_fault(int signum, siginfo_t *info, void *context)
{
    const weir_task *task = weir__current_task;

    (void)context;
    if (task) {
        const struct stack_pool *pool = &task->future.home->stacks;
        char *guard = weir__stack_base(pool, task->stack);
        char *address = info->si_addr;

        if (address >= guard && address < guard + pool->guard)
            report(task, pool->stride - pool->guard);
    }
    if (faults++ == 0)
        sigaction(signum, &previous, NULL);
    else /* the former handler calls this one: neither ends it */
        signal(signum, SIG_DFL);
    if (info->si_code <= 0) /* sent by somebody: it would not happen again by itself */
        raise(signum);
}

/* With each loop, since others (test frameworks) set theirs meanwhile. */
static void install(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction present;

    __atomic_store_n(&weir__running_task, running_task, __ATOMIC_RELAXED);
    __atomic_store_n(&weir__running_task_number, running_number, __ATOMIC_RELAXED);
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&install_lock);
    sigaction(SIGSEGV, NULL, &present);
    if (!(present.sa_flags & SA_SIGINFO) || present.sa_sigaction != on_fault) {
        previous = present;
        sigaction(SIGSEGV, &action, NULL);
    }
    pthread_mutex_unlock(&install_lock);
}

weir_error *weir__overflow_watch_new(struct overflow_watch **ret)
{
    struct overflow_watch *watch = weir__calloc(1, sizeof *watch);
    size_t size = HANDLER_STACK + getauxval(AT_MINSIGSTKSZ);
    stack_t stack;

    if (!watch)
        return weir_raise(WEIR_ENOMEM, "signal stack");
    if (sigaltstack(NULL, &stack) == 0 && stack.ss_flags & SS_DISABLE) {
        watch->stack = weir__malloc(size);
        if (!watch->stack) {
            weir__free(watch);
            return weir_raise(WEIR_ENOMEM, "signal stack");
        }
        stack = (stack_t){.ss_sp = watch->stack, .ss_size = size};
        sigaltstack(&stack, NULL);
    }
    install();
    *ret = watch;
    return NULL;
}

void weir__overflow_watch_free(struct overflow_watch *watch)
{
    stack_t stack;

    if (watch->stack && sigaltstack(NULL, &stack) == 0 && stack.ss_sp == watch->stack) {
        stack = (stack_t){.ss_flags = SS_DISABLE};
        sigaltstack(&stack, NULL);
        weir__free(watch->stack);
    } else if (watch->stack) {
        weir__free(watch->stack); /* somebody set another one meanwhile */
    }
    weir__free(watch);
}
