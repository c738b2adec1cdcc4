/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of logging: records in rings, and how they become lines.
 *
 *   log.c         loggers and their levels; making a record
 *   log-ring.c    one bounded ring per thread, single producer, single consumer
 *   log-writer.c  the one thread that merges the rings by time and writes
 *   log-sink.c    where the lines go: a descriptor, a file, callbacks
 *   log-format.c  a record as a line of text, logfmt or JSON
 *   log-journal.c a record as systemd's journal takes it
 */
#ifndef WEIR_CORE_BASE_LOG_H
#define WEIR_CORE_BASE_LOG_H

#include <stdatomic.h>

#include <weir/log.h>

#include "core/base/text.h"

#define LOG_RING_SIZE    ((size_t)64 * 1024) /* bytes per thread; a power of two */
#define LOG_RING_RESERVE ((size_t)16 * 1024) /* of them for records of ERROR and above */
#define LOG_MESSAGE_MAX  2048                /* bytes of a message; longer ones are cut */
#define LOG_BODY_MAX     4096                /* bytes of an error's print */
#define LOG_FIELDS_MAX   16
#define LOG_FIELD_MAX    512
#define LOG_RECORD_MAX   16384
#define LOG_EXPANDED_MAX ((size_t)16 * 1024) /* bytes of a body with its backtraces printed */
#define LOG_LINE_MAX     ((size_t)64 * 1024) /* one record when formatted */

/* The head of a record in a ring; texts follow, each with its NUL: message, body, then name and
   value of each field. */
struct log_record {
    uint32_t size; /* with padding; a multiple of 8 */
    uint16_t level;
    uint16_t nfields; /* LOG_WRAP: no record, the ring goes on at its start */
    int64_t time;     /* ns since 1970 */
    const weir_site *site;
    const weir_logger *logger;
    const char *tag;                  /* static; NULL: none */
    int error_number;                 /* of the error; 0: none */
    uint32_t message_size, body_size; /* with the NUL */
};

#define LOG_WRAP UINT16_MAX

enum log_ring_state { LOG_RING_FREE, LOG_RING_USED, LOG_RING_LEFT };

struct log_ring {
    struct log_ring *next;     /* never unlinked */
    atomic_int state;          /* left: its thread ended, the writer empties it */
    _Atomic(uint64_t) head;    /* bytes ever put in; the producer's */
    _Atomic(uint64_t) tail;    /* bytes written out; the writer's */
    _Atomic(uint64_t) dropped; /* records that did not fit */
    uint64_t read;             /* the writer's: bytes formatted, not yet written */
    uint64_t reported;         /* the writer's: of `dropped` */

    struct {
        char message[LOG_MESSAGE_MAX];
        char body[LOG_BODY_MAX];
    } scratch; /* the producer's */

    _Alignas(8) char data[LOG_RING_SIZE];
};

/* The ring of this thread; NULL without memory. */
struct log_ring *weir__log_ring(void);
struct log_ring *weir__log_rings(void); /* the first of all */
/* Room for a record, or NULL. It becomes visible with weir__log_ring_commit(). */
struct log_record *weir__log_ring_reserve(struct log_ring *ring, size_t size, bool urgent,
                                          uint64_t *ret_head);
void weir__log_ring_commit(struct log_ring *ring, uint64_t head);
/* The next record that was not read; NULL: none. */
const struct log_record *weir__log_ring_peek(struct log_ring *ring);
void weir__log_ring_advance(struct log_ring *ring, const struct log_record *record);
/* In a forked child: what is queued is the parent's to write. */
void weir__log_rings_forked(void);
uint64_t weir__log_lost(void);
void weir__log_count_lost(void);

/* A record to be written is there. In synchronous mode: returns when it is written. */
void weir__log_writer_wake(void);

struct log_style {
    weir_log_format format;
    bool priority_prefix;
    bool color;
};

/* Appends the record's lines, newline included. */
void weir__log_format(struct text *text, const struct log_style *style,
                      const struct log_record *record);

/* The names of <3>: emergency is 0, debug 7. */
int weir__log_priority(int level);

/* Names and values of fields, one after the other. */
struct log_field_reader {
    const char *at;
    unsigned left;
};

#define LOG_MESSAGE_ID "message_id" /* a field that only the journal has */

struct log_field_reader weir__log_fields(const struct log_record *record);
bool weir__log_next_field(struct log_field_reader *reader, const char **ret_name,
                          const char **ret_value);

/* The journal. `body` is expanded. */
void weir__log_format_journal(struct text *text, const struct log_record *record, const char *body);
weir_error *weir__log_journal_open(const char *path, int *ret_fd) WEIR_MUST_USE;

enum log_sent { LOG_SENT, LOG_SEND_LATER, LOG_SEND_NEVER };

enum log_sent weir__log_journal_send(int fd, const char *datagram, size_t len);

/* Where lines go (log-sink.c). Any thread. */
weir_error *weir__log_sink_set(const weir_log_options *options) WEIR_MUST_USE;
/* `ret_journal`: the journal's socket, -1 where records are lines. */
void weir__log_sink_get(int *ret_fd, int *ret_journal, struct log_style *ret_style);
/* The journal's socket is of no use any more: another is made. False: nobody listens. */
bool weir__log_sink_renew_journal(int *ret_journal);
void weir__log_sink_name(char *name, size_t size); /* "stderr", "fd 7", "/var/log/weir.log" */
/* Hands a record to the callbacks; the writer's thread. */
void weir__log_sinks_call(const struct log_record *record);
void weir__log_sinks_lock(void); /* around fork() */
void weir__log_sinks_unlock(void);

/* A value kept by loggers. */
struct weir_logger {
    struct weir_logger_head_ head;
    int own_level; /* 0: inherits */
    weir_logger *parent;
    weir_logger *next;
    const char *name; /* behind the struct */
};

int64_t weir__wall_clock_ns(void);
/* For tests: WEIR_LOG again. */
void weir__log_reread_environment(void);

/* With a tag behind the logger's name: "WARNING weir [RESOURCE]: …". `tag` is static or NULL. */
void weir__log_tagged(const weir_site *site, weir_logger *logger, int level, const char *tag,
                      const char *body, const char *message);
/* Logs with lines of its own below the message (a repr, "Object created at …" with
   weir__backtrace_defer()), and below them the error, which it ends. */
#define weir__log_body(logger, level, take_error, body, ...) \
    weir__log_body_at(WEIR_HERE, (logger), (level), (take_error), (body), __VA_ARGS__)
void weir__log_body_at(const weir_site *site, weir_logger *logger, int level,
                       weir_error *take_error, const char *body, const char *format, ...)
    WEIR_PRINTF(6, 7);

/* Around fork(). */
void weir__loggers_lock(void);
void weir__loggers_unlock(void);

#endif
