/* SPDX-License-Identifier: Apache-2.0 */
/* What the process holds: memory as the kernel and the heap count it, descriptors, connections. */
#include "config.h"

#include <dirent.h>
#include <malloc.h>
#include <string.h>
#include <sys/resource.h>

#include "host/status/status.h"

/* "Pss:   123 kB" and the like, in bytes. */
static void add_kernel(json_t *into)
{
    static const struct {
        const char *line, *key;
    } wanted[] = {{"Rss:", "rss"},
                  {"Pss:", "pss"},
                  {"Private_Dirty:", "private"},
                  {"AnonHugePages:", "huge"},
                  {"Swap:", "swap"}};

    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    char line[200];

    while (file && fgets(line, sizeof line, file)) {
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            size_t len = strlen(wanted[i].line);
            unsigned long long kib;

            if (strncmp(line, wanted[i].line, len) == 0 && sscanf(line + len, "%llu", &kib) == 1)
                json_object_set_new(into, wanted[i].key, weir__status_count(kib * 1024));
        }
    }
    if (file)
        fclose(file);
}

static uint64_t open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t n = 0;

    while (folder && readdir(folder))
        n++;
    if (folder)
        closedir(folder);
    return n > 3 ? n - 3 : 0; /* not `.`, `..` and the folder */
}

static json_t *memory(const struct question *question, json_t *const *shares, unsigned n)
{
    const weir_host *host = question->host;
    struct mallinfo2 heap = mallinfo2();
    struct rlimit limit = {0};
    json_t *answer = json_object();

    (void)shares, (void)n;
    add_kernel(answer);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    json_object_set_new(answer, "heap",
                        json_pack("{s:o, s:o, s:o}", "used", weir__status_count(heap.uordblks),
                                  "free", weir__status_count(heap.fordblks), "mapped",
                                  weir__status_count(heap.hblkhd)));
    json_object_set_new(answer, "descriptors",
                        json_pack("{s:o, s:o}", "open", weir__status_count(open_descriptors()),
                                  "limit", weir__status_count(limit.rlim_cur)));
    json_object_set_new(answer, "connections", weir__status_count(weir_host_connections(host)));
    return answer;
}

const struct question_kind weir__ask_memory = {
    .question = {.name = "memory"},
    .finish = memory,
};
