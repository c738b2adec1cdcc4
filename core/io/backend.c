/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses a backend by name. WEIR_BACKEND in the environment decides for those who leave it to
 * "auto", which is epoll.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <weir/error.h>

#include "core/io/io.h"

static weir_error *make_uring(struct io_backend **ret)
{
#ifdef WEIR_WITH_IO_URING
    return weir__io_uring.create(ret);
#else
    (void)ret;
    return weir_raise(WEIR_EUNSUPPORTED, "this weir was built without io_uring");
#endif
}

weir_error *weir__io_backend_new(const char *name, struct io_backend **ret)
{
    weir_error *error;

    if (!name || strcmp(name, "auto") == 0)
        name = secure_getenv("WEIR_BACKEND");
    if (!name || !*name || strcmp(name, "auto") == 0 || strcmp(name, "epoll") == 0)
        return weir__io_epoll.create(ret);
    if (strcmp(name, "io_uring") != 0)
        return weir_raise(
            WEIR_EUNSUPPORTED,
            "no backend is called \"%s\": expected \"auto\", \"epoll\" or \"io_uring\"", name);
    error = make_uring(ret);
    if (!error)
        return NULL;
    return weir_error_hint(error, "use \"auto\", which takes the best backend that works here");
}
