/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that have not started. Each hangs on the task that made it (on the home, when made outside
 * of tasks); what still hangs there when the maker ends was never awaited and is reported. It is
 * not freed then, since it may have been handed to somebody who still starts it: the home keeps it
 * until the loop closes.
 */
#include "config.h"

#include "core/base/alloc.h"
#include "core/base/invariant.h"
#include "core/base/mutate.h"
#include "core/base/text.h"
#include "core/base/warning.h"
#include "core/task/task.h"

static weir_error *fail_without_memory(void *arg)
{
    (void)arg;
    return weir_raise(WEIR_ENOMEM, "coroutine");
}

/* Given out by any thread, never written. */
static const weir_site no_memory_site = {__FILE__, "weir_co", __LINE__};
static weir_co no_memory = {
    .magic = CO_MAGIC, .site = &no_memory_site, .name = "weir_co", .fn = fail_without_memory};

weir_co *weir_co_at(const weir_site *site, const char *name, weir_fn fn, void *arg)
{
    weir_co *co = weir__calloc(1, sizeof *co);
    struct task_home *home = NULL;

    if (!co)
        return &no_memory;
    co->magic = CO_MAGIC;
    co->site = site;
    co->name = name;
    co->fn = fn;
    co->arg = arg;
    co->origin = weir__origin_here();
    list_init(&co->link);
    if (weir__thread_loop)
        weir_ignore(weir__task_home_here(&home));
    if (home) {
        co->home = home;
        home->refs++;
        list_append(weir__current_task ? &weir__current_task->cos : &home->cos, &co->link);
    }
    return co;
}

static weir_error *discard_at_home(void *co)
{
    weir_co_discard(co);
    return NULL;
}

/* It hangs in a list of its maker's thread. */
static bool is_elsewhere(const weir_co *co)
{
    return co->home && !weir__task_home_is_here(co->home);
}

void weir_co_discard(weir_co *co)
{
    struct task_home *home;

    if (!co || co == &no_memory)
        return;
    weir_check(co, CO_MAGIC);
    home = co->home;
    if (is_elsewhere(co)) {
        weir_ignore(weir_loop_call_soon_threadsafe(home->loop, discard_at_home, co, NULL));
        return;
    }
    list_remove(&co->link);
    weir__backtrace_free(co->origin);
    weir_magic_clear(co);
    weir__free(co);
    if (home)
        weir__task_home_unref(home);
}

/* Where it was made: elsewhere it does not run. */
static weir_error *check_thread(const weir_co *co, const char *operation)
{
    return co->home ? weir__task_home_check_call(co->home, operation, NULL) : NULL;
}

weir_error *weir_co_await(weir_co *take_co)
{
    weir_fn fn = take_co->fn;
    void *arg = take_co->arg;
    weir_error *refused = check_thread(take_co, __func__);

    weir_co_discard(take_co);
    WEIR_TRY(refused);
    if (!weir__current_task)
        return weir_raise(WEIR_ENOTASK, "suspending call outside a task");
    WEIR_TRY(fn(arg));
    return NULL;
}

weir_error *weir_co_spawn(weir_co *take_co, weir_task **ret_task)
{
    const weir_site *site = take_co->site;
    const char *name = take_co->name;
    weir_fn fn = take_co->fn;
    void *arg = take_co->arg;
    weir_error *refused = check_thread(take_co, __func__);

    weir_co_discard(take_co);
    WEIR_TRY(refused);
    WEIR_TRY(weir_spawn_at(site, name, fn, arg, ret_task));
    return NULL;
}

static void report(weir_co *co)
{
    char body[1024] = "";
    struct text text = TEXT_INIT(body);

    if (MUTATED(G1) || co->reported)
        return;
    co->reported = true;
    if (!MUTATED(G2) && co->origin) {
        text_add(&text, "Coroutine created at (most recent call last)\n");
        weir__backtrace_defer(&text, co->origin);
    }
    weir__warn_body_at(co->site, WEIR_WARNING_RUNTIME, body,
                       "coroutine '%s' was never awaited, created at %s:%d", co->name,
                       text_site_file(co->site), co->site->line);
}

void weir__co_maker_ended(weir_task *maker)
{
    if (list_empty(&maker->cos))
        return;
    weir_list_foreach(co, &maker->cos, weir_co, link)
        report(co);
    list_splice(&maker->future.home->cos, &maker->cos);
}

void weir__co_home_closed(struct task_home *home)
{
    weir_list_foreach_safe(co, &home->cos, weir_co, link) {
        report(co);
        weir_co_discard(co);
    }
}
