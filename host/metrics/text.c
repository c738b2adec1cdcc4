/* SPDX-License-Identifier: Apache-2.0 */
/* The text format 0.0.4 of Prometheus: # HELP, # TYPE, then a line for each sample. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/metrics/metrics.h"

/* Help: `\` and newlines. Label values: quotes too. */
static void put_escaped(FILE *out, const char *text, bool quotes)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\\')
            fputs("\\\\", out);
        else if (*c == '\n')
            fputs("\\n", out);
        else if (*c == '"' && quotes)
            fputs("\\\"", out);
        else
            fputc(*c, out);
    }
}

void weir__exposition_family(struct exposition *e, const char *name, const char *type,
                             const char *help)
{
    e->family = name;
    fprintf(e->out, "# HELP %s ", name);
    put_escaped(e->out, help, false);
    fprintf(e->out, "\n# TYPE %s %s\n", name, type);
}

static void put_labels(struct exposition *e, const char *const *labels, const char *more,
                       const char *more_value)
{
    bool first = true;

    for (; labels && labels[0]; labels += 2) {
        fprintf(e->out, "%c%s=\"", first ? '{' : ',', labels[0]);
        put_escaped(e->out, labels[1], true);
        fputc('"', e->out);
        first = false;
    }
    if (more)
        fprintf(e->out, "%c%s=\"%s\"", first ? '{' : ',', more, more_value);
    if (!first || more)
        fputc('}', e->out);
}

/* With as few digits as tell it from its neighbours. */
static void put_shortest(FILE *out, double value)
{
    char text[40];

    (void)snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) < value || strtod(text, NULL) > value)
        (void)snprintf(text, sizeof text, "%.17g", value);
    fprintf(out, " %s\n", text);
}

static void put_number(FILE *out, double value)
{
    if (isnan(value))
        fputs(" NaN\n", out);
    else if (isinf(value))
        fputs(value > 0 ? " +Inf\n" : " -Inf\n", out);
    else
        put_shortest(out, value);
}

void weir__exposition_sample(struct exposition *e, const char *suffix, const char *const *labels,
                             double value)
{
    fprintf(e->out, "%s%s", e->family, suffix);
    put_labels(e, labels, NULL, NULL);
    put_number(e->out, value);
}

void weir__exposition_count(struct exposition *e, const char *const *labels, uint64_t value)
{
    fputs(e->family, e->out);
    put_labels(e, labels, NULL, NULL);
    fprintf(e->out, " %llu\n", (unsigned long long)value);
}

void weir__exposition_histogram(struct exposition *e, const char *const *labels,
                                const struct metric_histogram *histogram)
{
    uint64_t below = 0;
    char bound[32];

    for (unsigned i = 0; i <= METRIC_BOUNDS; i++) {
        below += histogram->counts[i];
        if (i < METRIC_BOUNDS)
            (void)snprintf(bound, sizeof bound, "%g", (double)weir__metric_bounds[i] / 1e9);
        else
            (void)snprintf(bound, sizeof bound, "+Inf");
        fprintf(e->out, "%s_bucket", e->family);
        put_labels(e, labels, "le", bound);
        fprintf(e->out, " %llu\n", (unsigned long long)below);
    }
    weir__exposition_sample(e, "_sum", labels, (double)histogram->sum_ns / 1e9);
    fprintf(e->out, "%s_count", e->family);
    put_labels(e, labels, NULL, NULL);
    fprintf(e->out, " %llu\n", (unsigned long long)below);
}
