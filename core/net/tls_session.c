/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resuming sessions. Servers seal them into tickets (or keep them: tls_cache.c) with keys that all
 * their contexts, and so all threads, may share: the newest seals, the one before it still opens, and a ticket that it opened is
 * replaced. Keys are made here, never written anywhere, and age by the clock of their users: whoever
 * needs one when its time is over makes the next.
 *
 * Clients keep the last session of each name they verified, and offer it the next time.
 */
#include "config.h"

#include "core/net/tls_session.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/net/tls_engine.h"

#define TICKETS_MAGIC   WEIR_MAGIC('t', 'c', 'k', 't')
#define ROTATE_INTERVAL WEIR_S(12 * 3600)
#define NAME_SIZE       16
#define SESSIONS_KEPT   256

struct ticket_key {
    unsigned char name[NAME_SIZE], cipher[32], mac[32];
};

struct weir_tls_tickets {
    uint32_t magic;
    atomic_uint refs;
    pthread_mutex_t lock;
    int64_t interval, rotated;
    struct ticket_key keys[2]; /* the newest first */
    bool has_old;
    struct tls_cache *cache;
    EVP_CIPHER *sealer; /* looked up once: that is two locks and a string each time */
};

/* Under the lock. */
static bool rotate(weir_tls_tickets *tickets)
{
    struct ticket_key key;

    if (RAND_bytes((unsigned char *)&key, sizeof(key)) != 1)
        return false;
    tickets->has_old = tickets->rotated != 0;
    tickets->keys[1] = tickets->keys[0];
    tickets->keys[0] = key;
    tickets->rotated = weir_now().ns;
    OPENSSL_cleanse(&key, sizeof(key));
    return true;
}

weir_error *weir_tls_tickets_new(weir_duration interval, weir_tls_tickets **ret)
{
    weir_tls_tickets *tickets = weir__calloc(1, sizeof(*tickets));

    if (!tickets)
        return weir_raise(WEIR_ENOMEM, "TLS");
    tickets->magic = TICKETS_MAGIC;
    atomic_init(&tickets->refs, 1);
    tickets->interval = interval.ns ? interval.ns : ROTATE_INTERVAL.ns;
    pthread_mutex_init(&tickets->lock, NULL);
    tickets->sealer = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    tickets->cache = weir__tls_cache_new();
    if (!tickets->cache || !tickets->sealer || !rotate(tickets)) {
        weir_tls_tickets_unref(tickets);
        return weir_raise(WEIR_ETLS, "TLS: no memory, cipher or random bytes for tickets");
    }
    *ret = tickets;
    return NULL;
}

weir_tls_tickets *weir_tls_tickets_ref(weir_tls_tickets *tickets)
{
    if (tickets) {
        weir_check(tickets, TICKETS_MAGIC);
        atomic_fetch_add_explicit(&tickets->refs, 1, memory_order_relaxed);
    }
    return tickets;
}

void weir_tls_tickets_unref(weir_tls_tickets *tickets)
{
    if (!tickets)
        return;
    weir_check(tickets, TICKETS_MAGIC);
    if (atomic_fetch_sub_explicit(&tickets->refs, 1, memory_order_acq_rel) != 1)
        return;
    EVP_CIPHER_free(tickets->sealer);
    weir__tls_cache_free(tickets->cache);
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets->keys, sizeof(tickets->keys));
    weir_magic_clear(tickets);
    weir__free(tickets);
}

weir_error *weir_tls_tickets_rotate(weir_tls_tickets *tickets)
{
    bool ok;

    weir_check(tickets, TICKETS_MAGIC);
    pthread_mutex_lock(&tickets->lock);
    ok = rotate(tickets);
    pthread_mutex_unlock(&tickets->lock);
    return ok ? NULL : weir_raise(WEIR_ETLS, "TLS: no random bytes for the keys of tickets");
}

struct tls_cache *weir__tls_tickets_cache(const weir_tls_tickets *tickets)
{
    return tickets->cache;
}

