# SPDX-License-Identifier: Apache-2.0
#
# The targets run over their corpus as plain tests in every build; `make fuzz` lets libFuzzer look
# for new inputs, FUZZ_SECONDS (20) for each target.

check_LTLIBRARIES += tests/fuzz/libdriver.la
tests_fuzz_libdriver_la_SOURCES = tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_libdriver_la_CPPFLAGS = $(AM_CPPFLAGS) -DTOP_SOURCE='"$(abs_top_srcdir)"'

unit_tests += tests/fuzz/fuzz_body
tests_fuzz_fuzz_body_SOURCES = tests/fuzz/fuzz-body.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_body_LDADD = tests/fuzz/libdriver.la $(HTTP_TEST_LDADD)

unit_tests += tests/fuzz/fuzz_config
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz-config.c tests/unit/host/config_tables.c \
	tests/unit/host/config_tables.h tests/fuzz/fuzz.h
tests_fuzz_fuzz_config_LDADD = tests/fuzz/libdriver.la $(HOST_TEST_LDADD)

unit_tests += tests/fuzz/fuzz_dns
tests_fuzz_fuzz_dns_SOURCES = tests/fuzz/fuzz-dns.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_dns_LDADD = tests/fuzz/libdriver.la $(CORE_TEST_LDADD)

unit_tests += tests/fuzz/fuzz_inspect
tests_fuzz_fuzz_inspect_SOURCES = tests/fuzz/fuzz-inspect.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_inspect_LDADD = tests/fuzz/libdriver.la $(HOST_TEST_LDADD)

unit_tests += tests/fuzz/fuzz_path
tests_fuzz_fuzz_path_SOURCES = tests/fuzz/fuzz-path.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_path_LDADD = tests/fuzz/libdriver.la $(HTTP_TEST_LDADD)

unit_tests += tests/fuzz/fuzz_proxy
tests_fuzz_fuzz_proxy_SOURCES = tests/fuzz/fuzz-proxy.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_proxy_LDADD = tests/fuzz/libdriver.la $(CORE_TEST_LDADD)

unit_tests += tests/fuzz/fuzz_request
tests_fuzz_fuzz_request_SOURCES = tests/fuzz/fuzz-request.c tests/fuzz/fuzz.h tests/fuzz/head.h
tests_fuzz_fuzz_request_LDADD = tests/fuzz/libdriver.la $(HTTP_TEST_LDADD)

unit_tests += tests/fuzz/fuzz_response
tests_fuzz_fuzz_response_SOURCES = tests/fuzz/fuzz-response.c tests/fuzz/fuzz.h tests/fuzz/head.h
tests_fuzz_fuzz_response_LDADD = tests/fuzz/libdriver.la $(HTTP_TEST_LDADD)

unit_tests += tests/fuzz/fuzz_scan
tests_fuzz_fuzz_scan_SOURCES = tests/fuzz/fuzz-scan.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_scan_LDADD = tests/fuzz/libdriver.la $(HTTP_TEST_LDADD)

unit_tests += tests/fuzz/fuzz_values
tests_fuzz_fuzz_values_SOURCES = tests/fuzz/fuzz-values.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_values_LDADD = tests/fuzz/libdriver.la $(HTTP_TEST_LDADD)

.PHONY: fuzz
fuzz:
	$(top_srcdir)/tests/fuzz/run --build $(abs_builddir)/fuzz

EXTRA_DIST += \
	tests/fuzz/run \
	tests/fuzz/corpus/body/bad-end \
	tests/fuzz/corpus/body/chunks \
	tests/fuzz/corpus/body/extensions \
	tests/fuzz/corpus/body/large-size \
	tests/fuzz/corpus/body/length \
	tests/fuzz/corpus/body/trailers \
	tests/fuzz/corpus/body/trailers-kept \
	tests/fuzz/corpus/dns/a \
	tests/fuzz/corpus/dns/aaaa \
	tests/fuzz/corpus/dns/alias \
	tests/fuzz/corpus/dns/alias-loop \
	tests/fuzz/corpus/dns/cut \
	tests/fuzz/corpus/dns/forward \
	tests/fuzz/corpus/dns/none \
	tests/fuzz/corpus/dns/ptr \
	tests/fuzz/corpus/dns/srv \
	tests/fuzz/corpus/dns/txt \
	tests/fuzz/corpus/inspect/postgres \
	tests/fuzz/corpus/inspect/postgres-cancel \
	tests/fuzz/corpus/inspect/postgres-direct \
	tests/fuzz/corpus/inspect/postgres-gss \
	tests/fuzz/corpus/inspect/postgres-startup \
	tests/fuzz/corpus/inspect/ssh \
	tests/fuzz/corpus/inspect/tls \
	tests/fuzz/corpus/inspect/tls-fragments \
	tests/fuzz/corpus/inspect/tls-no-extensions \
	tests/fuzz/corpus/inspect/tls-small \
	tests/fuzz/corpus/inspect/tls-twice \
	tests/fuzz/corpus/path/climb \
	tests/fuzz/corpus/path/cut \
	tests/fuzz/corpus/path/dots \
	tests/fuzz/corpus/path/double \
	tests/fuzz/corpus/path/encodings \
	tests/fuzz/corpus/proxy/v1-tcp4 \
	tests/fuzz/corpus/proxy/v1-tcp6 \
	tests/fuzz/corpus/proxy/v1-unknown \
	tests/fuzz/corpus/proxy/v2-crc \
	tests/fuzz/corpus/proxy/v2-local \
	tests/fuzz/corpus/proxy/v2-long \
	tests/fuzz/corpus/proxy/v2-tcp6 \
	tests/fuzz/corpus/proxy/v2-tlvs \
	tests/fuzz/corpus/proxy/v2-unix \
	tests/fuzz/corpus/request/absolute \
	tests/fuzz/corpus/request/both \
	tests/fuzz/corpus/request/connect \
	tests/fuzz/corpus/request/get \
	tests/fuzz/corpus/request/options \
	tests/fuzz/corpus/request/post-chunked \
	tests/fuzz/corpus/request/post-length \
	tests/fuzz/corpus/request/upgrade \
	tests/fuzz/corpus/response/chunked \
	tests/fuzz/corpus/response/interim \
	tests/fuzz/corpus/response/no-body \
	tests/fuzz/corpus/response/ok \
	tests/fuzz/corpus/response/switching \
	tests/fuzz/corpus/response/until-close \
	tests/fuzz/corpus/scan/value \
	tests/fuzz/corpus/values/date \
	tests/fuzz/corpus/values/date-850 \
	tests/fuzz/corpus/values/date-asctime \
	tests/fuzz/corpus/values/etags \
	tests/fuzz/corpus/values/host \
	tests/fuzz/corpus/values/list \
	tests/fuzz/corpus/values/ranges
