/* SPDX-License-Identifier: Apache-2.0 */
/* A request in words: "GET https://example.com:8443/a", or the URL alone. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/route/explain.h"

#define WORDS_MAX ((size_t)64 * 1024)

static const struct {
    const char *name;
    bool tls;
    unsigned port;
} known[] = {{"http", false, 80}, {"https", true, 443}, {"tls", true, 0}};

/* Any scheme: one that is no name for HTTP or TLS is the protocol that inspectors would find. */
static weir_error *take_scheme(const char *url, struct route_request *into)
{
    const char *end = strstr(url, "://");
    size_t len = end ? (size_t)(end - url) : 0;

    if (!len || len >= sizeof into->scheme ||
        strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789+.-") < len)
        return weir_raise(WEIR_EINVAL,
                          "`%s` is no URL: it begins with http://, https://, tcp:// or the like",
                          url);
    memcpy(into->scheme, url, len);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, into->scheme) != 0)
            continue;
        into->tls = known[i].tls;
        into->port = known[i].port;
    }
    return NULL;
}

static weir_error *take_port(const char *text, const char *end, struct route_request *into)
{
    char *stop;
    unsigned long port = text < end ? strtoul(text, &stop, 10) : 0;

    if (port == 0 || port > 65535 || stop != end || *text < '0' || *text > '9')
        return weir_raise(WEIR_EINVAL, "`%.*s` is no port", (int)(end - text), text);
    into->port = (unsigned)port;
    return NULL;
}

/* host, host:port, [ipv6]:port */
static weir_error *take_authority(const char *text, struct route_request *into)
{
    const char *end = text + strcspn(text, "/?#\n"), *bracket = NULL, *colon, *host_end;

    if (*text == '[') {
        bracket = memchr(text, ']', (size_t)(end - text));
        if (!bracket)
            return weir_raise(WEIR_EINVAL, "`%.*s` has no `]`", (int)(end - text), text);
    }
    colon = memchr(bracket ? bracket : text, ':', (size_t)(end - (bracket ? bracket : text)));
    host_end = bracket ? bracket : colon ? colon : end;
    if (bracket)
        text++;
    if (host_end == text || (size_t)(host_end - text) >= sizeof into->host)
        return weir_raise(WEIR_EINVAL, "the URL names no host");
    for (size_t i = 0; text + i < host_end; i++)
        into->host[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
    if (colon)
        return take_port(colon + 1, end, into);
    if (!into->port)
        return weir_raise(WEIR_EINVAL, "%s:// needs a port: %s://%s:5432", into->scheme,
                          into->scheme, into->host);
    return NULL;
}

weir_error *weir__route_request_parse(const struct route_question *question,
                                      struct route_request *ret)
{
    const char *text = question->request + strspn(question->request, " "), *url = text;
    const char *fields = question->fields ? question->fields : "";
    const char *space = strchr(text, ' ');
    struct route_request parsed = {0};

    if (strpbrk(text, "\r\n") || strchr(fields, '\r'))
        return weir_raise(WEIR_EINVAL, "a request is one line");
    if (strlen(text) + strlen(fields) > WORDS_MAX)
        return weir_raise(WEIR_EINVAL, "the request is too long");
    if (space) {
        url = space + strspn(space, " ");
        if (strchr(url, ' '))
            return weir_raise(WEIR_EINVAL, "`%s` is not METHOD URL", text);
    }
    WEIR_TRY(take_scheme(url, &parsed));
    WEIR_TRY(take_authority(strstr(url, "://") + 3, &parsed));
    if (asprintf(&parsed.words, "%.*s %s\n%s", space ? (int)(space - text) : 3,
                 space ? text : "GET", url, fields) < 0)
        return weir_raise(WEIR_ENOMEM, "request");
    *ret = parsed;
    return NULL;
}

void weir__route_request_done(struct route_request *request)
{
    free(request->words);
    request->words = NULL;
}
