/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a ring, and finding out whether it works here. The version of the kernel says little about
 * that: containers forbid the calls, tools do not know them, limits of locked memory are met. So
 * weir__io_uring_probe() uses one as a loop would, once for each process: a multishot receive over a
 * pair of sockets must fill a buffer of the ring and stay armed.
 *
 * Needed: SINGLE_ISSUER, DEFER_TASKRUN (Linux 6.1), multishot receive (6.0), buffer rings (5.19).
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#if __has_include(<valgrind/valgrind.h>)
#    include <valgrind/valgrind.h>
#else
#    define RUNNING_ON_VALGRIND 0
#endif

#include <weir/error.h>

#include "core/io/uring.h"

#define PROBE_BYTES 64

int weir__uring_ring_create(struct io_uring *ring, unsigned entries, unsigned completions)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED,
        .cq_entries = completions,
    };

    /* Its tools do not see what the kernel writes. */
    if (RUNNING_ON_VALGRIND)
        return ENOSYS;
    return -io_uring_queue_init_params(entries, ring, &parameters);
}

/* liburing 2.3 declares io_uring_enable_rings() and does not export it. */
static int enable(const struct io_uring *ring)
{
    long result =
        syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);

    return result < 0 ? errno : 0;
}

int weir__uring_enable(struct uring_backend *ur)
{
    int code = enable(&ur->ring);

    if (code)
        return code;
    ur->enabled = true;
    (void)io_uring_register_ring_fd(&ur->ring);
    return 0;
}

int weir__uring_register_buffers(struct io_uring *ring, unsigned count,
                                 struct io_uring_buf_ring **ret)
{
    const size_t size = count * sizeof(struct io_uring_buf);
    struct io_uring_buf_reg registration = {.ring_entries = count, .bgid = URING_GROUP};
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    int code;

    if (memory == MAP_FAILED)
        return errno;
    registration.ring_addr = (uintptr_t)memory;
    code = io_uring_register_buf_ring(ring, &registration, 0);
    if (code) {
        munmap(memory, size);
        return -code;
    }
    io_uring_buf_ring_init(memory);
    *ret = memory;
    return 0;
}

void weir__uring_unregister_buffers(struct io_uring *ring, unsigned count,
                                    struct io_uring_buf_ring *buffers)
{
    (void)io_uring_unregister_buf_ring(ring, URING_GROUP);
    munmap(buffers, count * sizeof(struct io_uring_buf));
}

/* Probing */

/* 0 or an errno; EOPNOTSUPP: it went another way than it should. */
static int probe_receive(struct io_uring *ring, struct io_uring_buf_ring *buffers, int ends[2])
{
    char bytes[PROBE_BYTES];
    struct __kernel_timespec limit = {.tv_sec = 1};
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    struct io_uring_cqe *cqe;
    bool good;
    int code;

    io_uring_buf_ring_add(buffers, bytes, sizeof(bytes), 0, io_uring_buf_ring_mask(2), 0);
    io_uring_buf_ring_advance(buffers, 1);
    io_uring_prep_recv_multishot(sqe, ends[0], NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_GROUP;
    code = io_uring_submit(ring);
    if (code < 0)
        return -code;
    if (write(ends[1], "weir", 4) != 4)
        return errno;
    code = io_uring_wait_cqe_timeout(ring, &cqe, &limit);
    if (code < 0)
        return -code;
    good = cqe->res == 4 && (cqe->flags & IORING_CQE_F_BUFFER) &&
           (cqe->flags & IORING_CQE_F_MORE) && memcmp(bytes, "weir", 4) == 0;
    code = cqe->res < 0 ? -cqe->res : EOPNOTSUPP;
    io_uring_cqe_seen(ring, cqe);
    return good ? 0 : code;
}

/* The receive is in flight when its buffer goes out of scope: it ends first. */
static void probe_end(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

    if (!sqe)
        return;
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    (void)io_uring_submit_and_get_events(ring);
}

static int probe_with(struct io_uring *ring)
{
    struct io_uring_buf_ring *buffers;
    int ends[2];
    int code = enable(ring);

    if (!code)
        code = weir__uring_register_buffers(ring, 2, &buffers);
    if (code)
        return code;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
        code = errno;
    } else {
        code = probe_receive(ring, buffers, ends);
        probe_end(ring);
        close(ends[0]);
        close(ends[1]);
    }
    weir__uring_unregister_buffers(ring, 2, buffers);
    return code;
}

static int probed;

static void probe(void)
{
    struct io_uring ring;
    int saved = errno;

    probed = weir__uring_ring_create(&ring, 4, 8);
    if (!probed) {
        probed = probe_with(&ring);
        io_uring_queue_exit(&ring);
    }
    errno = saved;
}

int weir__io_uring_probe(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, probe);
    return probed;
}
