/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Function and line from the debug information of the program and its libraries, by libdw, with the
 * functions that were inlined as frames of their own. The map of the process is read again when an
 * address is in no known module: a plugin was loaded since. Debug information is looked for in the
 * file itself and in /usr/lib/debug by build-id; libdw's own search could ask a server on the network.
 *
 * libdw needs more stack than a task has: asked from a task, a thread of its own does the work.
 *
 * Without libdw, or without debug information, the dynamic symbols have to do (dladdr).
 */
#include "config.h"

#include "core/base/symbol.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_LIBDW
#    include <dwarf.h>
#    include <elfutils/libdw.h>
#    include <elfutils/libdwfl.h>
#endif

#include "core/base/error.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct frame_list {
    struct frame *frames;
    size_t count, max;
};

static struct frame *next_frame(struct frame_list *list)
{
    struct frame *frame;

    if (list->count == list->max)
        return NULL;
    frame = &list->frames[list->count++];
    *frame = (struct frame){.function = "?"};
    return frame;
}

static const char *short_file(const char *file, const char *folder)
{
    size_t len = folder ? strlen(folder) : 0;

    if (len && strncmp(file, folder, len) == 0 && file[len] == '/')
        file += len + 1;
    return text_site_file(&(weir_site){.file = file});
}

/* Whether a shortened name is in the folder of core that this file was compiled in. */
static bool in_core(const char *file)
{
    static const char mine[] = "base/symbol.c";
    const char *here = text_site_file(&(weir_site){.file = __FILE__});
    size_t len = strlen(here) - (sizeof(mine) - 1);

    return strncmp(file, here, len) == 0;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_system(const char *module, const char *function, const char *file)
{
    static const char *const modules[] = {"libc.so", "libc-",    "ld-linux",  "libpthread",
                                          "libm.so", "[vdso",    "libgcc_s",  "libasan",
                                          "libtsan", "libubsan", "linux-vdso"};
    static const char *const functions[] = {"__interceptor_", "___interceptor_", "__asan_",
                                            "__tsan",         "__sanitizer",     "__ubsan"};
    const char *name = module ? strrchr(module, '/') : NULL;

    name = name ? name + 1 : module ? module : "";
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        if (begins(name, modules[i]))
            return true;
    }
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (begins(function, functions[i]))
            return true;
    }
    return strstr(file, "compiler-rt/") != NULL;
}

static void set_function(struct frame *frame, const char *name)
{
    if (name)
        snprintf(frame->function, sizeof(frame->function), "%s", name);
}

static void set_line(struct frame *frame, const char *file, int line, const char *folder)
{
    if (!file)
        return;
    snprintf(frame->file, sizeof(frame->file), "%s", short_file(file, folder));
    frame->line = line;
    /* Assembly is where its compiler stood, whatever prefixes are mapped to. */
    frame->internal = in_core(frame->file) || strncmp(frame->function, "weir__", 6) == 0;
}

static void add_by_dladdr(struct frame_list *list, uintptr_t address)
{
    struct frame *frame = next_frame(list);
    Dl_info info = {0};

    if (!frame)
        return;
    if (dladdr((void *)address, &info) == 0) // NOLINT(performance-no-int-to-ptr)
        return;
    set_function(frame, info.dli_sname);
    frame->system = is_system(info.dli_fname, frame->function, "");
}

#ifdef HAVE_LIBDW

static Dwfl *process;
static bool stale;

static void read_map(void)
{
    static char *no_path;
    static const Dwfl_Callbacks callbacks = {
        .find_elf = dwfl_linux_proc_find_elf,
        .find_debuginfo = dwfl_build_id_find_debuginfo,
        .debuginfo_path = &no_path,
    };

    if (process && stale) {
        dwfl_end(process);
        process = NULL;
    }
    stale = false;
    if (!process)
        process = dwfl_begin(&callbacks);
    if (!process)
        return;
    dwfl_report_begin_add(process);
    (void)dwfl_linux_proc_report(process, getpid());
    (void)dwfl_report_end(process, NULL, NULL);
}

static Dwfl_Module *module_of(uintptr_t address, bool *refreshed)
{
    Dwfl_Module *module = process && !stale ? dwfl_addrmodule(process, address) : NULL;

    if (module || *refreshed)
        return module;
    *refreshed = true;
    read_map();
    return process ? dwfl_addrmodule(process, address) : NULL;
}

static const char *folder_of(Dwarf_Die *unit)
{
    Dwarf_Attribute attribute;

    return unit ? dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute)) : NULL;
}

static const char *name_of(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;

    return dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));
}

/* Where an inlined function was called. */
static void call_site(Dwarf_Die *unit, Dwarf_Die *die, const char **ret_file, int *ret_line)
{
    Dwarf_Attribute attribute;
    Dwarf_Word file = 0, line = 0;
    Dwarf_Files *files;
    size_t count;

    *ret_file = NULL;
    if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &file) == 0 &&
        dwarf_getsrcfiles(unit, &files, &count) == 0 && file < count)
        *ret_file = dwarf_filesrc(files, file, NULL, NULL);
    (void)dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &line);
    *ret_line = (int)line;
}

