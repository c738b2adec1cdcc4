# SPDX-License-Identifier: Apache-2.0

unit_tests += tests/unit/plugins/test_static_file
tests_unit_plugins_test_static_file_SOURCES = tests/unit/plugins/test_static_file.c \
	plugins/http/media_type.c plugins/http/static_file.c
tests_unit_plugins_test_static_file_LDADD = $(CORE_TEST_LDADD)
