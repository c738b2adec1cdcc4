# SPDX-License-Identifier: Apache-2.0

http_message_test_sources = tests/unit/http/message.c tests/unit/http/message.h

unit_tests += tests/unit/http/test_body
tests_unit_http_test_body_SOURCES = tests/unit/http/test_body.c $(http_message_test_sources)
tests_unit_http_test_body_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_names
tests_unit_http_test_names_SOURCES = tests/unit/http/test_names.c $(http_message_test_sources)
tests_unit_http_test_names_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_path
tests_unit_http_test_path_SOURCES = tests/unit/http/test_path.c $(http_message_test_sources)
tests_unit_http_test_path_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_refused
tests_unit_http_test_refused_SOURCES = tests/unit/http/test_refused.c $(http_message_test_sources)
tests_unit_http_test_refused_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_request
tests_unit_http_test_request_SOURCES = tests/unit/http/test_request.c $(http_message_test_sources)
tests_unit_http_test_request_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_response
tests_unit_http_test_response_SOURCES = tests/unit/http/test_response.c $(http_message_test_sources)
tests_unit_http_test_response_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_values
tests_unit_http_test_values_SOURCES = tests/unit/http/test_values.c $(http_message_test_sources)
tests_unit_http_test_values_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_writer
tests_unit_http_test_writer_SOURCES = tests/unit/http/test_writer.c $(http_message_test_sources)
tests_unit_http_test_writer_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_vectors
tests_unit_http_test_vectors_SOURCES = tests/unit/http/test_vectors.c
tests_unit_http_test_vectors_LDADD = $(HTTP_TEST_LDADD)
EXTRA_DIST += tests/unit/http/shared-vectors

http_wire_sources = tests/unit/http/wire.c tests/unit/http/wire.h
http_serving_sources = tests/unit/http/serving.c tests/unit/http/serving.h $(http_wire_sources)

unit_tests += tests/unit/http/test_connection
tests_unit_http_test_connection_SOURCES = tests/unit/http/test_connection.c $(http_serving_sources)
tests_unit_http_test_connection_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_connection_life
tests_unit_http_test_connection_life_SOURCES = tests/unit/http/test_connection_life.c \
	$(http_serving_sources)
tests_unit_http_test_connection_life_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_memory
tests_unit_http_test_memory_SOURCES = tests/unit/http/test_memory.c $(http_wire_sources)
tests_unit_http_test_memory_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_connection_handle
tests_unit_http_test_connection_handle_SOURCES = tests/unit/http/test_connection_handle.c \
	$(http_serving_sources)
tests_unit_http_test_connection_handle_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_connection_file
tests_unit_http_test_connection_file_SOURCES = tests/unit/http/test_connection_file.c \
	$(http_serving_sources)
tests_unit_http_test_connection_file_LDADD = $(HTTP_TEST_LDADD)

unit_tests += tests/unit/http/test_connection_client
tests_unit_http_test_connection_client_SOURCES = tests/unit/http/test_connection_client.c \
	$(http_wire_sources)
tests_unit_http_test_connection_client_LDADD = $(HTTP_TEST_LDADD)

# With the same raw peers.
unit_tests += tests/unit/net/test_relay
tests_unit_net_test_relay_SOURCES = tests/unit/net/test_relay.c $(http_wire_sources)
tests_unit_net_test_relay_LDADD = $(CORE_TEST_LDADD)
