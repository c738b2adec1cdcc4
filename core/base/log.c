/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loggers and records. A logger keeps the level in force in its first word, so that a disabled
 * record costs one load and a compare. Loggers are few, made once, never freed: a list under a
 * mutex. Making a record formats it into the thread's scratch space and copies it to the thread's
 * ring; nothing here waits for anybody. What does not fit is counted (log-writer.c tells).
 */
#include "config.h"

#include "core/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include <weir/error.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/base/error.h"
#include "core/base/invariant.h"

static weir_logger root = {.head = {WEIR_LOG_INFO}, .own_level = WEIR_LOG_INFO, .name = ""};

static weir_logger *loggers;
static pthread_once_t environment_once = PTHREAD_ONCE_INIT;
static void read_environment(void);
static pthread_mutex_t loggers_lock = PTHREAD_MUTEX_INITIALIZER;

void weir__loggers_lock(void)
{
    pthread_mutex_lock(&loggers_lock);
}

void weir__loggers_unlock(void)
{
    pthread_mutex_unlock(&loggers_lock);
}

int64_t weir__wall_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static weir_logger *find(const char *name, size_t len)
{
    for (weir_logger *logger = loggers; logger; logger = logger->next) {
        if (strlen(logger->name) == len && memcmp(logger->name, name, len) == 0)
            return logger;
    }
    return NULL;
}

static weir_logger *find_or_make(const char *name, size_t len)
{
    weir_logger *logger = len ? find(name, len) : &root;
    const char *dot;
    char *copy;

    if (logger)
        return logger;
    logger = weir__malloc(sizeof(*logger) + len + 1);
    if (!logger)
        return &root;
    copy = (char *)(logger + 1);
    memcpy(copy, name, len);
    copy[len] = '\0';
    logger->name = copy;
    dot = memrchr(name, '.', len);
    logger->parent = find_or_make(name, dot ? (size_t)(dot - name) : 0);
    logger->own_level = 0;
    logger->head.level_in_force = logger->parent->head.level_in_force;
    logger->next = loggers;
    loggers = logger;
    return logger;
}

weir_logger *weir_logger_get(const char *name)
{
    weir_logger *logger;

    pthread_once(&environment_once, read_environment);
    pthread_mutex_lock(&loggers_lock);
    logger = find_or_make(name ? name : "", name ? strlen(name) : 0);
    pthread_mutex_unlock(&loggers_lock);
    return logger;
}

const char *weir_logger_name(const weir_logger *logger)
{
    return logger == &root ? "root" : logger->name;
}

static int level_of(const weir_logger *logger)
{
    while (logger->own_level == 0 && logger->parent)
        logger = logger->parent;
    return logger->own_level ? logger->own_level : WEIR_LOG_INFO;
}

static void put_in_force(weir_logger *logger)
{
    __atomic_store_n(&logger->head.level_in_force, level_of(logger), __ATOMIC_RELAXED);
}

static void set_level(weir_logger *logger, int level)
{
    pthread_mutex_lock(&loggers_lock);
    logger->own_level = level;
    put_in_force(&root);
    for (weir_logger *other = loggers; other; other = other->next)
        put_in_force(other);
    pthread_mutex_unlock(&loggers_lock);
}

void weir_logger_set_level(weir_logger *logger, int level)
{
    pthread_once(&environment_once, read_environment);
    set_level(logger, level);
}

int weir_logger_level(const weir_logger *logger)
{
    return __atomic_load_n(&logger->head.level_in_force, __ATOMIC_RELAXED);
}

static const struct {
    const char *name;
    int level;
} level_names[] = {
    {"trace", WEIR_LOG_TRACE},     {"debug", WEIR_LOG_DEBUG},  {"info", WEIR_LOG_INFO},
    {"warning", WEIR_LOG_WARNING}, {"error", WEIR_LOG_ERROR},  {"critical", WEIR_LOG_CRITICAL},
    {"off", WEIR_LOG_OFF},         {"warn", WEIR_LOG_WARNING},
};

#define LEVEL_NAMES (sizeof(level_names) / sizeof(level_names[0]))

bool weir_log_level_parse(const char *text, int *ret_level)
{
    for (size_t i = 0; text && i < LEVEL_NAMES; i++) {
        if (strcasecmp(text, level_names[i].name) == 0) {
            *ret_level = level_names[i].level;
            return true;
        }
    }
    return false;
}

const char *weir_log_level_name(int level)
{
    const char *name = level_names[0].name;

    for (size_t i = 0; i < LEVEL_NAMES - 1; i++) {
        if (level >= level_names[i].level)
            name = level_names[i].name;
    }
    return name;
}

