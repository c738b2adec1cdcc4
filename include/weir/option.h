/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Option tables: a setting is declared once, and parsed, checked, defaulted and documented from it.
 *
 *     typedef struct { const char *greeting; weir_duration idle; } hello_config;
 *
 *     WEIR_OPTIONS(hello_options,
 *         WEIR_OPTION_STRING  (hello_config, greeting, "hello", "First line sent to each client"),
 *         WEIR_OPTION_DURATION(hello_config, idle, "30s", "Close after this long without a line",
 *                              .min = WEIR_OPTION_MS(10)));
 *
 * Each macro takes the struct, the member (also the key's name), the default as YAML text and the
 * documentation, then any of the designators below `doc` in struct weir_option, in that order. A
 * member of the wrong type does not compile. A NULL default makes a single value required, unless
 * `.optional = true`: then the member stays zero. Maps that are absent have their defaults, lists and
 * named maps are empty, unless `.required = true`. Everything a filled struct points at lives as long
 * as the configuration it came from, and never changes.
 *
 * YAML's own types play no part: `off`, `0644`, `1e3` mean what the option says they mean.
 *
 * Example:
 *
 *     typedef struct {
 *         const char *greeting;
 *         weir_duration idle;
 *     } hello_config;
 *
 *     WEIR_OPTIONS(hello_options,
 *                  WEIR_OPTION_STRING(hello_config, greeting, "hello", "First line to each client"),
 *                  WEIR_OPTION_DURATION(hello_config, idle, "30s", "Close after this long without a line",
 *                                       .min = WEIR_OPTION_MS(10)));
 */
#ifndef WEIR_OPTION_H
#define WEIR_OPTION_H

#include <weir/base.h>
#include <weir/time.h>

#ifdef __cplusplus
#    include <type_traits>
#endif

WEIR_BEGIN_DECLS

typedef struct weir_option weir_option;
/** What is being parsed or checked; see config.h. */
typedef struct weir_config_context weir_config_context;
/** A value of the document: scalar, list or map, with its place; see config.h. */
typedef struct weir_config_node weir_config_node;

/** What a value looks like, and the C type of the member it fills. */
typedef enum weir_option_type {
    WEIR_TYPE_ANY,      /**< anything, nothing is stored: for planned keys */
    WEIR_TYPE_BOOL,     /**< bool: true/false, yes/no, on/off */
    WEIR_TYPE_INT,      /**< int64_t, or any narrower int: decimal; `words` stand for
                           numbers */
    WEIR_TYPE_NUMBER,   /**< double: 0.25, 25% */
    WEIR_TYPE_STRING,   /**< const char *, never NULL unless optional */
    WEIR_TYPE_DURATION, /**< weir_duration: 250ms, 1m30s; `0` and `off` are
                           WEIR_FOREVER */
    WEIR_TYPE_SIZE,     /**< uint64_t or size_t: 16KiB, 10MB, 4096 */
    WEIR_TYPE_RATE,     /**< weir_rate: 20/s, 100/m */
    WEIR_TYPE_ENUM,     /**< int or an enum: the index in `words` */
    WEIR_TYPE_PATH,     /**< const char *: made absolute from the folder of the file
                           it stands in */
    WEIR_TYPE_PEM,      /**< weir_pem: a path, or the PEM text itself */
    WEIR_TYPE_ADDRESS,  /**< weir_option_address: host:port, unix:/path; with `listen`
                           also a port, systemd:, fd: */
    WEIR_TYPE_MAP,      /**< a struct, or with `element_size` a pointer to one, NULL
                           when absent */
    WEIR_TYPE_LIST,     /**< weir_array of `element`; one element stands for a list of
                           one */
    WEIR_TYPE_NAMED,    /**< weir_array of structs that begin with `const char *name`
                         */
    WEIR_TYPE_ONE_OF,   /**< weir_choice: exactly one key, an entry of the kind */
    WEIR_TYPE_ANY_OF,   /**< weir_array of weir_choice: any number of keys, entries
                           of the kind */
    WEIR_TYPE_REF,      /**< a pointer to the part of that kind and name, set after
                           everything is parsed */
    WEIR_TYPE_TEMPLATE, /**< const char *: `${word}` stays as it is */
    WEIR_TYPE_CUSTOM    /**< what `parse` makes of it */
} weir_option_type;

/** What a change of the setting does to a running daemon. */
typedef enum weir_reload {
    WEIR_RELOAD_HOT,    /**< takes effect with the reload */
    WEIR_RELOAD_SOCKET, /**< opens or closes a socket */
    WEIR_RELOAD_RESTART /**< needs a restart; a reload says so and keeps the old
                           value */
} weir_reload;

/** `count` in each `per`. */
typedef struct weir_rate {
    uint64_t count;
    weir_duration per;
} weir_rate;

/** A path or the text itself; the other is NULL. Both NULL: absent. */
typedef struct weir_pem {
    const char *path;
    const char *text;
} weir_pem;

typedef enum weir_address_kind {
    WEIR_ADDRESS_NONE,    /**< absent */
    WEIR_ADDRESS_INET,    /**< host and port; host "*" is every address, IPv4 and
                             IPv6 */
    WEIR_ADDRESS_UNIX,    /**< name is the path */
    WEIR_ADDRESS_SYSTEMD, /**< name is the FileDescriptorName */
    WEIR_ADDRESS_FD       /**< port is the descriptor's number */
} weir_address_kind;

typedef struct weir_option_address {
    weir_address_kind kind;
    unsigned port;
    const char *host; /**< without brackets */
    const char *name;
    const char *text; /**< canonical, for logs: "[::1]:443", "unix:/run/a.sock" */
} weir_option_address;

/** Elements of one type, `count` of them. Walk with WEIR_ARRAY_EACH. */
typedef struct weir_array {
    const void *items;
    size_t count;
} weir_array;

/** `WEIR_ARRAY_EACH(const struct server, s, conf->servers) use(s->address);` */
#define WEIR_ARRAY_EACH(type, var, array)                                                         \
    for (type *var = (type *)(array).items, *var##_end_ = var + (array).count; var != var##_end_; \
         var++)

/** An entry of an extension kind with its parsed configuration. `table` is what its provider
 * registered (struct weir_http_filter, …), `host` belongs to the host. */
typedef struct weir_choice {
    const char *name;
    const void *table;
    const void *config;
    void *host;
} weir_choice;

/** A number outside any range: the word at `index` in `words` of an int64_t, size or duration. */
#define WEIR_INT_WORD(index)  (INT64_MIN + (int64_t)(index))
#define WEIR_SIZE_WORD(index) (UINT64_MAX - (uint64_t)(index))

/** Constants for `.min` and `.max` of durations, in the unit of the table (nanoseconds). */
#define WEIR_OPTION_MS(n) ((int64_t)(n)*1000000)
#define WEIR_OPTION_S(n)  ((int64_t)(n)*1000000000)

/** Fills `field` from `node`; reports with weir_config_error_at() and gives false. */
typedef bool (*weir_option_parse_fn)(weir_config_context *context, const weir_config_node *node,
                                     void *field);
/** Before a map's keys are parsed into `map`: may add tables to it (weir_config_add_options). */
typedef void (*weir_option_extend_fn)(weir_config_context *context, const weir_config_node *node,
                                      void *map);

/** One setting. Grows at its end only; zero means "as before". Declare with the macros below. */
struct weir_option {
    size_t size;
    const char *name;
    weir_option_type type;
    size_t offset;
    size_t width;        /**< bytes of the member */
    size_t element_size; /**< of a list's or named map's element; of the struct a
                            MAP points at */
    const char *const *words;
    const char *kind; /**< "upstream", "http.filter"; ".filter" puts the protocol
                         in front */
    const weir_option *const *fields;
    const weir_option *element;
    weir_option_parse_fn parse; /**< CUSTOM; MAP: for a value that is not a map; TEMPLATE:
                                   looks at the text that `field` got */
    const char *default_text;
    const char *doc;
    /* From here on free for designators, in this order (C++ insists on it). */
    bool optional;    /**< may be absent, then zero */
    bool planned;     /**< known but not built yet: its use is one error */
    bool secret;      /**< never shown */
    bool listen;      /**< ADDRESS: one to bind */
    bool address;     /**< REF: a value with `:` or `/` is an address or URL instead
                         of a name */
    bool inlined;     /**< ONE_OF: the keys stand among those of the map itself */
    bool any_name;    /**< NAMED: keys need not look like `[a-z][a-z0-9_-]*` */
    bool primary;     /**< what a value that is not a map sets */
    bool required;    /**< LIST, NAMED: at least one element */
    bool deprecated;  /**< a warning; `help` says what to write instead */
    int64_t min, max; /**< both 0: what the type holds. Durations in ns; LIST,
                         NAMED: elements */
    weir_reload reload;
    const char *shorthand; /**< MAP: the field that a value that is not a map sets */
    const char *help;      /**< added to every error of this key */
    const char *const
        *planned_words; /**< ENUM: words not built yet, whether in `words` or not; ADDRESS:
                                         prefixes ("fd:") */
    weir_option_extend_fn extend; /**< MAP, NAMED of maps */
    const char *example;
    const char *since; /**< version of weir, or of the plugin */
};

/** A NULL-ended table of options: `WEIR_OPTIONS(name, WEIR_OPTION_STRING(…), …);` */
#define WEIR_OPTIONS(name, ...) static const weir_option *const name[] = {__VA_ARGS__, NULL}

#ifdef __cplusplus

/* C++20: a static inside a lambda stands for the compound literal, static_assert for _Generic. */
#    define WEIR_FIELD_(T, m, key, ty, check, ...)                                                \
        ([]() -> const weir_option * {                                                            \
            _Pragma("GCC diagnostic push")                                                        \
                _Pragma("GCC diagnostic ignored \"-Wmissing-field-initializers\"") static_assert( \
                    check, "option " key ": the member has another type");                        \
            static const weir_option weir_option_ = {                                             \
                WEIR_SIZED(weir_option),  .name = key,           .type = ty,                      \
                .offset = offsetof(T, m), .width = sizeof(T::m), __VA_ARGS__};                    \
            _Pragma("GCC diagnostic pop") return &weir_option_;                                   \
        }())
#    define WEIR_IS_(T, m, want) (::std::is_same<decltype(T::m), want>::value)
#    define WEIR_IS_INT_(T, m)   (::std::is_integral<decltype(T::m)>::value)
#    define WEIR_IS_ENUM_(T, m) \
        (::std::is_enum<decltype(T::m)>::value || ::std::is_same<decltype(T::m), int>::value)
#    define WEIR_IS_POINTER_(T, m) (::std::is_pointer<decltype(T::m)>::value)
#    define WEIR_IS_POINTER_TO_(T, m, S)               \
        (::std::is_same<decltype(T::m), S *>::value || \
         ::std::is_same<decltype(T::m), const S *>::value)

#else

#    define WEIR_FIELD_(T, m, key, ty, check, ...)                                              \
        ((const weir_option[1]){{WEIR_SIZED(weir_option), .name = key, .type = ty,              \
                                 .offset = offsetof(T, m) + 0 * sizeof(char[(check) ? 1 : -1]), \
                                 .width = sizeof(((T *)0)->m), __VA_ARGS__}})
#    define WEIR_IS_(T, m, want) _Generic(&((T *)0)->m, want * : 1, default : 0)
#    define WEIR_IS_INT_(T, m)                                                                   \
        _Generic(((T *)0)->m, int64_t : 1, uint64_t : 1, int32_t : 1, uint32_t : 1, int16_t : 1, \
                 uint16_t : 1, int8_t : 1, uint8_t : 1, default : 0)
#    define WEIR_IS_ENUM_(T, m)    _Generic(&((T *)0)->m, int * : 1, unsigned * : 1, default : 0)
#    define WEIR_IS_POINTER_(T, m) (sizeof(((T *)0)->m) == sizeof(void *))
#    define WEIR_IS_POINTER_TO_(T, m, S) \
        _Generic(&((T *)0)->m, S * * : 1, const S ** : 1, default : 0)

#endif

/* Scalars: (struct, member, default or NULL, doc, more designators …). A key whose name is not
 * that of the member is declared with WEIR_OPTION_AS, below. */
#define WEIR_OPTION_BOOL(T, m, dflt, ...)                                             \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_BOOL, WEIR_IS_(T, m, bool), .default_text = dflt, \
                .doc = __VA_ARGS__)
