/* SPDX-License-Identifier: Apache-2.0 */
/**
 * HTTP/1.1 messages: a strict incremental parser and a writer. No I/O, no allocation, no copies:
 * every slice points into the caller's bytes. (Dates, ranges, paths, …: http-values.h.)
 *
 * A head is parsed from one contiguous run of bytes that starts at the message and grows:
 *
 *     weir_http_head head;
 *     weir_http_field fields[100];
 *     weir_http_head_init(&head, fields, 100, NULL);
 *     switch (weir_http_parse_request(&head, everything_received_so_far)) {
 *     case WEIR_HTTP_MORE: call again with the same bytes and more behind them; they may have moved
 *     case WEIR_HTTP_DONE: the head took head.length bytes; what follows is its body
 *     case WEIR_HTTP_BAD:  head.error says why; answer weir_http_error_status() and close
 *     }
 *
 * then its body piece by piece:
 *
 *     weir_http_body_init(&body, &head, NULL);
 *     do {
 *         result = weir_http_body_decode(&body, in, &used, &data);
 *         use data; in = weir_slice_skip(in, used);
 *     } while (result == WEIR_HTTP_MORE && used > 0);
 *
 * Each byte is looked at once however the input was cut, and the outcome does not depend on the
 * cuts. What two implementations could frame differently is an error, never a guess.
 *
 * All functions here: any thread, on objects that only that thread uses. Since: 0.1
 *
 * Example:
 *
 *     static int answer_to(weir_slice so_far) // 0: more bytes are needed
 *     {
 *         weir_http_head head;
 *         weir_http_field fields[100];
 *
 *         weir_http_head_init(&head, fields, 100, NULL);
 *         switch (weir_http_parse_request(&head, so_far)) {
 *         case WEIR_HTTP_MORE:
 *             return 0;
 *         case WEIR_HTTP_DONE:
 *             return weir_slice_equal(head.path, WEIR_SLICE("/")) ? 200 : 404;
 *         default:
 *             return weir_http_error_status(head.error);
 *         }
 *     }
 */
#ifndef WEIR_HTTP_MESSAGE_H
#define WEIR_HTTP_MESSAGE_H

#include <weir/slice.h>

WEIR_BEGIN_DECLS

/** What a parse step came to. */
typedef enum weir_http_result {
    WEIR_HTTP_MORE, /* needs another call */
    WEIR_HTTP_DONE,
    WEIR_HTTP_BAD, /* .error says why; the connection cannot be used for another message */
} weir_http_result;

/* name, status for a client that caused it, text for log and answer. A gateway answers 502 to all
 * of them when the message was a response. Appended to, never reordered. */
