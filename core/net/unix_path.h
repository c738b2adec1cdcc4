/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of a bound Unix socket: taken over when its process died, removed by who made it, and by
 * nobody else. Abstract names have none.
 */
#ifndef WEIR_CORE_NET_UNIX_PATH_H
#define WEIR_CORE_NET_UNIX_PATH_H

#include "core/net/address.h"

struct unix_path {
    char *path; /* NULL: there is nothing to remove */
    uint64_t device, inode;
};

/* bind(2), over a file on which no socket of `type` listens any more. `mode` 0: by umask. 0 or errno. */
int weir__unix_bind(int fd, const struct address *address, int type, int mode);
/* Remembers the file of a bound address, so that removing removes that very file. */
weir_error *weir__unix_path_own(struct unix_path *path,
                                const struct address *address) WEIR_MUST_USE;
/* Nothing happens when there is none, or another file has its name. */
void weir__unix_path_remove(struct unix_path *path);

#endif