#define WEIR_OPTION_INT(T, m, dflt, ...)                                           \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_INT, WEIR_IS_INT_(T, m), .default_text = dflt, \
                .doc = __VA_ARGS__)
#define WEIR_OPTION_NUMBER(T, m, dflt, ...)                                               \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_NUMBER, WEIR_IS_(T, m, double), .default_text = dflt, \
                .doc = __VA_ARGS__)
#define WEIR_OPTION_STRING(T, m, dflt, ...)                                                     \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_STRING, WEIR_IS_(T, m, const char *), .default_text = dflt, \
                .doc = __VA_ARGS__)
#define WEIR_OPTION_DURATION(T, m, dflt, ...)                                                      \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_DURATION, WEIR_IS_(T, m, weir_duration), .default_text = dflt, \
                .doc = __VA_ARGS__)
#define WEIR_OPTION_SIZE(T, m, dflt, ...)                                                     \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_SIZE, WEIR_IS_(T, m, uint64_t) || WEIR_IS_(T, m, size_t), \
                .default_text = dflt, .doc = __VA_ARGS__)
#define WEIR_OPTION_RATE(T, m, dflt, ...)                                                  \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_RATE, WEIR_IS_(T, m, weir_rate), .default_text = dflt, \
                .doc = __VA_ARGS__)
