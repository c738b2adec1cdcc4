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

# Those that hold under any faults, on either backend (support.h).
.PHONY: print-fault-tests
print-fault-tests:
	@printf '%s\n' $(fault_tests)
fault_tests = \
	tests/unit/net/test_transport \
	tests/unit/net/test_write \
	tests/unit/net/test_stream \
	tests/unit/net/test_pipe \
	tests/unit/net/test_stream_rules \
	tests/unit/net/test_handlers \
	tests/unit/net/test_thread_matrix_net \
	tests/unit/net/test_server \
	tests/unit/net/test_connect \
	tests/unit/net/test_unclosed \
	tests/unit/net/test_eyeballs \
	tests/unit/net/test_datagram \
	tests/unit/net/test_datagram_runs \
	tests/unit/net/test_tls \
	tests/unit/net/test_tls_end \
	tests/unit/net/test_tls_context \
	tests/unit/net/test_tls_profile \
	tests/unit/net/test_tls_sessions \
	tests/unit/net/test_resolver \
	tests/unit/net/test_resolver_change \
	tests/unit/net/test_endpoints \
	tests/unit/net/test_buffered \
	tests/unit/net/test_splice \
	tests/unit/net/test_send_file \
	tests/unit/net/test_transport_file \
	tests/unit/net/test_resets \
	tests/unit/net/test_proxy_protocol \
	tests/unit/net/test_lifetime \
	tests/unit/net/test_relay
