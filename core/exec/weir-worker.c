/* SPDX-License-Identifier: Apache-2.0 */
/* The installed helper: a worker process for modules of programs that cannot be their own worker,
   because somebody else wrote their main. It has no jobs itself. */
#include "config.h"

#include <stdio.h>

#include <weir/process-pool.h>

int main(int argc, char **argv)
{
    weir_worker_main_with(argc, argv, NULL);
    fprintf(stderr, "%s: this program is started by weir's process pools\n", argv[0]);
    return 64;
}
