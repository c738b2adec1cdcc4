/* SPDX-License-Identifier: Apache-2.0 */
/* What a signal handler can tell of the thread that it interrupted, and the report of a crash. */
#ifndef WEIR_CORE_BASE_CRASH_H
#define WEIR_CORE_BASE_CRASH_H

#include <weir/base.h>

/* Set by core/task: name and site of the task that runs on this thread. False: none. Safe in signal
   handlers. */
extern bool (*weir__running_task)(char *name, size_t size, const weir_site **ret_site);

#endif
