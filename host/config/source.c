/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts: reading a file, checking that it is UTF-8 that YAML allows, and finding its lines.
 *
 * libyaml gives only a byte offset for bad UTF-8, so the check is here, before it sees the text. What
 * separates lines is what libyaml takes for it (LF, CR, CRLF, NEL, LS, PS), so that its marks fit.
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/config/internal.h"

/* Bytes of the code point at `s`, its value in *ret; 0 when it is not UTF-8. */
static size_t decode(const unsigned char *s, size_t len, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;
    uint32_t value = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));

    if ((n == 4 && (s[0] < 0xf0 || s[0] > 0xf4)) || n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (s[i] & 0x3f);
    }
    if (n > 1 && (value < least[n] || (value >= 0xd800 && value < 0xe000) || value > 0x10ffff))
        return 0;
    *ret = value;
    return n;
}

static bool is_break(uint32_t c)
{
    return c == '\n' || c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static bool is_allowed(uint32_t c)
{
    return c == '\t' || is_break(c) || (c >= 0x20 && c < 0x7f) || (c >= 0xa0 && c != 0xfeff);
}

static void add_line(weir_config_context *c, struct source *source, size_t *room, size_t offset)
{
    source->lines =
        weir__arena_grow(&c->arena, source->lines, source->n_lines, room, sizeof *source->lines);
    source->lines[source->n_lines++] = offset;
}

/* Finds the lines and the first character that is not allowed. */
static bool scan(weir_config_context *c, struct source *source)
{
    const unsigned char *text = (const unsigned char *)source->text;
    struct span bad = {source, 0, 0, 0, 0};
    const char *what = NULL;
    uint32_t column = 0, value = 0;
    size_t room = 0;

    add_line(c, source, &room, 0);
    for (size_t i = 0, n; i < source->len; i += n) {
        n = decode(text + i, source->len - i, &value);
        if (!what && (n == 0 || !is_allowed(value))) {
            bad.line = bad.end_line = (uint32_t)source->n_lines - 1;
            bad.column = column;
            bad.end_column = column + 1;
            what = n == 0 ? "not UTF-8" : "a control character";
        }
        if (n == 0)
            n = 1;
        column++;
        if (is_break(value) && !(value == '\r' && i + 1 < source->len && text[i + 1] == '\n')) {
            add_line(c, source, &room, i + n);
            column = 0;
        }
        value = 0;
    }
    if (what) {
        size_t at = source->lines[bad.line];
        struct diagnostic *d;

        for (uint32_t col = 0; col < bad.column; col++) {
            size_t n = decode(text + at, source->len - at, &value);

            at += n ? n : 1;
        }
        d = weir__diagnose(c, CONFIG_NOT_UTF8, bad, "byte 0x%02x is %s", text[at], what);
        weir__diagnostic_label(c, d, "this byte");
        d->cut = true;
    }
    return !what;
}

weir_slice weir__source_line(const struct source *source, size_t line)
{
    size_t begin, end;

    if (line >= source->n_lines)
        return weir_slice_of("", 0);
    begin = source->lines[line];
    end = line + 1 < source->n_lines ? source->lines[line + 1] : source->len;
    while (end > begin && (source->text[end - 1] == '\n' || source->text[end - 1] == '\r'))
        end--;
    return weir_slice_of(source->text + begin, end - begin);
}

int weir__read_file(const char *path, size_t limit, struct arena *arena, char **ret_text,
                    size_t *ret_len, unsigned *ret_mode)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    size_t len = 0, room;
    struct stat st;
    char *text;
    int rc = 0;

    if (fd < 0)
        return errno;
    if (fstat(fd, &st) < 0) {
        rc = errno;
    } else if (S_ISDIR(st.st_mode)) {
        rc = EISDIR;
    } else if (st.st_size > (off_t)limit) {
        rc = EFBIG;
    }
    if (rc) {
        close(fd);
        return rc;
    }
    room = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size + 1 : 4096;
    text = weir__arena_alloc(arena, room + 1);
    for (;;) {
        ssize_t n = read(fd, text + len, room - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = errno;
        if (n <= 0)
            break;
        len += (size_t)n;
        if (len > limit) {
            rc = EFBIG;
            break;
        }
        if (len == room) {
            char *larger = weir__arena_alloc(arena, room * 2 + 1);

            memcpy(larger, text, len);
            text = larger;
            room *= 2;
        }
    }
    close(fd);
    if (rc)
        return rc;
    text[len] = '\0';
    *ret_text = text;
    *ret_len = len;
    *ret_mode = st.st_mode;
    return 0;
}

static void add_source(weir_config_context *c, struct source *source)
{
    c->sources = weir__arena_grow(&c->arena, c->sources, c->n_sources, &c->sources_room,
                                  sizeof(struct source *));
    c->sources[c->n_sources++] = source;
}

struct source *weir__source_text(weir_config_context *c, const char *name, const char *text,
                                 enum node_origin origin)
{
    struct source *source = CONFIG_NEW(c, struct source);
    char folder[PATH_MAX];

    source->name = weir__arena_dup(&c->arena, name, strlen(name));
    source->folder = "";
    if (origin != ORIGIN_DEFAULT && getcwd(folder, sizeof folder))
        source->folder = weir__arena_dup(&c->arena, folder, strlen(folder));
    source->text = weir__arena_dup(&c->arena, text, strlen(text));
    source->len = strlen(text);
    source->origin = origin;
    if (origin != ORIGIN_DEFAULT)
        add_source(c, source);
    return scan(c, source) ? source : NULL;
}

static const char *folder_of(weir_config_context *c, const char *real)
{
    const char *slash = strrchr(real, '/');

    return slash && slash != real ? weir__arena_dup(&c->arena, real, (size_t)(slash - real)) : "/";
}

static void report_unreadable(weir_config_context *c, const char *shown, int error,
                              const struct span *from)
{
    struct span none = {NULL, 0, 0, 0, 0};
    struct diagnostic *d;
    char buffer[128];
    const char *why = strerror_r(error, buffer, sizeof buffer);

    if (error == EFBIG)
        why = "larger than 16 MiB";
    d = weir__diagnose(c, from ? CONFIG_INCLUDE : CONFIG_UNREADABLE, from ? *from : none,
                       "cannot read `%s`: %s", shown, why);
    if (from)
        weir__diagnostic_label(c, d, "%s", error == ENOENT ? "no such file" : why);
}

struct source *weir__source_read(weir_config_context *c, const char *path, const char *shown,
                                 const struct span *from)
{
    struct source *source;
    char real[PATH_MAX];
    unsigned mode;
    size_t len;
    char *text;
    int error;

    error = weir__read_file(path, CONFIG_MAX_FILE, &c->arena, &text, &len, &mode);
    if (error) {
        report_unreadable(c, shown, error, from);
        return NULL;
    }
    source = CONFIG_NEW(c, struct source);
    source->name = weir__arena_dup(&c->arena, shown, strlen(shown));
    if (!realpath(path, real))
        snprintf(real, sizeof real, "%s", path);
    source->real = weir__arena_dup(&c->arena, real, strlen(real));
    source->folder = folder_of(c, real);
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    source->text = text;
    source->len = len;
    add_source(c, source);
    c->n_files++;
    if (!scan(c, source)) {
        source->broken = true;
        c->incomplete = true;
    }
    return source;
}
