# SPDX-License-Identifier: Apache-2.0

include tests/unit/local.mk
include tests/integration/local.mk
include tests/examples/local.mk
include tests/lint/local.mk
include tests/aarch64/local.mk
include tests/mutate/local.mk
include tests/fuzz/local.mk
include tests/canary/local.mk
include tests/bench/local.mk
include tests/tls/local.mk
EXTRA_DIST += tests/allowed-skips tests/valgrind.exceptions tests/valgrind.supp
