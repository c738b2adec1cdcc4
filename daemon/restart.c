/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether systemd stops us in order to start us again: then those who connect wait meanwhile in the
 * sockets that it keeps, and a drain should be short. The job of our unit says so, asked over D-Bus.
 *
 *   GetUnitByPID(us) ──▶ its Job ──▶ JobType: "restart"
 *
 * All of it has LIMIT_US; a manager that does not answer in time is taken for one that stops us.
 */
#include "config.h"

#include "daemon/run.h"

#ifdef WEIR_WITH_SYSTEMD

#    include <stdio.h>
#    include <stdlib.h>
#    include <string.h>
#    include <systemd/sd-bus.h>
#    include <unistd.h>

#    define LIMIT_US 100000
#    define MANAGER  "org.freedesktop.systemd1"

struct question {
    sd_bus *bus;
    uint64_t until; /* microseconds, monotonic */
};

static uint64_t now_us(void)
{
    return (uint64_t)weir_now().ns / 1000;
}

static int keep_reply(sd_bus_message *reply, void *arg, sd_bus_error *error)
{
    (void)error;
    *(sd_bus_message **)arg = sd_bus_message_ref(reply);
    return 1;
}

/* Sends a call and waits for its reply, by the time that is left; NULL: there is none, or an error. */
static sd_bus_message *ask(const struct question *question, sd_bus_message *call)
{
    sd_bus_message *reply = NULL;
    sd_bus_slot *slot = NULL;

    if (sd_bus_call_async(question->bus, &slot, call, keep_reply, &reply, LIMIT_US) < 0)
        return NULL;
    while (!reply) {
        uint64_t now = now_us();
        int done = sd_bus_process(question->bus, NULL);

        if (done < 0 || now >= question->until)
            break;
        if (done == 0 && sd_bus_wait(question->bus, question->until - now) < 0)
            break;
    }
    sd_bus_slot_unref(slot);
    if (reply && sd_bus_message_is_method_error(reply, NULL)) {
        sd_bus_message_unref(reply);
        return NULL;
    }
    return reply;
}

static sd_bus_message *unit_of_us(const struct question *question)
{
    sd_bus_message *call = NULL, *reply = NULL;

    if (sd_bus_message_new_method_call(question->bus, &call, MANAGER, "/org/freedesktop/systemd1",
                                       MANAGER ".Manager", "GetUnitByPID") >= 0 &&
        sd_bus_message_append(call, "u", (uint32_t)getpid()) >= 0)
        reply = ask(question, call);
    sd_bus_message_unref(call);
    return reply;
}

static sd_bus_message *property_of(const struct question *question, const char *path,
                                   const char *interface, const char *name)
{
    sd_bus_message *call = NULL, *reply = NULL;

    if (sd_bus_message_new_method_call(question->bus, &call, MANAGER, path,
                                       "org.freedesktop.DBus.Properties", "Get") >= 0 &&
        sd_bus_message_append(call, "ss", interface, name) >= 0)
        reply = ask(question, call);
    sd_bus_message_unref(call);
    return reply;
}

static bool job_is_restart(const struct question *question)
{
    const char *unit = NULL, *job = NULL, *type = NULL;
    sd_bus_message *first = unit_of_us(question), *second = NULL, *third = NULL;
    uint32_t number = 0;
    bool restart = false;

    if (first && sd_bus_message_read(first, "o", &unit) > 0)
        second = property_of(question, unit, MANAGER ".Unit", "Job");
    if (second && sd_bus_message_read(second, "v", "(uo)", &number, &job) > 0 && number)
        third = property_of(question, job, MANAGER ".Job", "JobType");
    if (third && sd_bus_message_read(third, "v", "s", &type) > 0)
        restart = strcmp(type, "restart") == 0;
    sd_bus_message_unref(third);
    sd_bus_message_unref(second);
    sd_bus_message_unref(first);
    return restart;
}

/* The manager that started us: a user's hears in its own folder, the system's on the system bus, and
 * for root without a bus too. */
static void address_of_manager(char *address, size_t size, bool *ret_direct)
{
    const char *user = getenv("MANAGERPID"), *runtime = getenv("XDG_RUNTIME_DIR");
    const char *bus = getenv("DBUS_SYSTEM_BUS_ADDRESS");

    *ret_direct = true;
    if (user && runtime && strtol(user, NULL, 10) == getppid()) {
        (void)snprintf(address, size, "unix:path=%s/systemd/private", runtime);
    } else if (geteuid() == 0) {
        (void)snprintf(address, size, "unix:path=/run/systemd/private");
    } else {
        (void)snprintf(address, size, "%s", bus ? bus : "unix:path=/run/dbus/system_bus_socket");
        *ret_direct = false;
    }
}

bool systemd_restarts_us(void)
{
    struct question question = {.until = now_us() + LIMIT_US};
    char address[300];
    bool direct, restart = false;

    if (!getenv("INVOCATION_ID") || sd_bus_new(&question.bus) < 0)
        return false;
    address_of_manager(address, sizeof address, &direct);
    if (sd_bus_set_address(question.bus, address) >= 0 &&
        sd_bus_set_bus_client(question.bus, !direct) >= 0 && sd_bus_start(question.bus) >= 0)
        restart = job_is_restart(&question);
    sd_bus_close(question.bus);
    sd_bus_unref(question.bus);
    return restart;
}

#else

bool systemd_restarts_us(void)
{
    return false;
}

#endif
