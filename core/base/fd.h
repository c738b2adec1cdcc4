/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that are ours to close. */

#ifndef WEIR_CORE_BASE_FD_H
#define WEIR_CORE_BASE_FD_H

#include <weir/base.h>

/* close(). A descriptor that was not open is told as an ERROR of logger `weir`, with the site of the
   caller, under WEIR_DEV: somebody else closed it, and next time it is another one's. Keeps errno. */
#define weir__close(fd) weir__close_at(WEIR_HERE, (fd))
void weir__close_at(const weir_site *site, int fd);

#endif
