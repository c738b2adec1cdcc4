/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a DNS message says about one name and type. Everything in it is the word of a stranger: each
 * read is checked against the end, names may only point backwards, and only records of the name that
 * was asked for, or that it is an alias of, count. Order does not matter: the chain of aliases is
 * walked over the whole section, at most RESOLVER_ALIASES steps, so a loop ends as no answer.
 */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/net/resolver.h"

#define HEADER_LEN 12
#define CLASS_IN   1
#define TYPE_CNAME 5
#define TYPE_SOA   6
/* A name as text: each byte may take four, "\255". */
#define NAME_TEXT 1024

struct message {
    const unsigned char *bytes;
    size_t len, at;
};

struct wire_record {
    char owner[NAME_TEXT];
    unsigned type, class;
    uint32_t ttl;
    size_t data, len;
};

/* What is collected before its size is known. */
struct collected {
    struct {
        uint32_t ttl;
        uint16_t priority, weight, port;
        size_t data, len;
    } list[RESOLVER_RECORDS];

    size_t count, bytes;
};

static unsigned get16(const struct message *m, size_t at)
{
    return (unsigned)m->bytes[at] << 8 | m->bytes[at + 1];
}

static uint32_t get32(const struct message *m, size_t at)
{
    return (uint32_t)get16(m, at) << 16 | get16(m, at + 2);
}

/* RFC 2181: what has the top bit is zero. */
static uint32_t get_ttl(const struct message *m, size_t at)
{
    uint32_t ttl = get32(m, at);

    return ttl & 0x80000000u ? 0 : ttl;
}

/* A label in text, or false when there is no room. */
static bool add_label(const unsigned char *label, size_t len, char *text, size_t *used)
{
    if (*used)
        text[(*used)++] = '.';
    for (size_t i = 0; i < len; i++) {
        if (*used + 6 > NAME_TEXT)
            return false;
        if (label[i] > ' ' && label[i] < 0x7f && label[i] != '.' && label[i] != '\\')
            text[(*used)++] = (char)tolower(label[i]);
        else
            *used += (size_t)snprintf(text + *used, 5, "\\%03u", label[i]);
    }
    return true;
}

/* The name at `*at`, which moves behind it. */
static bool get_name(const struct message *m, size_t *at, char text[NAME_TEXT])
{
    size_t place = *at, used = 0, limit = m->len, total = 0;
    bool jumped = false;

    for (;;) {
        unsigned len;

        if (place >= m->len)
            return false;
        len = m->bytes[place];
        if ((len & 0xc0) == 0xc0) {
            size_t target;

            if (place + 2 > m->len)
                return false;
            target = get16(m, place) & 0x3fff;
            if (target >= limit || target >= place)
                return false;
            if (!jumped)
                *at = place + 2;
            jumped = true;
            place = limit = target;
            continue;
        }
        if (len > 63 || place + 1 + len > m->len)
            return false;
        if (!len)
            break;
        total += len + 1;
        if (total > 254 || !add_label(m->bytes + place + 1, len, text, &used))
            return false;
        place += len + 1;
    }
    if (!jumped)
        *at = place + 1;
    text[used] = '\0';
    return true;
}

static bool get_record(struct message *m, struct wire_record *ret)
{
    if (!get_name(m, &m->at, ret->owner) || m->at + 10 > m->len)
        return false;
    ret->type = get16(m, m->at);
    ret->class = get16(m, m->at + 2);
    ret->ttl = get_ttl(m, m->at + 4);
    ret->len = get16(m, m->at + 8);
    ret->data = m->at + 10;
    m->at = ret->data + ret->len;
    return m->at <= m->len;
}

static bool skip_questions(struct message *m)
{
    char name[NAME_TEXT];

    for (unsigned n = get16(m, 4); n; n--) {
        if (!get_name(m, &m->at, name) || m->at + 4 > m->len)
            return false;
        m->at += 4;
    }
    return true;
}

/* How much a record's data takes as text; SIZE_MAX: it is malformed. */
static size_t data_size(const struct message *m, const struct wire_record *record)
{
    char name[NAME_TEXT];
    size_t at = record->data;

    switch (record->type) {
    case WEIR_DNS_A:
        return record->len == 4 ? 4 : SIZE_MAX;
    case WEIR_DNS_AAAA:
        return record->len == 16 ? 16 : SIZE_MAX;
    case WEIR_DNS_TXT:
        return record->len;
    case WEIR_DNS_SRV:
        if (record->len < 7)
            return SIZE_MAX;
        at += 6;
        break;
    default:
        break;
    }
    return get_name(m, &at, name) && at <= record->data + record->len ? strlen(name) : SIZE_MAX;
}

static void collect(const struct message *m, const struct wire_record *record, struct collected *c)
{
    size_t size = data_size(m, record);

    if (size == SIZE_MAX || c->count == RESOLVER_RECORDS)
        return;
    c->list[c->count].ttl = record->ttl;
    c->list[c->count].data = record->data;
    c->list[c->count].len = record->len;
    if (record->type == WEIR_DNS_SRV) {
        c->list[c->count].priority = (uint16_t)get16(m, record->data);
        c->list[c->count].weight = (uint16_t)get16(m, record->data + 2);
        c->list[c->count].port = (uint16_t)get16(m, record->data + 4);
    }
    c->count++;
    c->bytes += size + 1;
}

