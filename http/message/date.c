/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP dates, RFC 9110 5.6.7. One format is written, three are read:
 *
 *     Sun, 06 Nov 1994 08:49:37 GMT     IMF-fixdate
 *     Sunday, 06-Nov-94 08:49:37 GMT    RFC 850
 *     Sun Nov  6 08:49:37 1994          asctime
 *
 * Days are counted in years that begin in March, so that the leap day is the last of its year.
 */
#include "config.h"

#include <weir/http-values.h>

#include "http/message/scan.h"

#define DAY       INT64_C(86400)
#define YEAR_9999 INT64_C(253402300799)

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char day_names[] = "SunMonTueWedThuFriSat";

struct date {
    int64_t year;
    int month, day, hour, minute, second; /* month 1 … 12 */
};

/* Days from 1970-01-01 to a date of the Gregorian calendar, year >= 0. */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468;
}

static void date_of(int64_t days, struct date *ret)
{
    int64_t since = days + 719468; /* from 0000-03-01, not negative here */
    int64_t era = since / 146097, of_era = since % 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t march = (5 * of_year + 2) / 153;

    ret->day = (int)(of_year - (153 * march + 2) / 5 + 1);
    ret->month = (int)(march < 10 ? march + 3 : march - 9);
    ret->year = era * 400 + year + (ret->month <= 2);
}

static void two(char *to, int number)
{
    to[0] = (char)('0' + number / 10);
    to[1] = (char)('0' + number % 10);
}

void weir_http_date_format(char buffer[WEIR_HTTP_DATE_LEN], int64_t seconds)
{
    static const weir_slice form = WEIR_SLICE_INIT("Sun, 06 Nov 1994 08:49:37 GMT");
    struct date date;
    int64_t days;
    int rest;

    seconds = seconds < 0 ? 0 : seconds > YEAR_9999 ? YEAR_9999 : seconds;
    days = seconds / DAY;
    rest = (int)(seconds % DAY);
    date_of(days, &date);
    memcpy(buffer, form.data, form.len);
    memcpy(buffer, day_names + 3 * ((days + 4) % 7), 3);
    two(buffer + 5, date.day);
    memcpy(buffer + 8, month_names + (ptrdiff_t)3 * (date.month - 1), 3);
    two(buffer + 12, (int)(date.year / 100));
    two(buffer + 14, (int)(date.year % 100));
    two(buffer + 17, rest / 3600);
    two(buffer + 20, rest / 60 % 60);
    two(buffer + 23, rest % 60);
}

/* Exactly `count` digits at `p`, or -1; a space may stand for the first one if `padded`. */
static int digits(const char *p, int count, bool padded)
{
    int value = 0;

    for (int i = 0; i < count; i++) {
        if (padded && i == 0 && p[i] == ' ')
            continue;
        if (!weir__is(p[i], WEIR__DIGIT))
            return -1;
        value = value * 10 + (p[i] - '0');
    }
    return value;
}

/* 1 … of a three-letter name in a table, or 0. */
static int index_of(const char *p, const char *table, int count)
{
    for (int i = 0; i < count; i++) {
        if (memcmp(p, table + (size_t)3 * (size_t)i, 3) == 0)
            return i + 1;
    }
    return 0;
}

static bool take_time(const char *p, struct date *date)
{
    date->hour = digits(p, 2, false);
    date->minute = digits(p + 3, 2, false);
    date->second = digits(p + 6, 2, false);
    return p[2] == ':' && p[5] == ':' && date->hour >= 0 && date->hour < 24 && date->minute >= 0 &&
           date->minute < 60 && date->second >= 0 && date->second <= 60;
}

static bool imf_fixdate(const char *p, struct date *date)
{
    date->day = digits(p + 5, 2, false);
    date->month = index_of(p + 8, month_names, 12);
    date->year = digits(p + 12, 4, false);
    return memcmp(p + 3, ", ", 2) == 0 && p[7] == ' ' && p[11] == ' ' && p[16] == ' ' &&
           memcmp(p + 25, " GMT", 4) == 0 && take_time(p + 17, date);
}

static bool asctime_date(const char *p, struct date *date)
{
    date->month = index_of(p + 4, month_names, 12);
    date->day = digits(p + 8, 2, true);
    date->year = digits(p + 20, 4, false);
    return p[3] == ' ' && p[7] == ' ' && p[10] == ' ' && p[19] == ' ' && take_time(p + 11, date);
}

/* `p` at ", 06-Nov-94 08:49:37 GMT"; a year more than 50 years ahead is of the century before. */
static bool rfc850(const char *p, int64_t now, struct date *date)
{
    struct date today;
    int year = digits(p + 9, 2, false);

    date->day = digits(p + 2, 2, false);
    date->month = index_of(p + 5, month_names, 12);
    if (year < 0 || memcmp(p, ", ", 2) != 0 || p[4] != '-' || p[8] != '-' || p[11] != ' ' ||
        memcmp(p + 20, " GMT", 4) != 0 || !take_time(p + 12, date))
        return false;
    date_of((now < 0 ? 0 : now > YEAR_9999 ? YEAR_9999 : now) / DAY, &today);
    date->year = today.year - today.year % 100 + year;
    if (date->year > today.year + 50)
        date->year -= 100;
    else if (date->year <= today.year - 50)
        date->year += 100;
    return true;
}

static bool parse(weir_slice text, int64_t now, struct date *date)
{
    const char *p = text.data;
    const char *comma;

    if (text.len < 24 || !index_of(p, day_names, 7))
        return false;
    comma = memchr(p, ',', 10);
    if (!comma)
        return text.len == 24 && asctime_date(p, date);
    if (text.len == WEIR_HTTP_DATE_LEN && comma == p + 3)
        return imf_fixdate(p, date);
    return comma > p + 3 && text.len == (size_t)(comma - p) + 24 && rfc850(comma, now, date);
}

bool weir_http_date_parse(weir_slice text, int64_t now, int64_t *ret_seconds)
{
    static const char lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct date date;

    if (!parse(text, now, &date) || date.month < 1 || date.day < 1 || date.year < 0 ||
        date.day > lengths[date.month - 1])
        return false;
    if (date.month == 2 && date.day == 29 &&
        (date.year % 4 != 0 || (date.year % 100 == 0 && date.year % 400 != 0)))
        return false;
    *ret_seconds = days_of(date.year, date.month, date.day) * DAY + date.hour * INT64_C(3600) +
                   date.minute * INT64_C(60) + date.second;
    return true;
}
