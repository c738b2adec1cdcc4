# SPDX-License-Identifier: Apache-2.0
#
# `make bench` installs into a folder of the build tree and measures that; BENCH takes flags
# (see tests/bench/run --help).  `make bench BENCH=--quick` is a smoke test.

bench_programs = \
	tests/bench/forwarder \
	tests/bench/forwarder-openssl \
	tests/bench/forwarder-splice \
	tests/bench/forwarder-udp \
	tests/bench/load \
	tests/bench/origin \
	tests/bench/origin-bytes
if WITH_IO_URING
bench_programs += tests/bench/forwarder-uring
endif
EXTRA_PROGRAMS += $(bench_programs)

tests_bench_forwarder_SOURCES = tests/bench/bench.h tests/bench/forwarder.c
tests_bench_forwarder_openssl_SOURCES = tests/bench/bench.h tests/bench/forwarder-openssl.c
tests_bench_forwarder_openssl_LDADD = $(OPENSSL_LIBS)
tests_bench_forwarder_splice_SOURCES = tests/bench/bench.h tests/bench/forwarder-splice.c
tests_bench_forwarder_udp_SOURCES = tests/bench/bench.h tests/bench/forwarder-udp.c
tests_bench_forwarder_uring_SOURCES = tests/bench/bench.h tests/bench/forwarder-uring.c
tests_bench_forwarder_uring_LDADD = $(URING_LIBS)
tests_bench_load_SOURCES = \
	tests/bench/bench.h \
	tests/bench/load-http.c \
	tests/bench/load-modes.c \
	tests/bench/load-tls.c \
	tests/bench/load.c \
	tests/bench/load.h \
	tests/bench/websocket.h
tests_bench_load_LDADD = $(OPENSSL_LIBS)
tests_bench_origin_SOURCES = tests/bench/bench.h tests/bench/origin.c tests/bench/websocket.h
tests_bench_origin_bytes_SOURCES = tests/bench/bench.h tests/bench/origin-bytes.c

EXTRA_DIST += \
	tests/bench/contenders.py \
	tests/bench/haproxy-tcp.cfg \
	tests/bench/haproxy.cfg \
	tests/bench/nginx-stream.conf \
	tests/bench/nginx.conf \
	tests/bench/report.py \
	tests/bench/rows.py \
	tests/bench/run \
	tests/bench/weir-stream.yaml \
	tests/bench/weir.yaml

EXTRA_PROGRAMS += tests/bench/bulk
tests_bench_bulk_SOURCES = tests/bench/bulk.c
tests_bench_bulk_LDADD = libweir.la

bench_root = $(abs_top_builddir)/bench-root

bench: all $(bench_programs)
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

# What the runtime costs beside its peers; BENCH takes flags (tests/bench/runtime/run --help).
# Contenders that need a library which is not there are not built, and the run says so.
EXTRA_PROGRAMS += \
	tests/bench/runtime/rt-epoll \
	tests/bench/runtime/rt-event \
	tests/bench/runtime/rt-load \
	tests/bench/runtime/rt-uv \
	tests/bench/runtime/rt-weir \
	tests/bench/runtime/rt-weir-switch

tests_bench_runtime_rt_epoll_SOURCES = tests/bench/runtime/epoll.c tests/bench/runtime/measure.h
tests_bench_runtime_rt_load_SOURCES = tests/bench/runtime/load.c
tests_bench_runtime_rt_event_SOURCES = tests/bench/runtime/event.c
tests_bench_runtime_rt_event_LDADD = -levent_core -levent_pthreads $(PTHREAD_LIBS)
tests_bench_runtime_rt_uv_SOURCES = tests/bench/runtime/uv.c
tests_bench_runtime_rt_uv_LDADD = -luv $(PTHREAD_LIBS)
tests_bench_runtime_rt_weir_SOURCES = tests/bench/runtime/weir.c
tests_bench_runtime_rt_weir_LDADD = libweir.la $(PTHREAD_LIBS)
tests_bench_runtime_rt_weir_switch_SOURCES = tests/bench/runtime/weir-switch.c
tests_bench_runtime_rt_weir_switch_LDADD = $(CORE_TEST_LDADD)

EXTRA_DIST += tests/bench/runtime/asyncio-rows.py tests/bench/runtime/run

bench_runtime_programs = \
	tests/bench/runtime/rt-epoll$(EXEEXT) tests/bench/runtime/rt-event$(EXEEXT) \
	tests/bench/runtime/rt-load$(EXEEXT) tests/bench/runtime/rt-uv$(EXEEXT) \
	tests/bench/runtime/rt-weir$(EXEEXT) tests/bench/runtime/rt-weir-switch$(EXEEXT)

bench-runtime: $(bench_runtime_programs)
	$(PYTHON3) $(top_srcdir)/tests/bench/runtime/run --programs tests/bench/runtime $(BENCH)

# What starts and reloads of large files take: each is given the prefix of an installed weir.
EXTRA_DIST += tests/bench/reload tests/bench/start
