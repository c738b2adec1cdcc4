/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/hosts and /etc/resolv.conf, read in an executor's thread, each with a bound on its size. What
 * cannot be read counts as empty, as everywhere. Lines of hosts are sorted by name once, so that a
 * look-up is a search by halves however long the file is.
 */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
    line->line = files->host_count;
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

/* c-ares 1.18 knows no scopes, and would refuse the whole list for one. */
static void add_server(struct text *servers, const char *word)
{
    struct address address;

    if (!word || strchr(word, '%') || !weir__address_literal(word, 0, &address))
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
        lower(word);
        files->domains[files->domain_count] = weir__strdup(word);
        if (!files->domains[files->domain_count])
            return;
        files->domain_count++;
    }
}

/* At most 15, as everywhere. */
static int ndots_of(const char *text)
{
    long n = strtol(text, NULL, 10);

    return n < 0 ? 0 : n > 15 ? 15 : (int)n;
}

static void resolv_line(struct name_files *files, char *line, struct text *servers)
{
    char *word;

    cut_comment(line, "#;");
    word = next_word(&line);
    if (!word)
        return;
    if (strcmp(word, "nameserver") == 0) {
        add_server(servers, next_word(&line));
    } else if (strcmp(word, "search") == 0 || strcmp(word, "domain") == 0) {
        add_search(files, line);
    } else if (strcmp(word, "options") == 0) {
        while ((word = next_word(&line))) {
            if (strncmp(word, "ndots:", 6) == 0)
                files->ndots = ndots_of(word + 6);
        }
    }
}

static struct file_mark mark_of(const char *path, int fd)
{
    struct stat st;

    if ((fd >= 0 ? fstat(fd, &st) : stat(path, &st)) != 0)
        return (struct file_mark){0};
    return (struct file_mark){st.st_dev, st.st_ino, (uint64_t)st.st_size,
                              (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
}

static bool same_mark(const struct file_mark *a, const struct file_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified_ns == b->modified_ns;
}

bool weir__name_files_current(const struct file_mark *hosts, const struct file_mark *resolv,
                              const char *hosts_path, const char *resolv_path)
{
    struct file_mark hosts_now = mark_of(hosts_path, -1), resolv_now = mark_of(resolv_path, -1);

    return same_mark(hosts, &hosts_now) && same_mark(resolv, &resolv_now);
}

/* The next line, or what fits of it: the rest of a longer one is no line of its own. */
static bool next_line(FILE *file, char line[LINE_MAX_BYTES])
{
    if (!file || !fgets(line, LINE_MAX_BYTES, file))
        return false;
    if (!strchr(line, '\n')) {
        int c;

        do
            c = fgetc(file);
        while (c != EOF && c != '\n');
    }
    return true;
}

/* Stable by name: lines are already in the file's order, which address order within a name keeps. */
static int by_name(const void *a, const void *b)
{
    const struct hosts_line *left = a, *right = b;
    int order = strcmp(left->name, right->name);

    return order ? order : (left->line > right->line) - (left->line < right->line);
}

static FILE *open_marked(const char *path, struct file_mark *ret)
{
    FILE *file = fopen(path, "re");

    *ret = mark_of(path, file ? fileno(file) : -1);
    return file;
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
    file = open_marked(hosts_path, &files->hosts_mark);
    while (next_line(file, line))
        hosts_line(files, line);
    if (file)
        fclose(file);
    if (files->host_count)
        qsort(files->hosts, files->host_count, sizeof(files->hosts[0]), by_name);
    file = open_marked(resolv_path, &files->resolv_mark);
    while (next_line(file, line))
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

size_t weir__name_files_find(const struct name_files *files, const char *name,
                             struct address_list *ret)
{
    size_t low = 0, high = files->host_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(files->hosts[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    ret->count = 0;
    for (; low < files->host_count && strcmp(files->hosts[low].name, name) == 0; low++)
        if (ret->count < RESOLVER_ADDRESSES)
            ret->list[ret->count++] = files->hosts[low].address;
    return ret->count;
}

/* Names */

static int dots_in(const char *name)
{
    int n = 0;

    for (; *name; name++)
        n += *name == '.';
    return n;
}

/* A name has at most 253 bytes; a longer one is not asked for. */
static bool join(const char *name, const char *domain, char ret[HOST_NAME_SIZE])
{
    int len = snprintf(ret, HOST_NAME_SIZE, domain ? "%s.%s" : "%s", name, domain);

    while (len > 0 && len < HOST_NAME_SIZE && ret[len - 1] == '.')
        ret[--len] = '\0';
    return len > 0 && len <= 253;
}

/* With enough dots the name itself comes first, else last. */
bool weir__name_candidate(const struct name_files *files, const char *name, unsigned n,
                          char ret[HOST_NAME_SIZE])
{
    size_t len = strlen(name);
    bool complete = len && name[len - 1] == '.';
    unsigned domains = complete ? 0 : (unsigned)files->domain_count;
    unsigned own = dots_in(name) >= files->ndots ? 0 : domains;

    if (n > domains)
        return false;
    if (n == own)
        return join(name, NULL, ret);
    if (!join(name, files->domains[n > own ? n - 1 : n], ret))
        ret[0] = '\0'; /* passed over */
    return true;
}
