/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The question "metrics". Its answer is a text, not an object: the exposition. Blocks of the loops are
 * read where they are, by the control loop; only what a loop alone may look at is asked of it.
 */
#include "config.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/metrics/metrics.h"
#include "host/status/status.h"

size_t weir__process_open_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t n = 0;

    if (!folder)
        return 0;
    while (readdir(folder))
        n++;
    closedir(folder);
    return n > 3 ? n - 3 : 0; /* without ".", ".." and the folder's own */
}

double weir__process_start_time(void)
{
    unsigned long long ticks = 0;
    struct timespec now, up;
    FILE *file = fopen("/proc/self/stat", "re");
    char text[1024];
    const char *at = NULL;

    if (!file)
        return 0;
    if (fgets(text, sizeof text, file))
        at = strrchr(text, ')');
    fclose(file);
    /* Behind the name, which may hold anything: the 20th is the start, in ticks since the boot. */
    for (unsigned i = 0; at && i < 20; i++)
        at = strchr(at + 1, ' ');
    if (at)
        ticks = strtoull(at + 1, NULL, 10);
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    return (double)(now.tv_sec - up.tv_sec) + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static struct metric_reload reload;

void weir__metrics_loaded(uint64_t generation, bool accepted)
{
    struct timespec now;

    reload.accepted = accepted;
    if (!accepted)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    reload.generation = generation;
    reload.time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct metric_reload weir__metrics_reload(void)
{
    return reload;
}

/* What a loop alone may look at. */
static json_t *of_loop(const struct question *question, struct traffic_thread *thread)
{
    weir_loop_metrics m = {WEIR_SIZED(weir_loop_metrics)};
    json_t *lag = json_array();

    weir_loop_metrics_get(thread->traffic.loop, &m);
    for (int i = 0; i < WEIR_HISTOGRAM_BUCKETS; i++)
        json_array_append_new(lag, weir__status_count(m.lag.counts[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "lag", lag, "lag_total",
                     weir__status_seconds(m.lag_total.ns), "loops",
                     weir__ask_loops.on_loop(question, thread), "dns",
                     weir__ask_dns.on_loop(question, thread), "upstreams",
                     weir__ask_upstreams.on_loop(question, thread));
}

/* Sorted, so that blocks of one thing stand together. */
static int compare(const void *a, const void *b)
{
    const struct metric_block *x = a, *y = b;
    int order = (int)x->kind - (int)y->kind;

    order = order ? order : strcmp(x->group, y->group);
    return order ? order : strcmp(x->name, y->name);
}

static void copy_block(struct metric_block *to, const struct metric_block *from)
{
    *to = (struct metric_block){.kind = from->kind, .group = from->group, .name = from->name};
    to->n_cells = __atomic_load_n(&from->n_cells, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < to->n_cells; i++) {
        to->cells[i].key = from->cells[i].key;
        to->cells[i].count = __atomic_load_n(&from->cells[i].count, __ATOMIC_RELAXED);
    }
    to->others = __atomic_load_n(&from->others, __ATOMIC_RELAXED);
    to->retries = __atomic_load_n(&from->retries, __ATOMIC_RELAXED);
    for (unsigned h = 0; h < METRIC_HISTOGRAMS; h++) {
        for (unsigned i = 0; i <= METRIC_BOUNDS; i++)
            to->histograms[h].counts[i] =
                __atomic_load_n(&from->histograms[h].counts[i], __ATOMIC_RELAXED);
        to->histograms[h].sum_ns = __atomic_load_n(&from->histograms[h].sum_ns, __ATOMIC_RELAXED);
    }
}

static void add_cells(struct metric_block *to, const struct metric_block *from)
{
    for (uint32_t i = 0; i < from->n_cells; i++) {
        uint32_t k = 0;

        while (k < to->n_cells && to->cells[k].key != from->cells[i].key)
            k++;
        if (k == METRIC_CELLS) {
            to->others += from->cells[i].count;
            continue;
        }
        if (k == to->n_cells)
            to->cells[to->n_cells++].key = from->cells[i].key;
        to->cells[k].count += from->cells[i].count;
    }
}

static void add_block(struct metric_block *to, const struct metric_block *from)
{
    add_cells(to, from);
    to->others += from->others;
    to->retries += from->retries;
    for (unsigned h = 0; h < METRIC_HISTOGRAMS; h++) {
        for (unsigned i = 0; i <= METRIC_BOUNDS; i++)
            to->histograms[h].counts[i] += from->histograms[h].counts[i];
        to->histograms[h].sum_ns += from->histograms[h].sum_ns;
    }
}

static void add_up(struct metrics_view *view)
{
    const weir_host *host = view->host;
    size_t n = 0, kept = 0;

    for (unsigned i = 0; i < host->n_threads; i++)
        for (const struct metric_block *b = weir__metrics_first(&host->threads[i].traffic); b;
             b = __atomic_load_n(&b->next, __ATOMIC_RELAXED))
            n++;
    view->blocks = calloc(n + 1, sizeof *view->blocks);
    if (!view->blocks)
        return;
    for (unsigned i = 0; i < host->n_threads; i++)
        for (const struct metric_block *b = weir__metrics_first(&host->threads[i].traffic);
             b && view->n_blocks < n; b = __atomic_load_n(&b->next, __ATOMIC_RELAXED))
            copy_block(&view->blocks[view->n_blocks++], b);
    qsort(view->blocks, view->n_blocks, sizeof *view->blocks, compare);
    for (size_t i = 0; i < view->n_blocks; i++) {
        if (kept && compare(&view->blocks[kept - 1], &view->blocks[i]) == 0)
            add_block(&view->blocks[kept - 1], &view->blocks[i]);
        else
            view->blocks[kept++] = view->blocks[i];
    }
    view->n_blocks = kept;
}

static void write_families(struct exposition *e, const struct metrics_view *view,
                           const struct metric_families *group)
{
    for (size_t i = 0; i < group->count; i++) {
        const struct metric_family *family = &group->families[i];

        weir__exposition_family(e, family->name, family->type, family->help);
        family->write(e, view);
    }
}

static json_t *metrics(const struct question *question, json_t *const *shares, unsigned n)
{
    struct metrics_view view = {.host = question->host, .shares = shares, .n_shares = n};
    struct exposition e = {NULL, NULL};
    char *text = NULL;
    size_t len = 0;
    json_t *answer;

    e.out = open_memstream(&text, &len);
    if (!e.out)
        return NULL;
    add_up(&view);
    write_families(&e, &view, &weir__metrics_of_program);
    write_families(&e, &view, &weir__metrics_of_traffic);
    write_families(&e, &view, &weir__metrics_of_loops);
    free(view.blocks);
    answer = fclose(e.out) == 0 ? json_stringn(text, len) : NULL;
    free(text);
    return answer;
}

const struct question_kind weir__ask_metrics = {
    .question = {.name = "metrics"},
    .on_loop = of_loop,
    .finish = metrics,
};
