/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: lines of JSON each way, on the control loop.
 *
 *     {"weir":"0.1.0","protocol":1,"role":"admin"}        says the daemon first
 *     {"id":1,"method":"status","params":{}}              asks a client
 *     {"id":1,"result":{…}}   {"id":1,"error":{"exit":64,"message":"…"}}
 *
 * Who may what follows from who the peer is (SO_PEERCRED, SO_PEERGROUPS), not from passwords. A
 * client may be as slow or as greedy as it likes: lines, requests under way, bytes it does not read
 * and clients all have limits, and nothing here waits.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/run.h"

#define MAX_CLIENTS  64
#define MAX_LINE     ((size_t)64 * 1024)
#define MAX_HOLDS    8
#define MAX_UNREAD   ((size_t)64 * 1024 * 1024)
#define STREAM_LIMIT ((size_t)1024 * 1024)
#define SLOW_LIMIT   WEIR_S(30)

struct control {
    struct daemon *daemon;
    int fd;
    char *path;
    dev_t device;
    ino_t inode;
    bool has_group;
    gid_t group;
    struct control_client *clients;
    unsigned n_clients;
};

struct control_client {
    struct control_client *next;
    struct control *control; /* NULL: gone, held by answers that are to come */
    int fd;
    unsigned holds;
    weir_host_role role;
    struct ucred peer;
    char who[96]; /* "uid 0, pid 4711 (weirctl)" */
    char *line;
    size_t line_len;
    char *out;
    size_t out_len, out_sent, out_room;
    bool writing, ending;
    weir_timer slow;
    void (*gone)(void *arg);
    void *gone_arg;
};

static void client_end(struct control_client *client)
{
    struct control *control = client->control;
    struct control_client **at;
    weir_loop *loop;

    if (!control)
        return;
    loop = control->daemon->loop;
    for (at = &control->clients; *at != client; at = &(*at)->next)
        ;
    *at = client->next;
    control->n_clients--;
    client->control = NULL;
    weir_loop_remove_reader(loop, client->fd);
    weir_loop_remove_writer(loop, client->fd);
    weir_timer_stop(&client->slow);
    close(client->fd);
    if (client->gone)
        client->gone(client->gone_arg);
    client->gone = NULL;
    control_release(client); /* the socket's own hold */
}

void control_hold(struct control_client *client)
{
    client->holds++;
}

static void take_lines(struct control_client *client);

void control_release(struct control_client *client)
{
    if (--client->holds == 0) {
        free(client->line);
        free(client->out);
        free(client);
        return;
    }
    if (client->control)
        take_lines(client);
}

struct daemon *control_daemon(const struct control_client *client)
{
    return client->control ? client->control->daemon : NULL;
}

bool control_is_followed(const struct control_client *client)
{
    return client->gone != NULL;
}

void control_on_gone(struct control_client *client, void (*gone)(void *arg), void *arg)
{
    client->gone = gone;
    client->gone_arg = arg;
}

/* Writing. */

static weir_error *on_writable(void *arg);

static weir_error *too_slow(void *arg)
{
    client_end(arg);
    return NULL;
}

static void flush(struct control_client *client)
{
    weir_loop *loop = client->control->daemon->loop;
    weir_error *error = NULL;
    size_t before = client->out_sent;

    while (client->out_sent < client->out_len) {
        ssize_t n = send(client->fd, client->out + client->out_sent,
                         client->out_len - client->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return client_end(client);
        if (n < 0)
            break;
        client->out_sent += (size_t)n;
    }
    if (client->out_sent == client->out_len) {
        client->out_sent = client->out_len = 0;
        weir_timer_stop(&client->slow);
        if (client->writing)
            weir_loop_remove_writer(loop, client->fd);
        client->writing = false;
        if (client->ending)
            client_end(client);
        return;
    }
    if (!client->writing)
        error = weir_loop_add_writer(loop, client->fd, on_writable, client);
    if (error)
        client_end(client);
    else if (client->out_sent != before || !client->writing)
        weir_timer_start(&client->slow, SLOW_LIMIT);
    client->writing = true;
    weir_ignore(error);
}

static weir_error *on_writable(void *arg)
{
    flush(arg);
    return NULL;
}

/* Queues a line; a client that lets too much lie is left. */
static void say(struct control_client *client, const char *text, size_t len)
{
    if (!client->control)
        return;
    if (client->out_sent) {
        memmove(client->out, client->out + client->out_sent, client->out_len - client->out_sent);
        client->out_len -= client->out_sent;
        client->out_sent = 0;
    }
    if (client->out_len + len + 1 > client->out_room) {
        size_t room = (client->out_len + len + 1) * 2;
        char *grown = room > MAX_UNREAD ? NULL : realloc(client->out, room);

        if (!grown)
            return client_end(client);
        client->out = grown;
        client->out_room = room;
    }
    memcpy(client->out + client->out_len, text, len);
    client->out[client->out_len + len] = '\n';
    client->out_len += len + 1;
    if (!client->writing)
        flush(client);
}

static void say_json(struct control_client *client, json_t *take)
{
    char *text = take ? json_dumps(take, JSON_COMPACT) : NULL;

    json_decref(take);
    if (text)
        say(client, text, strlen(text));
    else
        client_end(client);
    free(text);
}

void control_result(struct control_client *client, json_t *take_id, json_t *take_result)
{
    say_json(client, json_pack("{s:o?, s:o}", "id", take_id, "result", take_result));
    control_release(client);
}

void control_fail(struct control_client *client, json_t *take_id, int exit_code,
                  const char *message)
{
    say_json(client, json_pack("{s:o?, s:{s:i, s:s}}", "id", take_id, "error", "exit", exit_code,
                               "message", message));
    control_release(client);
}

bool control_stream(struct control_client *client, const json_t *id, const char *record, size_t len)
{
    char *number = json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT), *text;
    int n;

    if (!client->control || client->out_len - client->out_sent + len > STREAM_LIMIT || !number) {
        free(number);
        return false;
    }
    n = asprintf(&text, "{\"id\":%s,\"more\":true,\"record\":%.*s}", number, (int)len, record);
    if (n >= 0) {
        say(client, text, (size_t)n);
        free(text);
    }
    free(number);
    return n >= 0;
}

