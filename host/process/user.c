/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For a weir that root starts without systemd: its sockets are bound and its certificates read, then
 * it becomes the user of `runtime.user`. It keeps CAP_NET_BIND_SERVICE, so that a reload may bind a
 * low port; files that only root can read cannot be read again.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weir/log.h>

#include "host/process/process.h"
#include "host/schema/schema.h"

struct identity {
    char user[256]; /* "": no user was said */
    uid_t uid;
    gid_t gid;
};

static char *pid_path; /* absolute; control thread */

static weir_error *find_user(const char *name, struct identity *ret)
{
    struct passwd entry, *found = NULL;
    char buffer[16384];
    int code = getpwnam_r(name, &entry, buffer, sizeof buffer, &found);

    if (!found)
        return weir_raise(code ? code : ENOENT, "there is no user `%s`", name);
    snprintf(ret->user, sizeof ret->user, "%s", name);
    ret->uid = entry.pw_uid;
    ret->gid = entry.pw_gid;
    return NULL;
}

static weir_error *find_group(const char *name, struct identity *ret)
{
    struct group entry, *found = NULL;
    char buffer[16384];
    int code = getgrnam_r(name, &entry, buffer, sizeof buffer, &found);

    if (!found)
        return weir_raise(code ? code : ENOENT, "there is no group `%s`", name);
    ret->gid = entry.gr_gid;
    return NULL;
}

static bool is_already(const struct identity *wanted)
{
    return getuid() == wanted->uid && geteuid() == wanted->uid && getgid() == wanted->gid &&
           getegid() == wanted->gid;
}

static void report(weir_config_context *context, const void *field, weir_error *take_error)
{
    char text[300];

    weir_error_message(take_error, text, sizeof text);
    weir_error_unref(take_error);
    weir_config_error(context, field, "%s", text);
}

static struct identity present(void)
{
    return (struct identity){.uid = geteuid(), .gid = getegid()};
}

void weir__process_check(weir_config_context *context, const struct runtime_config *said)
{
    struct identity wanted = present();
    weir_error *user = said->user ? find_user(said->user, &wanted) : NULL;
    weir_error *group = said->group ? find_group(said->group, &wanted) : NULL;

    if (user)
        report(context, &said->user, user);
    if (group)
        report(context, &said->group, group);
    if (!user && !group && !is_already(&wanted) && geteuid() != 0)
        weir_config_error(context, said->user ? (const void *)&said->user : &said->group,
                          "only root may become somebody else, and weir does not run as root");
}

/* Of root's rights, this one; threads made later inherit it. */
static weir_error *keep_low_ports(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{0}};

    sets[0].permitted = sets[0].effective = UINT32_C(1) << CAP_NET_BIND_SERVICE;
    if (syscall(SYS_capset, &header, sets))
        return weir_raise(errno, "cannot keep the right to bind low ports");
    return NULL;
}

static weir_error *become(const struct identity *wanted)
{
    int result = *wanted->user ? initgroups(wanted->user, wanted->gid) : setgroups(0, NULL);

    if (result)
        return weir_raise(errno, "cannot leave the groups of root");
    if (setresgid(wanted->gid, wanted->gid, wanted->gid))
        return weir_raise(errno, "cannot become group %u", (unsigned)wanted->gid);
    if (prctl(PR_SET_KEEPCAPS, 1L, 0L, 0L, 0L))
        return weir_raise(errno, "cannot keep rights over a change of the user");
    if (setresuid(wanted->uid, wanted->uid, wanted->uid))
        return weir_raise(errno, "cannot become user %u", (unsigned)wanted->uid);
    /* A change of the user forbids core dumps, and with them reports of crashes. */
    (void)prctl(PR_SET_DUMPABLE, 1L, 0L, 0L, 0L);
    return keep_low_ports();
}

static weir_error *write_pid(const char *path)
{
    char text[32], *absolute;
    int fd, length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    bool written;

    if (pid_path)
        return NULL;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return weir_raise(errno, "runtime.pid_file: cannot write %s", path);
    written = write(fd, text, (size_t)length) == length;
    close(fd);
    if (!written)
        return weir_raise(EIO, "runtime.pid_file: cannot write %s", path);
    absolute = realpath(path, NULL);
    pid_path = absolute;
    return NULL;
}

weir_error *weir__process_become(const struct runtime_config *said)
{
    struct identity wanted = present();

    if (said->pid_file)
        WEIR_TRY(write_pid(said->pid_file));
    if (!said->user && !said->group)
        return NULL;
    if (said->user)
        WEIR_TRY(find_user(said->user, &wanted));
    if (said->group)
        WEIR_TRY(find_group(said->group, &wanted));
    if (is_already(&wanted))
        return NULL;
    return become(&wanted);
}

void weir__process_tell(const struct runtime_config *said)
{
    if (said->user || said->group)
        weir_log(weir_logger_get("weir.host"), WEIR_LOG_INFO, "running as %s (user %u, group %u)",
                 said->user ? said->user : "before, in another group", (unsigned)geteuid(),
                 (unsigned)getegid());
}

/* Another weir may have written its number meanwhile. */
static bool is_ours(const char *path)
{
    char text[32];
    FILE *file = fopen(path, "re");
    bool ours = false;

    if (!file)
        return false;
    if (fgets(text, sizeof text, file))
        ours = strtol(text, NULL, 10) == (long)getpid();
    fclose(file);
    return ours;
}

void weir__process_end(void)
{
    if (!pid_path)
        return;
    /* Where the folder is root's the file stays, as every server's that became somebody else. */
    if (is_ours(pid_path) && unlink(pid_path) && errno != EACCES && errno != EPERM)
        weir_log(weir_logger_get("weir.host"), WEIR_LOG_WARNING, "cannot remove %s", pid_path);
    free(pid_path);
    pid_path = NULL;
}
