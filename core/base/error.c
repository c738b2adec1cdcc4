/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: made in three ways, all of one shape.
 *
 *   static   cancelled, timed out, end of stream, out of memory: constant objects, never counted,
 *            never traced, the same from every thread
 *   pool     what a peer can cause: a cell of the thread's pool, code, site, a literal and up to
 *            four integers; nothing is formatted before somebody prints it
 *   heap     the others: one block with the formatted message at its end
 *
 * Causes and attached errors are owned by the error they explain, and count as read with it: who
 * took an error into another has taken the responsibility. A pool belongs to a thread; it outlives
 * the thread and serves the next one, so a cell may die late. One that dies on another thread (which
 * weir_error_detach() would have avoided) goes back over a lock-free stack.
 */
#include "config.h"

#include "core/base/error.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <weir/log.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/base/invariant.h"
#include "core/base/sites.h"

#define ERROR_MAGIC WEIR_MAGIC('W', 'e', 'r', 'r')

__thread bool weir__thread_debug;

#define STATIC_ERROR(name, code_) \
    static weir_error name = {    \
        .magic = ERROR_MAGIC, .refs = 1, .code = code_, .kind = ERROR_STATIC, .read = true}

STATIC_ERROR(static_canceled, WEIR_ECANCELED);
STATIC_ERROR(static_timed_out, WEIR_ETIMEDOUT);
STATIC_ERROR(static_eof, WEIR_EEOF);
STATIC_ERROR(static_no_memory, WEIR_ENOMEM);

struct error_pool {
    struct error_pool *next; /* of the pools without a thread */
    weir_error *free;
    _Atomic(weir_error *) foreign; /* freed by other threads */
    weir_error cells[ERROR_POOL_SIZE];
};

static __thread struct error_pool *thread_pool;
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static struct error_pool *spare_pools;
static pthread_key_t pool_key;
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static weir_error *static_error(weir_code code)
{
    switch (code) {
    case WEIR_ECANCELED:
        return &static_canceled;
    case WEIR_ETIMEDOUT:
        return &static_timed_out;
    case WEIR_EEOF:
        return &static_eof;
    case WEIR_ENOMEM:
        return &static_no_memory;
    default:
        return NULL;
    }
}

static void leave_pool(void *data)
{
    struct error_pool *pool = data;

    thread_pool = NULL;
    pthread_mutex_lock(&spare_lock);
    pool->next = spare_pools;
    spare_pools = pool;
    pthread_mutex_unlock(&spare_lock);
}

static void make_pool_key(void)
{
    if (pthread_key_create(&pool_key, leave_pool) != 0)
        weir__panic(WEIR_HERE, "pthread_key_create");
}

static struct error_pool *join_pool(void)
{
    struct error_pool *pool;

    pthread_once(&pool_once, make_pool_key);
    pthread_mutex_lock(&spare_lock);
    pool = spare_pools;
    if (pool)
        spare_pools = pool->next;
    pthread_mutex_unlock(&spare_lock);
    if (!pool) {
        pool = weir__calloc(1, sizeof(*pool));
        if (!pool)
            return NULL;
        for (size_t i = ERROR_POOL_SIZE; i-- > 0;) {
            pool->cells[i].next = pool->free;
            pool->free = &pool->cells[i];
        }
    }
    pthread_setspecific(pool_key, pool);
    thread_pool = pool;
    return pool;
}

static weir_error *pool_take(void)
{
    struct error_pool *pool = thread_pool ? thread_pool : join_pool();
    weir_error *cell;

    if (!pool)
        return NULL;
    if (!pool->free && atomic_load_explicit(&pool->foreign, memory_order_relaxed))
        pool->free = atomic_exchange(&pool->foreign, NULL);
    cell = pool->free;
    if (!cell)
        return NULL;
    pool->free = cell->next;
    return cell;
}

