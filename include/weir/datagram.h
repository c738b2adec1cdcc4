/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Datagrams: UDP and Unix sockets whose messages arrive whole or not at all.
 *
 *     connection_made → (datagram_received | error_received)* → connection_lost
 *
 * A socket has a local address, a remote one, or both: with a remote one (connected) it hears that
 * peer alone and is told by error_received when the peer's machine refuses (ICMP: ECONNREFUSED, …);
 * without, it hears everybody, and nothing is told of what did not arrive. With a protocol, datagrams
 * are pushed; without (`protocol` NULL), tasks call weir_datagram_receive() and weir_datagram_send().
 *
 * Datagrams are received in batches (recvmmsg), and what is sent while a batch is delivered leaves
 * together (sendmmsg), without a copy when it is (part of) a datagram of that batch. Otherwise a send
 * is tried at once, and queued when the kernel has no room: in order, counted per datagram with
 * WEIR_DATAGRAM_OVERHEAD, bounded. Datagrams of no bytes are datagrams like others.
 *
 * A socket belongs to the thread of its loop; other threads are refused (B2), but unref, which is
 * posted. One that nobody closed, when its last reference is dropped or its loop closes, is reported
 * as a RESOURCE warning (K1).
 *
 * Example:
 *
 *     static weir_error *echo(weir_datagram *socket, void *state, weir_slice data,
 *                             const weir_datagram_info *info)
 *     {
 *         (void)state;
 *         if (info->truncated)
 *             return NULL;
 *         return weir_datagram_send_to(socket, data, &info->peer);
 *     }
 *
 *     static const weir_datagram_protocol echoing = {
 *         WEIR_SIZED(weir_datagram_protocol),
 *         .name = "echo",
 *         .datagram_received = echo,
 *     };
 *
 *     static weir_error *ask(void *arg)
 *     {
 *         weir_auto(weir_datagram) server = NULL;
 *         weir_auto(weir_datagram) client = NULL;
 *         weir_loop *loop = weir_loop_current();
 *         char answer[64], name[WEIR_ADDRESS_TEXT_SIZE];
 *         size_t n;
 *
 *         (void)arg;
 *         WEIR_TRY(weir_datagram_open(loop, "127.0.0.1:0", NULL, NULL, &echoing, NULL, &server));
 *         weir_address_text(weir_datagram_local_address(server), name, sizeof(name));
 *         WEIR_TRY(weir_datagram_open(loop, NULL, name, NULL, NULL, NULL, &client));
 *         WEIR_TRY(weir_datagram_send(client, "hello", 5, NULL));
 *         WEIR_TRY(weir_datagram_receive(client, answer, sizeof(answer), &n, NULL));
 *         weir_datagram_close(client);
 *         weir_datagram_close(server);
 *         return NULL;
 *     }
 */
#ifndef WEIR_DATAGRAM_H
#define WEIR_DATAGRAM_H

#include <weir/address.h>
#include <weir/loop.h>
#include <weir/slice.h>

WEIR_BEGIN_DECLS

typedef struct weir_datagram weir_datagram;

/** What a queued datagram counts for, above its bytes. */
#define WEIR_DATAGRAM_OVERHEAD 64
/** The longest datagram: IPv4's; a longer one is refused with EMSGSIZE before it is queued. */
#define WEIR_DATAGRAM_MAX 65507

/** What is known of a datagram besides its bytes. */
typedef struct weir_datagram_info {
    weir_address peer; /**< who sent it; length 0: an unnamed Unix socket */
    size_t full_size;  /**< its length as sent; more than was received when truncated */
    bool truncated;    /**< the buffer was too small: the rest is lost */
    /** Where it was sent to; length 0 unless `tell_local`, or where the kernel does not say. */
    weir_address local;
} weir_datagram_info;

/**
 * What happens to the datagrams of a socket. Static. Unset callbacks do nothing. An error that
 * connection_made or datagram_received returns aborts the socket and is the reason of
 * connection_lost.
 */