#define WEIR_HTTP_ERRORS(X)                                                        \
    X(NONE, 200, "no error")                                                       \
    X(METHOD, 400, "invalid character in the method")                              \
    X(METHOD_LONG, 501, "method is too long")                                      \
    X(TARGET, 400, "invalid request target")                                       \
    X(TARGET_FRAGMENT, 400, "request target has a fragment")                       \
    X(TARGET_FORM, 400, "request target does not fit the method")                  \
    X(TARGET_USERINFO, 400, "request target has user information")                 \
    X(TARGET_SCHEME, 400, "request target has a scheme other than http and https") \
    X(LINE_LONG, 414, "request line is too long")                                  \
    X(VERSION, 400, "invalid HTTP version")                                        \
    X(VERSION_UNSUPPORTED, 505, "HTTP version is not supported")                   \
    X(STATUS_LINE, 502, "invalid status line")                                     \
    X(LINE_END, 400, "line does not end in CR LF")                                 \
    X(BARE_CR, 400, "CR without LF")                                               \
    X(NUL, 400, "NUL byte")                                                        \
    X(FOLD, 400, "folded or indented field line")                                  \
    X(FIELD_NAME, 400, "invalid field name")                                       \
    X(FIELD_SPACE, 400, "white space before the colon of a field")                 \
    X(FIELD_NO_COLON, 400, "field line without a colon")                           \
    X(FIELD_VALUE, 400, "invalid character in a field value")                      \
    X(HEAD_LARGE, 431, "head is too large")                                        \
    X(FIELDS_MANY, 431, "too many fields")                                         \
    X(HOST_MISSING, 400, "no Host field")                                          \
    X(HOST_REPEATED, 400, "more than one Host field")                              \
    X(HOST, 400, "invalid Host")                                                   \
    X(LENGTH, 400, "invalid Content-Length")                                       \
    X(LENGTH_REPEATED, 400, "more than one Content-Length")                        \
    X(LENGTH_AND_CODING, 400, "both Content-Length and Transfer-Encoding")         \
    X(CODING, 400, "Transfer-Encoding is not exactly one final chunked")           \
    X(CODING_UNSUPPORTED, 501, "transfer coding is not supported")                 \
    X(CODING_VERSION, 400, "Transfer-Encoding in an HTTP/1.0 message")             \
    X(CONNECTION, 400, "invalid Connection field")                                 \
    X(CONNECT_CONTENT, 400, "CONNECT with content")                                \
    X(EXPECTATION, 417, "unknown expectation")                                     \
    X(SWITCH_UNASKED, 502, "101 without a request to upgrade")                     \
    X(CHUNK_SIZE, 400, "invalid chunk size")                                       \
    X(CHUNK_LARGE, 400, "chunk size is too large")                                 \
    X(CHUNK_EXTENSION, 400, "invalid chunk extension")                             \
    X(CHUNK_EXTENSIONS_LARGE, 413, "chunk extensions are too large")               \
    X(CHUNK_END, 400, "chunk does not end in CR LF")                               \
    X(TRAILER_LARGE, 431, "trailer section is too large")                          \
    X(CUT_SHORT, 400, "message ends early")

typedef enum weir_http_error {

#define WEIR_HTTP_ERROR_(name, status, text) WEIR_HTTP_BAD_##name,
    WEIR_HTTP_ERRORS(WEIR_HTTP_ERROR_)
#undef WEIR_HTTP_ERROR_
        WEIR_HTTP_ERROR_COUNT
} weir_http_error;

/** 400, 414, 417, 431, 501, 505, …: the answer to a client whose request failed so. */
WEIR_PUBLIC int weir_http_error_status(weir_http_error error);
/** A few words, "more than one Host field". Never NULL. */
WEIR_PUBLIC const char *weir_http_error_text(weir_http_error error);
/** The constant's short name, "HOST_REPEATED". */
WEIR_PUBLIC const char *weir_http_error_name(weir_http_error error);

#define WEIR_HTTP_METHODS(X) \
    X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(OPTIONS) X(PATCH) X(TRACE) X(CONNECT)

/** Methods are case-sensitive: `get` is OTHER. */
typedef enum weir_http_method {
    WEIR_HTTP_OTHER,

#define WEIR_HTTP_METHOD_(name) WEIR_HTTP_##name,
    WEIR_HTTP_METHODS(WEIR_HTTP_METHOD_)
#undef WEIR_HTTP_METHOD_
        WEIR_HTTP_METHOD_COUNT
} weir_http_method;

/** The method of this name, in its case; OTHER for one that is not in the table. */
WEIR_PUBLIC weir_http_method weir_http_method_of(weir_slice text);
/** "GET"; "OTHER" for OTHER. */
WEIR_PUBLIC const char *weir_http_method_name(weir_http_method method);
/** GET, HEAD, OPTIONS, TRACE. */
static inline bool weir_http_method_is_safe(weir_http_method method);
/** Safe ones, PUT and DELETE: may be sent again when a connection fails. */
static inline bool weir_http_method_is_idempotent(weir_http_method method);

/* Known field names: constant, lower-case text, hop-by-hop by itself. At most 64, so that a set of
 * them is one word. Appended to, never reordered. */
