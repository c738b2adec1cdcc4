/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Families of the program: what it is, its configuration, its logs, its process; and what the others
 * share. Names are operation.md's; what has no source in the code is not here, and weir-metrics(7) says
 * so. Values come from the same places as those of `weirctl status`.
 */
#include "config.h"

#include "host/metrics/families.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weir/log.h>
#include <weir/plugin.h>

#include "host/access/access.h"
#include "host/status/status.h"

/* Answers of other questions, as lists. */

json_t *weir__metric_list(const struct question_kind *kind, const struct metrics_view *view,
                          const char *share, const char *key)
{
    struct question question = {.host = view->host, .generation = view->host->generation};
    json_t **shares = calloc(view->n_shares + 1, sizeof *shares), *answer, *list;

    for (unsigned i = 0; shares && share && i < view->n_shares; i++)
        shares[i] = json_object_get(view->shares[i], share);
    answer = kind->finish(&question, shares, shares ? view->n_shares : 0);
    list = json_incref(json_object_get(answer, key));
    json_decref(answer);
    free(shares);
    return list;
}

const char *weir__metric_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

double weir__metric_number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* One sample for each element, labelled by its name. */
void weir__metric_each(struct exposition *e, json_t *take_list, const char *label, const char *key)
{
    size_t i;
    const json_t *one;

    json_array_foreach(take_list, i, one) weir__exposition_sample(
        e, "", METRIC_LABELS(label, weir__metric_text(one, "name")), weir__metric_number(one, key));
    json_decref(take_list);
}

/* The program and its configuration. */

static void build_info(struct exposition *e, const struct metrics_view *view)
{
    char abi[32];

    (void)view;
    (void)snprintf(abi, sizeof abi, "%d.%d", WEIR_ABI_MAJOR, WEIR_ABI_MINOR);
    weir__exposition_sample(e, "", METRIC_LABELS("version", weir_version(), "abi", abi), 1);
}

static void config_generation(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_count(e, NULL, weir__metrics_reload().generation);
}

static void config_successful(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_count(e, NULL, weir__metrics_reload().accepted);
}

static void config_time(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_sample(e, "", NULL, weir__metrics_reload().time);
}

static void log_dropped(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_count(e, NULL, weir_log_dropped());
}

static void access_records(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_count(e, NULL, weir__access_records());
}

static void access_dropped(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_count(e, NULL, weir__access_dropped());
}

/* The process. */

static void process_cpu(struct exposition *e, const struct metrics_view *view)
{
    struct rusage usage;

    (void)view;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        weir__exposition_sample(e, "", NULL,
                                (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                                    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) /
                                        1e6);
}

/* The n-th number of /proc/self/statm, in pages. */
static double pages(unsigned n)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long values[2] = {0, 0};

    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &values[0], &values[1]) != 2)
        values[n] = 0;
    fclose(file);
    return (double)values[n] * (double)sysconf(_SC_PAGESIZE);
}

static void process_resident(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_sample(e, "", NULL, pages(1));
}

static void process_virtual(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_sample(e, "", NULL, pages(0));
}

static void process_open_fds(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_sample(e, "", NULL, (double)weir__process_open_fds());
}

static void process_max_fds(struct exposition *e, const struct metrics_view *view)
{
    struct rlimit files;

    (void)view;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        weir__exposition_sample(e, "", NULL, (double)files.rlim_cur);
}

static void process_start(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_sample(e, "", NULL, weir__process_start_time());
}

static const struct metric_family families[] = {
    {"weir_build_info", GAUGE, "Version of weir and of its plugin ABI; always 1.", "version, abi",
     build_info},
    {"weir_config_generation", GAUGE, "Number of the configuration in force.", "",
     config_generation},
    {"weir_config_last_reload_successful", GAUGE, "0: the last reload was rejected.", "",
     config_successful},
    {"weir_config_last_reload_success_timestamp_seconds", GAUGE,
     "When the configuration in force was loaded.", "", config_time},
    {"weir_log_dropped_total", COUNTER, "Records of the log that were dropped.", "", log_dropped},
    {"weir_access_records_total", COUNTER, "Records of the access log.", "", access_records},
    {"weir_access_dropped_total", COUNTER,
     "Records of the access log that were dropped, for its output did not take them.", "",
     access_dropped},
    {"process_cpu_seconds_total", COUNTER, "Processor time, user and system.", "", process_cpu},
    {"process_resident_memory_bytes", GAUGE, "Resident memory.", "", process_resident},
    {"process_virtual_memory_bytes", GAUGE, "Virtual memory.", "", process_virtual},
    {"process_open_fds", GAUGE, "Open file descriptors.", "", process_open_fds},
    {"process_max_fds", GAUGE, "Most file descriptors that may be open.", "", process_max_fds},
    {"process_start_time_seconds", GAUGE, "When the process began, in seconds since 1970.", "",
     process_start},
};

const struct metric_families weir__metrics_of_program = {families,
                                                         sizeof families / sizeof *families};
