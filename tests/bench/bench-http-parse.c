/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading a request head costs, for a small (curl) and a large (browser) one: CPU time of the
 * best of several rounds. Built twice, with the accelerated scan of field values and, as
 * bench_http_parse_scalar, without; tests/bench/http-parse runs both and prints the ratio.
 */
#include "config.h"

#include <stdio.h>
#include <time.h>

#include <weir/http-message.h>

#define ROUNDS 30
#define PARSES 20000

static const char curl[] = "GET /index.html HTTP/1.1\r\n"
                           "Host: 127.0.0.1:8080\r\n"
                           "User-Agent: curl/7.88.1\r\n"
                           "Accept: */*\r\n"
                           "X-Request-Id: 7f1c\r\n"
                           "\r\n";

static const char browser[] =
    "GET /products/list?category=shoes&page=3&sort=price HTTP/1.1\r\n"
    "Host: shop.example.test\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n"
    "sec-ch-ua: \"Not_A Brand\";v=\"8\", \"Chromium\";v=\"120\", \"Google Chrome\";v=\"120\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-User: ?1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Referer: https://shop.example.test/products/list?category=shoes&page=2&sort=price\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7\r\n"
    "Cookie: session=0f7e3c5a9b1d4e6f8a2c4b6d8e0f1a3c5b7d9e1f; theme=dark; consent=all.2024-01-15; "
    "cart=eyJpdGVtcyI6W3siaWQiOjEyMywicXR5IjoxfSx7ImlkIjo0NTYsInF0eSI6Mn1dfQ; _ga=GA1.2.1234567890"
    ".1700000000; _gid=GA1.2.987654321.1700000001\r\n"
    "\r\n";

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double best(weir_slice request)
{
    weir_http_head head;
    weir_http_field fields[100];
    double least = 1e18;

    for (int round = 0; round < ROUNDS; round++) {
        double begin = now();

        for (int i = 0; i < PARSES; i++) {
            weir_http_head_init(&head, fields, 100, NULL);
            if (weir_http_parse_request(&head, request) != WEIR_HTTP_DONE) {
                fprintf(stderr, "%s\n", weir_http_error_text(head.error));
                return -1;
            }
        }
        if (now() - begin < least)
            least = now() - begin;
    }
    return least / PARSES;
}

int main(void)
{
    printf("curl %zu %.1f\n", sizeof(curl) - 1, best(weir_slice_of(curl, sizeof(curl) - 1)));
    printf("browser %zu %.1f\n", sizeof(browser) - 1,
           best(weir_slice_of(browser, sizeof(browser) - 1)));
    return 0;
}
