/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Development mode (WEIR_DEV=1), and what signal handlers can tell of the thread that they
 * interrupted.
 */
#ifndef WEIR_CORE_BASE_CRASH_H
#define WEIR_CORE_BASE_CRASH_H

#include <weir/base.h>

/* Set by core/task: name and site of the task that runs on this thread. False: none. Safe in signal
   handlers. */
extern bool (*weir__running_task)(char *name, size_t size, const weir_site **ret_site);

/* Under WEIR_DEV: reports of crashes, once in a process. With each loop. */
void weir__dev_start(void);
/* From now on SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT are reported before they do what they did. */
void weir__crash_watch(void);

#endif