/* The key to seal with (`name` NULL), or the one of this name; false: there is none. */
static bool key_of(weir_tls_tickets *tickets, const unsigned char *name, struct ticket_key *ret,
                   bool *ret_old)
{
    int64_t now = weir_now().ns;
    bool found = false;

    pthread_mutex_lock(&tickets->lock);
    if (now - tickets->rotated >= tickets->interval) {
        bool stale = now - tickets->rotated >= 2 * tickets->interval;

        tickets->has_old = rotate(tickets) && tickets->has_old && !stale;
    }
    for (unsigned i = 0; !found && i < 1u + tickets->has_old; i++) {
        found = !name || memcmp(tickets->keys[i].name, name, NAME_SIZE) == 0;
        if (found)
            *ret = tickets->keys[i];
        *ret_old = i > 0;
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int sealing)
{
    weir_tls_tickets *tickets = tls_engine_of(ssl)->context->tickets;
    struct ticket_key key;
    bool old = false;
    int result = -1;

    if (!key_of(tickets, sealing ? NULL : name, &key, &old))
        return 0;
    if (sealing) {
        memcpy(name, key.name, NAME_SIZE);
        if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1 &&
            EVP_EncryptInit_ex(cipher, tickets->sealer, NULL, key.cipher, iv) == 1 &&
            set_mac(mac, &key))
            result = 1;
    } else if (EVP_DecryptInit_ex(cipher, tickets->sealer, NULL, key.cipher, iv) == 1 &&
               set_mac(mac, &key)) {
        /* Clients use a ticket of TLS 1.3 once: without the next one each second handshake is full. */
        result = old || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
    }
    OPENSSL_cleanse(&key, sizeof(key));
    return result;
}

weir_error *weir__tls_tickets_use(weir_tls_context *context, bool seals, SSL_CTX *ctx)
{
    if (!context->tickets)
        WEIR_TRY(weir_tls_tickets_new(WEIR_NS(0), &context->tickets));
    weir__tls_cache_use(context->tickets->cache, ctx);
    /* One is enough for who comes back once; a resumed handshake brings the next. */
    SSL_CTX_set_num_tickets(ctx, 1);
    if (!seals)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    else if (SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key) != 1)
        return weir_raise(WEIR_ETLS, "TLS: tickets");
    return NULL;
}

/* Of clients */

struct session {
    char *name;
    SSL_SESSION *session;
};

struct tls_sessions {
    pthread_mutex_t lock;
    size_t count, next; /* the one to be replaced when all are used */
    struct session kept[SESSIONS_KEPT];
};

/* What was verified is what a session is good for. */
static const char *session_name(SSL *ssl)
{
    const struct tls_engine *e = tls_engine_of(ssl);

    return e->server_name ? e->server_name : "";
}

static struct session *find(struct tls_sessions *sessions, const char *name)
{
    for (size_t i = 0; i < sessions->count; i++) {
        if (strcmp(sessions->kept[i].name, name) == 0)
            return &sessions->kept[i];
    }
    return NULL;
}

static struct session *add(struct tls_sessions *sessions, const char *name)
{
    char *copy = weir__strdup(name);
    struct session *session;

    if (!copy)
        return NULL;
    if (sessions->count < SESSIONS_KEPT) {
        session = &sessions->kept[sessions->count++];
    } else {
        session = &sessions->kept[sessions->next];
        sessions->next = (sessions->next + 1) % SESSIONS_KEPT;
        weir__free(session->name);
        SSL_SESSION_free(session->session);
    }
    *session = (struct session){.name = copy};
    return session;
}

/* OpenSSL's callback: 1 keeps the reference. */
static int session_came(SSL *ssl, SSL_SESSION *take)
{
    const struct tls_engine *e = tls_engine_of(ssl);
    struct tls_sessions *sessions = e->context->sessions;
    const char *name = session_name(ssl);
    SSL_SESSION *old = NULL;
    struct session *session;

    pthread_mutex_lock(&sessions->lock);
    session = find(sessions, name);
    if (!session)
        session = add(sessions, name);
    if (session) {
        old = session->session;
        session->session = take;
    }
    pthread_mutex_unlock(&sessions->lock);
    SSL_SESSION_free(old);
    return session != NULL;
}

void weir__tls_sessions_offer(struct tls_sessions *sessions, SSL *ssl)
{
    SSL_SESSION *session = NULL;
    const struct session *found;

    pthread_mutex_lock(&sessions->lock);
    found = find(sessions, session_name(ssl));
    if (found && found->session && SSL_SESSION_up_ref(found->session))
        session = found->session;
    pthread_mutex_unlock(&sessions->lock);
    if (session && SSL_SESSION_is_resumable(session) && SSL_set_session(ssl, session) != 1)
        ERR_clear_error();
    SSL_SESSION_free(session);
}

weir_error *weir__tls_sessions_new(weir_tls_context *context, SSL_CTX *ctx)
{
    context->sessions = weir__calloc(1, sizeof(*context->sessions));
    if (!context->sessions)
        return weir_raise(WEIR_ENOMEM, "TLS");
    pthread_mutex_init(&context->sessions->lock, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, session_came);
    return NULL;
}

void weir__tls_sessions_free(struct tls_sessions *sessions)
{
    if (!sessions)
        return;
    for (size_t i = 0; i < sessions->count; i++) {
        weir__free(sessions->kept[i].name);
        SSL_SESSION_free(sessions->kept[i].session);
    }
    pthread_mutex_destroy(&sessions->lock);
    weir__free(sessions);
}
