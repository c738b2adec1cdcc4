/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of a process pool: what a worker process does. It is exec'd with its socket as
 * descriptor 3, loads the module, says hello or why not, and then runs one job after another until
 * the socket ends. SIGTERM asks the running job to end; the interrupt key is the parent's business.
 */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/log.h>
#include <weir/process-pool.h>

#include "core/base/alloc.h"
#include "core/exec/named.h"
#include "core/exec/process_pool.h"
#include "core/exec/wire.h"

#define TABLE_SYMBOL "weir_worker_jobs_v1"

atomic_int weir__worker_job, weir__worker_asked;
bool weir__worker_main_called;

/* The pool says which job it means, since that may have ended; others mean the one that runs. */
static void on_terminate(int signum, siginfo_t *info, void *context)
{
    (void)signum;
    (void)context;
    atomic_store(&weir__worker_asked, info->si_code == SI_QUEUE ? info->si_value.sival_int
                                                                : atomic_load(&weir__worker_job));
}

static weir_error *find_table(const char *module, const weir_job_table *own,
                              const weir_job_table **ret)
{
    const weir_job_table *table = own;

    if (strcmp(module, POOL_MODULE_SELF) != 0) {
        void *handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);

        if (!handle)
            return weir_raise(WEIR_EPLUGIN, "%s", dlerror());
        table = dlsym(handle, TABLE_SYMBOL);
    }
    if (!table || !table->jobs)
        return weir_raise(WEIR_EPLUGIN, "%s: no WEIR_WORKER_JOBS", module);
    *ret = table;
    return NULL;
}

static int say_error(enum wire_kind kind, weir_error *take_error)
{
    char text[NAMED_ERROR_MAX];
    weir_code code = weir__named_flatten(take_error, text, sizeof(text));

    return weir__wire_send(WIRE_FD, kind, code, weir_slice_of(NULL, 0), weir_slice_str(text), 0);
}

static weir_error *run(const weir_job_table *table, const char *name, weir_slice argument,
                       weir_buffer *result)
{
    const weir_named_job *job = weir__named_find(table, name);

    if (!job)
        return weir_raise(WEIR_ENONAME, "job \"%s\"", name);
    return job->run(argument, result);
}

static int answer(const weir_job_table *table, const struct wire_head *head, const char *body)
{
    weir_auto(weir_buffer) result = NULL;
    weir_slice argument = weir_slice_of(body, (size_t)head->len), all;
    weir_error *error = weir_buffer_new((size_t)head->limit, &result);

    atomic_store(&weir__worker_job, head->code);
    if (!error)
        error = run(table, body + head->len, argument, result);
    if (!error)
        error = weir_buffer_linear(result, &all);
    if (error)
        return say_error(WIRE_ERROR, error);
    return weir__wire_send(WIRE_FD, WIRE_RESULT, 0, weir_slice_of(NULL, 0), all, 0);
}

/* One job; the result ends the worker when it is not 0. */
static int serve_one(const weir_job_table *table)
{
    struct wire_head head;
    int result = weir__wire_receive_head(WIRE_FD, &head);
    char *body, *name; /* the argument, aligned as from malloc(), then the name */

    if (result)
        return result;
    if (head.kind != WIRE_CALL || head.len > SIZE_MAX / 2)
        return -EPROTO;
    body = weir__malloc((size_t)head.name_len + 1 + (size_t)head.len);
    if (!body)
        return -ENOMEM;
    name = body + head.len;
    name[head.name_len] = '\0';
    result = weir__wire_receive(WIRE_FD, name, head.name_len);
    if (!result)
        result = weir__wire_receive(WIRE_FD, body, (size_t)head.len);
    if (!result)
        result = answer(table, &head, body);
    weir__free(body);
    return result;
}

static int serve(const char *module, const weir_job_table *own)
{
    const weir_job_table *table = NULL;
    weir_error *error = find_table(module, own, &table);
    int result;

    if (!error && table->start)
        error = table->start(&weir__isolate_state);
    if (error) {
        (void)say_error(WIRE_HELLO, error);
        return EXIT_FAILURE;
    }
    result =
        weir__wire_send(WIRE_FD, WIRE_HELLO, 0, weir_slice_of(NULL, 0), weir_slice_of(NULL, 0), 0);
    while (!result)
        result = serve_one(table);
    if (table->stop)
        table->stop(WEIR_TAKE(weir__isolate_state));
    return result == -ENODATA || result == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE;
}

void weir_worker_main_with(int argc, char **argv, const weir_job_table *table)
{
    struct sigaction ask = {.sa_sigaction = on_terminate, .sa_flags = SA_RESTART | SA_SIGINFO};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    int status;

    weir__worker_main_called = true;
    if (argc != 3 || strcmp(argv[1], WIRE_ARGUMENT) != 0)
        return;
    sigaction(SIGTERM, &ask, NULL);
    sigaction(SIGINT, &ignore, NULL);
    status = serve(argv[2], table);
    weir_log_shutdown(WEIR_S(1));
    exit(status);
}
