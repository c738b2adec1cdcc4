/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The action `static`: files of a folder.
 *
 *   request ──▶ path below the root ──▶ open file of this loop's cache, or a look-up in an executor
 *           ──▶ conditions, range ──▶ head ──▶ body: weir_http_respond_file()
 *
 * So no request waits on a disk that another one uses, and no path leads out of the root.
 */
#include "plugins/http/static.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <weir/config.h>

#include "plugins/http/http.h"

struct static_config {
    const char *root;
    const char *index;
    bool hidden;
};

WEIR_OPTIONS(static_options,
             WEIR_OPTION_PATH(struct static_config, root, NULL,
                              "Folder whose files are served, by the whole path of the request"),
             WEIR_OPTION_STRING(struct static_config, index, "index.html",
                                "File that stands for its folder"),
             WEIR_OPTION_BOOL(struct static_config, hidden, "false",
                              "Serve names that begin with a dot (.well-known always is)"));

/* Of an instance, shared by all loops; constant after start. */
struct static_state {
    int root;
    bool opened;
};

/* Of an exchange. */
struct transfer {
    weir_http *x;
    weir_future *waiting; /* of the look-up in an executor; NULL: none */
    struct file *file;
    uint64_t at, length; /* of the body: the part of the file */
    char *path;          /* below the root */
};

/* A job that may outlive its exchange, and its instance too: has everything of its own. */
struct look_up {
    int root;
    const char *index; /* behind the path */
    char path[];
};

static weir_error *plain_answer(weir_http *x, int status)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%d %s\n", status, weir_http_reason(status));

    return weir_http_respond(x, status, WEIR_SLICE("text/plain"), weir_slice_of(text, (size_t)len));
}

static void fail(struct transfer *transfer, weir_error *take_error)
{
    weir_http_fail(transfer->x, 500, WEIR_OUTCOME_PLUGIN_ERROR, take_error);
}

static void job_ended(struct transfer *transfer)
{
    weir_future_unref(transfer->waiting);
    transfer->waiting = NULL;
}

/* Head. */

static bool earlier_or_same(weir_slice date, int64_t modified)
{
    int64_t seconds;

    return weir_http_date_parse(date, time(NULL), &seconds) && modified <= seconds;
}

/* 0: send it; else the status that the conditions lead to (RFC 9110 13.2.2). */
static int condition_status(const weir_http *x, const struct file *file)
{
    const weir_http_head *head = weir_http_request_head(x);
    weir_slice etag = weir_slice_str(file->etag);
    const weir_http_field *field;

    if ((field = weir_http_head_field(head, WEIR_HTTP_IF_MATCH))) {
        if (!weir_http_etag_matches(weir_http_field_value(field), etag, false))
            return 412;
    } else if ((field = weir_http_head_field(head, WEIR_HTTP_IF_UNMODIFIED_SINCE))) {
        int64_t seconds;

        if (weir_http_date_parse(weir_http_field_value(field), time(NULL), &seconds) &&
            file->modified > seconds)
            return 412;
    }
    if ((field = weir_http_head_field(head, WEIR_HTTP_IF_NONE_MATCH)))
        return weir_http_etag_matches(weir_http_field_value(field), etag, true) ? 304 : 0;
    if ((field = weir_http_head_field(head, WEIR_HTTP_IF_MODIFIED_SINCE)))
        return earlier_or_same(weir_http_field_value(field), file->modified) ? 304 : 0;
    return 0;
}

/* Whether a Range still means this file. */
static bool if_range_holds(const weir_http_head *head, const struct file *file)
{
    const weir_http_field *field = weir_http_head_field(head, WEIR_HTTP_IF_RANGE);
    weir_slice value;
    int64_t seconds;

    if (!field)
        return true;
    value = weir_http_field_value(field);
    if (weir_http_is_etag(value))
        return weir_http_etag_matches(value, weir_slice_str(file->etag), false);
    return weir_http_date_parse(value, time(NULL), &seconds) && seconds == file->modified;
}

