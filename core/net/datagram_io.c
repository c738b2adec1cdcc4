/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving datagrams. A loop has one batch: an area of address space with room for DATAGRAM_BATCH
 * datagrams, into which recvmmsg receives for whichever socket is readable (only what is used of it
 * ever becomes memory). While its datagrams are delivered, sends are held back, of all sockets of the
 * loop, and leave by sendmmsg at the end, runs as one message (datagram_run.c); one that sends bytes of
 * the area needs no copy until then.
 *
 * One batch a socket and iteration: poll says again what is left, when others have had their turn.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/net/address.h"
#include "core/net/datagram.h"

#define AREA_SIZE    (DATAGRAM_BATCH * DATAGRAM_ROOM)
#define ENTRIES_KEPT 256

struct datagram_batch {
    char *area;
    struct list corked; /* sockets that have something to send; while delivering */
    bool delivering;
    struct datagram_entry *spare;
    unsigned spares;
    struct mmsghdr in[DATAGRAM_BATCH], out[DATAGRAM_BATCH];
    struct iovec in_iov[DATAGRAM_BATCH], out_iov[DATAGRAM_BATCH];
    struct sockaddr_storage peers[DATAGRAM_BATCH];
    /* Which of our addresses. */
    _Alignas(struct cmsghdr) char in_control[DATAGRAM_BATCH][DATAGRAM_CONTROL];
    _Alignas(
        struct cmsghdr) char out_control[DATAGRAM_BATCH][DATAGRAM_CONTROL + DATAGRAM_RUN_CONTROL];
};

/* The batch */

weir_error *weir__datagram_batch_of(struct net *net, struct datagram_batch **ret)
{
    struct datagram_batch *batch = net->batch;

    if (!batch) {
        batch = weir__calloc(1, sizeof(*batch));
        if (!batch)
            return weir_raise(WEIR_ENOMEM, "datagrams");
        batch->area = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (batch->area == MAP_FAILED) {
            weir__free(batch);
            return weir_raise(WEIR_ENOMEM, "datagrams");
        }
        list_init(&batch->corked);
        for (size_t i = 0; i < DATAGRAM_BATCH; i++) {
            batch->in_iov[i].iov_base = batch->area + i * DATAGRAM_ROOM;
            batch->in[i].msg_hdr.msg_iov = &batch->in_iov[i];
            batch->in[i].msg_hdr.msg_iovlen = 1;
            batch->in[i].msg_hdr.msg_name = &batch->peers[i];
        }
        net->batch = batch;
    }
    *ret = batch;
    return NULL;
}

void weir__datagram_batch_free(struct datagram_batch *batch)
{
    if (!batch)
        return;
    while (batch->spare) {
        struct datagram_entry *entry = batch->spare;

        batch->spare = entry->next;
        weir__free(entry);
    }
    munmap(batch->area, AREA_SIZE);
    weir__free(batch);
}

static bool in_area(const struct datagram_batch *batch, weir_slice data)
{
    return batch->delivering && (const char *)data.data >= batch->area &&
           (const char *)data.data < batch->area + AREA_SIZE;
}

/* The queue */

static struct datagram_entry *entry_new(struct datagram_batch *batch)
{
    struct datagram_entry *entry = batch->spare;

    if (!entry)
        return weir__malloc(sizeof(*entry));
    batch->spare = entry->next;
    batch->spares--;
    return entry;
}

static void entry_free(struct datagram_batch *batch, struct datagram_entry *entry)
{
    if (!entry->borrowed)
        weir__free(entry->data);
    if (batch->spares >= ENTRIES_KEPT) {
        weir__free(entry);
        return;
    }
    entry->next = batch->spare;
    batch->spare = entry;
    batch->spares++;
}

static void take_first(weir_datagram *d)
{
    struct datagram_entry *entry = d->queue;

    d->queue = entry->next;
    if (!d->queue)
        d->queue_end = &d->queue;
    d->queued -= entry->len + WEIR_DATAGRAM_OVERHEAD;
    entry_free(d->net->batch, entry);
}

void weir__datagram_queue_drop(weir_datagram *d)
{
    while (d->queue)
        take_first(d);
}

static char *copy_of(const void *data, size_t len)
{
    char *copy = weir__malloc(len ? len : 1);

    if (copy && len)
        memcpy(copy, data, len);
    return copy;
}

