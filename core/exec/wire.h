/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool and its worker processes say to each other, over a socket pair of one host. */
#ifndef WEIR_CORE_EXEC_WIRE_H
#define WEIR_CORE_EXEC_WIRE_H

#include <stdint.h>

#include <weir/slice.h>

#define WIRE_MAGIC    0x77656972u /* also the version: "weir" */
#define WIRE_FD       3           /* the worker's end */
#define WIRE_ARGUMENT "--weir-worker"
#define WIRE_NAME_MAX 4096

enum wire_kind { WIRE_HELLO = 1, WIRE_CALL, WIRE_RESULT, WIRE_ERROR };

struct wire_head {
    uint32_t magic, kind;
    int32_t code;      /* of HELLO and ERROR; of CALL: its number, from 1 */
    uint32_t name_len; /* of CALL, without NUL; the name comes first */
    uint64_t len;      /* of the body: argument, result, or text of an error */
    uint64_t limit;    /* of CALL: bytes of the result */
};

/* 0, or -errno. Blocks. */
int weir__wire_send(int fd, enum wire_kind kind, int code, weir_slice name, weir_slice body,
                    uint64_t limit);
/* 0; -ENODATA the other side has gone; -EPROTO; -errno. */
int weir__wire_receive_head(int fd, struct wire_head *head);
int weir__wire_receive(int fd, void *data, size_t len);

#endif