static weir_error *set_validators(weir_http *x, const struct file *file)
{
    char date[WEIR_HTTP_DATE_LEN];

    weir_http_date_format(date, file->modified);
    WEIR_TRY(weir_http_set_header(x, WEIR_HTTP_RESPONSE, "Last-Modified",
                                  weir_slice_of(date, sizeof date)));
    WEIR_TRY(weir_http_set_header(x, WEIR_HTTP_RESPONSE, "ETag", weir_slice_str(file->etag)));
    return NULL;
}

/* Decides which part is sent; `ret_status` 200, 206 or 416. */
static weir_error *choose_range(struct transfer *transfer, int *ret_status)
{
    const weir_http_head *head = weir_http_request_head(transfer->x);
    const weir_http_field *field = weir_http_head_field(head, WEIR_HTTP_RANGE);
    uint64_t size = transfer->file->size;
    weir_http_range range;
    char text[96];
    size_t count;
    int len;

    *ret_status = 200;
    transfer->at = 0;
    transfer->length = size;
    if (!field || head->method != WEIR_HTTP_GET || !if_range_holds(head, transfer->file))
        return NULL;
    switch (weir_http_range_parse(weir_http_field_value(field), size, &range, 1, &count)) {
    case WEIR_HTTP_RANGE_IGNORE:
        return NULL;
    case WEIR_HTTP_RANGE_UNSATISFIABLE:
        *ret_status = 416;
        len = snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
        break;
    case WEIR_HTTP_RANGE_OK:
    default:
        *ret_status = 206;
        transfer->at = range.first;
        transfer->length = range.last - range.first + 1;
        len = snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)range.first,
                       (unsigned long long)range.last, (unsigned long long)size);
        break;
    }
    WEIR_TRY(weir_http_set_header(transfer->x, WEIR_HTTP_RESPONSE, "Content-Range",
                                  weir_slice_of(text, (size_t)len)));
    return NULL;
}

static weir_error *send_part(const struct transfer *transfer, int status)
{
    WEIR_TRY(weir_http_respond_head(transfer->x, status, (int64_t)transfer->length));
    WEIR_TRY(weir_http_respond_file(transfer->x, transfer->file->fd, transfer->at));
    return NULL;
}

static weir_error *send_file(struct transfer *transfer)
{
    weir_http *x = transfer->x;
    weir_transport *transport = weir_http_transport(x);
    weir_error *error;
    const struct static_config *config = weir_http_config(x);
    const struct file *file = transfer->file;
    int status = condition_status(x, file);

    if (status == 412)
        return plain_answer(x, 412);
    WEIR_TRY(set_validators(x, file));
    if (status == 304) {
        WEIR_TRY(weir_http_respond_head(x, 304, -1));
        return weir_http_respond_end(x);
    }
    WEIR_TRY(choose_range(transfer, &status));
    if (status == 416)
        return plain_answer(x, 416);
    WEIR_TRY(weir_http_set_header(
        x, WEIR_HTTP_RESPONSE, "Content-Type",
        weir_slice_str(http_media_type(file->is_index ? config->index : file->path))));
    WEIR_TRY(weir_http_set_header(x, WEIR_HTTP_RESPONSE, "Accept-Ranges", WEIR_SLICE("bytes")));
    /* The head goes with the first bytes of the body. */
    weir_transport_cork(transport);
    error = send_part(transfer, status);
    weir_transport_uncork(transport);
    return error;
}

