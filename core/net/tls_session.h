/* SPDX-License-Identifier: Apache-2.0 */
/* What servers of TLS share: the keys of tickets, and the sessions that are kept without. */
#ifndef WEIR_CORE_NET_TLS_SESSION_H
#define WEIR_CORE_NET_TLS_SESSION_H

#include "core/net/tls.h"

#define TLS_CACHE_SIZE 4096

struct tls_cache;

/* NULL: out of memory. */
struct tls_cache *weir__tls_cache_new(void);
void weir__tls_cache_free(struct tls_cache *cache);
/* True: the reference is the cache's. */
bool weir__tls_cache_add(struct tls_cache *cache, SSL_SESSION *session);
/* A reference; NULL: it is not there. */
SSL_SESSION *weir__tls_cache_find(struct tls_cache *cache, const unsigned char *id, unsigned len);
void weir__tls_cache_remove(struct tls_cache *cache, const SSL_SESSION *session);
/* The SSL_CTX keeps its sessions there. */
void weir__tls_cache_use(struct tls_cache *cache, SSL_CTX *ctx);
struct tls_cache *weir__tls_tickets_cache(const weir_tls_tickets *tickets);

#endif
