# SPDX-License-Identifier: Apache-2.0

EXTRA_DIST += README.md docs/ARCHITECTURE.md docs/internals/http-parse.md
