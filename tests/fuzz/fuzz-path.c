/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths: what comes out is a normal form (it begins with a slash, has no empty and no dot segments,
 * and stays as it is when done again), the same in place, and never longer than what went in.
 */
#include "config.h"

#include <weir/http-values.h>

#include "tests/fuzz/fuzz.h"

const char fuzz_corpus[] = "tests/fuzz/corpus/path";

static void claim_normal(weir_slice path)
{
    const char *p = path.data, *end = p + path.len;

    CLAIM(path.len > 0 && *p == '/');
    while (p < end) {
        const char *slash = memchr(p + 1, '/', (size_t)(end - p - 1));
        const char *next = slash ? slash : end;
        size_t len = (size_t)(next - p - 1);

        CLAIM(len > 0 || next == end);
        CLAIM(!(len == 1 && p[1] == '.') && !(len == 2 && p[1] == '.' && p[2] == '.'));
        p = next;
    }
    CLAIM(!memchr(path.data, 0, path.len));
}

static void claim_file_name(weir_slice path)
{
    char *memory = malloc(path.len + 1);
    weir_slice name;

    CLAIM(memory);
    if (weir_http_path_decode(path, memory, path.len, &name)) {
        CLAIM(!memchr(name.data, 0, name.len) && !memchr(name.data, '\\', name.len));
        CLAIM(!memmem(name.data, name.len, "/../", 4) && !memmem(name.data, name.len, "//", 2));
        CLAIM(name.len < 3 || memcmp((const char *)name.data + name.len - 3, "/..", 3) != 0);
    }
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = block_of(data, size), *other = block_of(data, size), *again = block_of(data, size);
    weir_slice path, in_place, twice;

    if (weir_http_path_normalise(weir_slice_of(text, size), other, size, &path)) {
        CLAIM(path.len <= size);
        claim_normal(path);
        claim_file_name(path);
        CLAIM(weir_http_path_normalise(weir_slice_of(text, size), text, size, &in_place));
        CLAIM(weir_slice_equal(path, in_place));
        CLAIM(weir_http_path_normalise(path, again, size, &twice));
        CLAIM(weir_slice_equal(path, twice));
    }
    free(text);
    free(other);
    free(again);
    return 0;
}
