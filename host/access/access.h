/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access log: a line for each request and connection.
 *
 *   options.c   `log.access`: its table, and what is wrong in it
 *   fields.c    what can stand in a line: names, kinds, and the value of each in a record
 *   program.c   a format, compiled: literals and fields in a row
 *   filter.c    conditions on fields: `exclude`, and what a follower wants to see
 *   format.c    a record to a line, by a program
 *   line.c      text into a fixed buffer, escaped
 *   ring.c      what a thread has said and the writer has not written
 *   writer.c    the thread that writes, and the output
 *   access.c    which program is in force; a record on its way
 *   tap.c       who reads along
 *
 * It is one for the process: a reload replaces the program, never the rings.
 */
#ifndef WEIR_HOST_ACCESS_ACCESS_H
#define WEIR_HOST_ACCESS_ACCESS_H

#include <stdatomic.h>

#include <weir/config.h>
#include <weir/listener.h>
#include <weir/option.h>

#include "host/access/line.h"

#define ACCESS_RING_SIZE ((size_t)1024 * 1024) /* of each thread; a power of two */
#define ACCESS_LINE_MAX  ((size_t)96 * 1024)   /* every text at its longest */
#define ACCESS_VALUE_MAX ((size_t)4096)        /* bytes of one value, escaped */

/* Fields: the keys of JSON and logfmt lines, in their order, and the words of templates. */
#define ACCESS_FIELDS(X)                \
    X(TS, "ts")                         \
    X(LISTENER, "listener")             \
    X(ROUTE, "route")                   \
    X(CLIENT_IP, "client_ip")           \
    X(METHOD, "method")                 \
    X(HOST, "host")                     \
    X(PATH, "path")                     \
    X(PROTO, "proto")                   \
    X(STATUS, "status")                 \
    X(BYTES_IN, "bytes_in")             \
    X(BYTES_OUT, "bytes_out")           \
    X(DURATION_MS, "duration_ms")       \
    X(CONNECT_MS, "connect_ms")         \
    X(FIRST_BYTE_MS, "first_byte_ms")   \
    X(UPSTREAM, "upstream")             \
    X(SERVER, "server")                 \
    X(RETRIES, "retries")               \
    X(OUTCOME, "outcome")               \
    X(USER_AGENT, "user_agent")         \
    X(REFERER, "referer")               \
    X(REQUEST_ID, "request_id")         \
    X(SNI, "sni")                       \
    X(ALPN, "alpn")                     \
    X(CONN, "conn")                     \
    X(QUERY, "query")                   \
    X(URI, "uri")                       \
    X(BODY_BYTES_OUT, "body_bytes_out") \
    X(TIME, "time")                     \
    X(REQUEST, "request")               \
    X(VHOST, "vhost")

enum access_field {

#define ACCESS_FIELD_ENUM(name, text) ACCESS_##name,
    ACCESS_FIELDS(ACCESS_FIELD_ENUM)
#undef ACCESS_FIELD_ENUM
        ACCESS_FIELD_COUNT
};

/* Those up to here stand in JSON and logfmt by default; the others only where they are named. */
#define ACCESS_DEFAULT_FIELDS ACCESS_QUERY

enum access_kind {
    ACCESS_NOTHING, /* it does not apply to this record */
    ACCESS_TEXT,    /* from outside, to be escaped */
    ACCESS_PLAIN,   /* ours, without anything to escape */
    ACCESS_NUMBER,
    ACCESS_MILLISECONDS /* `number` is in ns */
};

struct access_value {
    enum access_kind kind;
    weir_slice text;
    uint64_t number;
};

/* A record on its way to a line. */
struct access_entry {
    const char *listener;
    weir_transport *transport;
    const weir_access_record *record;
    weir_tls_info tls; /* zero: none, or nobody asks */
    int64_t wall_ns;
    struct access_stamps *stamps;
    char *scratch; /* ACCESS_VALUE_MAX bytes, for values that are put together */
};

/* The last second, as text: most records share it. */
struct access_stamps {
    int64_t second;
    char iso[24]; /* "2026-11-21T08:00:00" */
    char clf[32]; /* "21/Nov/2026:08:00:00 +0000" */
};

extern const char *const weir__access_field_names[];   /* NULL-ended, in the order of the enum */
extern const char *const weir__access_field_planned[]; /* known, without a source yet */
/* ACCESS_FIELD_COUNT: there is none of that name. */
enum access_field weir__access_field(const char *name, size_t len);
/* Whether values of the field are numbers. */
bool weir__access_field_is_number(enum access_field field);
struct access_value weir__access_value(struct access_entry *entry, enum access_field field);

/* Conditions, all of which must hold: "status>=500 route=app path=/health*". */
struct access_filter;
/* NULL: `text` is none, and the sentence in `why` says what is wrong, `hint` ("" or a word that was
 * meant). Memory is malloc()ed. */
struct access_filter *weir__access_filter_new(const char *text, char *why, size_t size,
                                              const char **ret_meant);
void weir__access_filter_free(struct access_filter *filter);
bool weir__access_filter_fits(const struct access_filter *filter, struct access_entry *entry);

