# SPDX-License-Identifier: Apache-2.0

EXTRA_DIST += tests/aarch64/exceptions tests/aarch64/run
