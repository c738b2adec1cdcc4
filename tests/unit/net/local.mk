# SPDX-License-Identifier: Apache-2.0
net_support = tests/unit/net/net_test.c tests/unit/net/net_test.h $(unit_support)

unit_tests += tests/unit/net/test_address
tests_unit_net_test_address_SOURCES = tests/unit/net/test_address.c $(net_support)
tests_unit_net_test_address_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_transport
tests_unit_net_test_transport_SOURCES = tests/unit/net/test_transport.c $(net_support)
tests_unit_net_test_transport_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_write
tests_unit_net_test_write_SOURCES = tests/unit/net/test_write.c $(net_support)
tests_unit_net_test_write_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_write_soon
tests_unit_net_test_write_soon_SOURCES = tests/unit/net/test_write_soon.c $(net_support)
tests_unit_net_test_write_soon_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_stream
tests_unit_net_test_stream_SOURCES = tests/unit/net/test_stream.c $(net_support)
tests_unit_net_test_stream_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_pipe
tests_unit_net_test_pipe_SOURCES = tests/unit/net/test_pipe.c $(net_support)
tests_unit_net_test_pipe_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_stream_rules
tests_unit_net_test_stream_rules_SOURCES = tests/unit/net/test_stream_rules.c $(net_support)
tests_unit_net_test_stream_rules_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_handlers
tests_unit_net_test_handlers_SOURCES = tests/unit/net/test_handlers.c $(net_support)
tests_unit_net_test_handlers_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_thread_matrix_net
tests_unit_net_test_thread_matrix_net_SOURCES = tests/unit/net/test_thread_matrix_net.c $(net_support)
tests_unit_net_test_thread_matrix_net_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_server
tests_unit_net_test_server_SOURCES = tests/unit/net/test_server.c $(net_support)
tests_unit_net_test_server_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_connect
tests_unit_net_test_connect_SOURCES = tests/unit/net/test_connect.c $(net_support)
tests_unit_net_test_connect_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_unclosed
tests_unit_net_test_unclosed_SOURCES = tests/unit/net/test_unclosed.c $(net_support)
tests_unit_net_test_unclosed_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_resolver
tests_unit_net_test_resolver_SOURCES = tests/unit/net/test_resolver.c \
	tests/unit/net/dns_server.c tests/unit/net/dns_server.h $(net_support)
tests_unit_net_test_resolver_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_eyeballs
tests_unit_net_test_eyeballs_SOURCES = tests/unit/net/test_eyeballs.c \
	tests/unit/net/dns_server.c tests/unit/net/dns_server.h $(net_support)
tests_unit_net_test_eyeballs_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_resolver_change
tests_unit_net_test_resolver_change_SOURCES = tests/unit/net/test_resolver_change.c \
	tests/unit/net/dns_server.c tests/unit/net/dns_server.h $(net_support)
tests_unit_net_test_resolver_change_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_resolver_parts
tests_unit_net_test_resolver_parts_SOURCES = tests/unit/net/test_resolver_parts.c $(net_support)
tests_unit_net_test_resolver_parts_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_process
tests_unit_net_test_process_SOURCES = tests/unit/net/test_process.c $(net_support)
tests_unit_net_test_process_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_datagram
tests_unit_net_test_datagram_SOURCES = tests/unit/net/test_datagram.c $(net_support)
tests_unit_net_test_datagram_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_datagram_runs
tests_unit_net_test_datagram_runs_SOURCES = tests/unit/net/test_datagram_runs.c $(net_support)
tests_unit_net_test_datagram_runs_LDADD = $(CORE_TEST_LDADD)

include tests/unit/net/tls.mk

unit_tests += tests/unit/net/test_endpoints
tests_unit_net_test_endpoints_SOURCES = tests/unit/net/test_endpoints.c $(net_support)
tests_unit_net_test_endpoints_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_buffered
tests_unit_net_test_buffered_SOURCES = tests/unit/net/test_buffered.c $(net_support)
tests_unit_net_test_buffered_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_deadline
tests_unit_net_test_deadline_SOURCES = tests/unit/net/test_deadline.c $(net_support)
tests_unit_net_test_deadline_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_room
tests_unit_net_test_room_SOURCES = tests/unit/net/test_room.c $(net_support)
tests_unit_net_test_room_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_splice
tests_unit_net_test_splice_SOURCES = tests/unit/net/test_splice.c $(net_support)
tests_unit_net_test_splice_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_proxy_protocol
tests_unit_net_test_proxy_protocol_SOURCES = tests/unit/net/test_proxy_protocol.c $(net_support)
tests_unit_net_test_proxy_protocol_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_lifetime
tests_unit_net_test_lifetime_SOURCES = tests/unit/net/test_lifetime.c $(net_support)
tests_unit_net_test_lifetime_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_send_file
tests_unit_net_test_send_file_SOURCES = tests/unit/net/test_send_file.c $(tls_support)
tests_unit_net_test_send_file_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_transport_file
tests_unit_net_test_transport_file_SOURCES = tests/unit/net/test_transport_file.c $(tls_support)
tests_unit_net_test_transport_file_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_resets
tests_unit_net_test_resets_SOURCES = tests/unit/net/test_resets.c $(tls_support)
tests_unit_net_test_resets_LDADD = $(CORE_TEST_LDADD)