typedef struct weir_datagram_protocol {
    size_t size;
    const char *name;
    size_t state_size; /**< zeroed memory for each socket, freed with its last reference */
    weir_error *(*connection_made)(weir_datagram *socket, void *state, const void *config);
    /** `data` and `info` are borrowed until the callback returns. */
    weir_error *(*datagram_received)(weir_datagram *socket, void *state, weir_slice data,
                                     const weir_datagram_info *info);
    /** A send or receive failed, or ICMP said that an earlier datagram did (T67). The socket goes on.
     *  Borrowed. */
    void (*error_received)(weir_datagram *socket, void *state, const weir_error *error);
    /** More than the high water mark is queued; may come from inside a send. */
    void (*pause_writing)(weir_datagram *socket, void *state);
    void (*resume_writing)(weir_datagram *socket, void *state);
    /** Once and last, by the loop. `reason` NULL: closed. Borrowed. */
    void (*connection_lost)(weir_datagram *socket, void *state, const weir_error *reason);
} weir_datagram_protocol;

typedef struct weir_datagram_options {
    size_t size;
    bool reuse_port;    /**< several sockets share the address, the kernel spreads senders */
    bool broadcast;     /**< may send to broadcast addresses */
    bool v6_only;       /**< "*" and "[::]" hear IPv6 only; default: both families */
    int receive_buffer; /**< bytes in the kernel (SO_RCVBUF); 0: its default */
    int send_buffer;    /**< SO_SNDBUF */
    size_t max_size;    /**< longest datagram to receive, up to 65536; 0: that. More is truncated */
    bool tell_local; /**< each says which of our addresses it came to, to be answered from there */
} weir_datagram_options;

/**
 * Opens a socket. `local` NULL: any address of the remote's family; `remote` NULL: everybody. Both as
 * of weir_address_parse(); names are for weir_resolve() first. With a protocol its connection_made
 * has been called on return (an error of it comes by connection_lost), and datagrams come from the
 * loop. `config` must live as long as the socket. The path of a Unix socket is bound as that of a
 * listener: a stale file is replaced, and removed on close. The reference is the caller's.
 *
 * Errors: EADDRINUSE, EACCES and others of the kernel, with the address; WEIR_EINVAL an address that
 * does not parse, neither of them, families that differ; WEIR_ETHREAD, WEIR_ECLOSED, WEIR_ENOMEM.
 */
#define weir_datagram_open(loop, local, remote, options, protocol, config, ret)                  \
    weir_datagram_open_at(WEIR_HERE, (loop), (local), (remote), (options), (protocol), (config), \
                          (ret))
WEIR_PUBLIC weir_error *
weir_datagram_open_at(const weir_site *site, weir_loop *loop, const char *local, const char *remote,
                      const weir_datagram_options *options, const weir_datagram_protocol *protocol,
                      const void *config, weir_datagram **ret) WEIR_MUST_USE;
/**
 * Likewise over a datagram socket that the program has: of systemd, of socketpair(2). It moves in on
 * success; on failure it stays the caller's (T69). Of `options` only `max_size` and `tell_local` are
 * allowed to be set (WEIR_EINVAL names the first other). Errors: WEIR_EINVAL no datagram socket; as above.
 */
#define weir_datagram_of_fd(loop, take_fd, options, protocol, config, ret) \
    weir_datagram_of_fd_at(WEIR_HERE, (loop), (take_fd), (options), (protocol), (config), (ret))
WEIR_PUBLIC weir_error *weir_datagram_of_fd_at(const weir_site *site, weir_loop *loop, int take_fd,
                                               const weir_datagram_options *options,
                                               const weir_datagram_protocol *protocol,
                                               const void *config,
                                               weir_datagram **ret) WEIR_MUST_USE;

/** One more reference. */
WEIR_PUBLIC weir_datagram *weir_datagram_ref(weir_datagram *socket);
/** Drops a reference; the memory goes with the last, the socket with its close. */
WEIR_PUBLIC void weir_datagram_unref(weir_datagram *socket);
/** The loop it belongs to, borrowed. */
WEIR_PUBLIC weir_loop *weir_datagram_loop(const weir_datagram *socket);
/** Borrowed; the remote's length is 0 when there is none. */
WEIR_PUBLIC const weir_address *weir_datagram_local_address(const weir_datagram *socket);
WEIR_PUBLIC const weir_address *weir_datagram_remote_address(const weir_datagram *socket);
WEIR_PUBLIC void *weir_datagram_state(const weir_datagram *socket);
WEIR_PUBLIC const void *weir_datagram_config(const weir_datagram *socket);
/** A pointer of whoever opened the socket (the daemon's); NULL until it is set. */
WEIR_PUBLIC void weir_datagram_set_context(weir_datagram *socket, void *context);
WEIR_PUBLIC void *weir_datagram_context(const weir_datagram *socket);
/** How it looks in reports, as snprintf: `<Datagram [closing|closed] fd=6 local=127.0.0.1:53
 *  [peer=…] queued=0>`. */
