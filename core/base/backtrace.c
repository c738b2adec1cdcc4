/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures leave out the frames of libweir itself at the inner end: by the addresses of its code
 * where it is a shared library. In a program that it is linked into (the unit tests), its frames are
 * kept, some more of them, and left out by their source file when they are printed.
 */
#include "config.h"

#include "core/base/backtrace.h"

#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "core/base/alloc.h"
#include "core/base/cfi.h"
#include "core/base/symbol.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uintptr_t own_begin, own_end; /* of libweir's code; 0: it is part of the program */
static atomic_uint depth = BACKTRACE_DEPTH;

static int find_own(struct dl_phdr_info *module, size_t size, void *arg)
{
    uintptr_t here = (uintptr_t)weir__backtrace_capture;
    uintptr_t program = getauxval(AT_PHDR);

    (void)size;
    (void)arg;
    for (int i = 0; i < module->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &module->dlpi_phdr[i];
        uintptr_t begin = module->dlpi_addr + part->p_vaddr;

        if (part->p_type != PT_LOAD || here < begin || here - begin >= part->p_memsz)
            continue;
        if ((uintptr_t)module->dlpi_phdr != program) {
            own_begin = begin;
            own_end = begin + part->p_memsz;
        }
        return 1;
    }
    return 0;
}

static void init(void)
{
    void *address;

    dl_iterate_phdr(find_own, NULL);
    backtrace(&address, 1); /* loads libgcc_s */
}

void weir__backtrace_prime(void)
{
    pthread_once(&once, init);
}

weir_backtrace *weir__backtrace_capture(void)
{
    void *addresses[BACKTRACE_DEPTH_MAX + BACKTRACE_INNER];
    int max = (int)atomic_load_explicit(&depth, memory_order_relaxed);
    weir_backtrace *trace;
    int count;

    pthread_once(&once, init);
    count = weir__cfi_walk(addresses, own_end ? max : max + BACKTRACE_INNER, own_begin, own_end);
    if (count <= 0)
        return NULL;
    trace = weir__malloc(sizeof(*trace) + (size_t)count * sizeof(addresses[0]));
    if (!trace)
        return NULL;
    trace->count = (unsigned char)count;
    memcpy(trace->addresses, addresses, (size_t)count * sizeof(addresses[0]));
    return trace;
}

void weir__backtrace_free(weir_backtrace *take_backtrace)
{
    if (take_backtrace)
        weir__free(take_backtrace);
}

void weir__backtrace_set_depth(unsigned frames)
{
    if (frames == 0)
        frames = BACKTRACE_DEPTH;
    atomic_store(&depth, frames < BACKTRACE_DEPTH_MAX ? frames : BACKTRACE_DEPTH_MAX);
}

void weir_debug_set_backtrace_depth(unsigned frames)
{
    weir__backtrace_set_depth(frames);
}

void weir__backtrace_forget(void)
{
    weir__cfi_forget();
    weir__symbols_forget();
}

/* Frames within the depth, once those of ours at the inner end are left out. */
static void print_addresses(struct text *text, void *const *addresses, unsigned count)
{
    struct frame *frames = weir__calloc(FRAMES_MAX, sizeof(*frames));
    size_t n, inner = 0, end;

    if (!frames)
        return;
    n = weir__symbols_find(addresses, count, true, frames, FRAMES_MAX);
    while (inner < n && frames[inner].internal)
        inner++;
    if (inner == n)
        inner = 0;
    end = inner + atomic_load_explicit(&depth, memory_order_relaxed);
    for (size_t i = n < end ? n : end; i-- > inner;) {
        text_printf(text, "  #%zu ", i - inner);
        weir__frame_print(text, &frames[i]);
        text_add(text, "\n");
    }
    weir__free(frames);
}

void weir__backtrace_print(struct text *text, const weir_backtrace *backtrace)
{
    if (backtrace)
        print_addresses(text, backtrace->addresses, backtrace->count);
}

void weir__backtrace_defer(struct text *text, const weir_backtrace *backtrace)
{
    static const char mark[] = {BACKTRACE_MARK, '\0'};

    if (!backtrace)
        return;
    text_add(text, mark);
    for (unsigned i = 0; i < backtrace->count; i++)
        text_printf(text, "%lx ", (unsigned long)(uintptr_t)backtrace->addresses[i]);
    text_add(text, "\n");
}

/* Addresses up to the end of the line; returns what follows it. */
static const char *expand_line(struct text *text, const char *at)
{
    void *addresses[BACKTRACE_DEPTH_MAX + BACKTRACE_INNER];
    unsigned count = 0;

    while (*at && *at != '\n') {
        char *end;
        unsigned long address = strtoul(at, &end, 16);

        if (end == at)
            break;
        if (count < sizeof(addresses) / sizeof(addresses[0]) && *end == ' ')
            addresses[count++] = (void *)(uintptr_t)address; // NOLINT(performance-no-int-to-ptr)
        at = end + (*end == ' ');
    }
    print_addresses(text, addresses, count);
    at += strcspn(at, "\n");
    return at + (*at == '\n');
}

void weir__backtrace_expand(struct text *text, const char *body)
{
    while (*body) {
        size_t plain = strcspn(body, "\x01");

        text_add_bytes(text, body, plain);
        body += plain;
        if (*body == BACKTRACE_MARK)
            body = expand_line(text, body + 1);
    }
}
