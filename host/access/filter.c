/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions on fields, in a row: all of them must hold.
 *
 *     status>=500 route=app path=/health* duration_ms>250
 *
 * A text takes = and !=, with `*` for anything at all; a number all six. What a record does not have is
 * the empty text, and no number: it differs from all of them.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "host/access/access.h"

enum comparison { EQUAL, DIFFERENT, LESS, AT_MOST, MORE, AT_LEAST };

struct condition {
    enum access_field field;
    enum comparison comparison;
    double number;
    weir_slice text; /* into `copy` */
};

struct access_filter {
    size_t n;
    struct condition *conditions;
    char *copy;
};

/* `*` stands for any bytes. The usual way back to the last star: no recursion. */
static bool fits_text(weir_slice pattern, weir_slice text)
{
    const char *p = pattern.data, *t = text.data;
    size_t i = 0, k = 0, star = SIZE_MAX, from = 0;

    while (k < text.len) {
        if (i < pattern.len && p[i] == '*') {
            star = i++;
            from = k;
        } else if (i < pattern.len && p[i] == t[k]) {
            i++;
            k++;
        } else if (star != SIZE_MAX) {
            i = star + 1;
            k = ++from;
        } else {
            return false;
        }
    }
    while (i < pattern.len && p[i] == '*')
        i++;
    return i == pattern.len;
}

static bool fits_number(const struct condition *condition, const struct access_value *value)
{
    double number =
        value->kind == ACCESS_MILLISECONDS ? (double)value->number / 1e6 : (double)value->number;
    double wanted = condition->number;

    if (value->kind == ACCESS_NOTHING)
        return condition->comparison == DIFFERENT;
    switch (condition->comparison) {
    case EQUAL:
        return !(number < wanted) && !(number > wanted);
    case DIFFERENT:
        return number < wanted || number > wanted;
    case LESS:
        return number < wanted;
    case AT_MOST:
        return number <= wanted;
    case MORE:
        return number > wanted;
    default:
        return number >= wanted;
    }
}

bool weir__access_filter_fits(const struct access_filter *filter, struct access_entry *entry)
{
    for (size_t i = 0; i < filter->n; i++) {
        const struct condition *condition = &filter->conditions[i];
        struct access_value value = weir__access_value(entry, condition->field);
        bool fits =
            weir__access_field_is_number(condition->field)
                ? fits_number(condition, &value)
                : fits_text(condition->text, value.text) == (condition->comparison == EQUAL);

        if (!fits)
            return false;
    }
    return true;
}

static const char *read_comparison(const char *at, enum comparison *ret)
{
    static const struct {
        const char *text;
        enum comparison comparison;
    } known[] = {{"!=", DIFFERENT}, {"<=", AT_MOST}, {">=", AT_LEAST},
                 {"=", EQUAL},      {"<", LESS},     {">", MORE}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strncmp(at, known[i].text, strlen(known[i].text)) == 0) {
            *ret = known[i].comparison;
            return at + strlen(known[i].text);
        }
    }
    return NULL;
}

/* NULL: `why` says what is wrong. Else behind the condition. */
static const char *read_condition(const char *at, struct condition *ret, char *why, size_t size,
                                  const char **ret_meant)
{
    size_t name_len = strcspn(at, "=<>! "), len;
    const char *value = read_comparison(at + name_len, &ret->comparison);
    char *end;

    ret->field = weir__access_field(at, name_len);
    if (ret->field == ACCESS_FIELD_COUNT) {
        (void)snprintf(why, size, "there is no field `%.*s`", (int)name_len, at);
        *ret_meant = at;
        return NULL;
    }
    if (!value) {
        (void)snprintf(why, size, "`%.*s` is compared with nothing: %s=VALUE is meant",
                       (int)name_len, at, weir__access_field_names[ret->field]);
        return NULL;
    }
    len = strcspn(value, " ");
    ret->text = weir_slice_of(value, len);
    if (!weir__access_field_is_number(ret->field)) {
        if (ret->comparison == EQUAL || ret->comparison == DIFFERENT)
            return value + len;
        (void)snprintf(why, size, "`%s` is a text, which is only = or !=",
                       weir__access_field_names[ret->field]);
        return NULL;
    }
    ret->number = strtod(value, &end);
    if (!len || end != value + len) {
        (void)snprintf(why, size, "`%s` is a number, and `%.*s` is none",
                       weir__access_field_names[ret->field], (int)len, value);
        return NULL;
    }
    return end;
}

struct access_filter *weir__access_filter_new(const char *text, char *why, size_t size,
                                              const char **ret_meant)
{
    struct access_filter *filter = calloc(1, sizeof *filter);
    const char *at;

    *ret_meant = NULL;
    (void)snprintf(why, size, "no memory");
    if (!filter)
        return NULL;
    filter->copy = strdup(text);
    filter->conditions = calloc(strlen(text) / 2 + 1, sizeof *filter->conditions);
    at = filter->copy;
    while (at && filter->conditions) {
        at += strspn(at, " ");
        if (!*at)
            break;
        at = read_condition(at, &filter->conditions[filter->n], why, size, ret_meant);
        if (at) {
            filter->n++;
        } else if (*ret_meant) {
            *ret_meant = text + (*ret_meant - filter->copy);
        }
    }
    if (at && filter->conditions && filter->n)
        return filter;
    if (at && filter->conditions)
        (void)snprintf(why, size, "a condition is missing, as status>=500");
    weir__access_filter_free(filter);
    return NULL;
}

void weir__access_filter_free(struct access_filter *filter)
{
    if (!filter)
        return;
    free(filter->conditions);
    free(filter->copy);
    free(filter);
}
