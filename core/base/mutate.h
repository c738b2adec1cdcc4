/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutations prove that a test can fail: a build with -DWEIR_MUTATE=B4 leaves out the check that
 * implements row B4 of docs/BEHAVIOUR.md, and tests/mutate expects the tests of that row to fail.
 *
 *     if (!MUTATED(B4) && took >= loop->slow_ns)
 *         report_slow(loop, took);
 */
#ifndef WEIR_CORE_BASE_MUTATE_H
#define WEIR_CORE_BASE_MUTATE_H

enum weir__row {
    WEIR_ROW_NONE,
    WEIR_ROW_B2,
    WEIR_ROW_B3,
    WEIR_ROW_B4,
    WEIR_ROW_B6,
    WEIR_ROW_G1,
    WEIR_ROW_G2,
    WEIR_ROW_H1,
    WEIR_ROW_H2,
    WEIR_ROW_J1,
    WEIR_ROW_J2,
    WEIR_ROW_K1,
    WEIR_ROW_K2,
};

#ifndef WEIR_MUTATE
#    define WEIR_MUTATE NONE
#endif
#define WEIR_ROW_(row)  WEIR_ROW_##row
#define WEIR_ROW_X(row) WEIR_ROW_(row)

/* A constant: whether this build leaves out the check of the row. */
#define MUTATED(row) (WEIR_ROW_X(WEIR_MUTATE) == WEIR_ROW_##row)

#endif
