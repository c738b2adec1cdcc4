/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `weir run`: serves a configuration in the foreground.
 *
 *   load, test, prepare ──▶ start the traffic loops ──▶ the control loop waits for signals
 *   TERM or INT: stop accepting, drain for at most shutdown_grace, end; a second one: at once
 *   QUIT: the same without limit; HUP: reload; USR1: log files are opened again; USR2: not built yet
 */
#include "config.h"

#include "daemon/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/event.h>
#include <weir/weir.h>

static weir_error *stopped(void *arg)
{
    struct daemon *daemon = arg;

    weir_log_with(daemon->logger, WEIR_LOG_INFO,
                  WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_STOPPED}), "stopped");
    weir_loop_stop(daemon->loop);
    return NULL;
}

void daemon_stop(struct daemon *daemon, const char *why, weir_duration grace)
{
    char limit[64] = "";

    if (daemon->stopping) {
        weir_log(daemon->logger, WEIR_LOG_WARNING, "%s again: ending at once", why);
        weir_host_stop(daemon->host, WEIR_NS(0), stopped, daemon);
        return;
    }
    daemon->stopping = true;
    if (!weir_is_forever(grace)) {
        daemon->stopping_until = weir_instant_after(weir_now(), grace);
        (void)snprintf(limit, sizeof limit, ", at most %lld s", (long long)(grace.ns / 1000000000));
    }
    weir_log_with(daemon->logger, WEIR_LOG_INFO,
                  WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_DRAINING}),
                  "%s: draining %llu connections%s", why,
                  (unsigned long long)weir_host_connections(daemon->host), limit);
    notify_stopping(daemon->notify);
    weir_host_stop(daemon->host, grace, stopped, daemon);
}

void daemon_reopen(struct daemon *daemon, const char *why)
{
    weir_error *error = weir_host_reopen(daemon->host);

    if (error)
        weir_log_error(daemon->logger, WEIR_LOG_ERROR, error, "%s", why);
    else
        weir_log(daemon->logger, WEIR_LOG_INFO, "%s: log files are open again", why);
}

/* Signals, as nginx has them where weir can do what they ask. */

static weir_error *on_term(void *arg)
{
    struct daemon *daemon = arg;
    const weir_host_settings *settings = weir_host_settings_of(daemon->host);
    bool restart = !daemon->stopping && systemd_restarts_us();

    daemon_stop(daemon, restart ? "SIGTERM for a restart" : "SIGTERM",
                restart ? settings->restart_grace : settings->shutdown_grace);
    return NULL;
}

static weir_error *on_int(void *arg)
{
    struct daemon *daemon = arg;

    daemon_stop(daemon, "SIGINT", weir_host_settings_of(daemon->host)->shutdown_grace);
    return NULL;
}

static weir_error *on_quit(void *arg)
{
    daemon_stop(arg, "SIGQUIT", WEIR_FOREVER);
    return NULL;
}

static weir_error *on_hup(void *arg)
{
    struct daemon *daemon = arg;
    weir_error *error = daemon_reload(daemon, "SIGHUP", false, NULL, NULL, NULL);

    if (error)
        weir_log_error(daemon->logger, WEIR_LOG_ERROR, error, "SIGHUP");
    return NULL;
}

static weir_error *on_usr1(void *arg)
{
    daemon_reopen(arg, "SIGUSR1");
    return NULL;
}

static weir_error *on_usr2(void *arg)
{
    const struct daemon *daemon = arg;

    weir_log(daemon->logger, WEIR_LOG_ERROR,
             "SIGUSR2: upgrade is not built yet; nothing was changed, restart weir instead");
    return NULL;
}

static weir_error *add_signals(struct daemon *daemon)
{
    WEIR_TRY(weir_loop_add_signal_handler(daemon->loop, SIGTERM, on_term, daemon));
    WEIR_TRY(weir_loop_add_signal_handler(daemon->loop, SIGINT, on_int, daemon));
    WEIR_TRY(weir_loop_add_signal_handler(daemon->loop, SIGQUIT, on_quit, daemon));
    WEIR_TRY(weir_loop_add_signal_handler(daemon->loop, SIGHUP, on_hup, daemon));
    WEIR_TRY(weir_loop_add_signal_handler(daemon->loop, SIGUSR1, on_usr1, daemon));
    return weir_loop_add_signal_handler(daemon->loop, SIGUSR2, on_usr2, daemon);
}

/* What to open: a URL where a browser can, else protocol and address. */
static void print_endpoint(const weir_host_endpoint *endpoint)
{
    const char *port = strrchr(endpoint->address, ':');
    bool any = strncmp(endpoint->address, "*:", 2) == 0 ||
               strncmp(endpoint->address, "0.0.0.0:", 8) == 0 ||
               strncmp(endpoint->address, "[::]:", 5) == 0;

    fprintf(stderr, "  %-10s ", endpoint->listener);
    if (strncmp(endpoint->address, "unix:", 5) == 0 || strcmp(endpoint->protocol, "http") != 0)
        fprintf(stderr, "%s%s on %s\n", endpoint->protocol, endpoint->tls ? " with TLS" : "",
                endpoint->address);
    else
        fprintf(stderr, "%s://%s%s/\n", endpoint->tls ? "https" : "http",
                any ? "localhost" : endpoint->address, any && port ? port : "");
}