#define WEIR_HTTP_NAMES(X)                                 \
    X(HOST, "host", 0)                                     \
    X(CONNECTION, "connection", 1)                         \
    X(CONTENT_LENGTH, "content-length", 0)                 \
    X(TRANSFER_ENCODING, "transfer-encoding", 1)           \
    X(TE, "te", 1)                                         \
    X(TRAILER, "trailer", 1)                               \
    X(UPGRADE, "upgrade", 1)                               \
    X(KEEP_ALIVE, "keep-alive", 1)                         \
    X(PROXY_CONNECTION, "proxy-connection", 1)             \
    X(HTTP2_SETTINGS, "http2-settings", 1)                 \
    X(EXPECT, "expect", 0)                                 \
    X(DATE, "date", 0)                                     \
    X(SERVER, "server", 0)                                 \
    X(VIA, "via", 0)                                       \
    X(FORWARDED, "forwarded", 0)                           \
    X(X_FORWARDED_FOR, "x-forwarded-for", 0)               \
    X(X_FORWARDED_HOST, "x-forwarded-host", 0)             \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", 0)           \
    X(X_FORWARDED_PORT, "x-forwarded-port", 0)             \
    X(X_REAL_IP, "x-real-ip", 0)                           \
    X(X_REQUEST_ID, "x-request-id", 0)                     \
    X(RANGE, "range", 0)                                   \
    X(IF_RANGE, "if-range", 0)                             \
    X(IF_MATCH, "if-match", 0)                             \
    X(IF_NONE_MATCH, "if-none-match", 0)                   \
    X(IF_MODIFIED_SINCE, "if-modified-since", 0)           \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since", 0)       \
    X(CONTENT_TYPE, "content-type", 0)                     \
    X(CONTENT_ENCODING, "content-encoding", 0)             \
    X(CONTENT_RANGE, "content-range", 0)                   \
    X(CONTENT_LOCATION, "content-location", 0)             \
    X(ACCEPT, "accept", 0)                                 \
    X(ACCEPT_ENCODING, "accept-encoding", 0)               \
    X(ACCEPT_LANGUAGE, "accept-language", 0)               \
    X(ACCEPT_RANGES, "accept-ranges", 0)                   \
    X(USER_AGENT, "user-agent", 0)                         \
    X(COOKIE, "cookie", 0)                                 \
    X(SET_COOKIE, "set-cookie", 0)                         \
    X(AUTHORIZATION, "authorization", 0)                   \
    X(PROXY_AUTHORIZATION, "proxy-authorization", 0)       \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", 0)         \
    X(WWW_AUTHENTICATE, "www-authenticate", 0)             \
    X(CACHE_CONTROL, "cache-control", 0)                   \
    X(AGE, "age", 0)                                       \
    X(ETAG, "etag", 0)                                     \
    X(LAST_MODIFIED, "last-modified", 0)                   \
    X(EXPIRES, "expires", 0)                               \
    X(PRAGMA, "pragma", 0)                                 \
    X(VARY, "vary", 0)                                     \
    X(LOCATION, "location", 0)                             \
    X(ORIGIN, "origin", 0)                                 \
    X(REFERER, "referer", 0)                               \
    X(MAX_FORWARDS, "max-forwards", 0)                     \
    X(ALLOW, "allow", 0)                                   \
    X(RETRY_AFTER, "retry-after", 0)                       \
    X(ALT_SVC, "alt-svc", 0)                               \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key", 0)           \
    X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept", 0)     \
    X(SEC_WEBSOCKET_VERSION, "sec-websocket-version", 0)   \
    X(SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol", 0) \
    X(SEC_WEBSOCKET_EXTENSIONS, "sec-websocket-extensions", 0)

typedef enum weir_http_name {
    WEIR_HTTP_UNKNOWN,

#define WEIR_HTTP_NAME_(name, text, hop) WEIR_HTTP_##name,
    WEIR_HTTP_NAMES(WEIR_HTTP_NAME_)
#undef WEIR_HTTP_NAME_
        WEIR_HTTP_NAME_COUNT
} weir_http_name;

/** Of a field name, whatever its case. UNKNOWN when it is none of the above. */
WEIR_PUBLIC weir_http_name weir_http_name_of(weir_slice text);
/** "content-length"; "" for UNKNOWN. */
WEIR_PUBLIC const char *weir_http_name_text(weir_http_name name);

