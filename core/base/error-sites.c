/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cancelled, timed out, end of stream and out of memory are one object each and carry no trace. In
 * debug mode the thread keeps the last places that made or passed one, each with the task that ran;
 * what a task's error says then is the way since it was last made there. The ring is shared by the
 * thread's tasks: after much else has happened an old way is forgotten.
 */
#include "config.h"

#include <pthread.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

#define PLACES 256 /* a power of two */

struct place {
    uint64_t task;
    weir_code code;
    bool made;
    const weir_site *site;
};

struct places {
    struct place ring[PLACES];
    uint64_t count; /* ever */
};

uint64_t (*weir__running_task_number)(void);

static __thread struct places *mine;
static __thread uint64_t about;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void leave(void *data)
{
    mine = NULL;
    weir__free(data);
}

static void make_key(void)
{
    (void)pthread_key_create(&key, leave);
}

static uint64_t this_task(void)
{
    uint64_t (*number)(void) = __atomic_load_n(&weir__running_task_number, __ATOMIC_RELAXED);

    if (about)
        return about;
    return number ? number() : 0;
}

void weir__error_note(const weir_error *error, const weir_site *site, bool made)
{
    if (!mine) {
        pthread_once(&once, make_key);
        mine = weir__calloc(1, sizeof(*mine));
        if (!mine)
            return;
        pthread_setspecific(key, mine);
    }
    mine->ring[mine->count++ % PLACES] = (struct place){this_task(), error->code, made, site};
}

uint64_t weir__error_about(uint64_t task)
{
    uint64_t before = about;

    about = task;
    return before;
}

size_t weir__error_way(const weir_error *error, const weir_site **sites, size_t max)
{
    uint64_t task = this_task(), oldest, at;
    size_t count = 0;

    if (!mine || !weir__thread_debug)
        return 0;
    oldest = mine->count > PLACES ? mine->count - PLACES : 0;
    for (at = mine->count; at > oldest && count < max; at--) {
        const struct place *place = &mine->ring[(at - 1) % PLACES];

        if (place->task != task || place->code != error->code)
            continue;
        sites[count++] = place->site;
        if (place->made)
            break;
    }
    for (size_t i = 0; i < count / 2; i++) { /* the oldest first */
        const weir_site *site = sites[i];

        sites[i] = sites[count - 1 - i];
        sites[count - 1 - i] = site;
    }
    return count;
}
