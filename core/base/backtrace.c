/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures by CFI (the unwinder of libgcc), which goes through coroutines and code built without
 * frame pointers.
 */
#include "config.h"

#include "core/base/backtrace.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <string.h>

#include "core/base/alloc.h"

weir_backtrace *weir__backtrace_capture(void)
{
    void *addresses[BACKTRACE_DEPTH + 1];
    int count = backtrace(addresses, BACKTRACE_DEPTH + 1);
    weir_backtrace *trace;

    if (count <= 1)
        return NULL;
    trace = weir__malloc(sizeof(*trace));
    if (!trace)
        return NULL;
    trace->count = (unsigned char)(count - 1);
    memcpy(trace->addresses, addresses + 1, (size_t)(count - 1) * sizeof(addresses[0]));
    return trace;
}

void weir__backtrace_free(weir_backtrace *take_backtrace)
{
    weir__free(take_backtrace);
}

void weir__backtrace_print(struct text *text, const weir_backtrace *backtrace)
{
    for (unsigned i = backtrace->count; i-- > 0;) {
        Dl_info info = {0};
        int known = dladdr(backtrace->addresses[i], &info);

        text_printf(text, "  #%u %s\n", i, known && info.dli_sname ? info.dli_sname : "?");
    }
}
