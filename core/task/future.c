/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Futures: a result or an error that comes later.
 *
 *     PENDING ── set_result ──> RESULT          both are final
 *        └── set_error, cancel ──> ERROR        (cancelled is the error WEIR_ECANCELED)
 *
 * Whoever waits hangs a link on the future: an awaiting task one on its stack, a done callback an
 * allocated one. On completion each link is told in the order of arrival; that only makes jobs
 * ready, so no foreign code runs inside of a call that completes a future.
 */
#include "config.h"

#include <weir/log.h>

#include "core/base/alloc.h"
#include "core/base/invariant.h"
#include "core/base/mutate.h"
#include "core/base/text.h"
#include "core/loop/context.h"
#include "core/task/task.h"

struct done_callback {
    struct future_link link;
    struct job job;
    struct list scheduled;
    weir_future *future; /* a reference from when it is scheduled on */
    const char *name;    /* of fn */
    weir_error *(*fn)(weir_future *, void *);
    void *arg;
    weir_context *context; /* of who added it */
};

static weir_error *run_done_callback(struct job *job);

static const char *done_callback_name(const struct job *job)
{
    return container_of((struct job *)job, struct done_callback, job)->name;
}

static struct job_kind done_callback_kind = {.run = run_done_callback, .name = done_callback_name};

void weir__future_init(weir_future *future, struct task_home *home, const weir_site *site)
{
    future->magic = FUTURE_MAGIC;
    future->refs = 1;
    future->home = home;
    future->site = site;
    future->origin = weir__origin_here();
    list_init(&future->links);
    home->refs++;
}

weir_error *weir_future_new_at(const weir_site *site, weir_future **ret)
{
    struct task_home *home;
    weir_future *future;

    WEIR_TRY(weir__task_home_here(&home));
    future = weir__calloc(1, sizeof *future);
    if (!future)
        return weir_raise(WEIR_ENOMEM, "future");
    weir__future_init(future, home, site);
    *ret = future;
    return NULL;
}

weir_future *weir_future_ref(weir_future *future)
{
    if (future) {
        weir_check(future, FUTURE_MAGIC);
        if (!weir__task_home_allows(future->home))
            return NULL;
        future->refs++;
    }
    return future;
}

void weir__future_drop_value(weir_future *future)
{
    void *value = future->value;
    weir_drop_fn drop = future->drop;

    future->value = NULL;
    future->drop = NULL;
    if (drop && !future->taken)
        drop(value);
}

static void done_callback_free(struct done_callback *callback)
{
    list_remove(&callback->scheduled);
    list_remove(&callback->link.link);
    weir__job_cancel(&callback->job);
    weir_future_unref(callback->future);
    weir_context_unref(callback->context);
    weir__free(callback);
}

/* Of one that waits: it holds no reference yet. */
static void done_callback_forget(struct done_callback *callback)
{
    callback->future = NULL;
    done_callback_free(callback);
}

void weir__future_release(weir_future *future)
{
    weir_list_foreach_safe(link, &future->links, struct future_link, link)
        done_callback_forget(container_of(link, struct done_callback, link));
    if (!MUTATED(H1) && future->error && !future->error_seen &&
        !weir_error_is(future->error, WEIR_ECANCELED))
        weir__task_report(future, future->is_task ? "Task exception was never retrieved"
                                                  : "Future exception was never retrieved");
    weir_ignore(WEIR_TAKE(future->error));
    weir__backtrace_free(WEIR_TAKE(future->origin));
    weir__future_drop_value(future);
    weir_magic_clear(future);
}

static weir_error *unref_at_home(void *future)
{
    weir_future_unref(future);
    return NULL;
}

static bool unref_elsewhere(weir_future *future)
{
    weir_loop *loop = __atomic_load_n(&future->home->loop, __ATOMIC_RELAXED);

    if (!loop || loop == weir__thread_loop)
        return false;
    weir_ignore(weir_loop_call_soon_threadsafe(loop, unref_at_home, future, NULL));
    return true;
}