/* To the folder's own address, which ends in a slash. */
static weir_error *redirect_to_folder(weir_http *x)
{
    const weir_http_head *head = weir_http_request_head(x);
    weir_auto(weir_buffer) target = NULL;
    weir_slice text;

    WEIR_TRY(weir_buffer_new(65536, &target));
    WEIR_TRY(weir_buffer_append(target, weir_http_request_path(x)));
    WEIR_TRY(weir_buffer_append(target, WEIR_SLICE("/")));
    if (head->has_query) {
        WEIR_TRY(weir_buffer_append(target, WEIR_SLICE("?")));
        WEIR_TRY(weir_buffer_append(target, head->query));
    }
    WEIR_TRY(weir_buffer_linear(target, &text));
    /* "//host" would lead to another server. */
    while (text.len > 1 && ((const char *)text.data)[1] == '/')
        text = weir_slice_skip(text, 1);
    WEIR_TRY(weir_http_set_header(x, WEIR_HTTP_RESPONSE, "Location", text));
    return weir_http_respond(x, 308, weir_slice_of(NULL, 0), weir_slice_of(NULL, 0));
}

static weir_error *answer(struct transfer *transfer)
{
    switch (transfer->file->kind) {
    case FILE_REGULAR:
        return send_file(transfer);
    case FILE_DIRECTORY:
        return redirect_to_folder(transfer->x);
    case FILE_ABSENT:
        return plain_answer(transfer->x, 404);
    case FILE_FORBIDDEN:
        return plain_answer(transfer->x, 403);
    case FILE_BUSY:
        return plain_answer(transfer->x, 503);
    case FILE_ERROR:
    default:
        return weir_raise(EIO, "cannot open %s", transfer->file->path);
    }
}

/* Look-up. */

static weir_error *look_up_now(void *arg)
{
    const struct look_up *job = arg;
    struct file *file = http_file_look_up(job->root, job->path, job->index);

    if (!file)
        return weir_raise(WEIR_ENOMEM, "look-up of a file");
    weir_job_set_result(file, http_file_unref);
    return NULL;
}

static weir_error *look_up_done(weir_future *future, void *arg)
{
    struct transfer *transfer = arg;
    void *value;
    weir_error *error = weir_future_take_result(future, &value);
    struct file_cache *cache;

    job_ended(transfer);
    if (!error) {
        transfer->file = value;
        transfer->file->looked_up_ns =
            weir_loop_time(weir_transport_loop(weir_http_transport(transfer->x))).ns;
        cache = weir_instance_loop_state(weir_http_instance(transfer->x));
        if (cache && transfer->file->kind == FILE_REGULAR)
            http_file_cache_add(cache, transfer->file);
        error = answer(transfer);
    }
    if (error)
        fail(transfer, error);
    return NULL;
}

static void drop_look_up(void *arg)
{
    struct look_up *job = arg;

    if (job->root >= 0)
        close(job->root);
    free(job);
}

static weir_error *look_up(struct transfer *transfer, const struct static_config *config, int root)
{
    size_t path = strlen(transfer->path) + 1, index = strlen(config->index) + 1;
    struct look_up *job = malloc(sizeof *job + path + index);
    weir_error *error;

    if (!job)
        return weir_raise(WEIR_ENOMEM, "look-up of a file");
    memcpy(job->path, transfer->path, path);
    memcpy(job->path + path, config->index, index);
    job->index = job->path + path;
    job->root = fcntl(root, F_DUPFD_CLOEXEC, 0);
    if (job->root < 0) {
        free(job);
        return plain_answer(transfer->x, 503);
    }
    error = weir_executor_submit(weir_instance_executor(weir_http_instance(transfer->x)),
                                 look_up_now, job, drop_look_up, &transfer->waiting);
    if (error) {
        drop_look_up(job);
        return weir_error_trace(error, WEIR_HERE);
    }
    WEIR_TRY(weir_future_add_done_callback(transfer->waiting, look_up_done, transfer));
    return NULL;
}

/* Whether a segment of the path begins with a dot. */
static bool is_hidden(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (*at == '.' && !(strncmp(at, ".well-known", 11) == 0 && (!at[11] || at[11] == '/')))
            return true;
    }
    return false;
}

