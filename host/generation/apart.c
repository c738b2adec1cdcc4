/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a configuration in a child process, because the plugins that it names run code of
 * their own as soon as they are loaded: one that crashes or hangs ends the child, and the parent says
 * which one it was and where the file names it.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/config/internal.h"
#include "host/generation/generation.h"

#define PATIENCE 30 /* seconds, for everything together */

/* Where the file says that the plugin is wanted: its own key, else a listener's `protocol`. */
static const weir_config_node *find_mention(const weir_config_context *c, const char *name)
{
    const weir_config_node *root = weir__config_root(c);
    const weir_config_node *plugins = weir_config_node_find(root, "plugins");
    const weir_config_node *listeners = weir_config_node_find(root, "listeners");

    for (size_t i = 0; plugins && i < weir_config_node_count(plugins); i++) {
        const weir_config_node *key = weir_config_node_key(plugins, i);

        if (key && strcmp(weir_config_node_text(key), name) == 0)
            return key;
    }
    for (size_t i = 0; listeners && i < weir_config_node_count(listeners); i++) {
        const weir_config_node *protocol =
            weir_config_node_find(weir_config_node_item(listeners, i), "protocol");

        if (protocol && strcmp(weir_config_node_text(protocol), name) == 0)
            return protocol;
    }
    return NULL;
}

struct blame {
    weir_host *host;
    const char *name;
    int signal;
};

static void blame(void *arg)
{
    const struct blame *b = arg;
    weir_config_context *c = b->host->generation->config;
    struct span nowhere = {NULL, 0, 0, 0, 0};
    const weir_config_node *mention;
    struct diagnostic *d;
    const char *how = b->signal == SIGALRM ? "did not come back"
                                           : weir__arena_format(&c->arena, "crashed (SIG%s)",
                                                                sigabbrev_np(b->signal));

    if (!weir__config_load(c))
        return;
    mention = *b->name ? find_mention(c, b->name) : NULL;
    if (*b->name)
        d = weir__diagnose(c, CONFIG_CRASHED, mention ? mention->span : nowhere,
                           "plugin `%s` %s while it was loaded", b->name, how);
    else
        d = weir__diagnose(c, CONFIG_CRASHED, nowhere,
                           "weir, or a plugin, %s while the configuration was checked", how);
    if (mention)
        weir__diagnostic_label(c, d, "it is loaded because of this");
    weir__diagnostic_help(c, d, "the rest of the file was not checked");
}

static int run_child(weir_host *host, int (*fn)(weir_host *host, void *arg), void *arg)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM};
    int code;

    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        (void)signal(fatal[i], SIG_DFL);
    (void)alarm(PATIENCE);
    code = fn(host, arg);
    (void)fflush(NULL);
    return code;
}

int weir_host_run_apart(weir_host *host, int (*fn)(weir_host *host, void *arg), void *arg)
{
    char *note =
        mmap(NULL, HOST_NOTE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct blame b = {.host = host};
    int status = 0;
    pid_t child;

    if (note == MAP_FAILED)
        return fn(host, arg);
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        host->generation->registry->note = note;
        _exit(run_child(host, fn, arg));
    }
    if (child < 0) { /* no process to be had: then without that care */
        (void)munmap(note, HOST_NOTE_SIZE);
        return fn(host, arg);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status)) {
        note[HOST_NOTE_SIZE - 1] = '\0';
        b.name = note;
        b.signal = WTERMSIG(status);
        host->state = HOST_REFUSED;
        (void)weir__config_guard(host->generation->config, blame, &b);
    }
    (void)munmap(note, HOST_NOTE_SIZE);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
