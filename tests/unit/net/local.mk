# SPDX-License-Identifier: Apache-2.0
net_support = tests/unit/net/net_test.c tests/unit/net/net_test.h $(unit_support)

unit_tests += tests/unit/net/test_transport
tests_unit_net_test_transport_SOURCES = tests/unit/net/test_transport.c $(net_support)
tests_unit_net_test_transport_LDADD = $(CORE_TEST_LDADD)
