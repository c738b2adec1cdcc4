/* SPDX-License-Identifier: Apache-2.0 */
/* A module for worker processes; see test_process_pool.c. */
#include "config.h"

#include "tests/unit/exec/worker_jobs.h"
