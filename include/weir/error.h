/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Errors are values with a history: code, message, cause, and the way they came.
 *
 * A fallible function returns `weir_error *`, NULL for success; the caller owns it and ends it with
 * weir_error_unref(), or passes it on with WEIR_TRY() or `return`. An error that nobody looked at is
 * logged when it dies; weir_error_is(), _code() and _print() count as looking.
 * Reference counts are not atomic: crossing threads moves the error (weir_error_detach() first).
 *
 * Example:
 *
 *     static weir_error *open_file(const char *path)
 *     {
 *         return weir_raise(ENOENT, "open %s", path);
 *     }
 *
 *     static weir_error *load(const char *path)
 *     {
 *         weir_error *error = open_file(path);
 *
 *         if (weir_error_is(error, EACCES)) { // looked at, and not passed on
 *             weir_error_unref(error);
 *             return NULL;
 *         }
 *         WEIR_TRY(weir_wrap(error, WEIR_ECONFIG, "load the settings")); // the caller's, with its cause
 *         return NULL;
 *     }
 */
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

#include <weir/base.h>

WEIR_BEGIN_DECLS

/** 0 is success; 1…1999 are errno values; from 2001 on weir's own (WEIR_ERROR_CODES). */
typedef int weir_code;

/** Name, nearest errno, text. Codes are stable: appended, never reused. */
#define WEIR_ERROR_CODES(X)                                                              \
    X(WEIR_ECANCELED, 2001, ECANCELED, "cancelled")                                      \
    X(WEIR_ETIMEDOUT, 2002, ETIMEDOUT, "timed out")                                      \
    X(WEIR_EEOF, 2003, ENODATA, "end of stream")                                         \
    X(WEIR_ENOMEM, 2004, ENOMEM, "out of memory")                                        \
    X(WEIR_EINVAL, 2005, EINVAL, "invalid argument")                                     \
    X(WEIR_EINVALSTATE, 2006, EALREADY, "already done")                                  \
    X(WEIR_ENOTREADY, 2007, EAGAIN, "not done yet")                                      \
    X(WEIR_ETHREAD, 2008, EPERM, "called from the wrong thread")                         \
    X(WEIR_ENOTASK, 2009, EPERM, "suspending call outside a task")                       \
    X(WEIR_ECLOSED, 2010, EPIPE, "closed")                                               \
    X(WEIR_EBUSY, 2011, EBUSY, "busy")                                                   \
    X(WEIR_EFULL, 2012, ENOBUFS, "full")                                                 \
    X(WEIR_ELIMIT, 2013, EMSGSIZE, "over the limit")                                     \
    X(WEIR_EBROKEN, 2014, EPIPE, "stream broken by an earlier, unfinished call")         \
    X(WEIR_EINCOMPLETE, 2015, EPROTO, "ended inside a message")                          \
    X(WEIR_EPROTOCOL, 2016, EPROTO, "protocol violated by the peer")                     \
    X(WEIR_ETLS, 2017, EPROTO, "TLS failed")                                             \
    X(WEIR_ETLSTRUNCATED, 2018, ECONNRESET, "TLS connection ended without close_notify") \
    X(WEIR_EDNS, 2019, EHOSTUNREACH, "name resolution failed")                           \
    X(WEIR_ENONAME, 2020, ENOENT, "no such name")                                        \
    X(WEIR_ECONFIG, 2021, EINVAL, "configuration refused")                               \
    X(WEIR_EPLUGIN, 2022, ENOEXEC, "plugin refused")                                     \
    X(WEIR_ENOSERVER, 2023, EHOSTUNREACH, "no server available")                         \
    X(WEIR_EDEADLK, 2024, EDEADLK, "would wait for itself")                              \
    X(WEIR_EREJECTED, 2025, EAGAIN, "executor queue is full")                            \
    X(WEIR_EUNSUPPORTED, 2026, ENOTSUP, "not supported here")                            \
    X(WEIR_EFORKED, 2027, ECHILD, "object belongs to the parent process")                \
    X(WEIR_EWORKER, 2028, EPIPE, "worker process died")                                  \
    X(WEIR_ENOTMAIN, 2029, EPERM, "only for the loop of the main thread")                \
    X(WEIR_EFATAL, 2030, EINTR, "ends the run of its loop")

enum {

#define WEIR_CODE_ENUM_(name, number, errno_, text) name = number,
    WEIR_ERROR_CODES(WEIR_CODE_ENUM_)
#undef WEIR_CODE_ENUM_
};

/** "ECONNREFUSED", "WEIR_EEOF". Never NULL. Any thread. */
WEIR_PUBLIC const char *weir_code_name(weir_code code);
/** "connection refused", "end of stream". Never NULL. Any thread. */
WEIR_PUBLIC const char *weir_code_text(weir_code code);
/** The nearest errno value of a code. Any thread. */
WEIR_PUBLIC int weir_code_errno(weir_code code);

/**
 * Makes an error: `return weir_raise(ECONNREFUSED, "connect to %s", name);`.
 * Cancelled, timed out, end of stream and out of memory are static objects; their message is
 * dropped. Never returns NULL: without memory it is the static out-of-memory error. Any thread.
 */
