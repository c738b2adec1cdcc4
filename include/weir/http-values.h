/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What stands inside HTTP fields and targets: token lists, dates, entity tags, ranges, paths.
 *
 * Pure functions over slices, no allocation. All: any thread. Since: 0.1
 *
 * Example:
 *
 *     static bool wants_gzip(weir_slice accept_encoding)
 *     {
 *         weir_slice item;
 *
 *         while (weir_http_list_next(&accept_encoding, &item)) // "gzip;q=0.5, br"
 *             if (weir_slice_starts_with(item, WEIR_SLICE("gzip")))
 *                 return true;
 *         return false;
 *     }
 */
#ifndef WEIR_HTTP_VALUES_H
#define WEIR_HTTP_VALUES_H

#include <weir/http-message.h>

WEIR_BEGIN_DECLS

/**
 * Takes the next element of a comma list from the front of `*list`, without white space around and
 * without empty elements; commas inside quoted strings do not separate. False at the end.
 *
 *     for (weir_slice rest = value, item; weir_http_list_next(&rest, &item);)
 */
WEIR_PUBLIC bool weir_http_list_next(weir_slice *list, weir_slice *ret_item);
/** Whether a comma list has that element, ASCII case ignored. */
WEIR_PUBLIC bool weir_http_list_has(weir_slice list, weir_slice token);
/** Whether all of it is token characters, and there is at least one. */
WEIR_PUBLIC bool weir_http_is_token(weir_slice text);
/** Whether it may be sent as a field value: no control characters but TAB. */
WEIR_PUBLIC bool weir_http_is_value(weir_slice text);

/** Length of an IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT". */
#define WEIR_HTTP_DATE_LEN 29
/** Writes exactly WEIR_HTTP_DATE_LEN characters, no NUL. Years 1970 to 9999, others are clamped. */
WEIR_PUBLIC void weir_http_date_format(char buffer[WEIR_HTTP_DATE_LEN], int64_t seconds);
/** Reads all three formats of RFC 9110 5.6.7 to seconds since 1970. `now` (seconds) resolves the
 *  two-digit year of RFC 850. False: not a date, to be ignored. */
WEIR_PUBLIC bool weir_http_date_parse(weir_slice text, int64_t now, int64_t *ret_seconds);

/** `W/"x"` or `"x"`. */
WEIR_PUBLIC bool weir_http_is_etag(weir_slice text);
/** Whether an If-Match (strong) or If-None-Match (weak) list holds `etag`, or is `*`. */
WEIR_PUBLIC bool weir_http_etag_matches(weir_slice list, weir_slice etag, bool weak);

/** Bytes `first` to `last` inclusive of a representation. */
typedef struct weir_http_range {
    uint64_t first;
    uint64_t last;
} weir_http_range;

typedef enum weir_http_range_result {
    WEIR_HTTP_RANGE_IGNORE,        /* not bytes, malformed, too many: answer 200 */
    WEIR_HTTP_RANGE_OK,            /* 206 */
    WEIR_HTTP_RANGE_UNSATISFIABLE, /* 416 */
} weir_http_range_result;

/**
 * Reads a Range value against a representation of `size` bytes. At most `capacity` ranges are
 * given; more, or ranges that overlap or ask together for more than the whole, are ignored as
 * RFC 9110 14.2 allows.
 */
WEIR_PUBLIC weir_http_range_result weir_http_range_parse(weir_slice value, uint64_t size,
                                                         weir_http_range *ret_ranges,
                                                         size_t capacity, size_t *ret_count);

/** Whether `text` is `host[:port]` as a Host field may say: a name, an IPv4 address or an IPv6
 *  address in brackets, and a port of at most 65535. */
WEIR_PUBLIC bool weir_http_is_host(weir_slice text);
/** Splits a valid host: name without port (brackets kept), port -1 when none or empty. */
WEIR_PUBLIC void weir_http_host_split(weir_slice host, weir_slice *ret_name, int *ret_port);

/**
 * Puts a request path into the one form by which routes and files are found: percent-encoded
 * unreserved characters decoded, other encodings kept with upper-case digits, `.` and `..` (also
 * encoded) resolved, empty segments merged. `%2F` stays encoded, so no segment boundary appears
 * that the client did not send. Works in place too (`buffer` may be the path's own memory).
 *
 * False, answer 400: no leading `/`, bad or cut percent-encoding, %00, `..` above the root, does
 * not fit (the result is never longer than the path).
 */
WEIR_PUBLIC bool weir_http_path_normalise(weir_slice path, char *buffer, size_t capacity,
                                          weir_slice *ret_path);
/**
 * Decodes all percent-encodings of a path that was normalised, to name a file. False when that
 * would produce NUL, `/` or a backslash, or does not fit.
 */
WEIR_PUBLIC bool weir_http_path_decode(weir_slice path, char *buffer, size_t capacity,
                                       weir_slice *ret_path);

WEIR_END_DECLS

#endif
