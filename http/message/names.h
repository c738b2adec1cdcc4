/* SPDX-License-Identifier: Apache-2.0 */
/* Known field names inside the library. */
#ifndef WEIR_HTTP_MESSAGE_NAMES_H
#define WEIR_HTTP_MESSAGE_NAMES_H

#include <weir/http-message.h>

/* of a name that is known to be all token characters */
weir_http_name weir__http_name_of(const char *name, size_t len);

#define WEIR__NAME_BIT(name) (UINT64_C(1) << WEIR_HTTP_##name)

/* the set of names that are hop-by-hop by themselves */
extern const uint64_t weir__http_hop_names;

#endif