/** A field must not travel further: hop-by-hop by itself or nominated by Connection. */
#define WEIR_HTTP_FIELD_HOP 1u
/** Its line is exactly `name: value CR LF` without extra white space. Neighbouring plain fields
 *  are contiguous, so a forwarder may send a run of them as one slice. */
#define WEIR_HTTP_FIELD_PLAIN 2u

/** One field, pointing into the caller's bytes. */
typedef struct weir_http_field {
    const char *name;
    const char *value; /* without white space around */
    uint32_t value_len;
    uint16_t name_len;
    uint8_t id;    /* weir_http_name */
    uint8_t flags; /* WEIR_HTTP_FIELD_… */
} weir_http_field;

/** The name as it was sent, and the value without white space around it. Borrowed with the field. */
static inline weir_slice weir_http_field_name(const weir_http_field *field);
static inline weir_slice weir_http_field_value(const weir_http_field *field);
/** From the name of `first` to the end of the line of `last`: right when all of them are PLAIN. */
static inline weir_slice weir_http_field_run(const weir_http_field *first,
                                             const weir_http_field *last);

/** How much a peer may send. Zero means the default. */
typedef struct weir_http_limits {
    size_t size;
    uint32_t line;      /* request or status line with its CR LF: 8 KiB */
    uint32_t head;      /* all of the head: 32 KiB, at most 1 MiB */
    uint32_t trailer;   /* trailer section: 8 KiB */
    uint32_t extension; /* chunk extensions of one body, together: 16 KiB */
} weir_http_limits;

/** How the body after a head is delimited. */
typedef enum weir_http_framing {
    WEIR_HTTP_NO_BODY,
    WEIR_HTTP_LENGTH, /* head.content_length bytes, may be 0 */
    WEIR_HTTP_CHUNKED,
    WEIR_HTTP_UNTIL_CLOSE, /* responses only */
    WEIR_HTTP_TUNNEL,      /* 101, or 2xx to CONNECT: bytes of another protocol */
} weir_http_framing;

typedef enum weir_http_form {
    WEIR_HTTP_ORIGIN_FORM,    /* /path?query */
    WEIR_HTTP_ABSOLUTE_FORM,  /* http://host/path?query */
    WEIR_HTTP_AUTHORITY_FORM, /* host:port, with CONNECT */
    WEIR_HTTP_ASTERISK_FORM,  /* *, with OPTIONS */
} weir_http_form;

/** A parsed head, and the state of parsing it. Init before each message; then read only. */
typedef struct weir_http_head {
    size_t size;
    weir_http_field *fields;
    uint16_t field_count;
    uint16_t field_capacity;
    uint32_t length;       /* of the whole head in bytes, an empty line before it included */
    uint32_t fields_begin; /* offset of the first field line */
    weir_http_error error;

    /* both kinds */
    uint8_t minor_version;   /* of HTTP/1.x */
    uint8_t framing;         /* weir_http_framing */
    bool keep_alive;         /* the sender will take another message after this one */
    bool close_seen;         /* Connection: close */
    bool upgrade_asked;      /* Connection: upgrade with an Upgrade field, in HTTP/1.1 */
    bool expect_continue;    /* request: Expect: 100-continue, in HTTP/1.1 */
    bool has_query;          /* request: there is a `?`, so that `/a?` is told from `/a` */
    bool te_trailers;        /* request: TE lists trailers */
    uint64_t content_length; /* with LENGTH; also of a response to HEAD and a 304 that said it */
    bool has_content_length;

    /* request */
    uint8_t form;    /* weir_http_form */
    uint8_t method;  /* weir_http_method; of a response, the method of its request */
    uint16_t status; /* response */
    weir_slice method_text;
    weir_slice target; /* as received */
    weir_slice host;   /* host[:port] that counts: of the target if absolute, else the Host field;
                          empty for an HTTP/1.0 request without one */
    weir_slice
        path; /* as received, "/" when an absolute target has none, empty for * and CONNECT */
    weir_slice query; /* without `?` */
    /* response */
    weir_slice reason;

    weir_slice upgrade; /* value of the first Upgrade field */
    uint64_t present;   /* bit weir_http_name set: at least one such field */
    uint64_t repeated;  /* more than one */
    uint16_t first[64]; /* index of the first field by name; valid where `present` says so */

    /* parser's own */
    const char *base_;
    uint32_t at_, mark_, line_limit_, head_limit_;
    uint8_t state_;
    bool upgrade_offered_;
} weir_http_head;

