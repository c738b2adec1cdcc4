# SPDX-License-Identifier: Apache-2.0
#
# `make bench` installs into a folder of the build tree and measures that; BENCH takes flags
# (see tests/bench/run --help).  `make bench BENCH=--quick` is a smoke test.

EXTRA_PROGRAMS += \
	tests/bench/forwarder \
	tests/bench/origin

tests_bench_forwarder_SOURCES = tests/bench/forwarder.c
tests_bench_origin_SOURCES = tests/bench/origin.c

EXTRA_DIST += \
	tests/bench/haproxy.cfg \
	tests/bench/nginx.conf \
	tests/bench/run \
	tests/bench/weir.yaml

bench_root = $(abs_top_builddir)/bench-root

bench: all tests/bench/forwarder$(EXEEXT) tests/bench/origin$(EXEEXT)
	rm -rf $(bench_root)
	$(MAKE) -s install DESTDIR=$(bench_root)
	$(PYTHON3) $(top_srcdir)/tests/bench/run --programs tests/bench --weir $(bench_root)$(bindir)/weir \
	  --libdir $(bench_root)$(libdir) --plugin-dir $(bench_root)$(plugindir) $(BENCH)

# What reading a head costs, and what the accelerated scan of field values is worth.
EXTRA_PROGRAMS += \
	tests/bench/bench_http_parse \
	tests/bench/bench_http_parse_scalar

tests_bench_bench_http_parse_SOURCES = tests/bench/bench-http-parse.c
tests_bench_bench_http_parse_LDADD = libweir-http-core.la libweir.la
tests_bench_bench_http_parse_scalar_SOURCES = tests/bench/bench-http-parse.c http/message/head.c
tests_bench_bench_http_parse_scalar_CPPFLAGS = $(AM_CPPFLAGS) -DWEIR__SCAN_SCALAR
tests_bench_bench_http_parse_scalar_LDADD = libweir-http-core.la libweir.la

EXTRA_DIST += tests/bench/http-parse

bench-http-parse: tests/bench/bench_http_parse$(EXEEXT) tests/bench/bench_http_parse_scalar$(EXEEXT)
	$(top_srcdir)/tests/bench/http-parse tests/bench
