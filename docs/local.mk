# SPDX-License-Identifier: Apache-2.0

EXTRA_DIST += README.md docs/ARCHITECTURE.md docs/BEHAVIOUR.md docs/BENCH.md docs/behaviour docs/behaviour-rows.txt \
	docs/internals/http-parse.md
