/* SPDX-License-Identifier: Apache-2.0 */
/* What backends share about accept. */
#ifndef WEIR_CORE_IO_ACCEPT_H
#define WEIR_CORE_IO_ACCEPT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/* The connection failed before it was accepted: accept(2) says to go on. */
static inline bool io_passing_accept_error(int code)
{
    static const int passing[] = {ECONNABORTED, EINTR,       EPROTO,    ENETDOWN,
                                  ENOPROTOOPT,  EHOSTDOWN,   ENONET,    EOPNOTSUPP,
                                  EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, EPERM};

    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        if (code == passing[i])
            return true;
    }
    return false;
}

#endif
