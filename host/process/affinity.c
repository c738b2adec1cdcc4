/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A traffic loop stays on one processor when `runtime.cpu_affinity` says so: the i-th loop on the
 * i-th of those named, or of those that the process may use, and round again.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <weir/log.h>

#include "host/process/process.h"

#define PROCESSORS_MAX 4096

/* "3" or "0-3"; *at moves behind it. */
static bool read_range(const char **at, uint32_t *ret_first, uint32_t *ret_last)
{
    char *end;
    unsigned long first, last;

    if (**at < '0' || **at > '9')
        return false;
    first = last = strtoul(*at, &end, 10);
    if (*end == '-') {
        if (end[1] < '0' || end[1] > '9')
            return false;
        last = strtoul(end + 1, &end, 10);
    }
    if (first > last || last >= PROCESSORS_MAX)
        return false;
    *ret_first = (uint32_t)first;
    *ret_last = (uint32_t)last;
    *at = end;
    return true;
}

static bool read_list(weir_config_context *context, const char *text, weir_array *ret)
{
    uint32_t first, last, *list = weir_config_alloc(context, PROCESSORS_MAX * sizeof *list);
    size_t count = 0;

    for (;;) {
        while (*text == ' ')
            text++;
        if (!read_range(&text, &first, &last) || last - first >= PROCESSORS_MAX - count)
            return false;
        for (; first <= last; first++)
            list[count++] = first;
        while (*text == ' ')
            text++;
        if (!*text)
            break;
        if (*text++ != ',')
            return false;
    }
    *ret = (weir_array){list, count};
    return true;
}

bool weir__affinity_parse(weir_config_context *context, const weir_config_node *node, void *field)
{
    struct affinity_config *said = field;
    const char *text = weir_config_node_text(node);

    if (weir_config_node_get_kind(node) == WEIR_NODE_SCALAR) {
        if (!strcmp(text, "off") || !strcmp(text, "auto")) {
            said->kind = *text == 'o' ? AFFINITY_OFF : AFFINITY_AUTO;
            return true;
        }
        said->kind = AFFINITY_LIST;
        if (read_list(context, text, &said->processors))
            return true;
    }
    weir_config_error_at(context, node,
                         "`cpu_affinity` is off, auto or the processors to use, as in \"0-3,8\"");
    return false;
}

/* The index-th, counting round, of the processors that this process may use. */
static int usable(unsigned index)
{
    cpu_set_t *set = CPU_ALLOC(PROCESSORS_MAX);
    size_t size = CPU_ALLOC_SIZE(PROCESSORS_MAX);
    int found = -1, count;

    if (set && sched_getaffinity(0, size, set) == 0 && (count = CPU_COUNT_S(size, set)) > 0) {
        unsigned left = index % (unsigned)count;

        for (int i = 0; i < PROCESSORS_MAX && found < 0; i++)
            if (CPU_ISSET_S((size_t)i, size, set) && left-- == 0)
                found = i;
    }
    if (set)
        CPU_FREE(set);
    return found;
}

int weir__affinity_of(const struct affinity_config *said, unsigned index)
{
    const uint32_t *list = said->processors.items;

    if (said->kind == AFFINITY_AUTO)
        return usable(index);
    return said->kind == AFFINITY_LIST ? (int)list[index % said->processors.count] : -1;
}

void weir__affinity_pin(const struct affinity_config *said, unsigned index)
{
    static bool told;
    int processor = weir__affinity_of(said, index), code;
    size_t size = CPU_ALLOC_SIZE(PROCESSORS_MAX);
    cpu_set_t *set;

    if (processor < 0)
        return;
    set = CPU_ALLOC(PROCESSORS_MAX);
    if (!set)
        return;
    CPU_ZERO_S(size, set);
    CPU_SET_S((size_t)processor, size, set);
    code = pthread_setaffinity_np(pthread_self(), size, set);
    CPU_FREE(set);
    if (code && !__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
        weir_log(weir_logger_get("weir.host"), WEIR_LOG_WARNING,
                 "runtime.cpu_affinity: traffic loop %u cannot be bound to processor %d: %s%s",
                 index, processor, weir_code_text(code),
                 code == EPERM ? " (systemd: SystemCallFilter=~@resources forbids it)" : "");
}
