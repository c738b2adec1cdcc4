/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of a crash: signal, address, task, and the stack as module and offset (what addr2line
 * takes). It is written with write() alone, by functions that neither lock nor allocate: the crash
 * may be the allocator's. Then the handler that was there before is restored and the signal happens
 * again, so that core dumps, sanitizers and exit codes stay what they were.
 *
 * core/task/overflow.c sets its handler of SIGSEGV after this one, with each loop, and restores this
 * one: an overflow is told first, then the stack.
 */
#include "config.h"

#include "core/base/crash.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "core/base/backtrace.h"
#include "core/base/env.h"

#define FRAMES_PRINTED 48

bool (*weir__running_task)(char *name, size_t size, const weir_site **ret_site);

static const struct {
    int number;
    const char *name;
} signals[] = {{SIGSEGV, "SIGSEGV"},
               {SIGBUS, "SIGBUS"},
               {SIGILL, "SIGILL"},
               {SIGFPE, "SIGFPE"},
               {SIGABRT, "SIGABRT"}};

#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static struct sigaction previous[SIGNALS];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_flag reporting = ATOMIC_FLAG_INIT;

/* A line that is written without libc's formatting. */
struct line {
    char data[512];
    size_t len;
};

static void add(struct line *line, const char *text)
{
    size_t len = strlen(text), room = sizeof(line->data) - 1 - line->len;

    if (len > room)
        len = room;
    memcpy(line->data + line->len, text, len);
    line->len += len;
}

static void add_number(struct line *line, uintptr_t number, unsigned base)
{
    char digits[24];
    char *at = digits + sizeof(digits) - 1;

    *at = '\0';
    do {
        *--at = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    add(line, at);
}

static void put(struct line *line)
{
    ssize_t ignored;

    line->data[line->len++] = '\n';
    ignored = write(STDERR_FILENO, line->data, line->len);
    (void)ignored;
    line->len = 0;
}

/* "/usr/lib/libweir.so.0+0x1234", or the address alone. */
static void add_address(struct line *line, void *address)
{
#if defined(__GLIBC_PREREQ) && __GLIBC_PREREQ(2, 35)
    struct dl_find_object found;

    if (_dl_find_object(address, &found) == 0) {
        const struct link_map *map = found.dlfo_link_map;

        add(line, map->l_name && map->l_name[0] ? map->l_name : "/proc/self/exe");
        add(line, "+0x");
        add_number(line, (uintptr_t)address - map->l_addr, 16);
        return;
    }
#endif
    add(line, "0x");
    add_number(line, (uintptr_t)address, 16);
}

static void print_what(size_t which, const siginfo_t *info)
{
    struct line line = {.len = 0};
    const weir_site *site = NULL;
    char name[64];

    add(&line, "weir: crashed by ");
    add(&line, signals[which].name);
    if (info->si_code > 0) { /* by the kernel, for an instruction */
        add(&line, " at address 0x");
        add_number(&line, (uintptr_t)info->si_addr, 16);
    }
    if (weir__running_task && weir__running_task(name, sizeof(name), &site)) {
        add(&line, " in task '");
        add(&line, name);
        add(&line, "' created at ");
        add(&line, text_site_file(site));
        add(&line, ":");
        add_number(&line, (uintptr_t)site->line, 10);
    }
    add(&line, ", thread ");
    add_number(&line, (uintptr_t)gettid(), 10);
    put(&line);
}

static void print_stack(void)
{
    struct line line = {.len = 0};
    void *addresses[FRAMES_PRINTED];
    int count = backtrace(addresses, FRAMES_PRINTED);

    add(&line, "weir: stack, innermost first (addr2line -fipe FILE OFFSET):");
    put(&line);
    for (int i = 2; i < count; i++) { /* this and the handler */
        add(&line, "  #");
        add_number(&line, (uintptr_t)(i - 2), 10);
        add(&line, " ");
        add_address(&line, addresses[i]);
        put(&line);
    }
}

static void on_crash(int signum, siginfo_t *info, void *context)
{
    size_t which = 0;

    (void)context;
    while (which + 1 < SIGNALS && signals[which].number != signum)
        which++;
    if (!atomic_flag_test_and_set(&reporting)) {
        print_what(which, info);
        print_stack();
    }
    sigaction(signum, &previous[which], NULL);
    if (info->si_code <= 0) /* sent by somebody: it would not happen again by itself */
        raise(signum);
}

static void install(void)
{
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    weir__backtrace_prime();
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i].number, &action, &previous[i]);
}

void weir__crash_watch(void)
{
    pthread_once(&once, install);
}

void weir__dev_start(void)
{
    if (weir__env_dev())
        weir__crash_watch();
}
