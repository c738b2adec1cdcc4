/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of answers: columns as wide as what is in them, numbers to the right, no colours. */
#include "config.h"

#include <string.h>

#include "daemon/ctl.h"

static void join(const json_t *list, char *buffer, size_t size)
{
    size_t used = 0, i;
    const json_t *one;

    buffer[0] = '\0';
    json_array_foreach((json_t *)list, i, one)
    {
        const char *text = json_string_value(one);
        int n = snprintf(buffer + used, size - used, "%s%s", i ? ", " : "", text ? text : "?");

        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}

/* {"host": ["a.com"], "path": ["/x"]} as host=a.com path=/x */
static void join_map(const json_t *map, char *buffer, size_t size)
{
    size_t used = 0;
    const char *key;
    json_t *value;

    (void)snprintf(buffer, size, "%s", json_object_size(map) ? "" : "everything");
    json_object_foreach((json_t *)map, key, value)
    {
        char text[300];
        int n;

        join(value, text, sizeof text);
        n = snprintf(buffer + used, size - used, "%s%s=%s", used ? "  " : "", key, text);
        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}

static void bytes_text(double bytes, char *buffer, size_t size)
{
    static const char units[] = " KMGTP";
    int unit = 0;

    while (bytes >= 1024 && unit < 5) {
        bytes /= 1024;
        unit++;
    }
    if (unit)
        (void)snprintf(buffer, size, "%.1f %ciB", bytes, units[unit]);
    else
        (void)snprintf(buffer, size, "%.0f B", bytes);
}

static void seconds_text(double s, char *buffer, size_t size)
{
    long whole = (long)s;

    if (s < 0.001)
        (void)snprintf(buffer, size, "%.0f us", s * 1e6);
    else if (s < 1)
        (void)snprintf(buffer, size, "%.0f ms", s * 1e3);
    else if (s < 60)
        (void)snprintf(buffer, size, "%.1f s", s);
    else if (whole < 86400)
        (void)snprintf(buffer, size, "%02ld:%02ld:%02ld", whole / 3600, whole / 60 % 60,
                       whole % 60);
    else
        (void)snprintf(buffer, size, "%ldd %02ld:%02ld", whole / 86400, whole / 3600 % 24,
                       whole / 60 % 60);
}

const char *ctl_cell(const json_t *value, enum ctl_cell cell, char *buffer, size_t size)
{
    const char *text = json_string_value(value);

    (void)snprintf(buffer, size, "-");
    if (text)
        (void)snprintf(buffer, size, "%s", text);
    else if (json_is_array(value))
        join(value, buffer, size);
    else if (json_is_object(value))
        join_map(value, buffer, size);
    else if (json_is_boolean(value))
        (void)snprintf(buffer, size, "%s", json_is_true(value) ? "yes" : "no");
    else if (json_is_number(value) && cell == CELL_BYTES)
        bytes_text(json_number_value(value), buffer, size);
    else if (json_is_number(value) && cell == CELL_SECONDS)
        seconds_text(json_number_value(value), buffer, size);
    else if (json_is_number(value) && cell == CELL_SHARE)
        (void)snprintf(buffer, size, "%.0f %%", 100 * json_number_value(value));
    else if (json_is_integer(value))
        (void)snprintf(buffer, size, "%lld", (long long)json_integer_value(value));
    /* What a configuration or a peer chose must not reach a terminal as it is. */
    for (char *c = buffer; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    return buffer;
}

static bool to_the_right(enum ctl_cell cell)
{
    return cell != CELL_TEXT && cell != CELL_YES;
}

static void print_cell(const char *text, size_t width, bool right, bool last)
{
    if (right)
        printf("%*s%s", (int)width, text, last ? "\n" : "  ");
    else if (last)
        printf("%s\n", text);
    else
        printf("%-*s  ", (int)width, text);
}

void ctl_table(const json_t *rows, const struct ctl_column *columns, size_t n)
{
    size_t widths[CTL_COLUMNS_MAX], i;
    char text[1000];
    const json_t *row;

    for (size_t k = 0; k < n; k++)
        widths[k] = strlen(columns[k].title);
    json_array_foreach((json_t *)rows, i, row)
    {
        for (size_t k = 0; k < n; k++) {
            size_t len = strlen(
                ctl_cell(json_object_get(row, columns[k].key), columns[k].cell, text, sizeof text));

            widths[k] = len > widths[k] ? len : widths[k];
        }
    }
    for (size_t k = 0; k < n; k++)
        print_cell(columns[k].title, widths[k], to_the_right(columns[k].cell), k + 1 == n);
    json_array_foreach((json_t *)rows, i, row)
    {
        for (size_t k = 0; k < n; k++)
            print_cell(
                ctl_cell(json_object_get(row, columns[k].key), columns[k].cell, text, sizeof text),
                widths[k], to_the_right(columns[k].cell), k + 1 == n);
    }
}

void ctl_blocked(const json_t *answer)
{
    const json_t *blocked = json_object_get(answer, "blocked");
    char text[400];

    if (blocked)
        fprintf(stderr,
                "weirctl: without %s: no answer within a second; the log (weir.watchdog) "
                "says what holds it\n",
                ctl_cell(blocked, CELL_TEXT, text, sizeof text));
}
