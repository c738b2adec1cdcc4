/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/hosts and /etc/resolv.conf, read in an executor's thread, each with a bound on its size. What
 * cannot be read counts as empty, as everywhere.
 */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/net/resolver.h"

#define LINE_MAX_BYTES   1024
#define HOSTS_MAX        100000
#define NAME_SERVERS_MAX 8
#define SEARCH_MAX       ((int)(sizeof(((struct name_files *)0)->domains) / sizeof(char *)))

const char *weir__hosts_path = "/etc/hosts";
const char *weir__resolv_path = "/etc/resolv.conf";

static char *next_word(char **text)
{
    char *word = *text + strspn(*text, " \t\r\n");
    size_t len = strcspn(word, " \t\r\n");

    if (!len)
        return NULL;
    *text = word + len;
    if (**text)
        *(*text)++ = '\0';
    return word;
}

static void lower(char *text)
{
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

static void cut_comment(char *line, const char *marks)
{
    line[strcspn(line, marks)] = '\0';
}

static bool add_host(struct name_files *files, const struct address *address, char *name)
{
    struct hosts_line *line;

    if (files->host_count >= HOSTS_MAX)
        return false;
    if (files->host_count == files->host_room) {
        size_t room = files->host_room ? files->host_room * 2 : 16;
        struct hosts_line *hosts = weir__reallocarray(files->hosts, room, sizeof(*hosts));

        if (!hosts)
            return false;
        files->hosts = hosts;
        files->host_room = room;
    }
    lower(name);
    line = &files->hosts[files->host_count];
    memset(line, 0, sizeof(*line));
    memcpy(&line->address, &address->in6, address->length);
    line->name = weir__strdup(name);
    if (!line->name)
        return false;
    files->host_count++;
    return true;
}

static void hosts_line(struct name_files *files, char *line)
{
    struct address address;
    char *word;

    cut_comment(line, "#");
    word = next_word(&line);
    if (!word || !weir__address_literal(word, 0, &address))
        return;
    while ((word = next_word(&line))) {
        if (!add_host(files, &address, word))
            return;
    }
}

static void add_server(struct name_files *files, struct text *servers, const char *word)
{
    struct address address;

    (void)files;
    if (!word || !weir__address_literal(word, 0, &address))
        return;
    if (servers->len)
        text_add(servers, ",");
    text_printf(servers, address.any.sa_family == AF_INET6 ? "[%s]:53" : "%s:53", word);
}

static void add_search(struct name_files *files, char *line)
{
    char *word;

    while (files->domain_count > 0)
        weir__free(files->domains[--files->domain_count]);
    while (files->domain_count < SEARCH_MAX && (word = next_word(&line))) {
        files->domains[files->domain_count] = weir__strdup(word);
        if (!files->domains[files->domain_count])
            return;
        files->domain_count++;
    }
}

static void resolv_line(struct name_files *files, char *line, struct text *servers)
{
    char *word;

    cut_comment(line, "#;");
    word = next_word(&line);
    if (!word)
        return;
    if (strcmp(word, "nameserver") == 0) {
        add_server(files, servers, next_word(&line));
    } else if (strcmp(word, "search") == 0 || strcmp(word, "domain") == 0) {
        add_search(files, line);
    } else if (strcmp(word, "options") == 0) {
        while ((word = next_word(&line))) {
            if (strncmp(word, "ndots:", 6) == 0)
                files->ndots = (int)strtol(word + 6, NULL, 10);
        }
    }
}

struct name_files *weir__name_files_read(const char *hosts_path, const char *resolv_path)
{
    struct name_files *files = weir__calloc(1, sizeof(*files));
    char line[LINE_MAX_BYTES];
    struct text servers;
    FILE *file;

    if (!files)
        return NULL;
    files->ndots = 1;
    servers = text_over(files->servers, sizeof(files->servers));
    file = fopen(hosts_path, "re");
    while (file && fgets(line, sizeof(line), file))
        hosts_line(files, line);
    if (file)
        fclose(file);
    file = fopen(resolv_path, "re");
    while (file && fgets(line, sizeof(line), file))
        resolv_line(files, line, &servers);
    if (file)
        fclose(file);
    if (text_truncated(&servers))
        files->servers[0] = '\0';
    return files;
}

void weir__name_files_free(struct name_files *files)
{
    if (!files)
        return;
    for (size_t i = 0; i < files->host_count; i++)
        weir__free(files->hosts[i].name);
    weir__free(files->hosts);
    while (files->domain_count > 0)
        weir__free(files->domains[--files->domain_count]);
    weir__free(files);
}

size_t weir__name_files_find(const struct name_files *files, const char *name, struct found *ret)
{
    ret->count = 0;
    for (size_t i = 0; i < files->host_count && ret->count < RESOLVER_ADDRESSES; i++) {
        if (strcmp(files->hosts[i].name, name) == 0)
            ret->list[ret->count++] = files->hosts[i].address;
    }
    return ret->count;
}
