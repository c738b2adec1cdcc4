/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport from inside.
 *
 *     CONNECTING ──> HANDSHAKE ──> OPEN ──> CLOSING ──> LOST ──> DEAD
 *          └───────────────────────┘ ^─────── start_tls ───┘ (OPEN ⇄ HANDSHAKE)
 *
 * Who reads it: the backend hands over chunks; they reach the protocol at once, or wait in `input`
 * while something in `stops` holds reading. Who writes it: bytes go to the kernel at once, or wait
 * in `queue` while a send is pending. Losing it has two phases: LOST closes the descriptor, the
 * loop then calls connection_lost and drops its reference.
 */
#ifndef WEIR_CORE_NET_TRANSPORT_H
#define WEIR_CORE_NET_TRANSPORT_H

#include <weir/server.h>

#include "core/net/address.h"
#include "core/net/net.h"

#define TRANSPORT_MAGIC WEIR_MAGIC('t', 'r', 'n', 's')

#define WRITE_HIGH_DEFAULT ((uint32_t)64 * 1024)
#define WRITE_HARD_DEFAULT ((uint32_t)16 * 1024 * 1024)
/* Chunks of a connection that may be queued anywhere before it receives no more. */
#define CHUNK_LIMIT 4
/* A closing transport that nobody gave an idle timeout is aborted when no byte moves for so long. */
#define CLOSE_FLUSH_LIMIT WEIR_S(60)

/* Each state and those that may follow it. */
#define TRANSPORT_STATES(X)                         \
    X(CONNECTING, S(HANDSHAKE) | S(OPEN) | S(LOST)) \
    X(HANDSHAKE, S(OPEN) | S(CLOSING) | S(LOST))    \
    X(OPEN, S(HANDSHAKE) | S(CLOSING) | S(LOST))    \
    X(CLOSING, S(LOST))                             \
    X(LOST, S(DEAD))                                \
    X(DEAD, 0)

enum transport_state {

#define TRANSPORT_STATE_ENUM_(name, next) TRANSPORT_##name,
    TRANSPORT_STATES(TRANSPORT_STATE_ENUM_)
#undef TRANSPORT_STATE_ENUM_
};

/* Why nothing is received now. */
enum read_stop {
    STOP_PROTOCOL = 1, /* pause_reading() */
    STOP_CHUNKS = 2,   /* CHUNK_LIMIT of its chunks wait somewhere to be sent */
    STOP_HANDOVER = 4, /* the rest of a slice goes to another protocol first */
    STOP_EOF = 8,      /* the peer ended */
};

/* Received bytes that wait: plaintext for the protocol, ciphertext for TLS. */
struct input {
    struct input *next;
    weir_chunk *chunk; /* a reference */
    size_t offset, len;
};

/* Always takes; NULL without memory. */
struct input *weir__input_new(weir_chunk *take_chunk, size_t offset, size_t len);
void weir__input_free(struct input *input);
void weir__input_append(struct input **list, struct input *input);

struct tls_engine;
struct connection_task;
struct file_sending;

/* What most connections never need. */
struct transport_extra {
    struct timer idle;
    weir_duration idle_limit;
    weir_transport *transport;
    struct list tasks;        /* of weir_transport_spawn() */
    struct old_state *states; /* of protocols that set_protocol brought, newest first */
    char *local_name;
    struct proxy_info *proxy; /* the header that it began with */
    weir_backtrace *created;  /* debug mode */
};

/* "192.0.2.1:80" or "[::1]:80", and where the IP stands in it; made when first asked for. */
struct peer_name {
    uint8_t ip_at, ip_len;
    char text[];
};

/* Room for that of nearly every peer of the family. */
#define PEER_NAME_ROOM_V4 (sizeof(struct peer_name) + sizeof("255.255.255.255:65535"))
#define PEER_NAME_ROOM_V6 \
    (sizeof(struct peer_name) + sizeof("[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"))

