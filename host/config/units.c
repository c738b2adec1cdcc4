/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers with units: durations (250ms, 1m30s, 1.5h), sizes (16KiB binary, 10MB decimal). A duration
 * without a unit is refused, since nobody can see whether 5 means seconds; a size without is bytes.
 */
#include <config.h>
#include <ctype.h>
#include <string.h>

#include "host/config/internal.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit durations[] = {
    {"ns", 1},          {"us", 1000},         {"ms", 1000000},       {"s", 1000000000},
    {"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000},
};

static const struct unit sizes[] = {
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {"kB", 1000},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", 1000000000000},
};

/* Digits with up to nine decimals, then letters. False when there are no digits. */
static bool read_part(const char **at, uint64_t *ret_whole, uint64_t *ret_nano, char *ret_unit,
                      size_t unit_size)
{
    const char *s = *at;
    uint64_t whole = 0, nano = 0, scale = 100000000;
    size_t n = 0;

    if (!isdigit((unsigned char)*s))
        return false;
    for (; isdigit((unsigned char)*s); s++) {
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(*s - '0'), &whole))
            return false;
    }
    if (*s == '.' && isdigit((unsigned char)s[1])) {
        for (s++; isdigit((unsigned char)*s); s++, scale /= 10)
            nano += (uint64_t)(*s - '0') * scale;
    }
    while (isalpha((unsigned char)*s) && n + 1 < unit_size)
        ret_unit[n++] = *s++;
    ret_unit[n] = '\0';
    *at = s;
    *ret_whole = whole;
    *ret_nano = nano;
    return true;
}

static bool scale(uint64_t whole, uint64_t nano, uint64_t factor, uint64_t *ret)
{
    unsigned __int128 value =
        (unsigned __int128)whole * factor + (unsigned __int128)nano * factor / 1000000000;

    if (value > INT64_MAX)
        return false;
    *ret = (uint64_t)value;
    return true;
}

static const struct unit *find_unit(const struct unit *units, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    }
    return NULL;
}

const char *weir__duration_parse(const char *text, int64_t *ret_ns)
{
    uint64_t total = 0, smallest = UINT64_MAX;
    const char *at = text;

    if (strcmp(text, "0") == 0 || strcmp(text, "off") == 0) {
        *ret_ns = INT64_MAX;
        return NULL;
    }
    do {
        uint64_t whole, nano, value;
        const struct unit *unit;
        char name[8];

        if (!read_part(&at, &whole, &nano, name, sizeof name))
            return "expected a duration: 250ms, 5s, 1m30s, 1h";
        if (!*name)
            return "unit";
        unit = find_unit(durations, sizeof durations / sizeof durations[0], name);
        if (!unit)
            return "units are ms, s, m, h, d (and us, ns)";
        if (unit->factor >= smallest)
            return "larger units come first: 1m30s";
        smallest = unit->factor;
        if (!scale(whole, nano, unit->factor, &value) ||
            __builtin_add_overflow(total, value, &total) || total >= INT64_MAX)
            return "longer than 292 years";
    } while (*at);
    if (total == 0)
        total = INT64_MAX; /* 0s is 0 */
    *ret_ns = (int64_t)total;
    return NULL;
}

const char *weir__size_parse(const char *text, uint64_t *ret)
{
    uint64_t whole, nano;
    const char *at = text;
    const struct unit *unit;
    char name[8];

    if (!read_part(&at, &whole, &nano, name, sizeof name) || *at)
        return "expected a size: 16KiB, 10MB, 4096";
    if (!*name && nano)
        return "bytes come whole";
    unit = find_unit(sizes, sizeof sizes / sizeof sizes[0], *name ? name : "B");
    if (!unit && strlen(name) == 1 && strchr("kKmMgGtT", *name))
        return "write KiB, MiB, GiB (1024) or kB, MB, GB (1000)";
    if (!unit)
        return "units are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB";
    return scale(whole, nano, unit->factor, ret) ? NULL : "too large";
}
