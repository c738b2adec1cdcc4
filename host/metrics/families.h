/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of families share. */
#ifndef WEIR_HOST_METRICS_FAMILIES_H
#define WEIR_HOST_METRICS_FAMILIES_H

#include "host/metrics/metrics.h"

#define COUNTER   "counter"
#define GAUGE     "gauge"
#define HISTOGRAM "histogram"

#define METRIC_LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The list `key` in the answer to another question, whose shares of loops are below `share` (NULL: it asks
 * no loop). A reference. */
json_t *weir__metric_list(const struct question_kind *kind, const struct metrics_view *view,
                          const char *share, const char *key);
/* "" and 0 for what is not there. */
const char *weir__metric_text(const json_t *object, const char *key);
double weir__metric_number(const json_t *object, const char *key);
/* One sample for each element, labelled by its name. */
void weir__metric_each(struct exposition *e, json_t *take_list, const char *label, const char *key);

#endif
