# SPDX-License-Identifier: Apache-2.0

EXTRA_DIST += README.md docs/ARCHITECTURE.md docs/BENCH.md docs/internals/http-parse.md
