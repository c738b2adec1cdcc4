/* SPDX-License-Identifier: Apache-2.0 */
/* A walk up the stack by what the compiler wrote about its frames, quick enough for every spawn. */
#ifndef WEIR_CORE_BASE_CFI_H
#define WEIR_CORE_BASE_CFI_H

#include <stdint.h>

/* Return addresses of the caller and its callers, innermost first; those in [skip, skip_end) at the
   inner end are left out. Returns how many. Not for signal handlers: it may take the loader's lock
   at an address that it has not met. */
int weir__cfi_walk(void **addresses, int max, uintptr_t skip, uintptr_t skip_end);

/* Likewise from the registers of a frame that does not run: of a stack that waits. The address is the
   first of them. Ends early at a frame that only libgcc could unwind. */
int weir__cfi_walk_from(uintptr_t address, uintptr_t sp, uintptr_t bp, void **addresses, int max);

/* After code was unmapped: what was learned of its addresses is forgotten. Any thread. */
void weir__cfi_forget(void);

#endif
