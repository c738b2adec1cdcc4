/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/host/hello.h"

#include <string.h>

struct out {
    unsigned char *at;
};

static void put8(struct out *o, size_t value)
{
    *o->at++ = (unsigned char)value;
}

static void put16(struct out *o, size_t value)
{
    put8(o, value >> 8 & 0xff);
    put8(o, value & 0xff);
}

static void put(struct out *o, const void *bytes, size_t n)
{
    memcpy(o->at, bytes, n);
    o->at += n;
}

static void fill(struct out *o, int byte, size_t n)
{
    memset(o->at, byte, n);
    o->at += n;
}

static void put_name(struct out *o, const char *name)
{
    put8(o, 0);
    put16(o, strlen(name));
    put(o, name, strlen(name));
}

static void put_sni(struct out *o, const struct hello_spec *spec)
{
    size_t list = 3 + strlen(spec->sni);

    list += spec->second_name ? 3 + strlen(spec->second_name) : 0;
    put16(o, 0);
    put16(o, list + 2);
    put16(o, list + spec->long_by);
    put_name(o, spec->sni);
    if (spec->second_name)
        put_name(o, spec->second_name);
}

/* The list ends at its terminating zero, or is one name of no bytes. */
static void put_alpn(struct out *o, const struct hello_spec *spec)
{
    size_t n = *spec->alpn ? strlen(spec->alpn) : 1;

    put16(o, 16);
    put16(o, n + 2);
    put16(o, n);
    put(o, spec->alpn, n);
}

static size_t write_extensions(const struct hello_spec *spec, unsigned char *into)
{
    struct out o = {into};

    put16(&o, 0x0a0a); /* nobody knows it (RFC 8701) */
    put16(&o, 0);
    if (spec->sni)
        put_sni(&o, spec);
    if (spec->alpn)
        put_alpn(&o, spec);
    if (spec->sni_twice)
        put_sni(&o, spec);
    if (spec->alpn_twice)
        put_alpn(&o, spec);
    put16(&o, 43); /* supported_versions */
    put16(&o, 3);
    put8(&o, 2);
    put16(&o, 0x0304);
    put16(&o, 21); /* padding */
    put16(&o, spec->padding);
    fill(&o, 0, spec->padding);
    return (size_t)(o.at - into);
}

static size_t write_message(const struct hello_spec *spec, unsigned char *into)
{
    static unsigned char extensions[HELLO_ROOM];
    size_t n = write_extensions(spec, extensions);
    struct out o = {into + 4};
    size_t length;

    put16(&o, 0x0303);
    fill(&o, 0x5a, 32);
    put8(&o, spec->session_id ? spec->session_id : 32);
    fill(&o, 0xa5, spec->session_id ? spec->session_id : 32);
    put16(&o, 26);
    for (unsigned i = 0; i < 13; i++)
        put16(&o, 0x1301 + i);
    put8(&o, 1);
    put8(&o, 0);
    put16(&o, n);
    put(&o, extensions, n);
    length = (size_t)(o.at - into) - 4;
    o.at = into;
    put8(&o, 1);
    put8(&o, length >> 16);
    put16(&o, length & 0xffff);
    return length + 4;
}

size_t hello_write(const struct hello_spec *spec, unsigned char *into)
{
    static unsigned char message[HELLO_ROOM];
    size_t left = write_message(spec, message), done = 0;
    struct out o = {into};

    while (left) {
        size_t n = spec->record && spec->record < left ? spec->record : left;

        put8(&o, 22);
        put16(&o, 0x0301);
        put16(&o, n);
        put(&o, message + done, n);
        done += n;
        left -= n;
    }
    return (size_t)(o.at - into);
}
