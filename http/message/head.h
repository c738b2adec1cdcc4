/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the head parser that share state. */
#ifndef WEIR_HTTP_MESSAGE_HEAD_H
#define WEIR_HTTP_MESSAGE_HEAD_H

#include <weir/http-message.h>

/* Where the scan stands; head->at_ is the next byte to look at, head->mark_ the start of what is
 * being scanned. */
enum {
    WEIR__HEAD_START, /* must stay 0: weir_http_head_init() is in the public header */
    WEIR__HEAD_METHOD,
    WEIR__HEAD_TARGET,
    WEIR__HEAD_VERSION,
    WEIR__HEAD_STATUS,
    WEIR__HEAD_REASON,
    WEIR__HEAD_FIELD, /* at the start of a field line */
    WEIR__HEAD_NAME,
    WEIR__HEAD_BEFORE_VALUE,
    WEIR__HEAD_VALUE,
    WEIR__HEAD_DONE,
    WEIR__HEAD_FAILED,
};

static inline weir_http_result weir__head_fail(weir_http_head *head, weir_http_error error)
{
    head->error = error;
    head->state_ = WEIR__HEAD_FAILED;
    return WEIR_HTTP_BAD;
}

/* Stops at `p` for want of bytes. */
static inline weir_http_result weir__head_wait(weir_http_head *head, const char *p)
{
    head->at_ = (uint32_t)(p - head->base_);
    return WEIR_HTTP_MORE;
}

/* What makes a byte unfit for a line; `otherwise` when it is none of the usual suspects. */
weir_http_error weir__head_bad_byte(char c, weir_http_error otherwise);

/* Field lines up to and with the empty one, in [base_ + at_, end). `drop`: set of known names whose
 * fields are checked but not kept; all of them, known or not, when the bit of UNKNOWN is set. */
weir_http_result weir__head_fields(weir_http_head *head, const char *end, uint64_t drop);

/* Whether a call continues (or begins) with sound bytes; sets base_ and moves slices. */
bool weir__head_resume(weir_http_head *head, weir_slice so_far);

/* framing.c: Content-Length into content_length, the codings into `*ret_chunked`, Connection into
 * close_seen, keep_alive, upgrade_offered_ and hop-by-hop marks. An error, or NONE. */
weir_http_error weir__head_length(weir_http_head *head);
weir_http_error weir__head_codings(weir_http_head *head, bool *ret_chunked);
weir_http_error weir__head_connection(weir_http_head *head);

#endif
