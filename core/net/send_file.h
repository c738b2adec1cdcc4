/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file on its way through a transport: what the transport's own code tells it. All calls are for
 * transports that `has_file`.
 */
#ifndef WEIR_CORE_NET_SEND_FILE_H
#define WEIR_CORE_NET_SEND_FILE_H

#include <weir/future.h>

#include "core/net/transport.h"

/* The queue has become shorter, or a cork is gone. */
void weir__file_room(weir_transport *t);
/* Of io_backend_ops.watch. */
void weir__file_usable(weir_transport *t);
/* A send has failed, and the connection is still read from. */
void weir__file_failed(weir_transport *t);
/* The descriptor is closed: nothing is read or sent any more. */
void weir__file_stop(weir_transport *t);
/* Before connection_lost: `done` is called, unless it has been. */
void weir__file_lost(weir_transport *t);
/* Of a transport that ends without callbacks. */
void weir__file_free(weir_transport *t);

/* What a thread has read; no bytes at the end of the file. */
struct file_piece {
    size_t len;
    char bytes[];
};

/* The future's value is a file_piece for weir__free(). Errors as of weir_executor_submit(). */
weir_error *weir__file_read(weir_loop *loop, int fd, uint64_t at, size_t len,
                            weir_future **ret) WEIR_MUST_USE;

/* sendfile(2); tests put faults here. */
extern ssize_t (*weir__file_sendfile)(int out, int in, off_t *offset, size_t count);

#endif
