/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration's reader: any text is either accepted or refused with places that lie in it, in
 * bounded memory, and whatever it is can be shown in every format. Includes are left out: they
 * would read the machine's files.
 */
#include "config.h"

#include "host/config/internal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/host/config_tables.h"

const char fuzz_corpus[] = "tests/config/bad";

static void check_places(const weir_config_context *c)
{
    for (size_t i = 0; i < c->n_diagnostics; i++) {
        const struct span *span = &c->diagnostics[i]->primary.span;

        CLAIM(c->diagnostics[i]->message && weir__config_explain(c->diagnostics[i]->code));
        if (!span->source)
            continue;
        CLAIM(span->line <= span->source->n_lines);
        CLAIM(span->end_line > span->line ||
              (span->end_line == span->line && span->end_column >= span->column));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_settings settings = {
        .path = "weir.yaml", .version = 1, .trace = true, .memory_limit = (size_t)256 << 20};
    struct config_print how = {NULL, false, false};
    char *bytes = block_of(data, size), *text = calloc(1, size + 1);
    static FILE *sink;
    struct test_top *top;
    weir_config_context *c;

    CLAIM(text);
    memcpy(text, bytes, size);
    free(bytes);
    if (!sink)
        sink = fopen("/dev/null", "w");
    if (!sink || strstr(text, "include")) {
        free(text);
        return 0;
    }
    settings.text = text;
    c = test_config_load(&settings, &top);
    check_places(c);
    CLAIM((weir__config_error_count(c) == 0) == (weir__config_exit_code(c) == 0));
    for (int format = CONFIG_FORMAT_TEXT; format <= CONFIG_FORMAT_JSON; format++)
        weir__config_report(c, sink, (enum config_format)format, format == CONFIG_FORMAT_TEXT);
    for (int json = 0; json < 2; json++) {
        how.json = json;
        (void)weir__config_print(c, sink, &how);
    }
    weir__config_unref(c);
    free(text);
    return 0;
}
