/* SPDX-License-Identifier: Apache-2.0 */
/* The version of the library, from configure.ac. */
#include "config.h"

#include <weir/base.h>

const char *weir_version(void)
{
    return PACKAGE_VERSION;
}
