/* SPDX-License-Identifier: Apache-2.0 */
/* The watchdog for weir_run(): it runs while somebody holds it, or weir_watchdog_start() said so. */
#ifndef WEIR_CORE_LOOP_WATCHDOG_H
#define WEIR_CORE_LOOP_WATCHDOG_H

#include <weir/debug.h>

weir_error *weir__watchdog_hold(void) WEIR_MUST_USE;
void weir__watchdog_release(void);

#endif
