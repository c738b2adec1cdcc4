/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the epoll backend. */
#ifndef WEIR_CORE_IO_EPOLL_H
#define WEIR_CORE_IO_EPOLL_H

#include "core/io/io.h"

/* As on a kernel before 5.11: timeouts are rounded up to milliseconds. */
void weir__epoll_forget_pwait2(struct io_backend *backend);

#endif
