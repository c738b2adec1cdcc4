/* SPDX-License-Identifier: Apache-2.0 */
/* What the file says of inspection and handoff, checked and made ready. */
#ifndef WEIR_HOST_INSPECT_RESOLVE_H
#define WEIR_HOST_INSPECT_RESOLVE_H

#include "host/inspect/inspect.h"
#include "host/schema/schema.h"

/* In the memory of the configuration; NULL: the listener inspects nothing. What is wrong is reported. */
const struct inspect_plan *weir__inspect_plan(weir_config_context *context,
                                              const struct registry *registry,
                                              const struct listener_config *said);
/* Whether its `redirect_from` makes sense; if not, that is reported. */
bool weir__redirects_check(weir_config_context *context, const struct listener_config *said);
/* Across listeners (of struct listener_config), when their references are resolved. */
void weir__inspect_check(weir_config_context *context, const weir_array *listeners);

#endif
