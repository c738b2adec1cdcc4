/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name server of the tests in a thread, over UDP and TCP on one port of 127.0.0.1. It answers by
 * name, in lower case:
 *
 *     four.test A 127.0.0.4, TTL 60     both.test A 127.0.0.6 and AAAA ::1     short.test TTL 0
 *     none.test no such name, the SOA says 1 s     fail.test SERVFAIL     silent.test nothing
 *     half.test only that it has no AAAA     late6.test A at once, AAAA never
 *     late4.test the other way round
 *     alias.test → middle.test → four.test's address     loop.test → loop.test
 *     extra.test other names' records beside its own     wrong.test a wrong id, then the right answer
 *     other.test an answer to another question, then nothing     big.test truncated; 40 A by TCP
 *     broken.test its record ends beyond the message     many.test 100 A by TCP
 *     _app._tcp.test SRV, two     text.test TXT in two strings     4.0.0.127.in-addr.arpa PTR
 *     flip.test A 127.0.0.N, N as `dns_flip` says     host.one.test A 127.0.0.9
 *
 * While `dns_down` is true it answers nothing, while `dns_failing` SERVFAIL.
 */
#ifndef WEIR_TESTS_DNS_SERVER_H
#define WEIR_TESTS_DNS_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>

extern atomic_int dns_queries; /* received */
extern atomic_int dns_tcp;     /* of them, by TCP */
extern atomic_int dns_flip;
extern atomic_bool dns_down, dns_failing;
/* "127.0.0.1:PORT", for weir_resolver_options */
extern char dns_servers[64];

/* For groups of tests; hosts and resolv.conf are empty from then on. */
int dns_server_start(void **state);
int dns_server_stop(void **state);
void dns_server_reset(void);

#endif