void weir_future_unref(weir_future *future)
{
    struct task_home *home;

    if (!future)
        return;
    weir_check(future, FUTURE_MAGIC);
    home = future->home;
    if (__builtin_expect(home->loop != weir__thread_loop, 0) && unref_elsewhere(future))
        return;
    if (--future->refs)
        return;
    future->refs = 1; /* a report may take and give references */
    weir__future_release(future);
    if (future->is_task) {
        weir_task *task = task_of(future);

        weir__free(task->own_name);
        weir__stack_give(&home->stacks, task->stack); /* the task lay in it */
    } else {
        weir__free(future);
    }
    weir__task_home_unref(home);
}

void weir__future_complete(weir_future *future, weir_error *take_error)
{
    weir_assert(future->state == FUTURE_PENDING);
    if (take_error) {
        weir__future_drop_value(future);
        future->error = take_error;
        future->state = FUTURE_ERROR;
    } else {
        future->state = FUTURE_RESULT;
    }
    while (!list_empty(&future->links)) {
        struct future_link *link = container_of(future->links.next, struct future_link, link);

        list_remove(&link->link);
        link->done(link);
    }
}

void weir__future_describe_end(const weir_future *future, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);

    text_printf(&text, "%s was %s", future->is_task ? "task" : "future",
                weir_future_cancelled(future) ? "cancelled" : "completed");
    if (future->done_site)
        text_printf(&text, " at %s:%d", text_site_file(future->done_site), future->done_site->line);
}

static weir_error *check_settable(const char *operation, const weir_site *site,
                                  const weir_future *future)
{
    char text[256];

    WEIR_TRY(weir__task_home_check_call(future->home, operation, site));
    if (future->is_task)
        return weir_raise_at(site, WEIR_EINVAL, "the future of a task is set by the task");
    if (future->state == FUTURE_PENDING)
        return NULL;
    weir__future_describe_end(future, text, sizeof text);
    if (weir__thread_debug)
        weir_log(weir_logger_get("weir"), WEIR_LOG_DEBUG, "%s:%d: set in vain: %s",
                 text_site_file(site), site->line, text);
    return weir_raise_at(site, WEIR_EINVALSTATE, "%s", text);
}

weir_error *weir_future_set_result_at(const weir_site *site, weir_future *future, void *take_value,
                                      weir_drop_fn drop)
{
    weir_error *error = check_settable(__func__, site, future);

    if (error)
        return error;
    future->value = take_value;
    future->drop = drop;
    future->done_site = site;
    weir__future_complete(future, NULL);
    return NULL;
}

weir_error *weir_future_set_error_at(const weir_site *site, weir_future *future,
                                     weir_error *take_error)
{
    weir_error *error = check_settable(__func__, site, future);

    if (error)
        return error;
    if (!take_error)
        return weir_raise_at(site, WEIR_EINVAL, "no error to set");
    future->done_site = site;
    weir__future_complete(future, take_error);
    return NULL;
}

/* Without an error for what is no mistake. */
static bool may_try(const char *operation, const weir_site *site, const weir_future *future)
{
    weir_error *error = weir__task_home_check_call(future->home, operation, site);

    if (!error)
        return !future->is_task && future->state == FUTURE_PENDING;
    weir_ignore(error);
    return false;
}

bool weir_future_try_set_result_at(const weir_site *site, weir_future *future, void *take_value,
                                   weir_drop_fn drop)
{
    if (may_try(__func__, site, future)) {
        weir_ignore(weir_future_set_result_at(site, future, take_value, drop));
        return true;
    }
    if (drop)
        drop(take_value);
    return false;
}

bool weir_future_try_set_error_at(const weir_site *site, weir_future *future,
                                  weir_error *take_error)
{
    if (may_try(__func__, site, future)) {
        weir_ignore(weir_future_set_error_at(site, future, take_error));
        return true;
    }
    weir_ignore(take_error);
    return false;
}