static weir_error *enqueue(weir_datagram *d, weir_slice data, const weir_address *peer,
                           const struct in6_addr *from)
{
    struct datagram_batch *batch = d->net->batch;
    struct datagram_entry *entry;

    if (d->queued + data.len + WEIR_DATAGRAM_OVERHEAD > d->hard)
        return WEIR_RAISE_FAST(WEIR_EFULL,
                               "datagram of %lld bytes: %lld are queued, the limit is %lld",
                               (int64_t)data.len, (int64_t)d->queued, (int64_t)d->hard);
    entry = entry_new(batch);
    if (!entry)
        return weir_raise(WEIR_ENOMEM, "send");
    entry->next = NULL;
    entry->len = data.len;
    entry->borrowed = in_area(batch, data);
    entry->data = entry->borrowed ? (char *)(uintptr_t)data.data : copy_of(data.data, data.len);
    if (!entry->data) {
        entry->borrowed = true;
        entry_free(batch, entry);
        return weir_raise(WEIR_ENOMEM, "send");
    }
    if (peer)
        entry->peer = *peer;
    else
        entry->peer.length = 0;
    entry->has_from = from != NULL;
    if (from)
        entry->from = *from;
    *d->queue_end = entry;
    d->queue_end = &entry->next;
    d->queued += data.len + WEIR_DATAGRAM_OVERHEAD;
    return NULL;
}

/* The area will be used again: what could not be sent is copied now. */
static void own_borrowed(weir_datagram *d)
{
    struct datagram_entry **place = &d->queue;

    while (*place) {
        struct datagram_entry *entry = *place;
        char *copy = entry->borrowed ? copy_of(entry->data, entry->len) : entry->data;

        if (copy) {
            entry->data = copy;
            entry->borrowed = false;
            place = &entry->next;
            continue;
        }
        *place = entry->next;
        d->queued -= entry->len + WEIR_DATAGRAM_OVERHEAD;
        entry_free(d->net->batch, entry);
    }
    d->queue_end = place;
}

void weir__datagram_marks(weir_datagram *d)
{
    if (d->status != DATAGRAM_OPEN)
        return;
    if (!d->write_paused && d->queued > d->high) {
        d->write_paused = true;
        if (d->protocol && d->protocol->pause_writing)
            d->protocol->pause_writing(d, d->state);
    } else if (d->write_paused && d->queued <= d->low) {
        d->write_paused = false;
        weir__datagram_wake_writers(d);
        if (d->protocol && d->protocol->resume_writing)
            d->protocol->resume_writing(d, d->state);
    }
}

/* Sending */

/* Of a send: whether it may be tried again, as the error may be that of an earlier datagram. */
static bool is_earlier_failure(int code)
{
    return code == ECONNREFUSED || code == EHOSTUNREACH || code == ENETUNREACH ||
           code == EHOSTDOWN || code == ENOPROTOOPT || code == EPROTO;
}

/* One that is to be sent, or a run; gives the first behind it. */
static struct datagram_entry *fill_message(const weir_datagram *d, struct datagram_entry *entry,
                                           size_t run, struct msghdr *message, void *control)
{
    message->msg_name = entry->peer.length ? entry->peer.bytes : NULL;
    message->msg_namelen = entry->peer.length;
    message->msg_controllen = 0;
    message->msg_iovlen = run;
    if (entry->has_from)
        weir__datagram_write_local(d, &entry->from, message, control);
    if (run > 1)
        weir__datagram_write_run(message, control, entry->len);
    for (size_t i = 0; i < run; i++, entry = entry->next)
        message->msg_iov[i] = (struct iovec){entry->data, entry->len};
    return entry;
}

static unsigned fill_out(struct datagram_batch *batch, const weir_datagram *d, bool runs)
{
    struct datagram_entry *entry = d->queue;
    unsigned count = 0;

    for (size_t used = 0, run; entry && used < DATAGRAM_BATCH; used += run, count++) {
        struct msghdr *message = &batch->out[count].msg_hdr;

        run = runs ? weir__datagram_run(entry, DATAGRAM_BATCH - used) : 1;
        message->msg_iov = &batch->out_iov[used];
        entry = fill_message(d, entry, run, message, batch->out_control[count]);
    }
    return count;
}

static void take_sent(weir_datagram *d, const struct mmsghdr *sent, int count)
{
    for (int i = 0; i < count; i++) {
        for (size_t run = sent[i].msg_hdr.msg_iovlen; run; run--)
            take_first(d);
    }
}

static void send_queue(weir_datagram *d)
{
    struct mmsghdr *out = d->net->batch->out;
    bool again = true; /* once for each datagram */
    bool runs = weir__datagram_has_runs(d);

    while (d->queue && !d->blocked && d->status < DATAGRAM_LOST) {
        unsigned count = fill_out(d->net->batch, d, runs);
        int n = sendmmsg(d->file.fd, out, count, MSG_DONTWAIT | MSG_NOSIGNAL);
        int code = n < 0 ? errno : 0;

        if (n > 0) {
            take_sent(d, out, n);
            again = true;
        } else if (code == EAGAIN) {
            d->blocked = true;
        } else if (code != EINTR) {
            bool earlier = again && d->connected && is_earlier_failure(code);

            again = !earlier;
            if (!earlier && out->msg_hdr.msg_iovlen > 1) {
                weir__datagram_run_refused(d, code); /* one by one it shows which of them fails */
                runs = false;
                continue;
            }
            if (!earlier)
                take_first(d);
            weir__datagram_error(d, weir__raise_errno(code, "send"));
        }
    }
}

