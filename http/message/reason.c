/* SPDX-License-Identifier: Apache-2.0 */
/* Reason phrases of the IANA registry of status codes. */
#include "config.h"

#include <weir/http-message.h>

static const char *const informational[] = {"Continue", "Switching Protocols", "Processing",
                                            "Early Hints"};
static const char *const successful[] = {"OK",
                                         "Created",
                                         "Accepted",
                                         "Non-Authoritative Information",
                                         "No Content",
                                         "Reset Content",
                                         "Partial Content",
                                         "Multi-Status",
                                         "Already Reported"};
static const char *const redirection[] = {
    "Multiple Choices",  "Moved Permanently", "Found", "See Other",
    "Not Modified",      "Use Proxy",         NULL,    "Temporary Redirect",
    "Permanent Redirect"};
static const char *const client_error[] = {"Bad Request",
                                           "Unauthorized",
                                           "Payment Required",
                                           "Forbidden",
                                           "Not Found",
                                           "Method Not Allowed",
                                           "Not Acceptable",
                                           "Proxy Authentication Required",
                                           "Request Timeout",
                                           "Conflict",
                                           "Gone",
                                           "Length Required",
                                           "Precondition Failed",
                                           "Content Too Large",
                                           "URI Too Long",
                                           "Unsupported Media Type",
                                           "Range Not Satisfiable",
                                           "Expectation Failed",
                                           NULL,
                                           NULL,
                                           NULL,
                                           "Misdirected Request",
                                           "Unprocessable Content",
                                           "Locked",
                                           "Failed Dependency",
                                           "Too Early",
                                           "Upgrade Required",
                                           NULL,
                                           "Precondition Required",
                                           "Too Many Requests",
                                           NULL,
                                           "Request Header Fields Too Large"};
static const char *const server_error[] = {"Internal Server Error",
                                           "Not Implemented",
                                           "Bad Gateway",
                                           "Service Unavailable",
                                           "Gateway Timeout",
                                           "HTTP Version Not Supported",
                                           "Variant Also Negotiates",
                                           "Insufficient Storage",
                                           "Loop Detected",
                                           NULL,
                                           NULL,
                                           "Network Authentication Required"};

#define CLASS(table)                              \
    {                                             \
        table, sizeof(table) / sizeof((table)[0]) \
    }

static const struct {
    const char *const *reasons;
    int count;
} classes[] = {CLASS(informational), CLASS(successful), CLASS(redirection), CLASS(client_error),
               CLASS(server_error)};

const char *weir_http_reason(int status)
{
    int class = status / 100 - 1, number = status % 100;

    if (status == 451)
        return "Unavailable For Legal Reasons";
    if (status < 100 || class >= (int)(sizeof(classes) / sizeof(classes[0])) ||
        number >= classes[class].count || !classes[class].reasons[number])
        return "";
    return classes[class].reasons[number];
}
