/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job that shares nothing with the program, in a thread of an isolated pool: argument and result are
 * copied bytes, and the job is looked up by name.  Prints "primes below 10000: 1229".
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *count_primes(weir_slice argument, weir_buffer *result)
{
    unsigned limit = *(const unsigned *)argument.data, primes = 0;

    for (unsigned n = 2; n < limit; n++) {
        unsigned divisor = 2;

        while (divisor * divisor <= n && n % divisor)
            divisor++;
        primes += divisor * divisor > n;
    }
    return weir_buffer_append(result, weir_slice_of(&primes, sizeof(primes)));
}

static weir_error *run(void *arg)
{
    static const weir_named_job jobs[] = {{"primes", count_primes}, {NULL, NULL}};
    static const weir_job_table table = {WEIR_SIZED(weir_job_table), .jobs = jobs};
    weir_isolate_options options = {WEIR_SIZED(weir_isolate_options), .table = &table};
    weir_slice limit = weir_slice_of(&(unsigned){10000}, sizeof(unsigned));
    weir_auto(weir_isolate_pool) pool = NULL;
    weir_auto(weir_buffer) result = arg;

    WEIR_TRY(weir_isolate_pool_new(&options, &pool));
    WEIR_TRY(weir_isolate_call(pool, "primes", limit, &result));
    printf("primes below 10000: %u\n", *(const unsigned *)weir_buffer_first(result).data);
    return weir_isolate_pool_join(pool, WEIR_S(5));
}

int main(void)
{
    weir_error *error = weir_run(run, NULL, NULL);

    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
