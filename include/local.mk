# SPDX-License-Identifier: Apache-2.0

weirinclude_HEADERS += \
	include/weir/base.h \
	include/weir/callback.h \
	include/weir/chunk.h \
	include/weir/combinators.h \
	include/weir/datagram.h \
	include/weir/debug.h \
	include/weir/config.h \
	include/weir/context.h \
	include/weir/error.h \
	include/weir/executor.h \
	include/weir/future.h \
	include/weir/host.h \
	include/weir/http-connection.h \
	include/weir/http-message.h \
	include/weir/http-values.h \
	include/weir/http.h \
	include/weir/introspection.h \
	include/weir/isolate.h \
	include/weir/job.h \
	include/weir/listener.h \
	include/weir/log.h \
	include/weir/loop.h \
	include/weir/option.h \
	include/weir/outcome.h \
	include/weir/pipe.h \
	include/weir/plugin.h \
	include/weir/process-pool.h \
	include/weir/process.h \
	include/weir/queue.h \
	include/weir/relay.h \
	include/weir/resolver.h \
	include/weir/route.h \
	include/weir/scope.h \
	include/weir/server.h \
	include/weir/slice.h \
	include/weir/socket.h \
	include/weir/stream.h \
	include/weir/sync.h \
	include/weir/task.h \
	include/weir/testing.h \
	include/weir/time.h \
	include/weir/tls.h \
	include/weir/transport.h \
	include/weir/upstream.h \
	include/weir/weir.h
