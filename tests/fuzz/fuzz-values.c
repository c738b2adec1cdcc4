/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that reads a field value: no crash, and each function's own promise. */
#include "config.h"

#include <weir/http-values.h>

#include "tests/fuzz/fuzz.h"

const char fuzz_corpus[] = "tests/fuzz/corpus/values";

#define RANGES 4

static void lists(weir_slice text)
{
    weir_slice rest = text, item;
    size_t total = 0;

    while (weir_http_list_next(&rest, &item)) {
        CLAIM(item.len > 0);
        total += item.len;
        CLAIM(total <= text.len);
        CLAIM((const char *)item.data + item.len <= (const char *)text.data + text.len);
    }
    CLAIM(rest.len == 0);
}

static void dates(weir_slice text)
{
    char date[WEIR_HTTP_DATE_LEN];
    int64_t seconds, again;

    if (!weir_http_date_parse(text, 1763600000, &seconds) || seconds < 0 || seconds > 253402300799)
        return;
    weir_http_date_format(date, seconds);
    CLAIM(weir_http_date_parse(weir_slice_of(date, sizeof(date)), 0, &again) && again == seconds);
}

static void ranges(weir_slice text)
{
    weir_http_range range[RANGES];
    size_t count = 0;
    uint64_t total = 0;

    if (weir_http_range_parse(text, 1000, range, RANGES, &count) != WEIR_HTTP_RANGE_OK)
        return;
    CLAIM(count > 0 && count <= RANGES);
    for (size_t i = 0; i < count; i++) {
        CLAIM(range[i].first <= range[i].last && range[i].last < 1000);
        total += range[i].last - range[i].first + 1;
    }
    CLAIM(total <= 1000);
}

static void hosts(weir_slice text)
{
    weir_slice name;
    int port;

    if (!weir_http_is_host(text))
        return;
    weir_http_host_split(text, &name, &port);
    CLAIM(name.len > 0 && port >= -1 && port <= 65535);
    CLAIM(!memchr(text.data, '@', text.len) && !memchr(text.data, '/', text.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = block_of(data, size);
    weir_slice text = weir_slice_of(bytes, size);

    lists(text);
    dates(text);
    ranges(text);
    hosts(text);
    if (weir_http_is_etag(text))
        CLAIM(weir_http_etag_matches(text, text, true));
    (void)weir_http_etag_matches(text, WEIR_SLICE("\"a\""), false);
    (void)weir_http_name_of(text);
    free(bytes);
    return 0;
}