struct weir_transport {
    uint32_t magic;
    uint32_t refs;
    struct io_file file;
    struct net *net;
    const weir_protocol *protocol; /* whose callbacks run: the stream's for one with `serve` */
    void *state;
    const void *config;
    struct list link; /* the server's or the loop's list */
    /* What was put off: input to deliver, connection_lost; and the protocol's deadline, which has
       come when `timed` and not in the heap. */
    struct timer timer;
    struct write_entry *queue, **queue_end;
    size_t queued; /* bytes in the queue */
    struct send_vector *sending;
    struct input *input;
    struct tls_engine *tls;
    struct transport_extra *extra;
    struct peer_name *peer_name;
    weir_server *server;

    union {
        struct attempt *attempt;           /* while connecting */
        struct file_sending *sending_file; /* while `has_file` */
    };

    weir_instance *instance;
    void *context;
    weir_drop_fn context_drop;
    weir_error *reason; /* for connection_lost; while OPEN: a send failed, and reading goes on */
    int64_t last_activity;
    uint64_t id, received, sent;
    uint32_t high, low, hard;
    uint16_t room_at, room_end; /* from the struct's beginning, what is free; 0: none */
    unsigned short entries;     /* in the queue */
    uint8_t corks;
    uint8_t status : 4;  /* enum transport_state */
    uint8_t stops : 4;   /* enum read_stop */
    uint8_t held;        /* its chunks in queues */
    bool made : 1;       /* connection_made has been called */
    bool delivering : 1; /* inside data_received */
    bool write_paused : 1;
    bool eof_seen : 1;
    bool eof_told : 1;
    bool eof_queued : 1; /* write_eof() */
    bool eof_sent : 1;
    bool refused : 1;     /* connection_made of a server's protocol failed */
    bool by_callback : 1; /* the reason is an error that a callback returned */
    bool left_server : 1;
    bool read_only : 1; /* pipes: one direction was never open */
    bool write_only : 1;
    bool spliced : 1;  /* a relay moves its bytes inside the kernel, and sees its end */
    bool discards : 1; /* CLOSING: what comes is thrown away, up to the peer's end */
    bool has_file : 1; /* weir_transport_send_file() is under way */
    bool owned : 1;    /* a process's pipe: the process is what is left unclosed */
    bool timed : 1;    /* a deadline is set */
    bool soon : 1;     /* its queue goes when the loop has delivered what has come */
    /* The last, for the block goes on, with the protocol's state, where this family's address ends. */
    union address_small peer;
};

/* Life (transport.c) */

struct transport_new {
    struct net *net;
    int fd; /* moves in on success */
    const weir_protocol *protocol;
    const void *config;
    const struct sockaddr *peer; /* may be NULL */
    socklen_t peer_length;
    const weir_site *site;
    size_t room;
    enum transport_state state; /* to begin in */
    bool nagle;                 /* TCP_NODELAY stays off */
};

/* One reference, the loop's, given back after connection_lost. Registered with the backend. */
weir_error *weir__transport_new(const struct transport_new *options,
                                weir_transport **ret) WEIR_MUST_USE;
/* From the block, zeroed; NULL when there is too little left. */
void *weir__transport_room(weir_transport *t, size_t size, size_t alignment);
bool weir__transport_in_block(const weir_transport *t, const void *memory);
/* Makes room for the protocol's state and decides whose callbacks run. */
weir_error *weir__transport_install(weir_transport *t, const weir_protocol *protocol,
                                    const void *config) WEIR_MUST_USE;
/* connection_made, then reading; a failure aborts. The transport is OPEN afterwards, or lost. */
void weir__transport_open(weir_transport *t);
void weir__transport_set_state(weir_transport *t, enum transport_state state);
/* Phase one. Always takes; nothing happens when it is lost already. */
void weir__transport_lose(weir_transport *t, weir_error *take_reason);
/* What callbacks return. */
void weir__transport_callback_failed(weir_transport *t, weir_error *take_error);
/* The server counts it until it is lost and the last of its tasks has ended. */
void weir__transport_leave_server(weir_transport *t);
/* Ends it without callbacks, for a loop that closes. */
void weir__transport_leave(weir_transport *t);
/* NULL: out of memory. */
struct transport_extra *weir__transport_extra(weir_transport *t);
void weir__transport_extra_free(weir_transport *t);
/* What was put off: input to deliver, connection_lost; and the deadline. */
weir_error *weir__transport_run_deferred(struct job *job);
void weir__transport_stop_deadline(weir_transport *t);
/* Says so, when nobody has closed it (repr.c). */
void weir__transport_warn_unclosed(const weir_transport *t);

