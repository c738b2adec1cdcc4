# SPDX-License-Identifier: Apache-2.0
libweir_core_la_SOURCES += \
	core/net/address.c \
	core/net/address.h \
	core/net/connect.c \
	core/net/connect.h \
	core/net/connect_stream.c \
	core/net/datagram.c \
	core/net/datagram.h \
	core/net/datagram_io.c \
	core/net/datagram_task.c \
	core/net/fd_wait.c \
	core/net/listen.c \
	core/net/net.c \
	core/net/net.h \
	core/net/pipe.c \
	core/net/process.c \
	core/net/process.h \
	core/net/process_pipes.c \
	core/net/process_talk.c \
	core/net/relay.c \
	core/net/repr.c \
	core/net/resolver.c \
	core/net/resolver.h \
	core/net/resolver_addresses.c \
	core/net/resolver_ares.c \
	core/net/resolver_cache.c \
	core/net/resolver_files.c \
	core/net/server.c \
	core/net/server.h \
	core/net/server_accept.c \
	core/net/stream.c \
	core/net/stream.h \
	core/net/stream_buffer.c \
	core/net/stream_read.c \
	core/net/stream_write.c \
	core/net/transport.c \
	core/net/transport.h \
	core/net/transport_info.c \
	core/net/transport_read.c \
	core/net/transport_task.c \
	core/net/transport_write.c \
	core/net/unix_path.c \
	core/net/unix_path.h \
	core/net/write_queue.c

