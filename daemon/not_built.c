/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs of the control socket that the design has and this weir has not: the
 * one list. It only shrinks. */
#include "config.h"

#include <string.h>

#include "daemon/daemon.h"

const char *const verbs_not_built[] = {
    "capture", "profile", "top", "trace", "upgrade", NULL,
};

bool is_not_built(const char *verb)
{
    for (size_t i = 0; verbs_not_built[i]; i++)
        if (strcmp(verbs_not_built[i], verb) == 0)
            return true;
    return false;
}
