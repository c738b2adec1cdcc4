/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the kernel could encrypt records itself. Nothing here uses it (docs/internals/tls.md says why);
 * who wonders where the CPU time goes learns whether there was a choice. The list of protocols is read
 * rather than one asked for by setsockopt(TCP_ULP): that would load a module, from a process that may.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/log.h>

#include "core/net/tls.h"

#define LIST_PATH "/proc/sys/net/ipv4/tcp_available_ulp"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool offered;
static char said[160];

bool weir__tls_listed(const char *list)
{
    for (; *list; list += strcspn(list, " \n")) {
        size_t len;

        list += strspn(list, " \n");
        len = strcspn(list, " \n");
        if (len == 3 && memcmp(list, "tls", len) == 0)
            return true;
    }
    return false;
}

static void look(void)
{
    int fd = open(LIST_PATH, O_RDONLY | O_CLOEXEC);
    char list[256];
    ssize_t n = fd < 0 ? -1 : read(fd, list, sizeof(list) - 1);

    if (n < 0) {
        snprintf(said, sizeof(said), "not known: %s cannot be read (%s)", LIST_PATH,
                 weir_code_name((weir_code)errno));
    } else {
        list[n] = '\0';
        offered = weir__tls_listed(list);
        if (offered)
            snprintf(said, sizeof(said), "offered");
        else
            snprintf(said, sizeof(said), "not offered: \"tls\" is not in %s", LIST_PATH);
    }
    if (fd >= 0)
        close(fd);
    weir_log(weir_logger_get("weir.tls"), WEIR_LOG_DEBUG, "TLS of the kernel: %s; it is not used",
             said);
}

bool weir_tls_kernel(const char **ret_words)
{
    pthread_once(&once, look);
    if (ret_words)
        *ret_words = said;
    return offered;
}
