/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BIO between OpenSSL and a transport: it reads ciphertext straight from the received chunks and
 * writes it straight into chunks of the write queue.
 */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include "core/base/chunk.h"
#include "core/net/tls_engine.h"

/* Output that answers to the peer (alerts, key updates, tickets) above the hard limit. */
#define OUTPUT_SLACK ((size_t)128 * 1024)

static int bio_write(BIO *bio, const char *data, size_t len, size_t *ret_n)
{
    struct tls_engine *e = BIO_get_data(bio);
    weir_transport *t = e->transport;

    BIO_clear_retry_flags(bio);
    if (t->queued + len > (size_t)t->hard + t->hard / 8 + OUTPUT_SLACK)
        return 0;
    if (t->status >= TRANSPORT_LOST || !weir__queue_copy(t, data, len))
        return 0;
    e->wrote = true;
    *ret_n = len;
    return 1;
}

static int bio_read(BIO *bio, char *buffer, size_t len, size_t *ret_n)
{
    struct tls_engine *e = BIO_get_data(bio);
    size_t done = 0;

    BIO_clear_retry_flags(bio);
    while (done < len && e->input) {
        struct input *input = e->input;
        size_t n = len - done < input->len ? len - done : input->len;

        memcpy(buffer + done, chunk_bytes(input->chunk) + input->offset, n);
        done += n;
        input->offset += n;
        input->len -= n;
        if (!input->len) {
            e->input = input->next;
            weir__input_free(input);
        }
    }
    *ret_n = done;
    if (done)
        return 1;
    BIO_set_retry_read(bio);
    return 0;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void make_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir");

    if (method && BIO_meth_set_write_ex(method, bio_write) &&
        BIO_meth_set_read_ex(method, bio_read) && BIO_meth_set_ctrl(method, bio_ctrl))
        bio_method = method;
    else
        BIO_meth_free(method);
}

BIO *weir__tls_bio_new(struct tls_engine *e)
{
    BIO *bio;

    pthread_once(&bio_once, make_bio_method);
    bio = bio_method ? BIO_new(bio_method) : NULL;
    if (!bio)
        return NULL;
    BIO_set_data(bio, e);
    BIO_set_init(bio, 1);
    return bio;
}
