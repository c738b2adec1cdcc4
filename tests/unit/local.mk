# SPDX-License-Identifier: Apache-2.0

check_LTLIBRARIES =
include tests/unit/base/local.mk
include tests/unit/io/local.mk
include tests/unit/loop/local.mk
include tests/unit/task/local.mk
include tests/unit/exec/local.mk
include tests/unit/net/local.mk
include tests/unit/testing/local.mk
include tests/unit/http/local.mk
include tests/unit/host/local.mk
include tests/unit/plugins/local.mk

EXTRA_DIST += tests/unit/tap