static inline void transport_active(weir_transport *t)
{
    t->last_activity = weir__loop_now(t->net->loop);
}

/* Reading (transport_read.c) */

void weir__transport_received(weir_transport *t, weir_chunk *take_chunk, size_t offset, size_t len);
void weir__transport_receive_ended(weir_transport *t, int result);
/* The peer has gone while nothing is received. */
void weir__transport_hangup(weir_transport *t);
void weir__transport_stop(weir_transport *t, enum read_stop reason);
void weir__transport_unstop(weir_transport *t, enum read_stop reason);
/* Nothing holds delivery to the protocol. */
bool weir__transport_may_deliver(const weir_transport *t);
/* Gives plaintext to the protocol. Borrows. */
void weir__transport_deliver(weir_transport *t, weir_slice data);
/* Into memory of a buffered protocol (transport_buffered.c). Borrows. */
weir_error *weir__transport_fill(weir_transport *t, weir_slice data) WEIR_MUST_USE;
/* The unused end of a slice, before everything else that waits. */
weir_error *weir__transport_put_back(weir_transport *t, weir_slice rest) WEIR_MUST_USE;
/* Delivers what waits, and the end; for the deferred job. */
void weir__transport_run_input(weir_transport *t);
void weir__transport_drop_input(weir_transport *t);
/* A closing transport receives and throws away; the end of the peer is its end. */
void weir__transport_discard(weir_transport *t);
/* The peer has ended in order. */
void weir__transport_eof(weir_transport *t);

/* Writing (transport_write.c, write_queue.c) */

void weir__transport_sent(weir_transport *t, ssize_t result);
/* Starts to send what is queued, unless corked or under way. */
void weir__transport_flush(weir_transport *t);
void weir__queue_drop(weir_transport *t);
/* Where the bytes now lie, contiguous, until they are sent; NULL without memory. A slice of the pool
   is referenced, others copied. */
const void *weir__queue_add(weir_transport *t, weir_slice data);
/* `data` lies in `chunk`; false: out of memory. */
bool weir__queue_add_shared(weir_transport *t, weir_chunk *chunk, weir_slice data);
weir_error *weir__queue_add_owned(weir_transport *t, weir_slice data, weir_drop_fn release,
                                  void *owner) WEIR_MUST_USE;
bool weir__queue_copy(weir_transport *t, const void *data, size_t len);
void weir__queue_consume(weir_transport *t, size_t n);
int weir__queue_vector(const weir_transport *t, struct iovec *iov);
/* After queueing and sending: calls pause_writing or resume_writing when a mark was passed. */
void weir__transport_marks(weir_transport *t);
/* Bytes of a file under way: as the public calls, but nothing is asked. */
weir_error *weir__transport_put(weir_transport *t, const weir_slice *slices, size_t count,
                                size_t total) WEIR_MUST_USE;
weir_error *weir__transport_put_owned(weir_transport *t, weir_slice data, weir_drop_fn release,
                                      void *owner) WEIR_MUST_USE;
/* NULL: bytes may be written. `operation` is the public call. */
weir_error *weir__transport_writable(const weir_transport *t, const char *operation) WEIR_MUST_USE;

/* Small writes that wait for the end of a dispatch (transport_soon.c) */

/* Queues a copy that waits; false: it should not, or there is no memory, and nothing was queued. */
bool weir__transport_write_soon(weir_transport *t, const weir_slice *slices, size_t count,
                                size_t total);
/* As weir__transport_flush(), now or when the loop has delivered what has come. */
void weir__transport_flush_soon(weir_transport *t);
/* It is lost: nothing of it waits any more. */
void weir__transport_not_soon(weir_transport *t);
/* The backend's `delivered`; `arg` is the struct net. */
void weir__net_send_soon(void *arg);

/* For calls that cannot say no: whether this is the thread of the transport's loop; reported. */
#define transport_allows(t) (!(t)->net->loop || weir__loop_allows((t)->net->loop))

/* Tasks (transport_task.c) */

void weir__transport_cancel_tasks(weir_transport *t);

#endif