static void pool_give(weir_error *cell, struct error_pool *pool)
{
    if (pool == thread_pool) {
        cell->next = pool->free;
        pool->free = cell;
        return;
    }
    cell->next = atomic_load(&pool->foreign);
    while (!atomic_compare_exchange_weak(&pool->foreign, &cell->next, cell)) {
    }
}

static void error_setup(weir_error *error, enum error_kind kind, weir_code code,
                        const weir_site *site)
{
    memset(error, 0, offsetof(weir_error, trace));
    error->magic = ERROR_MAGIC;
    error->refs = 1;
    error->kind = (uint8_t)kind;
    error->code = code;
    error->site = site;
    if (weir_unlikely(weir__thread_debug))
        error->raised = weir__backtrace_capture();
}

/* People hand in -errno, and 0 by mistake. */
static weir_code sane_code(weir_code code)
{
    if (code < 0)
        code = -code;
    return code ? code : WEIR_EINVAL;
}

static weir_error *error_with_text(const weir_site *site, weir_code code, const char *message,
                                   size_t len)
{
    weir_error *error = weir__malloc(sizeof(*error) + len + 1);

    if (!error)
        return &static_no_memory;
    error_setup(error, ERROR_HEAP, code, site);
    memcpy(error->text, message, len);
    error->text[len] = '\0';
    error->format = error->text;
    return error;
}

static weir_error *error_format(const weir_site *site, weir_code code, const char *format,
                                va_list args) WEIR_PRINTF(3, 0);

static weir_error *error_format(const weir_site *site, weir_code code, const char *format,
                                va_list args)
{
    static const char cut[] = "…";
    char message[ERROR_MESSAGE_MAX];
    int n = vsnprintf(message, sizeof(message), format, args);
    size_t len = n > 0 ? (size_t)n : 0;

    if (len >= sizeof(message)) {
        len = sizeof(message) - sizeof(cut);
        /* Not inside a UTF-8 sequence. */
        while (len > 0 && ((unsigned char)message[len] & 0xC0) == 0x80)
            len--;
        memcpy(message + len, cut, sizeof(cut));
        len += sizeof(cut) - 1;
    }
    return error_with_text(site, code, message, len);
}

static weir_error *made_static(weir_error *error, const weir_site *site)
{
    if (weir_unlikely(weir__thread_debug))
        weir__error_note(error, site, true);
    return error;
}

weir_error *weir_raise_at(const weir_site *site, weir_code code, const char *format, ...)
{
    weir_error *error;
    va_list args;

    code = sane_code(code);
    error = static_error(code);
    if (error)
        return made_static(error, site);
    va_start(args, format);
    error = error_format(site, code, format, args);
    va_end(args);
    return error;
}

/* A cell of the pool, or a block of the same size when it is used up. */
static weir_error *error_cell(weir_code code, const weir_site *site)
{
    weir_error *error = pool_take();

    if (error) {
        error_setup(error, ERROR_POOL, code, site);
        error->pool = thread_pool;
        return error;
    }
    error = weir__malloc(sizeof(*error));
    if (error)
        error_setup(error, ERROR_HEAP, code, site);
    return error;
}

weir_error *weir_raise_fast_at(const weir_site *site, weir_code code, const char *format, int nargs,
                               const int64_t *args)
{
    weir_error *error;

    code = sane_code(code);
    error = static_error(code);
    if (error)
        return made_static(error, site);
    error = error_cell(code, site);
    if (!error)
        return &static_no_memory;
    error->format = format;
    error->nargs = (uint8_t)(nargs < 0 ? 0 : nargs > ERROR_ARGS_MAX ? ERROR_ARGS_MAX : nargs);
    memcpy(error->args, args, error->nargs * sizeof(args[0]));
    return error;
}

static void mark_read(const weir_error *error)
{
    if (!error->read)
        ((weir_error *)error)->read = true;
}

