/* SPDX-License-Identifier: Apache-2.0 */
/* A canary: adds past the largest int. UndefinedBehaviorSanitizer must report it. */
#include "config.h"

#include <limits.h>

int main(int argc, char **argv)
{
    volatile int largest = INT_MAX;

    (void)argv;
    return largest + argc < 0 ? 0 : 1;
}
