/* SPDX-License-Identifier: Apache-2.0 */
/* Writes ClientHellos, right ones and wrong ones. */
#ifndef WEIR_TESTS_HELLO_H
#define WEIR_TESTS_HELLO_H

#include <stdbool.h>
#include <stddef.h>

#define HELLO_ROOM ((size_t)80 * 1024)

struct hello_spec {
    const char *sni;     /* NULL: no such extension */
    const char *alpn;    /* as on the wire: "\2h2"; NULL: no such extension */
    size_t record;       /* bytes of the message in each record; 0: all */
    size_t padding;      /* bytes of a further extension */
    unsigned session_id; /* its length; 0: 32 */
    bool sni_twice, alpn_twice;
    const char *second_name; /* in the same extension */
    unsigned long_by;        /* the list of names says so much too much */
};

/* Bytes written. */
size_t hello_write(const struct hello_spec *spec, unsigned char *into);

#endif