/** Ready for one message. `fields` is storage for at most `capacity` fields (more: FIELDS_MANY);
 *  it and `limits` (NULL: defaults) are borrowed, the fields until the head is done with. */
static inline void weir_http_head_init(weir_http_head *head, weir_http_field *fields,
                                       uint16_t capacity, const weir_http_limits *limits);

/**
 * Parses a request head. `so_far` is everything received of it, contiguous, the same bytes as in
 * the call before and more; they may stand elsewhere in memory now. One empty line before it is
 * skipped, as RFC 9112 2.2 asks.
 */
WEIR_PUBLIC weir_http_result weir_http_parse_request(weir_http_head *head,
                                                     weir_slice so_far) WEIR_MUST_USE;

/**
 * Parses a response head, which needs to know the method of its request, and whether that asked to
 * upgrade (else a 101 is an error). Interim responses (status < 200) are heads of their own.
 */
WEIR_PUBLIC weir_http_result weir_http_parse_response(weir_http_head *head, weir_slice so_far,
                                                      weir_http_method request_method,
                                                      bool request_upgrades) WEIR_MUST_USE;

/** The first field of that name, NULL when there is none. Constant time. */
static inline const weir_http_field *weir_http_head_field(const weir_http_head *head,
                                                          weir_http_name name);
static inline bool weir_http_head_has(const weir_http_head *head, weir_http_name name);
/** The next field of that name after `field` (NULL: the first), for those that repeat. */
WEIR_PUBLIC const weir_http_field *
weir_http_head_next(const weir_http_head *head, weir_http_name name, const weir_http_field *field);
/** The first field by its text, known or not. */
WEIR_PUBLIC const weir_http_field *weir_http_head_find(const weir_http_head *head, weir_slice name);
/** The bytes of a head moved: sets all slices that pointed into the old place to the new one. */
WEIR_PUBLIC void weir_http_head_moved(weir_http_head *head, const void *base);

/** Incremental decoder of one body. */
typedef struct weir_http_body {
    size_t size;
    weir_http_error error;
    uint8_t framing; /* weir_http_framing */
    uint8_t state_;
    uint8_t digits_;
    bool keep_trailers_;
    uint64_t remaining_; /* bytes of this chunk or of the whole body that are still to come */
    uint64_t received;   /* body bytes given out so far */
    uint32_t extension_, extension_limit_;
    weir_http_field scratch_;
    weir_http_head trailer; /* after DONE of a chunked body: trailer.fields[0 … field_count) */
} weir_http_body;

/**
 * Ready for the body that `head` announced. Trailer fields are kept only after
 * weir_http_body_keep_trailers(), else checked and dropped.
 */
WEIR_PUBLIC void weir_http_body_init(weir_http_body *body, const weir_http_head *head,
                                     const weir_http_limits *limits);
/** Storage for trailer fields. Those that may not stand in a trailer (framing, routing,
 *  authentication, …) are dropped in any case. */
WEIR_PUBLIC void weir_http_body_keep_trailers(weir_http_body *body, weir_http_field *fields,
                                              uint16_t capacity);

/**
 * Takes what it can from the front of `in`: `*ret_used` bytes, in which lie `*ret_data` bytes of
 * body (may be empty). DONE: the body is complete, maybe with data; the rest of `in` belongs to
 * what follows. MORE: call again with the rest of `in`; but when it used nothing, only with more
 * bytes behind the same rest (a trailer section has to be contiguous, and has a limit).
 * Outputs are set on every return, empty when BAD. A TUNNEL never ends.
 */