/* Bytes with the NUL, at most `max`; cut texts end before a broken UTF-8 sequence or not: the
   writer escapes what is no UTF-8. */
static size_t text_size(const char *text, size_t max)
{
    return strnlen(text ? text : "", max - 1) + 1;
}

static char *put_text(char *at, const char *text, size_t size)
{
    if (size > 1)
        memcpy(at, text, size - 1);
    at[size - 1] = '\0';
    return at + size;
}

struct pending {
    const weir_site *site;
    weir_logger *logger;
    int level;
    const char *message, *body, *tag;
    const weir_log_field *fields;
    size_t nfields;
    int error_number;
};

static void enqueue(struct log_ring *ring, const struct pending *pending)
{
    size_t message_size = text_size(pending->message, LOG_MESSAGE_MAX);
    size_t body_size = text_size(pending->body, LOG_BODY_MAX);
    size_t nfields = pending->nfields < LOG_FIELDS_MAX ? pending->nfields : LOG_FIELDS_MAX;
    size_t size = sizeof(struct log_record) + message_size + body_size;
    struct log_record *record;
    uint64_t head;
    char *at;

    for (size_t i = 0; i < nfields; i++)
        size += text_size(pending->fields[i].name, LOG_FIELD_MAX) +
                text_size(pending->fields[i].value, LOG_FIELD_MAX);
    size = (size + 7) & ~(size_t)7;
    record = weir__log_ring_reserve(ring, size, pending->level >= WEIR_LOG_ERROR, &head);
    if (!record) {
        weir__log_writer_wake(); /* a full ring needs a writer more than any */
        return;
    }
    *record = (struct log_record){
        .size = (uint32_t)size,
        .level = (uint16_t)pending->level,
        .nfields = (uint16_t)nfields,
        .time = weir__wall_clock_ns(),
        .site = pending->site,
        .logger = pending->logger,
        .tag = pending->tag,
        .error_number = pending->error_number,
        .message_size = (uint32_t)message_size,
        .body_size = (uint32_t)body_size,
    };
    at = put_text((char *)(record + 1), pending->message, message_size);
    at = put_text(at, pending->body, body_size);
    for (size_t i = 0; i < nfields; i++) {
        const weir_log_field *field = &pending->fields[i];

        at = put_text(at, field->name, text_size(field->name, LOG_FIELD_MAX));
        at = put_text(at, field->value, text_size(field->value, LOG_FIELD_MAX));
    }
    weir__log_ring_commit(ring, head);
    weir__log_writer_wake();
}

/* A name and a level, or a level alone for all. NULL: done; else what is wrong with it. */
static const char *set_one_level(const char *text, size_t len, bool apply)
{
    const char *equals = memchr(text, '=', len);
    const char *word = equals ? equals + 1 : text;
    size_t word_len = len - (size_t)(word - text), name_len = equals ? (size_t)(equals - text) : 0;
    char level_name[16];
    weir_logger *logger;
    int level;

    if (word_len >= sizeof(level_name))
        return "no level";
    memcpy(level_name, word, word_len);
    level_name[word_len] = '\0';
    if (!weir_log_level_parse(level_name, &level))
        return "no level";
    if (equals && name_len == 0)
        return "no logger before the =";
    if (apply) {
        pthread_mutex_lock(&loggers_lock);
        logger = find_or_make(text, name_len == 4 && !memcmp(text, "root", 4) ? 0 : name_len);
        pthread_mutex_unlock(&loggers_lock);
        set_level(logger, level);
    }
    return NULL;
}

/* Sets nothing when a part of it is wrong; *ret_part is that part. */
static const char *set_levels(const char *text, bool apply, const char **ret_part, size_t *ret_len)
{
    while (*text) {
        size_t len = strcspn(text, ",");
        const char *wrong = len ? set_one_level(text, len, apply) : NULL;

        if (wrong) {
            *ret_part = text;
            *ret_len = len;
            return wrong;
        }
        text += len + (text[len] == ',');
    }
    return NULL;
}

weir_error *weir_log_set_levels(const char *levels)
{
    const char *part, *wrong;
    size_t len;

    if (!levels)
        return weir_raise(WEIR_EINVAL, "levels of loggers: a text is needed, not NULL");
    pthread_once(&environment_once, read_environment);
    wrong = set_levels(levels, false, &part, &len);
    if (wrong)
        return weir_raise(WEIR_EINVAL,
                          "\"%.*s\" in the levels of loggers: %s; expected a list such as "
                          "info,weir.tls=debug with trace, debug, info, warning, error, critical "
                          "or off",
                          (int)len, part, wrong);
    (void)set_levels(levels, true, &part, &len);
    return NULL;
}

