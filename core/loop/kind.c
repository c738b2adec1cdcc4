/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job is called in reports. Kinds are few and looked up by comparing function pointers, in
 * debug mode and when something went wrong; a job carries nothing for it.
 */
#include "config.h"

#include <pthread.h>

#include "core/base/text.h"
#include "core/loop/internal.h"

static _Atomic(struct job_kind *) kinds;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void weir__job_kind_register(struct job_kind *kind)
{
    pthread_mutex_lock(&lock);
    if (!kind->registered) {
        kind->registered = true;
        kind->next = atomic_load(&kinds);
        atomic_store_explicit(&kinds, kind, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
}

const struct job_kind *weir__job_kind_of(const struct job *job)
{
    for (const struct job_kind *kind = atomic_load_explicit(&kinds, memory_order_acquire); kind;
         kind = kind->next) {
        if (kind->run == job->run)
            return kind;
    }
    return NULL;
}

void weir__job_note(struct job_note *note, struct job *job)
{
    const struct job_kind *kind = weir__job_kind_of(job);

    *note = (struct job_note){.kind = kind, .site = job->site};
    if (!kind)
        return;
    if (kind->hold) {
        kind->hold(job);
        note->job = job;
    } else if (kind->name) {
        note->name = kind->name(job);
    }
}

size_t weir__job_note_describe(const struct job_note *note, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);

    if (note->job && note->kind->describe)
        return note->kind->describe(note->job, buffer, size);
    text_printf(&text, "<%s", note->kind && note->kind->label ? note->kind->label : "Callback");
    if (note->name)
        text_printf(&text, " %s()", note->name);
    if (note->site)
        text_printf(&text, " created at %s:%d", text_site_file(note->site), note->site->line);
    text_add(&text, ">");
    return text.len;
}

void weir__job_note_done(struct job_note *note)
{
    if (note->job)
        note->kind->release(note->job);
}

const weir_backtrace *weir__job_note_source(const struct job_note *note)
{
    return note->job && note->kind->source ? note->kind->source(note->job) : NULL;
}
