/* SPDX-License-Identifier: Apache-2.0 */
/* The context that runs in this thread (weir/context.h): tasks and handles swap it in and out. */
#ifndef WEIR_CORE_LOOP_CONTEXT_H
#define WEIR_CORE_LOOP_CONTEXT_H

#include <weir/context.h>

/* Owned; NULL: empty. */
extern __thread weir_context *weir__context __attribute__((tls_model("initial-exec")));

#endif
