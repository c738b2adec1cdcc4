/* SPDX-License-Identifier: Apache-2.0 */
/* What balancers may look at of a request (`hash_key`). */
#include "plugins/http/http.h"

const char *const http_hash_keys[] = {"host", "path", "uri", "header:", "cookie:", "query:", NULL};

/* The value of the first cookie of that name (RFC 6265 4.2.1). */
static weir_slice cookie_of(const weir_http_head *head, weir_slice name)
{
    for (const weir_http_field *field = NULL;
         (field = weir_http_head_next(head, WEIR_HTTP_COOKIE, field));) {
        weir_slice rest = weir_http_field_value(field);

        while (rest.len) {
            const char *end = memchr(rest.data, ';', rest.len);
            size_t len = end ? (size_t)(end - (const char *)rest.data) : rest.len;
            weir_slice pair = weir_slice_of(rest.data, len);

            while (pair.len && *(const char *)pair.data == ' ')
                pair = weir_slice_skip(pair, 1);
            if (pair.len > name.len && weir_slice_starts_with(pair, name) &&
                ((const char *)pair.data)[name.len] == '=')
                return weir_slice_skip(pair, name.len + 1);
            rest = weir_slice_skip(rest, len + 1);
        }
    }
    return weir_slice_of(NULL, 0);
}

/* Path and query as they came; one piece of the request line. */
static weir_slice uri_of(const weir_http_head *head)
{
    if (!head->has_query)
        return head->path;
    return weir_slice_of(head->path.data,
                         (size_t)((const char *)head->query.data - (const char *)head->path.data) +
                             head->query.len);
}

weir_slice http_balance_key(weir_http *x, const weir_hash_key *key)
{
    const weir_http_head *head = weir_http_request_head(x);
    const weir_subject subject = {.size = sizeof subject, .message = x};
    weir_slice name = key->name ? weir_slice_str(key->name) : weir_slice_of(NULL, 0);
    weir_slice value = {NULL, 0};

    switch (key->source[0]) {
    case 'h': /* host, header: */
        if (key->name)
            (void)http_match_header.extract(&subject, name, &value);
        else
            (void)http_match_host.extract(&subject, name, &value);
        return value;
    case 'p':
        return weir_http_request_path(x);
    case 'u':
        return uri_of(head);
    case 'q':
        (void)http_match_query.extract(&subject, name, &value);
        return value;
    default: /* client_ip, cookie: */
        return key->name ? cookie_of(head, name) : weir_transport_peer_ip(weir_http_transport(x));
    }
}
