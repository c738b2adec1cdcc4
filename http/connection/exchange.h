/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of http/connection.
 *
 *   struct server     protocol state of a client's connection: small, it idles by the thousand
 *   struct exchange   one request and its response; a block of a per-thread pool, taken with the
 *                     first byte of a request and given back when both sides have ended
 *   weir_http         a view: the root (of the server's owner) and one for the action
 *
 * What an exchange needs to remember (the head, changed fields, an action's state) lives in its
 * block's arena. Entry points are bracketed by server_enter() and server_leave(); an exchange ends
 * only at the outermost leave (or, when something else than the connection drives it, by a callback
 * in the next iteration), so that nobody finds his state freed under him.
 */
#ifndef WEIR_HTTP_CONNECTION_EXCHANGE_H
#define WEIR_HTTP_CONNECTION_EXCHANGE_H

#include <weir/callback.h>
#include <weir/chunk.h>
#include <weir/http-connection.h>
#include <weir/http-values.h>

/* Storage that one message under way needs; blocks of the default size are pooled. */
#define BLOCK_SIZE     ((size_t)8 * 1024)
#define BLOCK_POOL_MAX 256
#define DEFAULT_FIELDS 100
/* What a server still reads of a request that it has answered, before it gives up. */
#define LINGER_BYTES   ((uint64_t)256 * 1024)
#define LINGER_SECONDS 2
/* Largest head composed on the stack. */
#define SMALL_HEAD 4096
/* Up to so much is put together before it is written. */
#define TOGETHER ((size_t)2048)

struct block {
    struct block *next; /* in the pool, or of an arena's further blocks */
    size_t size;
};

/* A bump allocator over a block; what does not fit gets further blocks. */
struct arena {
    char *at, *end;
    struct block *more;
};

/* A block of at least `size` bytes in all; NULL without memory. */
void *weir__http_block_get(size_t size);
void weir__http_block_put(void *pointer);
/* Aligned for anything, and zeroed when `alloc`; NULL without memory. */
void *weir__http_arena_take(struct arena *arena, size_t size);
void *weir__http_arena_alloc(struct arena *arena, size_t size);
void weir__http_arena_done(struct arena *arena);

/* Writes slices in one call, small ones put together: one piece costs the kernel less than several.
   Adds their lengths to `*total` unless it is NULL. */
weir_error *weir__http_write(weir_transport *transport, const weir_slice *slices, size_t count,
                             uint64_t *total) WEIR_MUST_USE;

/* Bytes of a head that came in pieces. */
struct collected {
    char *data;
    size_t len, capacity;
};

/* Appends; false without memory. */
bool weir__http_collect(struct collected *collected, weir_slice data);
void weir__http_collected_done(struct collected *collected);

enum request_phase { REQUEST_HEAD, REQUEST_BODY, REQUEST_COMPLETE };

enum response_phase { RESPONSE_NONE, RESPONSE_BODY, RESPONSE_ENDED };

enum response_framing { AS_NOTHING, AS_LENGTH, AS_CHUNKED, AS_CLOSE };

enum change_kind { CHANGE_SET, CHANGE_ADD, CHANGE_REMOVE };

/* A field that somebody changed on its way. */
struct change {
    struct change *next;
    weir_slice name, value;
    uint8_t side, kind;
    uint8_t id; /* weir_http_name */
};

struct weir_http {
    struct exchange *exchange;
    const weir_http_action *action; /* NULL: the root */
    const void *config;
    weir_instance *instance;
    void *context;
    void *state;
};

struct exchange {
    struct block block;    /* first: it is one */
    struct server *server; /* NULL: ended */
    unsigned references;
    uint8_t request_phase, response_phase, response_framing;
    bool begun;            /* the action has been started */
    bool request_paused;   /* by the action */
    bool continue_pending; /* the client waits for 100 */
    bool continued;        /* it has got one */
    bool close_after;
    bool failed, aborted, tunnel;
    bool file; /* its response's body is a file under way */
    int status;
    weir_outcome outcome;
    weir_error *reason;
    int64_t started_ns;
    uint64_t bytes_in, bytes_out, head_bytes_out;
    uint64_t response_left; /* AS_LENGTH: bytes to come */
    weir_slice path, authority;
    char *authority_room; /* for the authority that has not been asked for */
    struct weir_http root, end;
    struct change *changes, **changes_tail;
    weir_callback settle;
    struct collected collected;
    struct reader *reader; /* straight-line style */
    struct arena arena;
    weir_http_head head;
    weir_http_body body;
    weir_http_field fields[]; /* then the arena */
};

struct server {
    weir_transport *transport;
    const weir_http_server_options *options;
    const weir_http_server_events *events;
    void *arg;
    struct exchange *exchange;
    weir_buffer *pending;   /* received, not looked at yet; NULL: nothing */
    uint32_t sent_at_check; /* bytes sent, modulo 2^32, when writing was last seen to stall */
    uint32_t lingered;      /* bytes dropped since the answer */
    uint16_t depth;
    bool eof : 1, draining : 1, lingering : 1, write_paused : 1, lost : 1, reading_paused : 1;
    bool need_more : 1;  /* what is pending makes sense only with more bytes behind it */
    bool processing : 1; /* received bytes are being looked at */
};

/* Life (server.c) */

void weir__http_server_enter(struct server *server);
/* The outermost ends what has ended, and goes on with what is pending and with reading. */
void weir__http_server_leave(struct server *server);
/* Asks for that from outside of the connection's own callbacks. */
void weir__http_server_settle(struct exchange *exchange);
weir_error *weir__http_settle_later(void *arg);
/* Reads, or not, as the state of things says. */
void weir__http_server_update_reading(struct server *server);

/* Bytes to requests (input.c) */

/* Looks at received bytes as far as they are wanted now, keeps the rest. */
weir_error *weir__http_server_input(struct server *server, weir_slice data);
/* Goes on with bytes that were kept; false: nothing moved. */
bool weir__http_server_pending(struct server *server);
void weir__http_server_drop_pending(struct server *server);
void weir__http_server_arm_body(struct server *server);
/* The path as routes see it, and room for the authority. */
bool weir__http_canonicalise(struct exchange *exchange);

static inline weir_duration http_or_default(weir_duration given, weir_duration otherwise)
{
    return given.ns > 0 ? given : otherwise;
}

weir_http_limits weir__http_limits(const weir_http_server_options *options);
struct exchange *weir__http_exchange_new(struct server *server);
void weir__http_exchange_ref(struct exchange *exchange);
void weir__http_exchange_unref(struct exchange *exchange);
/* Tells everybody that it has ended, and gives it up. `reason` borrowed. */
void weir__http_exchange_end(struct exchange *exchange, const weir_error *reason);
/* Hands body bytes to whom they belong. */
weir_error *weir__http_exchange_body(struct exchange *exchange, weir_slice data, bool last);
/* Both sides have ended, and nobody works on it any more. */
bool weir__http_exchange_finished(const struct exchange *exchange);

/* The file under way is no longer sent (file.c); there may be none. */
void weir__http_file_stop(struct exchange *exchange);

/* It has not ended, and is not being ended. */
static inline bool exchange_is_live(const struct exchange *exchange)
{
    return exchange->server && exchange->server->exchange == exchange;
}

/* Straight-line style (reader.c). */
weir_error *weir__http_reader_start(struct exchange *exchange);
weir_error *weir__http_reader_body(struct exchange *exchange, weir_slice data, bool last);
void weir__http_reader_unpause(struct exchange *exchange);
void weir__http_reader_ended(struct exchange *exchange);

#endif