/* Reading. */

static void take_request(struct control_client *client, const char *line, size_t len)
{
    json_error_t problem;
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &problem);
    const char *method = json_string_value(json_object_get(request, "method"));
    json_t *params = json_object_get(request, "params");
    json_t *id = json_incref(json_object_get(request, "id"));

    control_hold(client);
    if (!request)
        control_fail(client, NULL, EXIT_USAGE, problem.text);
    else if (!method || (params && !json_is_object(params)))
        control_fail(client, id, EXIT_USAGE,
                     "a request is {\"id\": …, \"method\": \"…\", \"params\": {…}}");
    else
        method_call(client, client->role, client->who, method, id,
                    params ? json_incref(params) : json_object());
    json_decref(request);
}

static void take_lines(struct control_client *client)
{
    char *end;

    control_hold(client); /* a request may end it */
    while (client->control && !client->ending && client->holds < MAX_HOLDS + 2 &&
           (end = memchr(client->line, '\n', client->line_len))) {
        size_t len = (size_t)(end - client->line);
        char *line = strndup(client->line, len);

        client->line_len -= len + 1;
        memmove(client->line, end + 1, client->line_len);
        if (line && *line)
            take_request(client, line, strlen(line));
        free(line);
    }
    if (client->control && client->line_len == MAX_LINE && !memchr(client->line, '\n', MAX_LINE)) {
        control_hold(client);
        client->ending = true;
        control_fail(client, NULL, EXIT_USAGE, "a line is longer than 65536 bytes");
    }
    if (--client->holds == 0) {
        client->holds = 1;
        control_release(client);
    }
}

static weir_error *on_readable(void *arg)
{
    struct control_client *client = arg;
    size_t room = MAX_LINE - client->line_len;
    ssize_t n;

    if (!room) { /* a whole line waits for answers: bytes wait in the kernel, the peer waits too */
        weir_loop_remove_reader(client->control->daemon->loop, client->fd);
        return NULL;
    }
    n = recv(client->fd, client->line + client->line_len, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return NULL;
    if (n <= 0) {
        client_end(client);
        return NULL;
    }
    client->line_len += (size_t)n;
    take_lines(client);
    return NULL;
}

/* Who it is. */

static bool has_group(int fd, const struct ucred *peer, gid_t group)
{
    gid_t groups[256];
    socklen_t size = sizeof groups;

    if (peer->gid == group)
        return true;
#ifdef SO_PEERGROUPS
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0)
        for (size_t i = 0; i < size / sizeof *groups; i++)
            if (groups[i] == group)
                return true;
#endif
    return false;
}

static void identify(struct control_client *client)
{
    const struct control *control = client->control;
    char path[64], comm[32] = "?";
    socklen_t size = sizeof client->peer;
    FILE *file;

    client->role = WEIR_HOST_READER;
    if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &client->peer, &size))
        return;
    if (client->peer.uid == 0 || client->peer.uid == geteuid())
        client->role = WEIR_HOST_ADMIN;
    else if (control->has_group && has_group(client->fd, &client->peer, control->group))
        client->role = WEIR_HOST_OPERATOR;
    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)client->peer.pid);
    file = fopen(path, "re");
    if (file && fgets(comm, sizeof comm, file))
        comm[strcspn(comm, "\n")] = '\0';
    if (file)
        fclose(file);
    (void)snprintf(client->who, sizeof client->who, "uid %u, pid %d (%s)",
                   (unsigned)client->peer.uid, (int)client->peer.pid, comm);
}

