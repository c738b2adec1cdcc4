/* SPDX-License-Identifier: Apache-2.0 */
/* What the backends share: calling out, accepting, and the errors of registration. */
#ifndef WEIR_CORE_IO_COMMON_H
#define WEIR_CORE_IO_COMMON_H

#include <weir/error.h>

#include "core/io/io.h"

#define IO_ACCEPTS_MAX 16 /* per wake-up; the rest stays for other loops and later */

/* Calls out. `current` is the backend's field for the file whose callback runs, which closing it
   clears; so afterwards the file may be gone: callers go on only when the result is true. */
#define IO_CALL_OUT(backend_, current_, file_, call)                \
    (__extension__({                                                \
        const struct io_observer *observer_ = (backend_)->observer; \
        const weir_site *site_ = (file_)->site;                     \
        step_begin((backend_)->step, NULL, site_);                  \
        if (weir_unlikely(observer_ != NULL))                       \
            observer_->before((backend_)->observer_arg);            \
        call;                                                       \
        if (weir_unlikely(observer_ != NULL))                       \
            observer_->after((backend_)->observer_arg, site_);      \
        (current_) == (file_);                                      \
    }))

/* Makes room for `fd` in an array of files by descriptor; false without memory. */
bool weir__io_files_reach(struct io_file ***files, size_t *count, int fd);
/* A new non-blocking, close-on-exec socket, or -errno: -EAGAIN when nobody waits. */
int weir__io_accept(int fd, struct sockaddr_storage *ret_peer, socklen_t *ret_length);
/* That connection failed before it was accepted; the next one may be better. One wake-up's worth of
   them in a row is an error like any other: something forbids accepting. */
bool weir__io_accept_passes(int result);

/* For tests: so many connections fail with `code`, as if they had before they were accepted. */
extern struct io_accept_faults {
    unsigned count;
    int code;
} weir__io_accept_faults;

/* In words, with a hint. EPERM: not a descriptor that can be polled; EEXIST: `user` has it. */
weir_error *weir__io_register_error(int code, int fd, const struct io_file *user);

#endif
