/* SPDX-License-Identifier: Apache-2.0 */
/* Remembers which sites have complained, so that each is logged once. Any thread, no lock. */
#ifndef WEIR_CORE_BASE_SITES_H
#define WEIR_CORE_BASE_SITES_H

#include <weir/base.h>

/* True once per site; false always once SITES_MAX sites have been seen. */
#define SITES_MAX 1024
bool weir__site_first_time(const weir_site *site);
/* For tests: forgets all. */
void weir__site_forget(void);

#endif