#define WEIR_OPTION_PATH(T, m, dflt, ...)                                                     \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_PATH, WEIR_IS_(T, m, const char *), .default_text = dflt, \
                .doc = __VA_ARGS__)
#define WEIR_OPTION_PEM(T, m, dflt, ...)                                                 \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_PEM, WEIR_IS_(T, m, weir_pem), .default_text = dflt, \
                .doc = __VA_ARGS__)
#define WEIR_OPTION_ADDRESS(T, m, dflt, ...)                                      \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_ADDRESS, WEIR_IS_(T, m, weir_option_address), \
                .default_text = dflt, .doc = __VA_ARGS__)
#define WEIR_OPTION_TEMPLATE(T, m, dflt, ...)                                                     \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_TEMPLATE, WEIR_IS_(T, m, const char *), .default_text = dflt, \
                .doc = __VA_ARGS__)
/** `words` is a NULL-ended array; the member gets the index. */
#define WEIR_OPTION_ENUM(T, m, words_, dflt, ...)                               \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_ENUM, WEIR_IS_ENUM_(T, m), .words = words_, \
                .default_text = dflt, .doc = __VA_ARGS__)
/** `auto` and the like beside numbers: word i is stored as WEIR_INT_WORD(i) or
 * WEIR_SIZE_WORD(i). */
