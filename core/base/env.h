/* SPDX-License-Identifier: Apache-2.0 */
/* Switches in the environment, not read by set-uid programs. See weir/debug.h. */
#ifndef WEIR_CORE_BASE_ENV_H
#define WEIR_CORE_BASE_ENV_H

#include <stdbool.h>

bool weir__env_debug(void); /* WEIR_DEBUG */
bool weir__env_dev(void);   /* WEIR_DEV */
/* 1, true, on, yes: true. 0, false, off, no, empty: false. False is returned for any other text.
   Case does not matter. */
bool weir__flag_parse(const char *text, bool *ret_value);

#endif
