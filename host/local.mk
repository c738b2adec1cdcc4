# SPDX-License-Identifier: Apache-2.0

noinst_LTLIBRARIES += libweir-host-core.la
libweir_host_core_la_SOURCES =
libweir_host_core_la_CPPFLAGS = $(AM_CPPFLAGS) -DWEIR_PLUGINDIR='"$(plugindir)"'
libweir_host_core_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden $(YAML_CFLAGS) $(JANSSON_CFLAGS)

lib_LTLIBRARIES += libweir-host.la
libweir_host_la_SOURCES =
libweir_host_la_LIBADD = libweir-host-core.la libweir.la $(YAML_LIBS) $(JANSSON_LIBS) $(DL_LIBS) $(PTHREAD_LIBS)
libweir_host_la_LDFLAGS = $(AM_LDFLAGS) $(WEIR_ZDEFS) -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/host/libweir-host.map
EXTRA_libweir_host_la_DEPENDENCIES = host/libweir-host.map
EXTRA_DIST += host/libweir-host.map

libweir_host_core_la_SOURCES += \
	host/config/address.c \
	host/config/arena.c \
	host/config/choice.c \
	host/config/codes.h \
	host/config/collection.c \
	host/config/config.h \
	host/config/content.c \
	host/config/content.h \
	host/config/diagnostic.c \
	host/config/diff.c \
	host/config/document.c \
	host/config/effective.c \
	host/config/effective.h \
	host/config/excerpt.c \
	host/config/expand.c \
	host/config/fill.c \
	host/config/include.c \
	host/config/internal.h \
	host/config/load.c \
	host/config/node.c \
	host/config/overlay.c \
	host/config/position.c \
	host/config/print.c \
	host/config/reference.c \
	host/config/report.c \
	host/config/scalar.c \
	host/config/source.c \
	host/config/suggest.c \
	host/config/units.c \
	host/config/unknown.c \
	host/config/yaml_hint.c

libweir_host_core_la_SOURCES += \
	host/generation/apart.c \
	host/generation/build.c \
	host/generation/build_routes.c \
	host/generation/build_upstreams.c \
	host/generation/change.c \
	host/generation/change.h \
	host/generation/destroy.c \
	host/generation/durable.c \
	host/generation/durable.h \
	host/generation/generation.c \
	host/generation/generation.h \
	host/generation/host.c \
	host/generation/inspect.c \
	host/generation/list.h \
	host/generation/log.c \
	host/generation/loop.c \
	host/generation/part.c \
	host/generation/part.h \
	host/generation/parts.c \
	host/generation/prepare.c \
	host/generation/reload.c \
	host/generation/run.c \
	host/generation/settings.c \
	host/generation/tls.c \
	host/generation/tls_parts.c \
	host/generation/tls_watch.c \
	host/generation/tls_watch.h \
	host/generation/traffic.c \
	host/generation/traffic.h \
	host/listener/handshakes.c \
	host/health/health.c \
	host/health/health.h \
	host/health/probe.c \
	host/inspect/client_hello.c \
	host/inspect/client_hello.h \
	host/inspect/connection.c \
	host/inspect/facts.c \
	host/inspect/handoff.c \
	host/inspect/inspect.h \
	host/inspect/inspection.c \
	host/inspect/inspectors.c \
	host/inspect/resolve.c \
	host/inspect/resolve.h \
	host/listener/datagram.c \
	host/listener/limit.c \
	host/listener/listener.c \
	host/listener/listener.h \
	host/listener/record.c \
	host/listener/reuse_port.c \
	host/plugin/instance.c \
	host/plugin/open.c \
	host/plugin/plugin.h \
	host/plugin/registry.c \
	host/process/affinity.c \
	host/process/memory.c \
	host/process/process.h \
	host/process/user.c \
	host/route/answer.c \
	host/route/client_ip.c \
	host/route/explain.c \
	host/route/explain.h \
	host/route/facts.c \
	host/route/find.c \
	host/route/index.c \
	host/route/rehearse.c \
	host/route/request.c \
	host/route/routes.c \
	host/route/routes.h \
	host/route/tests.c \
	host/schema/admin.c \
	host/schema/explain.c \
	host/schema/health.c \
	host/schema/extend.c \
	host/schema/json.c \
	host/schema/parts.c \
	host/schema/resolver.c \
	host/schema/schema.h \
	host/schema/tls.c \
	host/schema/tree.c \
	host/schema/tree.h \
	host/schema/tests.c \
	host/schema/top.c \
	host/upstream/balance.c \
	host/upstream/lease.c \
	host/upstream/names.c \
	host/upstream/outcome.c \
	host/upstream/override.c \
	host/upstream/override.h \
	host/upstream/pool.c \
	host/upstream/server.c \
	host/upstream/upstream.c \
	host/upstream/use.c \
	host/upstream/upstream.h

include host/access/local.mk
include host/metrics/local.mk
include host/status/local.mk