/* Before the first logger is handed out. What is wrong is told by that logger's caller, who may log:
   this runs inside pthread_once(). */
static void read_environment(void)
{
    const char *levels = secure_getenv("WEIR_LOG"), *part, *wrong;
    struct log_ring *ring;
    size_t len;

    if (!levels)
        return;
    wrong = set_levels(levels, false, &part, &len);
    if (!wrong) {
        (void)set_levels(levels, true, &part, &len);
        return;
    }
    ring = weir__log_ring();
    if (!ring)
        return;
    snprintf(ring->scratch.message, sizeof(ring->scratch.message),
             "WEIR_LOG is ignored: \"%.*s\": %s", (int)len, part, wrong);
    enqueue(ring, &(struct pending){.logger = &root,
                                    .level = WEIR_LOG_WARNING,
                                    .message = ring->scratch.message});
}

void weir__log_reread_environment(void)
{
    read_environment();
}

void weir_log_at(const weir_site *site, weir_logger *logger, int level,
                 const weir_log_field *fields, size_t nfields, const char *format, ...)
{
    struct log_ring *ring;
    va_list args;

    if (!weir_logger_enabled(logger, level))
        return;
    ring = weir__log_ring();
    if (!ring) {
        weir__log_count_lost();
        return;
    }
    va_start(args, format);
    vsnprintf(ring->scratch.message, sizeof(ring->scratch.message), format, args);
    va_end(args);
    enqueue(ring, &(struct pending){.site = site,
                                    .logger = logger,
                                    .level = level,
                                    .message = ring->scratch.message,
                                    .fields = fields,
                                    .nfields = nfields});
}

/* The body and the error into the ring's scratch space. */
static void write_body(struct log_ring *ring, const char *body, const weir_error *error)
{
    struct text text = TEXT_INIT(ring->scratch.body);

    text.data[0] = '\0';
    if (body) {
        text_add(&text, body);
        if (error && text_length(&text) > 0 && text.data[text_length(&text) - 1] != '\n')
            text_add(&text, "\n");
    }
    if (error)
        weir__error_print(&text, error, weir__backtrace_defer);
}

static void log_with_body(const struct pending *pending, weir_error *take_error, const char *format,
                          va_list args) WEIR_PRINTF(3, 0);

static void log_with_body(const struct pending *pending, weir_error *take_error, const char *format,
                          va_list args)
{
    bool enabled = weir_logger_enabled(pending->logger, pending->level);
    struct log_ring *ring = enabled ? weir__log_ring() : NULL;
    struct pending whole = *pending;

    if (ring) {
        vsnprintf(ring->scratch.message, sizeof(ring->scratch.message), format, args);
        write_body(ring, pending->body, take_error);
        whole.message = ring->scratch.message;
        whole.body = ring->scratch.body;
        whole.error_number = take_error ? weir_code_errno(weir_error_code(take_error)) : 0;
        enqueue(ring, &whole);
    } else if (enabled) {
        weir__log_count_lost();
    }
    weir_ignore(take_error);
}

void weir_log_error_at(const weir_site *site, weir_logger *logger, int level,
                       weir_error *take_error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_with_body(&(struct pending){.site = site, .logger = logger, .level = level}, take_error,
                  format, args);
    va_end(args);
}

void weir_log_error_fields(const weir_site *site, weir_logger *logger, int level,
                           weir_error *take_error, const weir_log_field *fields, size_t nfields,
                           const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_with_body(
        &(struct pending){
            .site = site, .logger = logger, .level = level, .fields = fields, .nfields = nfields},
        take_error, format, args);
    va_end(args);
}

void weir__log_tagged(const weir_site *site, weir_logger *logger, int level, const char *tag,
                      const char *body, const char *message)
{
    struct log_ring *ring;

    if (!weir_logger_enabled(logger, level))
        return;
    ring = weir__log_ring();
    if (ring)
        enqueue(ring, &(struct pending){.site = site,
                                        .logger = logger,
                                        .level = level,
                                        .tag = tag,
                                        .message = message,
                                        .body = body});
    else
        weir__log_count_lost();
}

void weir__log_body_at(const weir_site *site, weir_logger *logger, int level,
                       weir_error *take_error, const char *body, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_with_body(&(struct pending){.site = site, .logger = logger, .level = level, .body = body},
                  take_error, format, args);
    va_end(args);
}
