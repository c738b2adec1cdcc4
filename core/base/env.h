/* SPDX-License-Identifier: Apache-2.0 */
/* Switches in the environment, not read by set-uid programs. */
#ifndef WEIR_CORE_BASE_ENV_H
#define WEIR_CORE_BASE_ENV_H

#include <stdbool.h>

/* 1, true, on, yes: true. 0, false, off, no, empty, unset: false. Anything else: false, and a
   warning. Case does not matter. */
bool weir__env_flag(const char *name);
/* The same for a text; false when it is neither. */
bool weir__flag_parse(const char *text, bool *ret_value);

#endif
