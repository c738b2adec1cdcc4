/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the process when an invariant of ours is broken. Nothing here allocates or takes a
 * lock: the state that was found broken may be the allocator's or the log's.
 */
#include "config.h"

#include "core/base/invariant.h"

#include <stdlib.h>
#include <unistd.h>

#include <weir/log.h>

#include "core/base/sites.h"
#include "core/base/text.h"

void weir__panic(const weir_site *site, const char *what)
{
    char buffer[512];
    struct text text = TEXT_INIT(buffer);
    ssize_t ignored;

    text_add(&text, "weir: invariant broken: ");
    text_add(&text, what);
    text_add(&text, " at ");
    text_add_site(&text, site);
    text_add(&text, "\n");
    ignored = write(STDERR_FILENO, buffer, text_length(&text));
    (void)ignored;
    abort();
}

void weir__misuse(const weir_site *site, const char *what)
{
    if (!weir__site_first_time(site))
        return;
    weir_log_at(site, weir_logger_get("weir"), WEIR_LOG_ERROR, NULL, 0,
                "%s() was called wrongly: %s does not hold", site->function, what);
}
