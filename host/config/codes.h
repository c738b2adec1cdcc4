/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every diagnostic code, once: number, name, what it means and what to do. Numbers are stable: new
 * ones are appended to their hundred, none is reused. W00xx the file as text and YAML, W01xx keys and
 * values, W02xx what refers to something else, W03xx what plugins and checks report.
 */
#ifndef WEIR_HOST_CONFIG_CODES_H
#define WEIR_HOST_CONFIG_CODES_H

#define CONFIG_CODES(X)                                                                           \
    X(1, UNREADABLE, "The file cannot be read: it is missing, or its permissions forbid it.")     \
    X(2, NOT_UTF8, "Configuration files are UTF-8. Save the file in that encoding.")              \
    X(3, SYNTAX, "The file is not valid YAML from this place on; the rest of it was not read.")   \
    X(4, TAB, "YAML indents with spaces only.")                                                   \
    X(5, QUOTES, "The value begins with a character that means something to YAML: quote it.")     \
    X(6, DUPLICATE, "The same key stands twice in one map; YAML readers differ in which wins.")   \
    X(7, ALIAS, "The alias has no anchor before it, or it contains itself.")                      \
    X(8, TOO_LARGE, "The file, its nesting or what its aliases expand to is above the limits.")   \
    X(9, UNSUPPORTED,                                                                             \
      "Tags, several documents in a file and keys that are not words are refused.")               \
    X(10, MERGE, "A merge key `<<` takes a map or a list of maps.")                               \
    X(11, INDENT, "The lines of one map begin in the same column; this one does not.")            \
    X(12, MEMORY, "The configuration needs more memory than the system gives, or than 1 GiB.")    \
    X(20, CONFLICT, "Two files set the same value; files have no order of precedence.")           \
    X(21, INCLUDE, "An included file is missing, includes itself, or is nested too deeply.")      \
    X(22, VERSION, "The main file states the version of the format: `version: 1`.")               \
    X(30, EXPANSION,                                                                              \
      "`${env:NAME}`, `${env:NAME:-default}`, `${file:/path}`, `${cred:NAME}` "                   \
      "expand in values; `$$` is a dollar sign.")                                                 \
    X(31, UNSET, "The environment variable or credential is not set and has no default.")         \
    X(32, SECRET_FILE, "Others can read the file that holds a secret.")                           \
    X(40, OVERLAY, "`--set PATH=VALUE` takes a dotted path of keys and a value.")                 \
    X(101, SHAPE, "A map, a list or a single value stands where another of them is expected.")    \
    X(102, VALUE, "The value is not of the setting's type or out of its range.")                  \
    X(103, UNKNOWN_KEY, "No setting of that name exists here; keys are never ignored silently.")  \
    X(104, NO_VALUE, "The key has nothing behind it.")                                            \
    X(105, MISSING_KEY, "A required key is missing.")                                             \
    X(106, UNIT, "Durations carry a unit: 250ms, 5s, 1m30s, 1h.")                                 \
    X(107, WORD, "The setting takes one of a few words.")                                         \
    X(108, NAME, "Names are `[a-z][a-z0-9_-]*`: they become labels, arguments and log fields.")   \
    X(109, CHOICE, "Exactly one of several keys is expected here.")                               \
    X(110, ADDRESS, "Addresses are host:port, [ipv6]:port or unix:/path.")                        \
    X(111, DEPRECATED, "The setting still works and will go; the help line says what to write.")  \
    X(190, NOT_BUILT, "The setting is known and documented, and this weir does not have it yet.") \
    X(210, NO_SUCH_ENTRY, "Nothing that is loaded provides this name.")                           \
    X(211, NO_SUCH_PART, "The name is not defined anywhere in the configuration.")                \
    X(301, REFUSED, "The part that uses this setting refused it.")                                \
    X(302, SUSPICIOUS, "It will work, and is probably not what is meant.")                        \
    X(303, CRASHED, "A plugin crashed or did not come back while the file was checked.")          \
    X(304, TEST_FAILED,                                                                           \
      "A request of `tests` is served otherwise than it expects; `weir route URL` says why.")     \
    X(412, LISTEN, "The system refuses the address: it is in use, or not this machine's.")

enum {

#define CONFIG_CODE_ENUM(number, name, text) CONFIG_##name = number,
    CONFIG_CODES(CONFIG_CODE_ENUM)
#undef CONFIG_CODE_ENUM
};

#endif