/* One walk over the answers for the records of `name`. Returns whether it is an alias, and renames it. */
static bool walk(struct message m, char name[NAME_TEXT], uint16_t type, uint32_t *ttl,
                 struct collected *c)
{
    struct wire_record record;
    char alias[NAME_TEXT];
    bool is_alias = false;
    uint32_t alias_ttl = 0;

    for (unsigned n = get16(&m, 6); n && get_record(&m, &record); n--) {
        if (record.class != CLASS_IN || strcmp(record.owner, name) != 0)
            continue;
        if (record.type == type) {
            collect(&m, &record, c);
            *ttl = record.ttl < *ttl ? record.ttl : *ttl;
        } else if (record.type == TYPE_CNAME && !is_alias) {
            size_t at = record.data;

            is_alias = get_name(&m, &at, alias);
            alias_ttl = record.ttl;
        }
    }
    if (c->count || !is_alias)
        return false;
    memcpy(name, alias, NAME_TEXT);
    *ttl = alias_ttl < *ttl ? alias_ttl : *ttl;
    return true;
}

/* How long "nothing" is good, by the SOA of the authority section (RFC 2308); UINT32_MAX: not said. */
static uint32_t negative_ttl(struct message m)
{
    struct wire_record record;
    unsigned answers = get16(&m, 6), authorities = get16(&m, 8);

    while (answers--)
        if (!get_record(&m, &record))
            return UINT32_MAX;
    for (; authorities && get_record(&m, &record); authorities--) {
        if (record.type == TYPE_SOA && record.class == CLASS_IN && record.len >= 22) {
            uint32_t minimum = get_ttl(&m, record.data + record.len - 4);

            return minimum < record.ttl ? minimum : record.ttl;
        }
    }
    return UINT32_MAX;
}

static size_t copy_data(const struct message *m, uint16_t type, size_t data, size_t len,
                        char *place)
{
    size_t used = 0;

    if (type == WEIR_DNS_A || type == WEIR_DNS_AAAA) {
        memcpy(place, m->bytes + data, len);
        return len;
    }
    if (type != WEIR_DNS_TXT) {
        char name[NAME_TEXT];
        size_t at = data + (type == WEIR_DNS_SRV ? 6 : 0);

        if (get_name(m, &at, name)) {
            used = strlen(name);
            memcpy(place, name, used);
        }
        return used;
    }
    for (size_t at = 0; at < len;) {
        size_t part = m->bytes[data + at++];

        if (part > len - at)
            part = len - at;
        memcpy(place + used, m->bytes + data + at, part);
        used += part;
        at += part;
    }
    return used;
}

/* By priority; stable, for there are few. */
static void sort_records(answer *a)
{
    for (uint32_t i = 1; i < a->count; i++) {
        weir_dns_record record = a->list[i];
        uint32_t k = i;

        for (; k && a->list[k - 1].priority > record.priority; k--)
            a->list[k] = a->list[k - 1];
        a->list[k] = record;
    }
}

static answer *build(const struct message *m, uint16_t type, uint32_t ttl,
                     const struct collected *c)
{
    answer *a = weir__calloc(1, sizeof(*a) + c->count * sizeof(a->list[0]) + c->bytes);
    char *place;

    if (!a)
        return NULL;
    a->refs = 1;
    a->type = type;
    a->ttl = ttl;
    a->count = (uint32_t)c->count;
    place = (char *)&a->list[c->count];
    for (size_t i = 0; i < c->count; i++) {
        size_t len = copy_data(m, type, c->list[i].data, c->list[i].len, place);

        a->list[i] = (weir_dns_record){.ttl = c->list[i].ttl,
                                       .priority = c->list[i].priority,
                                       .weight = c->list[i].weight,
                                       .port = c->list[i].port,
                                       .data = {place, len}};
        place += len + 1; /* zeroed: the NUL is there */
    }
    if (type == WEIR_DNS_SRV)
        sort_records(a);
    return a;
}

answer *weir__answer_failed(uint16_t type, weir_code code, const char *why)
{
    answer *a = weir__calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    a->refs = 1;
    a->type = type;
    a->code = code;
    a->why = why;
    a->ttl = UINT32_MAX;
    return a;
}

answer *weir__answer_parse(const unsigned char *message, size_t len, const char *name,
                           uint16_t type)
{
    struct message m = {message, len, HEADER_LEN};
    struct collected collected = {.count = 0};
    char current[NAME_TEXT];
    uint32_t ttl = UINT32_MAX;
    answer *a;

    if (len < HEADER_LEN || !skip_questions(&m))
        return weir__answer_failed(type, WEIR_EDNS, "malformed answer");
    snprintf(current, sizeof(current), "%s", name);
    for (unsigned i = 0; i <= RESOLVER_ALIASES; i++)
        if (!walk(m, current, type, &ttl, &collected))
            break;
    if (collected.count)
        return build(&m, type, ttl, &collected);
    a = weir__answer_failed(type, WEIR_ENONAME, NULL);
    if (a)
        a->ttl = negative_ttl(m);
    return a;
}

size_t weir_dns_records_count(const weir_dns_records *records)
{
    return records->count;
}

const weir_dns_record *weir_dns_records_get(const weir_dns_records *records, size_t index)
{
    weir_require(index < records->count, NULL);
    return &records->list[index];
}

weir_dns_records *weir_dns_records_ref(weir_dns_records *records)
{
    return records ? answer_ref(records) : NULL;
}

void weir_dns_records_unref(weir_dns_records *records)
{
    if (records && --records->refs == 0)
        weir__free(records);
}
