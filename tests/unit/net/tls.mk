# SPDX-License-Identifier: Apache-2.0
tls_support = tests/unit/net/test_certificate.c tests/unit/net/test_certificate.h \
	tests/unit/net/tls_test.c tests/unit/net/tls_test.h $(net_support)

unit_tests += tests/unit/net/test_tls
tests_unit_net_test_tls_SOURCES = tests/unit/net/test_tls.c $(tls_support)
tests_unit_net_test_tls_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_tls_end
tests_unit_net_test_tls_end_SOURCES = tests/unit/net/test_tls_end.c $(tls_support)
tests_unit_net_test_tls_end_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_tls_context
tests_unit_net_test_tls_context_SOURCES = tests/unit/net/test_tls_context.c $(tls_support)
tests_unit_net_test_tls_context_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_tls_upgrade
tests_unit_net_test_tls_upgrade_SOURCES = tests/unit/net/test_tls_upgrade.c $(tls_support)
tests_unit_net_test_tls_upgrade_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_tls_profile
tests_unit_net_test_tls_profile_SOURCES = tests/unit/net/test_tls_profile.c $(tls_support)
tests_unit_net_test_tls_profile_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_tls_memory
tests_unit_net_test_tls_memory_SOURCES = tests/unit/net/test_tls_memory.c $(tls_support)
tests_unit_net_test_tls_memory_LDADD = $(CORE_TEST_LDADD)

unit_tests += tests/unit/net/test_tls_sessions
tests_unit_net_test_tls_sessions_SOURCES = tests/unit/net/test_tls_sessions.c $(tls_support)
tests_unit_net_test_tls_sessions_LDADD = $(CORE_TEST_LDADD)