void weir__datagram_flush(weir_datagram *d)
{
    send_queue(d);
    if (d->status >= DATAGRAM_LOST)
        return;
    weir__datagram_marks(d);
    if (d->status == DATAGRAM_CLOSING && !d->queue)
        weir__datagram_lose(d, NULL);
    else
        weir__datagram_update_poll(d);
}

/* Nothing is queued and no batch is delivered. False: there is no room. */
static bool send_now(weir_datagram *d, weir_slice data, const weir_address *peer,
                     const struct in6_addr *from)
{
    struct iovec piece = {(void *)(uintptr_t)data.data, data.len};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    if (peer) {
        message.msg_name = (void *)(uintptr_t)peer->bytes;
        message.msg_namelen = peer->length;
    }
    if (from)
        weir__datagram_write_local(d, from, &message, d->net->batch->out_control[0]);
    for (int tries = 0; tries < 2; tries++) {
        ssize_t n;
        int code;

        do {
            n = sendmsg(d->file.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
        code = n < 0 ? errno : 0;
        if (code == EAGAIN)
            return false;
        if (!code)
            return true;
        weir__datagram_error(d, weir__raise_errno(code, "send"));
        if (!d->connected || !is_earlier_failure(code) || d->status != DATAGRAM_OPEN)
            return true;
    }
    return true;
}

/* A socket of both families speaks IPv4 in IPv6's clothes. */
static const weir_address *mapped(const weir_datagram *d, const weir_address *peer,
                                  weir_address *room)
{
    const struct sockaddr *local = (const void *)d->local.bytes;
    const struct sockaddr_in *in = (const void *)peer->bytes;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = in->sin_port};

    if (in->sin_family != AF_INET || local->sa_family != AF_INET6)
        return peer;
    in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&in6.sin6_addr.s6_addr[12], &in->sin_addr, sizeof(in->sin_addr));
    weir__address_set(room, (const void *)&in6, sizeof(in6));
    return room;
}

static weir_error *check_peer(const weir_datagram *d, const weir_address **peer, weir_address *room)
{
    if (!*peer && !d->connected)
        return weir_raise(EDESTADDRREQ, "send: the socket has no remote address");
    if (!*peer)
        return NULL;
    *peer = mapped(d, *peer, room);
    if (!d->connected)
        return NULL;
    if (!weir_address_equal(*peer, &d->remote))
        return weir_raise(WEIR_EINVAL, "send: the socket is connected to another peer");
    *peer = NULL;
    return NULL;
}

weir_error *weir__datagram_send(weir_datagram *d, weir_slice data, const weir_address *peer,
                                const struct in6_addr *from)
{
    struct datagram_batch *batch;
    weir_address room;

    weir_check(d, DATAGRAM_MAGIC);
    if (d->net->loop)
        WEIR_TRY(weir__loop_check_call(d->net->loop, "weir_datagram_send_to", NULL));
    if (d->status != DATAGRAM_OPEN)
        return WEIR_RAISE_FAST(WEIR_ECLOSED, "send on a closed socket");
    if (data.len > WEIR_DATAGRAM_MAX)
        return WEIR_RAISE_FAST(EMSGSIZE, "send: a datagram of %lld bytes", (int64_t)data.len);
    WEIR_TRY(check_peer(d, &peer, &room));
    batch = d->net->batch;
    if (!d->queue && !batch->delivering && send_now(d, data, peer, from))
        return NULL;
    if (!batch->delivering)
        d->blocked = true;
    WEIR_TRY(enqueue(d, data, peer, from));
    if (batch->delivering && list_empty(&d->corked))
        list_append(&batch->corked, &d->corked);
    else if (!batch->delivering)
        weir__datagram_update_poll(d);
    weir__datagram_marks(d);
    return NULL;
}

void weir_datagram_set_write_limits(weir_datagram *d, size_t high, size_t low, size_t hard)
{
    weir_check(d, DATAGRAM_MAGIC);
    if (d->net->loop && !weir__loop_allows(d->net->loop))
        return;
    weir_require(low <= high);
    d->high = high;
    d->low = low;
    if (hard)
        d->hard = hard;
    weir__datagram_marks(d);
}

size_t weir_datagram_write_buffer_size(const weir_datagram *d)
{
    weir_check(d, DATAGRAM_MAGIC);
    return d->queued;
}

/* Receiving */