#define weir_raise(code, ...) weir_raise_at(WEIR_HERE, (code), __VA_ARGS__)
WEIR_PUBLIC weir_error *weir_raise_at(const weir_site *site, weir_code code, const char *format,
                                      ...) WEIR_PRINTF(3, 4) WEIR_MUST_USE;

/**
 * Makes an error that peers can cause, without formatting, from the loop's bounded pool.
 * `format` must be a string literal with up to four `%lld`; it is turned into text when printed.
 * WEIR_RAISE_FAST(code, "format", …) counts the arguments.
 */
WEIR_PUBLIC weir_error *weir_raise_fast_at(const weir_site *site, weir_code code,
                                           const char *format, int nargs,
                                           const int64_t *args) WEIR_MUST_USE;
#define WEIR_RAISE_FAST(code, literal, ...)                                                      \
    weir_raise_fast_at(WEIR_HERE, (code), "" literal,                                            \
                       (int)(sizeof((const int64_t[]){0, ##__VA_ARGS__}) / sizeof(int64_t)) - 1, \
                       &((const int64_t[]){0, ##__VA_ARGS__})[1])

/**
 * Makes an error whose cause is another: "connect to app failed" because "refused".
 * Always takes `take_cause`. Cancelled, timed out and out of memory come back unchanged, and a
 * NULL cause gives NULL.
 */
#define weir_wrap(take_cause, code, ...) weir_wrap_at(WEIR_HERE, (take_cause), (code), __VA_ARGS__)
WEIR_PUBLIC weir_error *weir_wrap_at(const weir_site *site, weir_error *take_cause, weir_code code,
                                     const char *format, ...) WEIR_PRINTF(4, 5) WEIR_MUST_USE;

/** Returns early with the error of `expr`, if any, noting this line in its trace. */
#define WEIR_TRY(expr)                                     \
    do {                                                   \
        weir_error *weir_try_ = (expr);                    \
        if (__builtin_expect(weir_try_ != NULL, 0))        \
            return weir_error_trace(weir_try_, WEIR_HERE); \
    } while (0)

/** Notes a site in the trace and gives the error back. A shared error becomes a new one with the
 *  shared one as cause, so that no history is written by two. */
WEIR_PUBLIC weir_error *weir_error_trace(weir_error *take_error,
                                         const weir_site *site) WEIR_MUST_USE;

/** An error that ends the same way as `shared`, to be owned separately: its cause is `shared`. */
WEIR_PUBLIC weir_error *weir_error_share(const weir_error *shared) WEIR_MUST_USE;

/** A copy outside any loop's pool, fit to be moved to another thread. Always takes. */
WEIR_PUBLIC weir_error *weir_error_detach(weir_error *take_error) WEIR_MUST_USE;

WEIR_PUBLIC weir_error *weir_error_ref(const weir_error *error) WEIR_MUST_USE;
WEIR_PUBLIC void weir_error_unref(weir_error *error);

/** The code; 0 for NULL. Marks the error read. */
WEIR_PUBLIC weir_code weir_error_code(const weir_error *error);
/** Whether the error, not its causes, has this code. NULL has none. Marks the error read. */
WEIR_PUBLIC bool weir_error_is(const weir_error *error, weir_code code);
/** Whether the error or any of its causes has this code. Marks the error read. */
WEIR_PUBLIC bool weir_error_has(const weir_error *error, weir_code code);
/** The direct cause, borrowed; NULL when there is none. */
WEIR_PUBLIC const weir_error *weir_error_cause(const weir_error *error);
/** Where the error was made; NULL for static ones. */
WEIR_PUBLIC const weir_site *weir_error_site(const weir_error *error);

/**
 * Writes the message (this error and its causes on one line, "connect to app: refused") to `buffer`
 * and returns the length it would need, as snprintf does. Marks the error read.
 */
WEIR_PUBLIC size_t weir_error_message(const weir_error *error, char *buffer, size_t size);
/** As weir_error_message(), with codes, causes and traces, on several lines. */
WEIR_PUBLIC size_t weir_error_print(const weir_error *error, char *buffer, size_t size);

/** Says what to do about it; printed as a last line. `format` as printf. Returns `take_error`. */
WEIR_PUBLIC weir_error *weir_error_hint(weir_error *take_error, const char *format, ...)
    WEIR_PRINTF(2, 3) WEIR_MUST_USE;

/** Attaches a further error to `error` (of a group, of a clean-up). Always takes `take_more`. */
WEIR_PUBLIC void weir_error_attach(weir_error *error, weir_error *take_more);

/** Marks an error as read and drops it: `weir_ignore(weir_transport_write(t, bye));`. */
static inline void weir_ignore(weir_error *take_error);

WEIR_DEFINE_CLEANUP(weir_error, weir_error_unref)

/* inline definitions */

static inline void weir_ignore(weir_error *take_error)
{
    if (take_error) {
        (void)weir_error_code(take_error);
        weir_error_unref(take_error);
    }
}

WEIR_END_DECLS

#endif