WEIR_PUBLIC size_t weir_datagram_repr(const weir_datagram *socket, char *buffer, size_t size);

/**
 * Sends one datagram, or queues it. `peer` NULL: the remote address. What the network makes of it is
 * told by error_received, if at all. Any callback.
 * Errors: WEIR_ECLOSED, EMSGSIZE above WEIR_DATAGRAM_MAX, EDESTADDRREQ no peer, WEIR_EINVAL another
 * peer than the one it is connected to, WEIR_EFULL past the hard limit, WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_datagram_send_to(weir_datagram *socket, weir_slice data,
                                              const weir_address *peer) WEIR_MUST_USE;
/** Likewise, as from `local`, one of our addresses (weir_datagram_info.local; its port is not looked at):
 *  whoever sent to one address of several expects the answer from there. NULL, or of length 0: the
 *  kernel chooses. Errors: as there; that it is no address of ours is told by error_received. */
WEIR_PUBLIC weir_error *weir_datagram_send_from(weir_datagram *socket, weir_slice data,
                                                const weir_address *peer,
                                                const weir_address *local) WEIR_MUST_USE;
/** `high` counted bytes queued (64 KiB) pause writing, `low` (high / 4) resume it, a send beyond
 *  `hard` (16 MiB; 0: leave) fails. Pause when size > high, resume when size ≤ low. */
WEIR_PUBLIC void weir_datagram_set_write_limits(weir_datagram *socket, size_t high, size_t low,
                                                size_t hard);
/** Bytes and overheads of what is queued. */
WEIR_PUBLIC size_t weir_datagram_write_buffer_size(const weir_datagram *socket);

/** Idempotent. Meanwhile the kernel keeps what fits its buffer and drops the rest. */
WEIR_PUBLIC void weir_datagram_pause_reading(weir_datagram *socket);
WEIR_PUBLIC void weir_datagram_resume_reading(weir_datagram *socket);

/** Sends what is queued (given up after 60 s), then closes; connection_lost(NULL) follows. */
WEIR_PUBLIC void weir_datagram_close(weir_datagram *socket);
/** At once. `take_reason` (NULL: none) reaches connection_lost. */
WEIR_PUBLIC void weir_datagram_abort(weir_datagram *socket, weir_error *take_reason);
WEIR_PUBLIC bool weir_datagram_is_closing(const weir_datagram *socket);

/**
 * Suspends until a datagram is there, of at most `size` bytes; `ret_n` may be 0. `ret_info` may be
 * NULL. Only of sockets without a protocol.
 * Errors: what error_received would be told (the socket goes on); WEIR_ECLOSED, WEIR_EBUSY another
 * task receives, WEIR_EINVAL it has a protocol, WEIR_ECANCELED, WEIR_ETIMEDOUT, WEIR_ENOTASK.
 */
WEIR_PUBLIC weir_error *weir_datagram_receive(weir_datagram *socket, void *buffer, size_t size,
                                              size_t *ret_n,
                                              weir_datagram_info *ret_info) WEIR_MUST_USE;
/** Suspends while more is queued than the high water mark, then sends as weir_datagram_send_to().
 *  Several tasks may. Errors: as there; WEIR_ECANCELED, WEIR_ETIMEDOUT (nothing is sent),
 *  WEIR_ENOTASK. */
WEIR_PUBLIC weir_error *weir_datagram_send(weir_datagram *socket, const void *data, size_t len,
                                           const weir_address *peer) WEIR_MUST_USE;

WEIR_DEFINE_CLEANUP(weir_datagram, weir_datagram_unref)

WEIR_END_DECLS

#endif