WEIR_PUBLIC weir_http_result weir_http_body_decode(weir_http_body *body, weir_slice in,
                                                   size_t *ret_used,
                                                   weir_slice *ret_data) WEIR_MUST_USE;
/** The peer ended its stream: DONE when that ends the body, BAD (CUT_SHORT) when it is cut. */
WEIR_PUBLIC weir_http_result weir_http_body_eof(weir_http_body *body) WEIR_MUST_USE;
/** Bytes of body that are certain to come next (of this chunk, or of all when LENGTH). */
static inline uint64_t weir_http_body_ahead(const weir_http_body *body);

/**
 * Composes a head into the caller's memory. A call that does not fit, or a name, value, … with a
 * character that would break the head, sets `failed`, and everything after it does nothing: check
 * once, at the end.
 */
typedef struct weir_http_writer {
    char *data;
    size_t capacity;
    size_t len;
    bool overflow; /* did not fit */
    bool invalid;  /* somebody tried to inject CR, LF, NUL, … */
} weir_http_writer;

/** Writes into `data`, which stays the caller's; a failed writer writes no more, so that only the end
 *  needs a check; slice: what was written. */
static inline void weir_http_writer_init(weir_http_writer *writer, void *data, size_t capacity);
static inline bool weir_http_writer_failed(const weir_http_writer *writer);
static inline weir_slice weir_http_writer_slice(const weir_http_writer *writer);

/** `HTTP/1.1 404 Not Found`; the reason is the registered one unless given. Status 100 … 999. */
WEIR_PUBLIC void weir_http_write_status(weir_http_writer *writer, int status, weir_slice reason);
/** The status line of a parsed response, as HTTP/1.1. */
WEIR_PUBLIC void weir_http_write_status_of(weir_http_writer *writer, const weir_http_head *head);
/** `GET /path HTTP/1.1`. */
WEIR_PUBLIC void weir_http_write_request(weir_http_writer *writer, weir_slice method,
                                         weir_slice target);
/** The same with the target in origin form put together: path, and `?query` when `has_query`. */
WEIR_PUBLIC void weir_http_write_request_path(weir_http_writer *writer, weir_slice method,
                                              weir_slice path, bool has_query, weir_slice query);
WEIR_PUBLIC void weir_http_write_field(weir_http_writer *writer, weir_slice name, weir_slice value);
WEIR_PUBLIC void weir_http_write_field_uint(weir_http_writer *writer, weir_slice name,
                                            uint64_t value);
/** `Date: …` of seconds since 1970. */
WEIR_PUBLIC void weir_http_write_date(weir_http_writer *writer, int64_t seconds);
/** Bytes that were checked before: runs of parsed fields, constant text with its CR LF. */
static inline void weir_http_write_raw(weir_http_writer *writer, weir_slice bytes);
/** The same in many pieces with one check: room for at most `max` bytes, or NULL; put appends there
 *  and returns where the next piece goes; done takes over what was put. Nothing else is written in
 *  between. */
static inline char *weir_http_writer_room(weir_http_writer *writer, size_t max);
static inline char *weir_http_put(char *to, weir_slice bytes);
static inline void weir_http_writer_done(weir_http_writer *writer, const char *end);
/** Fields of a parsed head that may travel on: all but hop-by-hop ones and those whose bit
 *  (1 << weir_http_name) is set in `except`. */
WEIR_PUBLIC void weir_http_write_end_to_end(weir_http_writer *writer, const weir_http_head *head,
                                            uint64_t except);
/** The empty line. */
WEIR_PUBLIC void weir_http_write_end(weir_http_writer *writer);

/** "Not Found"; "" for an unregistered status. */
WEIR_PUBLIC const char *weir_http_reason(int status);

