/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses a backend by name: "auto" takes the best one that works here. There is one table entry per
 * backend, so that the list of names in the message is the list of what was built.
 */
#include "config.h"

#include <string.h>

#include <weir/error.h>

#include "core/io/io.h"

weir_error *weir__io_backend_new(const char *name, struct io_backend **ret)
{
    if (!name || strcmp(name, "auto") == 0 || strcmp(name, "epoll") == 0) {
        WEIR_TRY(weir__io_epoll.create(ret));
        return NULL;
    }
    if (strcmp(name, "io_uring") == 0)
        return weir_error_hint(
            weir_raise(WEIR_EUNSUPPORTED, "backend \"io_uring\": this weir was built without it"),
            "use \"auto\", which takes the best backend that works here, or \"epoll\"");
    return weir_raise(WEIR_EUNSUPPORTED,
                      "no backend is called \"%s\": expected \"auto\", \"epoll\" or \"io_uring\"",
                      name);
}
