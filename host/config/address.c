/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses: what to connect to, and with `listen` what to bind.
 *
 *     host:port   127.0.0.1:443   [::1]:443   unix:/run/a.sock
 *     443   *:443   systemd:NAME   fd:3                            (to bind)
 */
#include <arpa/inet.h>
#include <config.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"

#define LONGEST_UNIX 107

static bool parse_number(const char *text, unsigned max, unsigned *ret)
{
    unsigned long value = 0;

    if (!*text || strlen(text) > 9)
        return false;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text))
            return false;
        value = value * 10 + (unsigned long)(*text - '0');
    }
    if (value > max)
        return false;
    *ret = (unsigned)value;
    return true;
}

static const char *parse_unix(weir_config_context *c, const char *path, weir_option_address *ret)
{
    if (*path != '/' && *path != '@')
        return "the path of a Unix socket begins with `/`";
    if (strlen(path) > LONGEST_UNIX)
        return "the path of a Unix socket has at most 107 bytes";
    ret->kind = WEIR_ADDRESS_UNIX;
    ret->name = weir__arena_dup(&c->arena, path, strlen(path));
    return NULL;
}

static const char *parse_port(const char *text, bool listen, weir_option_address *ret)
{
    if (!parse_number(text, 65535, &ret->port))
        return "a port is a number from 0 to 65535";
    if (!listen && ret->port == 0)
        return "port 0 cannot be connected to";
    return NULL;
}

static const char *check_host(const char *host, bool listen)
{
    bool numeric = true;
    struct in_addr unused;

    if (strcmp(host, "*") == 0)
        return listen ? NULL : "`*` is not a host to connect to";
    if (strlen(host) > 253)
        return "a host name has at most 253 characters";
    for (const char *s = host; *s; s++) {
        if (!isalnum((unsigned char)*s) && !strchr("._-", *s))
            return "a host name has letters, digits, `-` and `.`";
        numeric = numeric && (isdigit((unsigned char)*s) || *s == '.');
    }
    if (numeric && inet_pton(AF_INET, host, &unused) != 1)
        return "not an IPv4 address";
    return NULL;
}

static const char *parse_bracketed(weir_config_context *c, const char *text, bool listen,
                                   weir_option_address *ret)
{
    const char *end = strchr(text, ']'), *zone;
    struct in6_addr unused;
    char *host;

    if (!end || end[1] != ':')
        return end ? "a port is missing: [::1]:443" : "`[` is never closed";
    host = weir__arena_dup(&c->arena, text + 1, (size_t)(end - text - 1));
    zone = strchr(host, '%');
    if (inet_pton(AF_INET6, zone ? weir__arena_dup(&c->arena, host, (size_t)(zone - host)) : host,
                  &unused) != 1)
        return "not an IPv6 address inside the brackets";
    ret->kind = WEIR_ADDRESS_INET;
    ret->host = host;
    return parse_port(end + 2, listen, ret);
}

static const char *parse_inet(weir_config_context *c, const char *text, bool listen,
                              weir_option_address *ret)
{
    const char *colon = strchr(text, ':');
    const char *problem;
    char *host;

    if (*text == '[')
        return parse_bracketed(c, text, listen, ret);
    ret->kind = WEIR_ADDRESS_INET;
    if (!colon && listen && isdigit((unsigned char)*text) && !strchr(text, '.')) {
        ret->host = "*";
        return parse_port(text, listen, ret);
    }
    if (strstr(text, "://"))
        return "an address is expected, not a URL: write host:port";
    if (!colon)
        return listen ? "expected a port, or address:port" : "a port is missing: write host:port";
    if (strchr(colon + 1, ':'))
        return "an IPv6 address stands in brackets: \"[::1]:443\"";
    if (colon == text)
        return listen ? "an address is missing before `:`; a port alone is every address"
                      : "a host is missing before `:`";
    host = weir__arena_dup(&c->arena, text, (size_t)(colon - text));
    problem = check_host(host, listen);
    ret->host = host;
    return problem ? problem : parse_port(colon + 1, listen, ret);
}

const char *weir__address_parse(weir_config_context *c, const char *text, bool listen,
                                weir_option_address *ret)
{
    weir_option_address address = {.kind = WEIR_ADDRESS_NONE};
    const char *problem = NULL;

    if (strncmp(text, "unix:", 5) == 0) {
        problem = parse_unix(c, text + 5, &address);
    } else if (listen && strncmp(text, "systemd:", 8) == 0) {
        address.kind = WEIR_ADDRESS_SYSTEMD;
        address.name = weir__arena_dup(&c->arena, text + 8, strlen(text + 8));
        problem = text[8] ? NULL : "the name of the socket is missing";
    } else if (listen && strncmp(text, "fd:", 3) == 0) {
        address.kind = WEIR_ADDRESS_FD;
        problem =
            parse_number(text + 3, 1 << 20, &address.port) ? NULL : "fd: takes a number: fd:3";
    } else {
        problem = parse_inet(c, text, listen, &address);
    }
    if (problem)
        return problem;
    if (address.kind != WEIR_ADDRESS_INET)
        address.text = weir__arena_dup(&c->arena, text, strlen(text));
    else if (strchr(address.host, ':'))
        address.text = weir__arena_format(&c->arena, "[%s]:%u", address.host, address.port);
    else
        address.text = weir__arena_format(&c->arena, "%s:%u", address.host, address.port);
    *ret = address;
    return NULL;
}

bool weir__fill_address(weir_config_context *c, const weir_option *option,
                        const weir_config_node *node, weir_option_address *ret)
{
    const char *problem;

    for (const char *const *word = option->planned_words; word && *word; word++) {
        if (strncmp(node->text, *word, strlen(*word)) == 0) {
            weir__not_built(c, node->span, *word);
            return false;
        }
    }
    problem = weir__address_parse(c, node->text, option->listen, ret);
    if (!problem)
        return true;
    weir__diagnostic_label(c,
                           weir__value_error(c, CONFIG_ADDRESS, node, "`%s` is not an address",
                                             weir__node_shown(c, node)),
                           "%s", problem);
    return false;
}