/** Longest output of weir_http_chunk_head(). */
#define WEIR_HTTP_CHUNK_HEAD_MAX 18
/** Writes `1f CR LF` of a size > 0, returns its length. After the data comes CR LF. */
WEIR_PUBLIC size_t weir_http_chunk_head(char buffer[WEIR_HTTP_CHUNK_HEAD_MAX], uint64_t size);
/** `0 CR LF CR LF`: the end of a chunked body without trailer. */
#define WEIR_HTTP_LAST_CHUNK WEIR_SLICE("0\r\n\r\n")

/* inline definitions */

static inline bool weir_http_method_is_safe(weir_http_method method)
{
    return method == WEIR_HTTP_GET || method == WEIR_HTTP_HEAD || method == WEIR_HTTP_OPTIONS ||
           method == WEIR_HTTP_TRACE;
}

static inline bool weir_http_method_is_idempotent(weir_http_method method)
{
    return weir_http_method_is_safe(method) || method == WEIR_HTTP_PUT ||
           method == WEIR_HTTP_DELETE;
}

static inline weir_slice weir_http_field_name(const weir_http_field *field)
{
    return weir_slice_of(field->name, field->name_len);
}

static inline weir_slice weir_http_field_value(const weir_http_field *field)
{
    return weir_slice_of(field->value, field->value_len);
}

static inline weir_slice weir_http_field_run(const weir_http_field *first,
                                             const weir_http_field *last)
{
    return weir_slice_of(first->name, (size_t)(last->value + last->value_len + 2 - first->name));
}

static inline void weir_http_head_init(weir_http_head *head, weir_http_field *fields,
                                       uint16_t capacity, const weir_http_limits *limits)
{
    /* `first` needs no clearing: `present` says what of it is valid */
    memset(head, 0, offsetof(weir_http_head, first));
    head->size = sizeof(*head);
    head->fields = fields;
    head->field_capacity = capacity;
    head->base_ = NULL;
    head->at_ = head->mark_ = 0;
    head->line_limit_ = limits && limits->line ? limits->line : 8192;
    head->head_limit_ = limits && limits->head ? limits->head : 32768;
    if (head->head_limit_ > 1048576)
        head->head_limit_ = 1048576;
    head->state_ = 0;
    head->upgrade_offered_ = false;
}

static inline bool weir_http_head_has(const weir_http_head *head, weir_http_name name)
{
    return (head->present >> name) & 1;
}

static inline const weir_http_field *weir_http_head_field(const weir_http_head *head,
                                                          weir_http_name name)
{
    return name && weir_http_head_has(head, name) ? &head->fields[head->first[name]] : NULL;
}

static inline uint64_t weir_http_body_ahead(const weir_http_body *body)
{
    return body->remaining_;
}

static inline void weir_http_writer_init(weir_http_writer *writer, void *data, size_t capacity)
{
    writer->data = (char *)data;
    writer->capacity = capacity;
    writer->len = 0;
    writer->overflow = writer->invalid = false;
}

static inline bool weir_http_writer_failed(const weir_http_writer *writer)
{
    return writer->overflow || writer->invalid;
}

static inline weir_slice weir_http_writer_slice(const weir_http_writer *writer)
{
    return weir_slice_of(writer->data, writer->len);
}

/* Inline because most pieces of a head are short constants: a few stores instead of two calls. */
static inline void weir_http_write_raw(weir_http_writer *writer, weir_slice bytes)
{
    if (weir_http_writer_failed(writer))
        return;
    if (bytes.len > writer->capacity - writer->len) {
        writer->overflow = true;
        return;
    }
    if (bytes.len)
        memcpy(writer->data + writer->len, bytes.data, bytes.len);
    writer->len += bytes.len;
}

static inline char *weir_http_writer_room(weir_http_writer *writer, size_t max)
{
    if (weir_http_writer_failed(writer))
        return NULL;
    if (max > writer->capacity - writer->len) {
        writer->overflow = true;
        return NULL;
    }
    return writer->data + writer->len;
}

static inline char *weir_http_put(char *to, weir_slice bytes)
{
    if (bytes.len)
        memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

static inline void weir_http_writer_done(weir_http_writer *writer, const char *end)
{
    writer->len = (size_t)(end - writer->data);
}

WEIR_END_DECLS

#endif
