/* SPDX-License-Identifier: Apache-2.0 */
/* What the parser can object to, in numbers and words: tables made from the list in the header. */
#include "config.h"

#include <weir/http-message.h>

static const struct {
    short status;
    const char *name, *text;
} errors[] = {

#define ERROR(name, status, text) {status, #name, text},
    WEIR_HTTP_ERRORS(ERROR)
#undef ERROR
};

static size_t known(weir_http_error error)
{
    return (size_t)error < sizeof(errors) / sizeof(errors[0]) ? (size_t)error : 0;
}

int weir_http_error_status(weir_http_error error)
{
    return errors[known(error)].status;
}

const char *weir_http_error_text(weir_http_error error)
{
    return errors[known(error)].text;
}

const char *weir_http_error_name(weir_http_error error)
{
    return errors[known(error)].name;
}