static const char *role_name(weir_host_role role)
{
    static const char *const names[] = {"read", "operate", "admin"};

    return names[role];
}

static void greet(struct control *control, int fd)
{
    struct control_client *client = calloc(1, sizeof *client);
    weir_error *error;

    if (client)
        client->line = malloc(MAX_LINE);
    if (!client || !client->line) {
        free(client);
        close(fd);
        return;
    }
    client->control = control;
    client->fd = fd;
    client->holds = 1;
    client->next = control->clients;
    control->clients = client;
    control->n_clients++;
    weir_timer_init(&client->slow, control->daemon->loop, too_slow, client);
    identify(client);
    error = weir_loop_add_reader(control->daemon->loop, fd, on_readable, client);
    if (error)
        client_end(client);
    else
        say_json(client, json_pack("{s:s, s:i, s:s}", "weir", weir_version(), "protocol", 1, "role",
                                   role_name(client->role)));
    weir_ignore(error);
}

static weir_error *on_connection(void *arg)
{
    static const char full[] = "{\"error\":{\"exit\":75,\"message\":\"too many clients\"}}\n";
    struct control *control = arg;
    int fd;

    while ((fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        if (control->n_clients < MAX_CLIENTS) {
            greet(control, fd);
            continue;
        }
        if (send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            weir_log(control->daemon->logger, WEIR_LOG_DEBUG, "a control client left at once");
        close(fd);
    }
    return NULL;
}

/* The socket. */

static weir_error *set_group(struct control *control, const char *name)
{
    struct group *group = getgrnam(name);
    char *end;

    if (!group && (strtoul(name, &end, 10), *end || !*name))
        return weir_raise(ENOENT, "admin.control.group: there is no group `%s`", name);
    control->group = group ? group->gr_gid : (gid_t)strtoul(name, NULL, 10);
    control->has_group = true;
    if (chown(control->path, (uid_t)-1, control->group))
        weir_log(control->daemon->logger, WEIR_LOG_WARNING,
                 "the control socket does not get the group %s: %s", name, weir_code_text(errno));
    return NULL;
}

static weir_error *listen_at(struct control *control, const char *path, mode_t mode)
{
    weir_server_options options = {WEIR_SIZED(weir_server_options), .backlog = MAX_CLIENTS,
                                   .unix_mode = (int)mode};
    char address[200];
    struct stat status;
    int fd;

    (void)snprintf(address, sizeof address, "unix:%s", path);
    WEIR_TRY(weir_listen_socket(address, &options, &fd));
    control->fd = fd;
    control->path = strdup(path);
    if (!control->path)
        return weir_raise(WEIR_ENOMEM, "control socket");
    if (lstat(path, &status) == 0) {
        control->device = status.st_dev;
        control->inode = status.st_ino;
    }
    return NULL;
}

/* Said in the configuration: there or nowhere. Else the first of the usual places. */
static weir_error *find_place(struct control *control, const weir_host_settings *settings)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[120];
    weir_error *error;

    if (settings->control_socket)
        return listen_at(control, settings->control_socket, settings->control_mode);
    (void)mkdir("/run/weir", 0755);
    error = listen_at(control, WEIR_CONTROL_SOCKET, settings->control_mode);
    if (!error || !runtime || strlen(runtime) > 80)
        return error;
    (void)snprintf(path, sizeof path, "%s/weir", runtime);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s/weir/control.sock", runtime);
    weir_ignore(error);
    return listen_at(control, path, settings->control_mode);
}

weir_error *control_open(struct daemon *daemon, struct control **ret)
{
    const weir_host_settings *settings = weir_host_settings_of(daemon->host);
    struct control *control = calloc(1, sizeof *control);
    weir_error *error;

    if (!control)
        return weir_raise(WEIR_ENOMEM, "control socket");
    control->daemon = daemon;
    control->fd = -1;
    error = find_place(control, settings);
    if (!error && settings->control_group)
        error = set_group(control, settings->control_group);
    if (!error)
        error = weir_loop_add_reader(daemon->loop, control->fd, on_connection, control);
    if (error) {
        control_free(control);
        return error;
    }
    *ret = control;
    return NULL;
}

void control_free(struct control *control)
{
    struct stat status;

    if (!control)
        return;
    while (control->clients)
        client_end(control->clients);
    if (control->fd >= 0) {
        weir_loop_remove_reader(control->daemon->loop, control->fd);
        close(control->fd);
    }
    if (control->path && lstat(control->path, &status) == 0 && status.st_dev == control->device &&
        status.st_ino == control->inode)
        unlink(control->path);
    free(control->path);
    free(control);
}

const char *control_path(const struct control *control)
{
    return control->path;
}
