# SPDX-License-Identifier: Apache-2.0
# testssl.sh against weir; `tools/check --full` runs it (phase tls).
EXTRA_DIST += tests/tls/hold.py tests/tls/testssl tests/tls/testssl.allow
