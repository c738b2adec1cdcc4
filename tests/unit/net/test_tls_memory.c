/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an idle connection holds. The clients are a process of their own; OpenSSL's memory is counted
 * by its allocation functions, all of it by the allocator, and the rest is ours. Prints the figures:
 *
 *     # TLSv1.3: 14602 B a connection, of which OpenSSL 14100 B, weir 502 B
 */
#include "config.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/unit/net/tls_test.h"

#define WARM_UP 40
#define COUNT   200
/* Of an idle connection, beside what OpenSSL holds. With what HTTP and its listener need it may be
   1024 (architecture.md, 5). */
#define WEIR_MAX  600
#define PLAIN_MAX 448

/* OpenSSL's memory; a block costs 8 bytes more than it offers. */

static _Atomic long openssl_bytes;

static void *counted(void *block)
{
    if (block)
        openssl_bytes += (long)malloc_usable_size(block) + 8;
    return block;
}

static void uncount(void *block)
{
    if (block)
        openssl_bytes -= (long)malloc_usable_size(block) + 8;
}

static void *ssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return counted(malloc(size));
}

static void *ssl_realloc(void *old, size_t size, const char *file, int line)
{
    void *block;

    (void)file;
    (void)line;
    uncount(old);
    block = realloc(old, size);
    return block ? counted(block) : NULL;
}

static void ssl_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    uncount(block);
    free(block);
}

/* The process of clients: for each order some connections, each of which got an echo. */

struct order {
    uint16_t port; /* 0: close all of them */
    int version;   /* 0: plain */
    int count;
};

static int orders = -1, replies = -1;

static bool connect_one(const struct order *order, SSL_CTX *ctx)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(order->port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char byte = 'x';
    SSL *ssl;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return false;
    if (!order->version)
        return send(fd, &byte, 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1;
    ssl = SSL_new(ctx);
    return ssl && SSL_set_max_proto_version(ssl, order->version) && SSL_set_fd(ssl, fd) &&
           SSL_set_tlsext_host_name(ssl, "a.test") &&
           SSL_set_alpn_protos(ssl, (const unsigned char *)"\x8http/1.1", 9) == 0 &&
           SSL_connect(ssl) == 1 && SSL_write(ssl, &byte, 1) == 1 && SSL_read(ssl, &byte, 1) == 1;
}

/* Descriptors and SSL objects live as long as the process. */
static _Noreturn void be_clients(int in, int out)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct order order;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (ctx && read(in, &order, sizeof(order)) == sizeof(order)) {
        bool ok = true;

        for (int i = 0; ok && i < order.count; i++)
            ok = connect_one(&order, ctx);
        if (write(out, &ok, 1) != 1)
            break;
    }
    _exit(0);
}

static pid_t start_clients(void)
{
    int to[2], from[2];
    pid_t pid;

    if (pipe(to) != 0 || pipe(from) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        close(to[1]);
        close(from[0]);
        be_clients(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    orders = to[1];
    replies = from[0];
    return pid;
}

/* The server */

struct held {
    long all, openssl;
};

static weir_error *connections(weir_server *server, int version, int count, struct held *ret)
{
    struct order order = {.version = version, .count = count};
    size_t before = weir_server_connections(server);
    bool ok = false;

    order.port = (uint16_t)strtoul(strrchr(weir_server_name(server), ':') + 1, NULL, 10);
    CHECK(write(orders, &order, sizeof(order)) == sizeof(order));
    UNTIL(unread(replies) == 1);
    CHECK(read(replies, &ok, 1) == 1 && ok);
    UNTIL(weir_server_connections(server) == before + (size_t)count);
    SETTLE();
    *ret = (struct held){(long)mallinfo2().uordblks, openssl_bytes};
    return NULL;
}

static weir_error *measure(int version, const char *name, long *ret_ours)
{
    static const char *const alpn[] = {"http/1.1", NULL};
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1, .alpn = alpn};
    struct held before, after;
    weir_tls_context *context = NULL;
    weir_server *server;
    long all, openssl;

    if (version)
        CHECK_OK(weir_tls_server_context_new(&options, &context));
    CHECK_OK(serve_tls(context, &echo_at_once, NULL, &server));
    CHECK_OK(connections(server, version, WARM_UP, &before));
    CHECK_OK(connections(server, version, COUNT, &after));
    all = (after.all - before.all) / COUNT;
    openssl = (after.openssl - before.openssl) / COUNT;
    *ret_ours = all - openssl;
    printf("# %s: %ld B a connection, of which OpenSSL %ld B, weir %ld B\n", name, all, openssl,
           *ret_ours);
    CHECK_OK(end_server(server));
    weir_tls_context_unref(context);
    return NULL;
}

static weir_error *measure_each(void *arg)
{
    long ours;

    (void)arg;
    CHECK_OK(measure(TLS1_3_VERSION, "TLSv1.3", &ours));
    CHECK(ours <= WEIR_MAX);
    CHECK_OK(measure(TLS1_2_VERSION, "TLSv1.2", &ours));
    CHECK(ours <= WEIR_MAX);
    CHECK_OK(measure(0, "plain", &ours));
    CHECK(ours <= PLAIN_MAX);
    return NULL;
}

static void idle_connections_are_small(void **state)
{
    (void)state;
#ifdef WEIR_SANITIZE
    print_message("the allocators of sanitizers count otherwise\n");
    skip();
#endif
    if (faults_wanted() || getenv("WEIR_DEV")) {
        print_message("guarded blocks are larger\n");
        skip();
    }
    run_in_loop(measure_each, NULL);
}

/* What threads keep of freed blocks would count as used. */
static void without_caches_of_malloc(char **argv)
{
    if (getenv("GLIBC_TUNABLES"))
        return;
    setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_connections_are_small),
    };
    pid_t clients;
    int failed;

    (void)argc;
    without_caches_of_malloc(argv);
    if (!CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free))
        return 1;
    clients = start_clients();
    if (clients < 0)
        return 1;
    failed = cmocka_run_group_tests_name("tls_memory", tests, tls_test_begin, tls_test_end);
    close(orders);
    waitpid(clients, NULL, 0);
    return failed;
}