/* For people at a terminal: what to open, which file to edit, how to stop. */
static void print_banner(const struct daemon *daemon, const struct arguments *arguments)
{
    weir_host_endpoint endpoint;

    fprintf(stderr, "\nweir %s is serving %s\n\n", weir_version(), arguments->config_path);
    for (size_t i = 0; weir_host_endpoint_at(daemon->host, i, &endpoint); i++)
        print_endpoint(&endpoint);
    fprintf(stderr, "\n  edit       %s\n  stop       Ctrl-C\n\n", arguments->config_path);
}

/* A socket that was asked for is needed; one of the usual places is only missed. */
static void open_control(struct daemon *daemon)
{
    weir_error *error = control_open(daemon, &daemon->control);
    bool needed = weir_host_settings_of(daemon->host)->control_socket != NULL;

    if (!error)
        return;
    daemon->control_failed = needed;
    weir_log_error(daemon->logger, needed ? WEIR_LOG_CRITICAL : WEIR_LOG_WARNING, error,
                   "no control socket%s", needed ? "" : ": weirctl will not find this weir");
}

static void take_down(struct daemon *daemon)
{
    reloads_free(WEIR_TAKE(daemon->reloads));
    control_free(daemon->control);
    follow_end();
    notify_free(daemon->notify);
    temporary_free(daemon);
    if (!daemon->loop)
        return;
    weir_loop_cancel_tasks(daemon->loop);
    weir_loop_close_force(daemon->loop, WEIR_S(1));
    weir_loop_unref(daemon->loop);
    follow_free();
}

static weir_error *serve(struct daemon *daemon, const struct arguments *arguments)
{
    WEIR_TRY(weir_host_apply(daemon->host));
    WEIR_TRY(weir_loop_new(NULL, &daemon->loop));
    WEIR_TRY(reloads_new(daemon, &daemon->reloads));
    WEIR_TRY(add_signals(daemon));
    WEIR_TRY(notify_new(daemon, &daemon->notify));
    open_control(daemon);
    if (daemon->control_failed)
        return NULL;
    WEIR_TRY(weir_host_start(daemon->host, daemon->loop));
    notify_ready(daemon->notify);
    if (isatty(STDERR_FILENO) && !arguments->quiet)
        print_banner(daemon, arguments);
    weir_log_with(daemon->logger, WEIR_LOG_INFO,
                  WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_STARTED}), "ready");
    WEIR_TRY(weir_loop_run_forever(daemon->loop));
    return NULL;
}

static int run_run(const struct arguments *arguments)
{
    struct arguments with = *arguments;
    struct daemon daemon = {
        .logger = weir_logger_get("weir.daemon"), .arguments = arguments, .started = weir_now()};
    weir_error *error;
    int code;

    signal(SIGPIPE, SIG_IGN);
    with.inspect = true; /* reloads say what differs */
    daemon.host = open_host(&with);
    if (!daemon.host)
        return EXIT_SOFTWARE;
    /* As before a reload: what `weir check` rejects is not served. */
    if (!weir_host_load(daemon.host) || !weir_host_test(daemon.host) ||
        !weir_host_prepare(daemon.host)) {
        weir_host_report(daemon.host, stderr, arguments->format, use_color(arguments));
        weir_host_summary(daemon.host, stderr);
        code = weir_host_exit_code(daemon.host);
        weir_host_free(daemon.host);
        return code;
    }
    weir_host_report(daemon.host, stderr, arguments->format, use_color(arguments));
    error = serve(&daemon, arguments);
    code = error ? EXIT_OSERR : daemon.control_failed ? EXIT_CANTCREAT : EXIT_OK;
    if (error)
        weir_log_error(daemon.logger, WEIR_LOG_CRITICAL, error, "cannot serve");
    take_down(&daemon);
    weir_host_free(daemon.host);
    weir_log_shutdown(WEIR_S(2));
    return code;
}

const struct command command_run = {
    .name = "run",
    .synopsis = "[-f FILE] [--set PATH=VALUE]…",
    .summary = "serve a configuration, in the foreground",
    .help =
        "  weir run -f weir.yaml\n"
        "  weir run -f weir.yaml --log-level debug\n"
        "\n"
        "Signals: TERM and INT stop accepting, let connections end within\n"
        "runtime.shutdown_grace and stop; a second one ends at once. QUIT sets no limit.\n"
        "HUP reads the configuration again; what is wrong with it is in the log, and nothing\n"
        "changes. USR1 opens log files again. USR2 (upgrade) is not built yet.\n"
        "\n"
        "The requests of `tests` in the configuration are tried first, as weir check and a reload\n"
        "do: when one goes elsewhere, nothing is served.\n"
        "\n"
        "Exit status: 0 stopped as asked, 78 the configuration was rejected, 66 it cannot be\n"
        "read, 71 the system refused something (an address in use), 73 the control socket\n"
        "cannot be made, 64 the command line.\n",
    .run = run_run,
};
