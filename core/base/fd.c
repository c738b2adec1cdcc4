/* SPDX-License-Identifier: Apache-2.0 */
/*
 * close(2) fails for a descriptor that is not open, which nobody asks; but it means that somebody else
 * closed ours, and that the next close of the same number will hit a connection of somebody else.
 */
#include "config.h"

#include "core/base/fd.h"

#include <errno.h>
#include <unistd.h>

#include <weir/log.h>

#include "core/base/env.h"

void weir__close_at(const weir_site *site, int fd)
{
    int saved = errno;

    if (close(fd) < 0 && errno == EBADF && weir__env_dev())
        weir_log_at(site, weir_logger_get("weir"), WEIR_LOG_ERROR, NULL, 0,
                    "close() of descriptor %d failed: it was not open; closed twice? at %s:%d", fd,
                    site->file, site->line);
    errno = saved;
}
