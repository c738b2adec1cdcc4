/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets share. A target is one function that gets arbitrary bytes and aborts when a
 * claim does not hold; libFuzzer drives it (tests/fuzz/run), or main() of driver.c does over the
 * corpus, as a plain test in every build.
 */
#ifndef WEIR_TESTS_FUZZ_H
#define WEIR_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Where a target's inputs are, below the top of the sources. */
extern const char fuzz_corpus[];

#define CLAIM(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

/* The first bytes of an input choose how the rest is cut into pieces. */
static inline uint32_t take_seed(const uint8_t **data, size_t *size)
{
    uint32_t seed = 1;

    for (int i = 0; i < 4 && *size > 0; i++, (*data)++, (*size)--)
        seed = seed << 8 | **data;
    return seed;
}

/* The length of the next piece, 1 … 16, now and then longer; xorshift. */
static inline size_t next_piece(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    if (*seed == 0)
        *seed = 1;
    return (*seed >> 8) % ((*seed & 7) ? 16 : 300) + 1;
}

/* A heap block of exactly these bytes, so that ASan sees a read past them. */
static inline char *block_of(const void *data, size_t size)
{
    char *block = malloc(size ? size : 1);

    CLAIM(block);
    if (size)
        memcpy(block, data, size);
    return block;
}

#endif
