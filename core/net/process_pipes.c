/* SPDX-License-Identifier: Apache-2.0 */
/* The three standard descriptors of a child, and our ends of those that are pipes. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <weir/pipe.h>

#include "core/net/process.h"
#include "core/net/transport.h"

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void weir__process_fds_close_child(struct process_fds *fds)
{
    for (int i = 0; i < PROCESS_FDS; i++)
        close_fd(&fds->opened[i]);
}

void weir__process_fds_close(struct process_fds *fds)
{
    weir__process_fds_close_child(fds);
    for (int i = 0; i < PROCESS_FDS; i++)
        close_fd(&fds->parent[i]);
}

static weir_error *open_pipe(struct process_fds *fds, int i)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return weir_raise(errno, "pipe for a process");
    fds->child[i] = fds->opened[i] = ends[i == 0 ? 0 : 1];
    fds->parent[i] = ends[i == 0 ? 1 : 0];
    return NULL;
}

static weir_error *open_one(struct process_fds *fds, int i, int wanted)
{
    switch (wanted) {
    case WEIR_STDIO_INHERIT:
        fds->child[i] = i;
        return NULL;
    case WEIR_STDIO_DEVNULL:
        fds->opened[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fds->opened[i] < 0)
            return weir_raise(errno, "open /dev/null");
        fds->child[i] = fds->opened[i];
        return NULL;
    case WEIR_STDIO_PIPE:
        return open_pipe(fds, i);
    case WEIR_STDIO_STDOUT:
        if (i != STDERR_FILENO)
            break;
        fds->child[i] = fds->child[STDOUT_FILENO];
        return NULL;
    default:
        if (wanted < 0 || fcntl(wanted, F_GETFD) < 0)
            break;
        fds->child[i] = wanted;
        return NULL;
    }
    return weir_raise(WEIR_EINVAL, "descriptor %d of a process cannot be %d", i, wanted);
}

weir_error *weir__process_fds_open(struct process_fds *fds, const weir_process_options *options)
{
    const int wanted[PROCESS_FDS] = {options->input, options->output, options->error};

    for (int i = 0; i < PROCESS_FDS; i++)
        fds->child[i] = fds->parent[i] = fds->opened[i] = -1;
    for (int i = 0; i < PROCESS_FDS; i++) {
        weir_error *error = open_one(fds, i, wanted[i]);

        if (error) {
            weir__process_fds_close(fds);
            return error;
        }
    }
    return NULL;
}

static weir_error *pipe_of(weir_process *p, int i, int fd, const weir_protocol *protocol,
                           const void *config)
{
    weir_transport *transport = NULL;

    if (!protocol && i == STDIN_FILENO)
        return weir_pipe_writer_stream_at(p->site, fd, &p->streams[i]);
    if (!protocol)
        return weir_pipe_reader_stream_at(p->site, fd, &p->streams[i]);
    if (i == STDIN_FILENO)
        WEIR_TRY(weir_pipe_writer_at(p->site, p->loop, fd, protocol, config, &transport));
    else
        WEIR_TRY(weir_pipe_reader_at(p->site, p->loop, fd, protocol, config, &transport));
    p->transports[i] = weir_transport_ref(transport);
    return NULL;
}

static weir_transport *transport_of(weir_process *p, int i)
{
    return p->streams[i] ? weir_stream_transport(p->streams[i]) : p->transports[i];
}

weir_error *weir__process_pipes(weir_process *process, const weir_process_options *options,
                                struct process_fds *fds)
{
    const weir_protocol *protocols[PROCESS_FDS] = {
        options->input_protocol, options->output_protocol, options->error_protocol};

    for (int i = 0; i < PROCESS_FDS; i++) {
        if (fds->parent[i] < 0)
            continue;
        WEIR_TRY(pipe_of(process, i, fds->parent[i], protocols[i], options->protocol_config));
        fds->parent[i] = -1;
        transport_of(process, i)->owned = true;
    }
    return NULL;
}

void weir__process_pipes_end(weir_process *process)
{
    for (int i = 0; i < PROCESS_FDS; i++) {
        weir_transport *transport = WEIR_TAKE(process->transports[i]);

        if (process->streams[i])
            weir_stream_abort(WEIR_TAKE(process->streams[i]));
        if (transport) {
            weir_transport_close(transport);
            weir_transport_unref(transport);
        }
    }
}
