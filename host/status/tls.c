/* SPDX-License-Identifier: Apache-2.0 */
/* TLS: the certificates that listeners show now, how handshakes with them ended, and the kernel's part. */
#include "config.h"

#include <string.h>
#include <time.h>

#include <weir/tls.h>

#include "host/status/status.h"

static const struct listener_config *said_of(const struct generation *g, const char *name)
{
    WEIR_ARRAY_EACH(const struct listener_config, said, g->top->listeners)
    if (strcmp(said->name, name) == 0)
        return said;
    return NULL;
}

static json_t *one_certificate(const struct certificate_config *said, const weir_listener *listener,
                               const weir_tls_certificate_info *info, int64_t now)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s}", "name", said->name,
                     "listener", listener->name, "subject", info->subject, "issuer", info->issuer,
                     "key", info->key, "not_before", (json_int_t)info->not_before, "not_after",
                     (json_int_t)info->not_after, "days_left",
                     (json_int_t)((info->not_after - now) / 86400), "ocsp_until",
                     (json_int_t)info->ocsp_until, "warning", info->warning);
}

static json_t *handshakes_of(const weir_listener *listener)
{
    const struct listener_handshakes counted = weir__slot_handshakes(listener->slot);
    json_t *failed = json_object();
    uint64_t done = 0, failures = 0;

    for (unsigned i = 0; i < 4; i++)
        done += counted.done[i / 2][i % 2];
    for (unsigned i = 0; i < WEIR_TLS_RESULT_COUNT; i++) {
        failures += counted.failed[i];
        if (counted.failed[i])
            json_object_set_new(failed, weir_tls_result_name((weir_tls_result)i),
                                weir__status_count(counted.failed[i]));
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "listener", listener->name, "done",
                     weir__status_count(done), "tls_1_2", weir__status_count(counted.done[0][0]),
                     "tls_1_2_resumed", weir__status_count(counted.done[0][1]), "tls_1_3",
                     weir__status_count(counted.done[1][0]), "tls_1_3_resumed",
                     weir__status_count(counted.done[1][1]), "failed", weir__status_count(failures),
                     "reasons", failed);
}

static json_t *tls(const struct question *question, json_t *const *shares, unsigned n)
{
    const struct generation *g = question->generation;
    json_t *certificates = json_array(), *handshakes = json_array();
    int64_t now = (int64_t)time(NULL);
    const char *words;
    bool offered = weir_tls_kernel(&words);

    (void)shares, (void)n;
    for (size_t i = 0; i < g->n_listeners; i++) {
        const weir_listener *listener = g->listeners[i];
        const struct listener_config *said = said_of(g, listener->name);
        struct certificate_config *const *names;
        weir_tls_certificate_info info;

        if (!listener->tls || !said || !said->tls)
            continue;
        names = said->tls->certificates.items;
        for (size_t k = 0; k < said->tls->certificates.count &&
                           weir_tls_context_certificate(listener->tls, k, &info);
             k++)
            json_array_append_new(certificates, one_certificate(names[k], listener, &info, now));
        json_array_append_new(handshakes, handshakes_of(listener));
    }
    return json_pack("{s:o, s:o, s:{s:b, s:b, s:s}}", "certificates", certificates, "handshakes",
                     handshakes, "kernel", "offered", offered, "used", 0, "words", words);
}

const struct question_kind weir__ask_tls = {
    .question = {.name = "tls"},
    .finish = tls,
};