weir_error *weir_wrap_at(const weir_site *site, weir_error *take_cause, weir_code code,
                         const char *format, ...)
{
    weir_error *error;
    va_list args;

    if (!take_cause || (take_cause->kind == ERROR_STATIC && take_cause->code != WEIR_EEOF))
        return take_cause;
    code = sane_code(code);
    error = static_error(code);
    if (!error) {
        va_start(args, format);
        error = error_format(site, code, format, args);
        va_end(args);
    }
    mark_read(take_cause);
    if (error->kind == ERROR_STATIC)
        weir_error_unref(take_cause);
    else
        error->cause = take_cause;
    return error;
}

weir_error *weir_error_share(const weir_error *shared)
{
    weir_error *error;

    if (!shared || shared->kind == ERROR_STATIC)
        return (weir_error *)shared;
    weir_check(shared, ERROR_MAGIC);
    error = error_cell(shared->code, shared->site);
    if (!error)
        return weir_error_ref(shared); /* the trace suffers, the error does not */
    mark_read(shared);
    error->shares = true;
    error->cause = weir_error_ref(shared);
    return error;
}

weir_error *weir_error_trace(weir_error *take_error, const weir_site *site)
{
    weir_error *error = take_error;

    if (!error)
        return NULL;
    weir_check(error, ERROR_MAGIC);
    if (error->kind == ERROR_STATIC) {
        if (weir_unlikely(weir__thread_debug))
            weir__error_note(error, site, false);
        return error;
    }
    if (error->refs > 1) {
        error = weir_error_share(take_error);
        weir_error_unref(take_error);
        if (error == take_error)
            return error;
    }
    if (error->ntrace < ERROR_TRACE_MAX)
        error->trace[error->ntrace++] = site;
    else
        error->omitted++;
    return error;
}

static weir_error *copy_outside_pool(const weir_error *from)
{
    bool own_text = from->format == from->text;
    size_t len = own_text ? strlen(from->text) + 1 : 0;
    weir_error *copy = weir__malloc(sizeof(*copy) + len);

    if (!copy)
        return NULL;
    memcpy(copy, from, sizeof(*copy));
    memcpy(copy->text, from->text, len);
    copy->refs = 1;
    copy->kind = ERROR_HEAP;
    copy->pool = NULL;
    copy->cause = copy->more = copy->next = NULL;
    copy->raised = WEIR_TAKE(((weir_error *)from)->raised);
    copy->hint = from->hint ? weir__strdup(from->hint) : NULL;
    if (own_text)
        copy->format = copy->text;
    return copy;
}

/* A list of attached errors, each with its own causes. */
static weir_error *detach_list(weir_error *take_list)
{
    weir_error *first = NULL, **end = &first;

    while (take_list) {
        weir_error *next = take_list->next;

        take_list->next = NULL;
        *end = weir_error_detach(take_list);
        if ((*end)->kind == ERROR_STATIC)
            *end = NULL; /* out of memory: the attached ones are the first to go */
        else
            end = &(*end)->next;
        take_list = next;
    }
    return first;
}

weir_error *weir_error_detach(weir_error *take_error)
{
    weir_error *error = take_error;

    if (!error || error->kind == ERROR_STATIC)
        return error;
    weir_check(error, ERROR_MAGIC);
    if (error->kind == ERROR_POOL || error->refs > 1) {
        error = copy_outside_pool(take_error);
        if (!error) {
            weir_ignore(take_error);
            return &static_no_memory;
        }
        /* Take the causes over when nobody else has the original; else they stay shared with it. */
        if (take_error->refs == 1) {
            error->cause = WEIR_TAKE(take_error->cause);
            error->more = WEIR_TAKE(take_error->more);
        } else {
            error->cause = take_error->cause ? weir_error_ref(take_error->cause) : NULL;
        }
        weir_ignore(take_error);
    }
    error->cause = weir_error_detach(error->cause);
    error->more = detach_list(error->more);
    return error;
}