bool weir_future_cancel_at(const weir_site *site, weir_future *future)
{
    weir_error *error;

    if (future->is_task)
        return weir_task_cancel_at(site, task_of(future));
    error = weir__task_home_check_call(future->home, __func__, site);
    if (error) {
        weir_ignore(error);
        return false;
    }
    if (future->state != FUTURE_PENDING) {
        future->error_seen = true;
        return false;
    }
    future->done_site = site;
    if (future->on_cancel)
        future->on_cancel(future, future->on_cancel_arg);
    if (future->state == FUTURE_PENDING)
        weir__future_complete(future, weir_raise(WEIR_ECANCELED, "cancelled"));
    return true;
}

/* What a post does to a future. On the loop's thread it holds a reference; on another one the
   caller's reference lasts, since its release is posted after it. */
struct post {
    weir_future *future;
    const weir_site *site;
    void *value;
    weir_drop_fn drop;
    bool held, cancel;
};

static void post_free(struct post *post)
{
    if (post->held)
        weir_future_unref(post->future);
    weir__free(post);
}

static weir_error *post_run(void *arg)
{
    struct post *post = arg;

    if (post->cancel)
        (void)weir_future_cancel_at(post->site, post->future);
    else
        (void)weir_future_try_set_result_at(post->site, post->future, post->value, post->drop);
    post_free(post);
    return NULL;
}

static void post_drop(void *arg)
{
    struct post *post = arg;

    if (post->drop)
        post->drop(post->value);
    post_free(post);
}

/* The value stays with the caller when this fails. */
static weir_error *post_send(const struct post *what)
{
    weir_loop *loop = __atomic_load_n(&what->future->home->loop, __ATOMIC_RELAXED);
    struct post *post;
    weir_error *error;

    if (!loop)
        return weir_raise_at(what->site, WEIR_ECLOSED, "the future's loop is closed");
    post = weir__malloc(sizeof *post);
    if (!post)
        return weir_raise_at(what->site, WEIR_ENOMEM, "post to a future");
    *post = *what;
    post->held = loop == weir__thread_loop;
    if (post->held)
        (void)weir_future_ref(post->future);
    error = weir_loop_call_soon_threadsafe(loop, post_run, post, post_drop);
    if (error)
        post_free(post);
    return error;
}

weir_error *weir_future_post_result_at(const weir_site *site, weir_future *future, void *take_value,
                                       weir_drop_fn drop)
{
    struct post post = {.future = future, .site = site, .value = take_value, .drop = drop};

    if (future->is_task)
        return weir_raise_at(site, WEIR_EINVAL, "the future of a task is set by the task");
    return post_send(&post);
}

weir_error *weir_future_cancel_threadsafe_at(const weir_site *site, weir_future *future)
{
    struct post post = {.future = future, .site = site, .cancel = true};

    return post_send(&post);
}

bool weir_future_done(const weir_future *future)
{
    return future->state != FUTURE_PENDING;
}

bool weir_future_cancelled(const weir_future *future)
{
    return future->state == FUTURE_ERROR && weir_error_is(future->error, WEIR_ECANCELED);
}

weir_error *weir__future_error(weir_future *future)
{
    if (future->state != FUTURE_ERROR)
        return NULL;
    future->error_seen = true;
    return weir_error_share(future->error);
}

const weir_error *weir_future_error(weir_future *future)
{
    if (!weir__task_home_allows(future->home) || future->state != FUTURE_ERROR)
        return NULL;
    future->error_seen = true;
    return future->error;
}

static weir_error *check_result(const char *operation, weir_future *future)
{
    WEIR_TRY(weir__task_home_check_call(future->home, operation, NULL));
    if (future->state == FUTURE_PENDING)
        return weir_raise(WEIR_ENOTREADY, "the future is not done yet");
    WEIR_TRY(weir__future_error(future));
    if (future->taken)
        return weir_raise(WEIR_EINVALSTATE, "the result was taken already");
    return NULL;
}