void weir__datagram_update_poll(weir_datagram *d)
{
    bool reads = d->status == DATAGRAM_OPEN && !d->paused && (d->protocol || d->reader);
    unsigned events = (reads ? (unsigned)POLLIN : 0) | (d->blocked ? (unsigned)POLLOUT : 0);
    weir_error *error;

    if (d->status >= DATAGRAM_LOST || d->file.poll_events == events)
        return;
    error = d->net->io->ops->poll(d->net->io, &d->file, events);
    if (error)
        weir__datagram_lose(d, error);
}

static int receive_batch(struct datagram_batch *batch, const weir_datagram *d)
{
    int n;

    for (size_t i = 0; i < DATAGRAM_BATCH; i++) {
        batch->in_iov[i].iov_len = d->max_size;
        batch->in[i].msg_hdr.msg_namelen = sizeof(batch->peers[i]);
        batch->in[i].msg_hdr.msg_control = d->tells_local ? batch->in_control[i] : NULL;
        batch->in[i].msg_hdr.msg_controllen = d->tells_local ? sizeof(batch->in_control[i]) : 0;
    }
    do {
        n = recvmmsg(d->file.fd, batch->in, DATAGRAM_BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static void deliver(struct datagram_batch *batch, weir_datagram *d, int index)
{
    struct mmsghdr *message = &batch->in[index];
    weir_datagram_info info = {
        .full_size = message->msg_len,
        .truncated = (message->msg_hdr.msg_flags & MSG_TRUNC) != 0,
    };
    size_t len = info.truncated ? d->max_size : info.full_size;
    weir_error *error;

    weir__address_set(&info.peer, (const void *)&batch->peers[index], message->msg_hdr.msg_namelen);
    if (d->tells_local)
        weir__datagram_read_local(d, &message->msg_hdr, &info.local);
    /* It may have come between bind and connect. */
    if (d->remote.length && info.peer.length && !weir_address_equal(&info.peer, &d->remote))
        return;
    if (!d->protocol->datagram_received)
        return;
    error = d->protocol->datagram_received(
        d, d->state, weir_slice_of(batch->in_iov[index].iov_base, len), &info);
    if (error)
        weir__datagram_lose(d, error);
}

/* What was held back. A socket's callbacks may close others, so each is taken off first. */
static void uncork(struct datagram_batch *batch)
{
    batch->delivering = false;
    while (!list_empty(&batch->corked)) {
        weir_datagram *d = container_of(batch->corked.next, weir_datagram, corked);

        list_remove(&d->corked);
        d->holds++;
        d->refs++;
        send_queue(d);
        own_borrowed(d);
        if (d->status < DATAGRAM_LOST)
            weir__datagram_flush(d);
        weir__datagram_release(d);
    }
}

/* Pausing in the middle loses nothing: what was received already is still delivered. */
static void receive(weir_datagram *d)
{
    struct datagram_batch *batch = d->net->batch;
    int n = receive_batch(batch, d);

    if (n == -EAGAIN)
        return;
    if (n < 0) {
        weir__datagram_error(d, weir__raise_errno(n, "receive"));
        return;
    }
    batch->delivering = true;
    for (int i = 0; i < n && d->status == DATAGRAM_OPEN; i++)
        deliver(batch, d, i);
    uncork(batch);
}

static void tell_pending_error(weir_datagram *d)
{
    socklen_t length = sizeof(int);
    int code = 0;

    if (getsockopt(d->file.fd, SOL_SOCKET, SO_ERROR, &code, &length) == 0 && code)
        weir__datagram_error(d, weir__raise_errno(code, "an earlier datagram"));
}

static void on_polled(struct io_file *file, unsigned events)
{
    weir_datagram *d = container_of(file, weir_datagram, file);

    d->holds++;
    d->refs++;
    if (events & POLLERR)
        tell_pending_error(d);
    if ((events & POLLOUT) && d->status < DATAGRAM_LOST) {
        d->blocked = false;
        weir__datagram_flush(d);
    }
    if ((events & POLLIN) && d->status == DATAGRAM_OPEN && !d->paused) {
        if (d->protocol)
            receive(d);
        else
            weir__datagram_wake_reader(d);
    }
    if ((events & POLLHUP) && d->status < DATAGRAM_LOST)
        weir__datagram_lose(d, NULL);
    weir__datagram_update_poll(d);
    weir__datagram_release(d);
}

const struct io_file_ops weir__datagram_file_ops = {.polled = on_polled};

void weir_datagram_pause_reading(weir_datagram *d)
{
    weir_check(d, DATAGRAM_MAGIC);
    if (d->net->loop && !weir__loop_allows(d->net->loop))
        return;
    d->paused = true;
    weir__datagram_update_poll(d);
}

void weir_datagram_resume_reading(weir_datagram *d)
{
    weir_check(d, DATAGRAM_MAGIC);
    if (d->net->loop && !weir__loop_allows(d->net->loop))
        return;
    d->paused = false;
    weir__datagram_update_poll(d);
}
