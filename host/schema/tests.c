/* SPDX-License-Identifier: Apache-2.0 */
/* `tests:`, as the file has them; host/route/tests.c runs them. */
#include "config.h"

#include "host/schema/schema.h"

#define FIELD_VALUE WEIR_ELEMENT_AT(WEIR_TYPE_STRING, struct test_field_config, value)

WEIR_OPTIONS(expect_options,
             WEIR_OPTION_STRING(struct test_expect_config, listener, NULL,
                                "The listener that takes it", .optional = true),
             WEIR_OPTION_STRING(struct test_expect_config, route, NULL,
                                "The route, by its name or its place: routes[2]", .optional = true),
             WEIR_OPTION_STRING(struct test_expect_config, upstream, NULL,
                                "The upstream that it is sent to, by name or address",
                                .optional = true),
             WEIR_OPTION_INT(struct test_expect_config, status, NULL,
                             "The status, where weir itself answers", .optional = true, .min = 100,
                             .max = 599),
             WEIR_OPTION_NAMED_VALUES(struct test_expect_config, header, struct test_field_config,
                                      FIELD_VALUE, "Fields of that answer, by name",
                                      .any_name = true, .example = "{Location: /new}"));

const weir_option *const weir__test_options[] = {
    WEIR_OPTION_STRING(struct test_config, request, NULL, "Method and URL; GET may be left out",
                       .example = "GET https://example.com/a"),
    WEIR_OPTION_STRING(struct test_config, from, "127.0.0.1", "Address of the client"),
    WEIR_OPTION_NAMED_VALUES(struct test_config, header, struct test_field_config, FIELD_VALUE,
                             "Fields of the request, by name", .any_name = true,
                             .example = "{X-Version: v2}"),
    WEIR_OPTION_MAP(struct test_config, expect, expect_options, "What must become of it"),
    NULL,
};