/* The path below the root, decoded; false: there cannot be such a file. */
static bool path_below(struct transfer *transfer, const struct static_config *config)
{
    weir_slice path = weir_http_request_path(transfer->x), decoded;
    char *text = malloc(path.len + 2);

    transfer->path = text;
    if (!text || !weir_http_path_decode(path, text, path.len + 1, &decoded))
        return false;
    if (memchr(decoded.data, '\0', decoded.len))
        return false;
    while (decoded.len && *(const char *)decoded.data == '/')
        decoded = weir_slice_skip(decoded, 1);
    memmove(text, decoded.data, decoded.len);
    text[decoded.len] = '\0';
    return config->hidden || !is_hidden(text);
}

static weir_error *static_start(weir_http *x)
{
    const struct static_config *config = weir_http_config(x);
    const struct static_state *state = weir_instance_state(weir_http_instance(x));
    struct file_cache *cache = weir_instance_loop_state(weir_http_instance(x));
    struct transfer *transfer = weir_http_state(x);
    weir_loop *loop = weir_transport_loop(weir_http_transport(x));
    weir_http_method method = (weir_http_method)weir_http_request_head(x)->method;

    transfer->x = x;
    if (method != WEIR_HTTP_GET && method != WEIR_HTTP_HEAD) {
        WEIR_TRY(weir_http_set_header(x, WEIR_HTTP_RESPONSE, "Allow", WEIR_SLICE("GET, HEAD")));
        return plain_answer(x, 405);
    }
    if (!path_below(transfer, config))
        return plain_answer(x, 404);
    transfer->file =
        cache ? http_file_cache_find(cache, transfer->path, weir_loop_time(loop).ns) : NULL;
    if (!transfer->file)
        return look_up(transfer, config, state->root);
    transfer->file->references++;
    return answer(transfer);
}

static void static_ended(weir_http *x, const weir_error *reason)
{
    struct transfer *transfer = weir_http_state(x);

    (void)reason;
    if (!transfer->x)
        return;
    if (transfer->waiting) {
        weir_future_remove_done_callback(transfer->waiting, look_up_done, transfer);
        (void)weir_future_cancel(transfer->waiting);
        job_ended(transfer);
    }
    http_file_unref(transfer->file);
    free(transfer->path);
}

/* Instance. */

static void static_check(weir_config_context *context, const void *config)
{
    const struct static_config *conf = config;

    if (strchr(conf->index, '/') || !*conf->index)
        weir_config_error(context, &conf->index, "`index` is the name of a file, without `/`");
}

static weir_error *static_instance_start(weir_instance *instance, void *state_, const void *config,
                                         void *old_state)
{
    const struct static_config *conf = config;
    struct static_state *state = state_;

    (void)instance;
    (void)old_state;
    state->root = open(conf->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (state->root < 0)
        return weir_raise(errno, "cannot serve files from %s", conf->root);
    state->opened = true;
    return NULL;
}

static void static_loop_stop(weir_instance *instance, void *loop_state, weir_loop *loop)
{
    (void)instance;
    (void)loop;
    http_file_cache_clear(loop_state);
}

static void static_instance_stop(weir_instance *instance, void *state_)
{
    struct static_state *state = state_;

    (void)instance;
    if (state->opened)
        close(state->root);
}

static const weir_instance_ops static_instance = {
    WEIR_SIZED(weir_instance_ops),
    .state_size = sizeof(struct static_state),
    .loop_state_size = sizeof(struct file_cache),
    .check = static_check,
    .start = static_instance_start,
    .loop_stop = static_loop_stop,
    .stop = static_instance_stop,
};

const weir_http_action http_static = {
    WEIR_SIZED(weir_http_action),
    .name = "static",
    .options = static_options,
    .config_size = sizeof(struct static_config),
    .state_size = sizeof(struct transfer),
    .instance = &static_instance,
    .shorthand = "root",
    .start = static_start,
    .ended = static_ended,
};