#define WEIR_OPTION_INT_OR(T, m, words_, dflt, ...)                                \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_INT, WEIR_IS_(T, m, int64_t), .words = words_, \
                .default_text = dflt, .doc = __VA_ARGS__)
#define WEIR_OPTION_SIZE_OR(T, m, words_, dflt, ...)                                          \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_SIZE, WEIR_IS_(T, m, uint64_t) || WEIR_IS_(T, m, size_t), \
                .words = words_, .default_text = dflt, .doc = __VA_ARGS__)

/** A map into a struct that is always there: absent means every default. With `.default_text` in
 * the designators' stead use WEIR_OPTION_MAP_OR. */
#define WEIR_OPTION_MAP(T, m, fields_, ...) \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_MAP, 1, .fields = fields_, .doc = __VA_ARGS__)
/** The same with a default, which may use the shorthand: `debug: false` for `{enabled: false}`. */
#define WEIR_OPTION_MAP_OR(T, m, fields_, dflt, ...)                                 \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_MAP, 1, .fields = fields_, .default_text = dflt, \
                .doc = __VA_ARGS__)
/** A map behind a pointer, which is NULL when the key is absent. */
#define WEIR_OPTION_OPTIONAL_MAP(T, m, S, fields_, ...)                                           \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_MAP, WEIR_IS_POINTER_TO_(T, m, S), .element_size = sizeof(S), \
                .fields = fields_, .doc = __VA_ARGS__)