weir_error *weir_error_ref(const weir_error *error)
{
    weir_error *mine = (weir_error *)error;

    if (mine && mine->kind != ERROR_STATIC) {
        weir_check(mine, ERROR_MAGIC);
        mine->refs++;
    }
    return mine;
}

/* The message of an error that nobody looked at; once per site. */
static void report_unread(weir_error *error)
{
    static weir_logger *logger;
    int level = weir__thread_debug ? WEIR_LOG_WARNING : WEIR_LOG_DEBUG;
    weir_logger *mine = __atomic_load_n(&logger, __ATOMIC_RELAXED);
    char message[ERROR_MESSAGE_MAX];

    error->read = true;
    if (!mine) {
        mine = weir_logger_get("weir.error");
        __atomic_store_n(&logger, mine, __ATOMIC_RELAXED);
    }
    if (!weir_logger_enabled(mine, level) || !weir__site_first_time(error->site))
        return;
    weir_error_message(error, message, sizeof(message));
    weir_log_at(error->site, mine, level, NULL, 0, "error dropped unread: %s (%s), made at %s:%d",
                message, weir_code_name(error->code), error->site->file, error->site->line);
}

void weir_error_unref(weir_error *error)
{
    /* A chain of causes is ended here in a loop: its length is a peer's or a retry's to choose. */
    while (error && error->kind != ERROR_STATIC) {
        weir_error *cause;

        weir_check(error, ERROR_MAGIC);
        if (error->refs > 1) {
            error->refs--;
            return;
        }
        if (!error->read)
            report_unread(error);
        cause = error->cause;
        for (weir_error *more = error->more, *next; more; more = next) {
            next = more->next;
            more->next = NULL;
            weir_error_unref(more);
        }
        weir__free(error->hint);
        weir__backtrace_free(error->raised);
        weir_magic_clear(error);
        if (error->kind == ERROR_POOL)
            pool_give(error, error->pool);
        else
            weir__free(error);
        error = cause;
    }
}

weir_code weir__error_peek_code(const weir_error *error)
{
    return error ? error->code : 0;
}

bool weir__error_was_read(const weir_error *error)
{
    return !error || error->read;
}

weir_code weir_error_code(const weir_error *error)
{
    if (!error)
        return 0;
    weir_check(error, ERROR_MAGIC);
    mark_read(error);
    return error->code;
}

bool weir_error_is(const weir_error *error, weir_code code)
{
    return error && weir_error_code(error) == code;
}

bool weir_error_has(const weir_error *error, weir_code code)
{
    for (; error; error = error->cause) {
        if (weir_error_code(error) == code)
            return true;
    }
    return false;
}

const weir_error *weir_error_cause(const weir_error *error)
{
    return error ? error->cause : NULL;
}

const weir_site *weir_error_site(const weir_error *error)
{
    return error ? error->site : NULL;
}

weir_error *weir_error_hint(weir_error *take_error, const char *format, ...)
{
    char hint[ERROR_MESSAGE_MAX];
    va_list args;

    if (!take_error || take_error->kind == ERROR_STATIC)
        return take_error;
    va_start(args, format);
    vsnprintf(hint, sizeof(hint), format, args);
    va_end(args);
    weir__free(take_error->hint);
    take_error->hint = weir__strdup(hint);
    return take_error;
}

void weir_error_attach(weir_error *error, weir_error *take_more)
{
    weir_error **end;

    if (!take_more || take_more == error)
        return;
    mark_read(take_more);
    if (!error || error->kind == ERROR_STATIC || take_more->kind == ERROR_STATIC) {
        weir_error_unref(take_more);
        return;
    }
    /* One error may be attached to one other only: `next` is its place in that list. */
    if (take_more->refs > 1) {
        weir_error *own = weir_error_share(take_more);

        weir_error_unref(take_more);
        if (own == take_more) {
            weir_error_unref(own);
            return;
        }
        take_more = own;
        mark_read(take_more);
    }
    for (end = &error->more; *end; end = &(*end)->next) {
    }
    *end = take_more;
}