weir_error *weir_future_get_result(weir_future *future, void **ret_borrowed)
{
    WEIR_TRY(check_result(__func__, future));
    *ret_borrowed = future->value;
    return NULL;
}

weir_error *weir_future_take_result(weir_future *future, void **ret)
{
    WEIR_TRY(check_result(__func__, future));
    *ret = future->value;
    future->taken = true;
    future->value = NULL;
    return NULL;
}

static weir_error *run_done_callback(struct job *job)
{
    struct done_callback *callback = container_of(job, struct done_callback, job);
    weir_context *before = weir_context_enter(WEIR_TAKE(callback->context));
    weir_error *error = callback->fn(callback->future, callback->arg);

    weir_context_leave(before);
    if (error)
        weir__callback_failed(weir__thread_loop, callback->name, job->site, NULL, error);
    done_callback_free(callback);
    return NULL;
}

static void schedule_done_callback(struct done_callback *callback, weir_future *future)
{
    if (!future->home->loop) {
        done_callback_free(callback);
        return;
    }
    callback->future = weir_future_ref(future);
    list_append(&future->home->scheduled, &callback->scheduled);
    weir__loop_ready(future->home->loop, &callback->job);
}

static void done_callback_done(struct future_link *link)
{
    struct done_callback *callback = container_of(link, struct done_callback, link);

    schedule_done_callback(callback, WEIR_TAKE(callback->future));
}

weir_error *weir_future_add_done_callback_at(const weir_site *site, const char *name,
                                             weir_future *future,
                                             weir_error *(*fn)(weir_future *, void *), void *arg)
{
    struct done_callback *callback;

    WEIR_TRY(weir__task_home_check_call(future->home, __func__, site));
    callback = weir__calloc(1, sizeof *callback);
    if (!callback)
        return weir_raise(WEIR_ENOMEM, "done callback");
    list_init(&callback->link.link);
    list_init(&callback->scheduled);
    weir__job_kind_register(&done_callback_kind);
    job_init(&callback->job, run_done_callback, site);
    callback->link.done = done_callback_done;
    callback->name = name;
    callback->context = weir_context_current();
    callback->fn = fn;
    callback->arg = arg;
    if (future->state == FUTURE_PENDING) {
        callback->future = future;
        list_append(&future->links, &callback->link.link);
    } else {
        schedule_done_callback(callback, future);
    }
    return NULL;
}

size_t weir_future_remove_done_callback(weir_future *future,
                                        weir_error *(*fn)(weir_future *, void *), void *arg)
{
    size_t removed = 0;

    if (!weir__task_home_allows(future->home))
        return 0;
    weir_list_foreach_safe(link, &future->links, struct future_link, link) {
        struct done_callback *callback;

        if (link->done != done_callback_done)
            continue;
        callback = container_of(link, struct done_callback, link);
        if (callback->fn != fn || callback->arg != arg)
            continue;
        done_callback_forget(callback);
        removed++;
    }
    return removed;
}

/* The names of the callbacks: the first, how many more, the last. */
void weir__future_add_callbacks(const weir_future *future, struct text *text)
{
    const char *first = NULL, *last = NULL;
    size_t count = 0;

    weir_list_foreach(link, &future->links, struct future_link, link) {
        if (link->done != done_callback_done)
            continue;
        last = container_of(link, struct done_callback, link)->name;
        if (count++ == 0)
            first = last;
    }
    if (count == 0)
        return;
    text_printf(text, " cb=[%s()", first);
    if (count > 2)
        text_printf(text, ", <%zu more>", count - 2);
    if (count > 1)
        text_printf(text, ", %s()", last);
    text_add(text, "]");
}

void weir__future_home_closed(struct task_home *home)
{
    weir_list_foreach_safe(callback, &home->scheduled, struct done_callback, scheduled)
        done_callback_free(callback);
}
