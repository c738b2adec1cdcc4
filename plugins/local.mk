# SPDX-License-Identifier: Apache-2.0

include plugins/http/local.mk
include plugins/tcp/local.mk
include plugins/udp/local.mk
include plugins/echo/local.mk
include plugins/admin/local.mk
