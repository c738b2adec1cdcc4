/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The facts of a running host, and what may be changed while it runs: what the control socket and the
 * admin listener answer with. For the daemon; plugins may look too, by weir_inspect().
 *
 * Questions have a name and parameters in JSON, and so are the answers (weir-control(7) lists both).
 * What belongs to a traffic loop is collected by that loop; a loop that does not answer in time is
 * named in `blocked` instead of being waited for. Everything here: the control loop's thread.
 *
 * Example:
 *
 *     #include <weir/inspect.h>
 *
 *     static void print(void *arg, char *take_json, weir_error *take_error)
 *     {
 *         (void)arg;
 *         if (take_json)
 *             puts(take_json); // {"listeners":[{"name":"web", …
 *         free(take_json);
 *         weir_ignore(take_error);
 *     }
 *
 *     static weir_error *ask(weir_host *host)
 *     {
 *         return weir_host_ask(host, "listeners", NULL, WEIR_S(1), print, NULL);
 *     }
 */
#ifndef WEIR_INSPECT_H
#define WEIR_INSPECT_H

#include <weir/host.h>

WEIR_BEGIN_DECLS

/** Who may ask: each may what those before it may. */
typedef enum weir_host_role {
    WEIR_HOST_READER,
    WEIR_HOST_OPERATOR,
    WEIR_HOST_ADMIN
} weir_host_role;

/** A question that is known. */
typedef struct weir_host_question {
    const char *name; /**< "upstreams" */
    weir_host_role role;
    bool changes; /**< it is not only a look */
} weir_host_question;

/** Gets the answer, a JSON object to be freed, or an error: one of them is NULL. */
typedef void (*weir_host_answer_fn)(void *arg, char *take_json, weir_error *take_error);

/** The i-th question there is; false past the last. */
WEIR_PUBLIC bool weir_host_question_at(size_t index, weir_host_question *ret);
/**
 * Asks a running host. `params` is a JSON object or NULL; `limit` is how long the traffic loops have.
 * `answer` is called exactly once, by the control loop, perhaps before this returns; only when an error
 * is returned it is not called. Errors of `answer`: WEIR_EINVAL what is wrong with the parameters,
 * ENOENT what was named does not exist, WEIR_EUNSUPPORTED not built yet.
 * Errors: ENOENT no such question; WEIR_EINVAL `params` is no JSON object; WEIR_EINVALSTATE the host
 * does not run; WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_host_ask(weir_host *host, const char *name, const char *params,
                                      weir_duration limit, weir_host_answer_fn answer,
                                      void *arg) WEIR_MUST_USE;

/**
 * The same from a plugin: only questions that change nothing and that anybody may ask. Any traffic
 * loop. `answer` is called exactly once, later, by the loop that asked; the text of "metrics" is no JSON
 * but what Prometheus reads. Errors: ENOENT, WEIR_EINVAL, EACCES it is not only a look, WEIR_ETHREAD
 * this is no traffic loop, WEIR_ENOMEM. Errors of `answer` also: WEIR_ECLOSED the loop ends; then it may
 * be called by another thread.
 */
WEIR_PUBLIC weir_error *weir_inspect(const char *name, const char *params, weir_duration limit,
                                     weir_host_answer_fn answer, void *arg) WEIR_MUST_USE;

WEIR_END_DECLS

#endif