/* The settings. */
struct access_config {
    const char *format; /* off, a name, or a template */
    const char *output; /* auto, stderr, stdout or a path */
    weir_array fields;  /* of int, enum access_field; empty: the default ones */
    double sample;      /* of records whose outcome is ok */
    weir_array exclude; /* of const char * */
};

extern const weir_option *const weir__access_options[];
bool weir__access_is_off(const struct access_config *config);

/* Programs. */
enum access_style { ACCESS_STYLE_JSON, ACCESS_STYLE_LOGFMT, ACCESS_STYLE_TEMPLATE };

struct access_part {
    weir_slice literal; /* before the value; JSON and logfmt: the key, a comma or space first */
    enum access_field field; /* ACCESS_FIELD_COUNT: only the literal */
};

struct access_program {
    enum access_style style;
    struct access_part *parts;
    size_t n_parts;
    uint32_t sample; /* of 2^32 - 1, which is all */
    struct access_filter **exclude;
    size_t n_exclude;
    bool wants_tls;
    char *text; /* what literals point into */
};

/* The i-th part of a template. False: its end. `ret_part` is text, or the name inside `${…}`. */
bool weir__access_template_next(const char **at, weir_slice *ret_part, bool *ret_is_field);
/* The template behind `common` and the like; NULL: it is none of these names. */
const char *weir__access_named_template(const char *format);
weir_error *weir__access_program_new(const struct access_config *config,
                                     struct access_program **ret) WEIR_MUST_USE;
void weir__access_program_free(struct access_program *program);
/* Whether the record is to be written at all; `random` is the state of the sampling. */
bool weir__access_program_wants(const struct access_program *program, struct access_entry *entry,
                                uint64_t *random);
/* The length of the line, newline included. */
size_t weir__access_format(const struct access_program *program, struct access_entry *entry,
                           char *buffer, size_t size);

struct access_taps;

/* Rings. */
struct access_ring {
    struct access_ring *next; /* never unlinked */
    atomic_int state;
    _Atomic(const struct access_program *) reading; /* what its thread formats with now */
    _Atomic(const struct access_taps *) tapping;    /* whom it tells now */
    _Atomic(uint64_t) head;                         /* bytes put in; the producer's */
    _Atomic(uint64_t) tail;                         /* bytes written out; the writer's */
    _Atomic(uint64_t) records, dropped;             /* put in; did not fit */
    uint64_t random;                                /* the producer's, as what follows */
    struct access_stamps stamps;
    char scratch[ACCESS_VALUE_MAX];
    char line[ACCESS_LINE_MAX];
    char data[ACCESS_RING_SIZE];
};

/* The ring of this thread; NULL without memory. */
struct access_ring *weir__access_ring(void);
struct access_ring *weir__access_rings(void);
/* False: it did not fit, and is counted. */
bool weir__access_ring_put(struct access_ring *ring, const char *line, size_t len);
static inline uint64_t weir__access_ring_used(struct access_ring *ring);

/* tap.c: somebody reads along; tells them, in the thread of the record. */
bool weir__access_tapped(void);
void weir__access_tap(struct access_ring *ring, struct access_entry *entry);

/* The writer. */
/* Where lines go. Errors: of open(). `output` as in the settings. */
weir_error *weir__access_output_open(const char *output, int *ret_fd,
                                     char **ret_path) WEIR_MUST_USE;
/* Takes over the descriptor; closes it when `path` is not NULL. Starts the thread. */
weir_error *weir__access_writer_output(int fd, char *take_path) WEIR_MUST_USE;
/* After a record was put. */
void weir__access_writer_poke(struct access_ring *ring);
/* Until what was put before is written, at most `limit`. */
bool weir__access_writer_flush(weir_duration limit);
weir_error *weir__access_writer_reopen(void) WEIR_MUST_USE;
void weir__access_writer_stop(weir_duration limit);

/* What the rest of host/ calls. Any thread, one at a time, but for _on(), _record() and the counts. */

/* A configuration being put into force: what can fail first. `config` NULL: off. */
struct access_change;
weir_error *weir__access_prepare(const struct access_config *config,
                                 struct access_change **ret) WEIR_MUST_USE;
void weir__access_commit(struct access_change *take_change);
void weir__access_discard(struct access_change *take_change);
/* Both at once. */
weir_error *weir__access_apply(const struct access_config *config) WEIR_MUST_USE;
/* Opens the file again, after it was moved away. Nothing without a file. */
weir_error *weir__access_reopen(void) WEIR_MUST_USE;
/* Off; what is queued is written, at most within `limit`. */
void weir__access_shutdown(weir_duration limit);
bool weir__access_flush(weir_duration limit);
bool weir__access_on(void);
void weir__access_record(const char *listener, weir_transport *transport,
                         const weir_access_record *record);
/* Records since the start of the process: taken into rings; lost since the output did not take them. */
uint64_t weir__access_records(void);
uint64_t weir__access_dropped(void);

static inline uint64_t weir__access_ring_used(struct access_ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_relaxed) -
           atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

#endif
