/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling HTTP by its first bytes (`inspect: [http]`): a method in capitals, a space, and what a target
 * begins with. Requests that weir would refuse count too, that it can say so.
 */
#include "plugins/http/http.h"

#define METHOD_MAX 20

weir_verdict http_detect(weir_slice first_bytes)
{
    const char *bytes = first_bytes.data;
    size_t n = 0;

    while (n < first_bytes.len && ((bytes[n] >= 'A' && bytes[n] <= 'Z') || (n && bytes[n] == '-')))
        n++;
    if (n > METHOD_MAX)
        return WEIR_VERDICT_NO;
    if (n == first_bytes.len)
        return WEIR_VERDICT_MORE;
    if (n < 2 || bytes[n] != ' ')
        return WEIR_VERDICT_NO;
    if (n + 1 == first_bytes.len)
        return WEIR_VERDICT_MORE;
    return bytes[n + 1] == '/' || bytes[n + 1] == '*' || bytes[n + 1] == 'h' ? WEIR_VERDICT_YES
                                                                             : WEIR_VERDICT_NO;
}