/* The chain of inlined functions at a place, up to the one that has the code. False: unknown. */
static bool add_scopes(struct frame_list *list, Dwarf_Die *unit, Dwarf_Addr address,
                       const char *file, int line)
{
    Dwarf_Die *scopes = NULL, *chain = NULL;
    const char *folder = folder_of(unit);
    bool found = false;
    int count = dwarf_getscopes(unit, address, &scopes);

    if (count > 0)
        count = dwarf_getscopes_die(&scopes[0], &chain);
    for (int i = 0; i < count && !found; i++) {
        int tag = dwarf_tag(&chain[i]);
        struct frame *frame;

        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
            continue;
        frame = next_frame(list);
        if (!frame)
            break;
        set_function(frame, name_of(&chain[i]));
        set_line(frame, file, line, folder);
        found = tag == DW_TAG_subprogram;
        if (!found)
            call_site(unit, &chain[i], &file, &line);
    }
    free(chain);
    free(scopes);
    return found;
}

/* The compilation unit of an address. clang writes no table of them (.debug_aranges), so all are asked
   then; the lines of a unit are kept by libdw. */
static Dwarf_Die *unit_of(Dwfl_Module *module, uintptr_t address, Dwarf_Addr *ret_bias)
{
    Dwarf_Die *unit = dwfl_module_addrdie(module, address, ret_bias);

    if (unit)
        return unit;
    while ((unit = dwfl_module_nextcu(module, unit, ret_bias))) {
        if (dwarf_haspc(unit, address - *ret_bias) == 1)
            return unit;
    }
    return NULL;
}

static const char *line_of(Dwfl_Module *module, Dwarf_Die *unit, Dwarf_Addr address,
                           Dwarf_Addr bias, int *ret_line)
{
    Dwfl_Line *source = dwfl_module_getsrc(module, address);
    Dwarf_Line *line = !source && unit ? dwarf_getsrc_die(unit, address - bias) : NULL;

    if (source)
        return dwfl_lineinfo(source, NULL, ret_line, NULL, NULL, NULL);
    if (!line || dwarf_lineno(line, ret_line) != 0)
        return NULL;
    return dwarf_linesrc(line, NULL, NULL);
}

static void add_frames(struct frame_list *list, uintptr_t address, bool *refreshed)
{
    Dwfl_Module *module = module_of(address, refreshed);
    size_t first = list->count;
    const char *file = NULL, *name;
    struct frame *frame;
    Dwarf_Addr bias = 0;
    Dwarf_Die *unit;
    int line = 0;

    if (!module) {
        add_by_dladdr(list, address);
        return;
    }
    unit = unit_of(module, address, &bias);
    file = line_of(module, unit, address, bias, &line);
    if (!unit || !add_scopes(list, unit, address - bias, file, line)) {
        list->count = first;
        frame = next_frame(list);
        if (!frame)
            return;
        set_function(frame, dwfl_module_addrname(module, address));
        set_line(frame, file, line, folder_of(unit));
    }
    name = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    for (size_t i = first; i < list->count; i++)
        list->frames[i].system = is_system(name, list->frames[i].function, list->frames[i].file);
}

void weir__symbols_forget(void)
{
    pthread_mutex_lock(&lock);
    stale = true;
    pthread_mutex_unlock(&lock);
}

#else

static void add_frames(struct frame_list *list, uintptr_t address, bool *refreshed)
{
    (void)refreshed;
    add_by_dladdr(list, address);
}

void weir__symbols_forget(void) {}

#endif

struct search {
    void *const *addresses;
    size_t count;
    bool returns;
    struct frame_list list;
};

static void *search(void *arg)
{
    struct search *search = arg;
    bool refreshed = false;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < search->count && search->list.count < search->list.max; i++)
        add_frames(&search->list, (uintptr_t)search->addresses[i] - (search->returns || i > 0),
                   &refreshed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* libdw needs more stack than a task has. False: no thread could be had. */
static bool search_on_thread(struct search *search_this)
{
    sigset_t all, old;
    pthread_t thread;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    failed = pthread_create(&thread, NULL, search, search_this);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!failed)
        pthread_join(thread, NULL);
    return !failed;
}

size_t weir__symbols_find(void *const *addresses, size_t count, bool returns, struct frame *frames,
                          size_t max)
{
    struct search this = {addresses, count, returns, {frames, 0, max}};
    uint64_t (*number)(void) = __atomic_load_n(&weir__running_task_number, __ATOMIC_RELAXED);

    if (!number || number() == 0)
        (void)search(&this);
    else
        (void)search_on_thread(&this);
    return this.list.count;
}

void weir__frame_print(struct text *text, const struct frame *frame)
{
    text_add(text, frame->function);
    if (frame->file[0])
        text_printf(text, " %s:%d", frame->file, frame->line);
}

void weir__symbols_lock(void)
{
    pthread_mutex_lock(&lock);
}

void weir__symbols_unlock(void)
{
    pthread_mutex_unlock(&lock);
}
