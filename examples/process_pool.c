/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs in worker processes: one that is killed fails its own call, its worker is replaced, and the
 * others go on.  The workers are this program again, which is why main begins as it does.  Prints
 *
 *     hello!
 *     killed: WEIR_EWORKER
 *     again!
 */
#include <signal.h>
#include <stdio.h>

#include <weir/weir.h>

static weir_error *shout(weir_slice argument, weir_buffer *result)
{
    WEIR_TRY(weir_buffer_append(result, argument));
    return weir_buffer_append(result, WEIR_SLICE("!"));
}

static weir_error *die(weir_slice argument, weir_buffer *result)
{
    raise(SIGKILL);
    return weir_buffer_append(result, argument);
}

static const weir_named_job jobs[] = {{"shout", shout}, {"die", die}, {NULL, NULL}};
WEIR_WORKER_JOBS(.jobs = jobs);

static weir_error *run(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    const char *words[] = {"hello", "killed", "again"};

    (void)arg;
    WEIR_TRY(weir_process_pool_new(NULL, &pool));
    for (int i = 0; i < 3; i++) {
        weir_auto(weir_buffer) result = NULL;
        weir_error *error = weir_process_pool_call(pool, i == 1 ? "die" : "shout",
                                                   weir_slice_str(words[i]), &result);

        if (error)
            printf("%s: %s\n", words[i], weir_code_name(weir_error_code(error)));
        else
            printf("%.6s\n", (const char *)weir_buffer_first(result).data);
        weir_error_unref(error);
    }
    return weir_process_pool_join(pool, WEIR_S(5));
}

int main(int argc, char **argv)
{
    weir_error *error;

    weir_worker_main(argc, argv);
    error = weir_run(run, NULL, NULL);
    if (error)
        weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return error != NULL;
}