/** A list whose elements are of C type E and are parsed by `element` (WEIR_ELEMENT). */
#define WEIR_OPTION_LIST(T, m, E, element_, dflt, ...)                                           \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_LIST, WEIR_IS_(T, m, weir_array), .element_size = sizeof(E), \
                .element = element_, .default_text = dflt, .doc = __VA_ARGS__)
/** Names to maps: E begins with `const char *name`. Its kind lets REF options name the entries. */
#define WEIR_OPTION_NAMED(T, m, E, kind_, fields_, ...)                                          \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_NAMED, WEIR_IS_(T, m, weir_array) && offsetof(E, name) == 0, \
                .element_size = sizeof(E), .kind = kind_, .fields = fields_, .doc = __VA_ARGS__)
/** Names to single values, parsed by `element` (WEIR_ELEMENT_AT): `levels: {tls: debug}`. */
#define WEIR_OPTION_NAMED_VALUES(T, m, E, element_, ...)                                         \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_NAMED, WEIR_IS_(T, m, weir_array) && offsetof(E, name) == 0, \
                .element_size = sizeof(E), .element = element_, .doc = __VA_ARGS__)
/** A map with exactly one key, an entry of the kind: `use: [ headers: {…} ]`. */
#define WEIR_OPTION_ONE_OF(T, m, kind_, ...)                                            \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_ONE_OF, WEIR_IS_(T, m, weir_choice), .kind = kind_, \
                .doc = __VA_ARGS__)
/** A map each of whose keys is an entry of the kind: `match: {host: …, path: …}`. */
#define WEIR_OPTION_ANY_OF(T, m, kind_, ...)                                           \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_ANY_OF, WEIR_IS_(T, m, weir_array), .kind = kind_, \
                .doc = __VA_ARGS__)
/** The name of a part; the member, any pointer, is set by the host when all is parsed. */
#define WEIR_OPTION_REF(T, m, kind_, dflt, ...)                                 \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_REF, WEIR_IS_POINTER_(T, m), .kind = kind_, \
                .default_text = dflt, .doc = __VA_ARGS__)
#define WEIR_OPTION_CUSTOM(T, m, parse_, dflt, ...)                                   \
    WEIR_FIELD_(T, m, #m, WEIR_TYPE_CUSTOM, 1, .parse = parse_, .default_text = dflt, \
                .doc = __VA_ARGS__)
/** The general form: everything after the type is designators. Checks nothing about the member. */
#define WEIR_OPTION_AS(T, m, key, type, ...) WEIR_FIELD_(T, m, key, type, 1, __VA_ARGS__)

#ifdef __cplusplus
#    define WEIR_ELEMENT_(key, ty, off, width_, ...)                                                \
        ([]() -> const weir_option * {                                                              \
            _Pragma("GCC diagnostic push") _Pragma(                                                 \
                "GCC diagnostic ignored \"-Wmissing-field-initializers\"") static const weir_option \
                weir_option_ = {WEIR_SIZED(weir_option), .name = key,     .type = ty,               \
                                .offset = off,           .width = width_, __VA_ARGS__};             \
            _Pragma("GCC diagnostic pop") return &weir_option_;                                     \
        }())
#else
#    define WEIR_ELEMENT_(key, ty, off, width_, ...)                                              \
        ((const weir_option[1]){{WEIR_SIZED(weir_option), .name = key, .type = ty, .offset = off, \
                                 .width = width_, __VA_ARGS__}})
#endif
/** What a list's element is: `WEIR_ELEMENT(WEIR_TYPE_ADDRESS, weir_option_address, .doc = "…")`. */
#define WEIR_ELEMENT(type, E, ...) WEIR_ELEMENT_("", type, 0, sizeof(E), __VA_ARGS__)
/** The same for the member of a NAMED entry: (type, E, member, …). */
#define WEIR_ELEMENT_AT(type, E, m, ...) \
    WEIR_ELEMENT_("", type, offsetof(E, m), sizeof(((E *)0)->m), __VA_ARGS__)
/** A key that is known but not built yet: its use is exactly one error, whatever it holds. */
#define WEIR_OPTION_PLANNED(key, ...) \
    WEIR_ELEMENT_(key, WEIR_TYPE_ANY, 0, 0, .doc = __VA_ARGS__, .optional = true, .planned = true)

WEIR_END_DECLS

#endif
