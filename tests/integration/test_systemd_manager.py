# SPDX-License-Identifier: Apache-2.0
"""weir under a real systemd: what a restart, a crash and a stuck loop cost those who connect."""

import os
import re
import shlex
import shutil
import signal
import socket
import threading
import time

from harness import (Failed, RawClient, ScriptedOrigin, Skip, config, http_listener, ok_response, proxy, respond, run, timeout,
                     to_yaml, wait_until)
from harness.systemd import UserManager
from harness.weir import variables


def yaml(listeners, **more):
    return to_yaml({**config(listeners), **more}) + "\n"


def started(env, port, **settings):
    manager = UserManager(env)
    unit = manager.weir(yaml({"web": http_listener(port, [respond(200, "x")])}), **settings)
    manager.systemctl("start", unit.name)
    return manager, unit


class Load:
    """A client that opens a connection every few milliseconds and asks once on each."""

    def __init__(self, port, pause=0.005):
        self.port, self.pause = port, pause
        self.asked = self.served = 0
        self.refused, self.failed = [], []
        self._end = threading.Event()
        self._slots = threading.Semaphore(200)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _one(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 60) as conn:
                conn.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                data = b""
                while part := conn.recv(4096):
                    data += part
            if data.startswith(b"HTTP/1.1 200 "):
                self.served += 1
            else:
                self.failed.append(repr(data[:60]))
        except ConnectionRefusedError as error:
            self.refused.append(str(error))
        except OSError as error:
            self.failed.append(repr(error))
        finally:
            self._slots.release()

    def _run(self):
        threads = []
        while not self._end.wait(self.pause):
            self._slots.acquire()
            self.asked += 1
            threads.append(threading.Thread(target=self._one))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def stop(self):
        self._end.set()
        self._thread.join()
        return self


def test_unit_is_started_and_stopped_by_its_own_words(env):
    port = env.port()
    manager, unit = started(env, port)
    assert unit.show("ActiveState") == "active" and unit.show("SubState") == "running"
    assert unit.show("StatusText").startswith("serving: 1 listener"), unit.show("StatusText")
    assert RawClient(env, port).ask().status == 200
    manager.systemctl("stop", unit.name)
    assert (unit.show("ActiveState"), unit.show("Result"), unit.show("ExecMainStatus")) == ("inactive", "success", "0")


@timeout(120)
def test_kill_9_refuses_no_connection(env):
    port = env.port()
    manager, unit = started(env, port)
    pids = {unit.pid}
    load = Load(port)
    env.defer(load.stop)
    for _ in range(3):
        before = load.served
        wait_until(lambda: load.served > before + 10, "requests", 30)
        old = unit.pid
        manager.kill(unit)
        pids.add(unit.wait_new_process(old))
    before = load.served
    wait_until(lambda: load.served > before + 10, "requests after the last kill", 30)
    load.stop()
    assert len(pids) == 4, pids
    assert not load.refused, f"{len(load.refused)} of {load.asked} connections were refused"
    # What a killed process had accepted is lost; nothing else is.
    assert load.served + len(load.failed) == load.asked and len(load.failed) <= 30, (load.asked, load.served, load.failed[:3])


@timeout(120)
def test_two_restarts_under_load_lose_no_request(env):
    port = env.port()
    manager, unit = started(env, port)
    idle = [RawClient(env, port) for _ in range(5)]
    for client in idle:
        assert client.ask().status == 200
    pids = {unit.pid}
    load = Load(port)
    env.defer(load.stop)
    for _ in range(2):
        before = load.served
        wait_until(lambda: load.served > before + 20, "requests", 30)
        manager.systemctl("restart", unit.name)
        pids.add(unit.pid)
    before = load.served
    wait_until(lambda: load.served > before + 20, "requests after the last restart", 30)
    load.stop()
    assert len(pids) == 3, pids
    assert load.served == load.asked > 60 and not load.refused and not load.failed, (load.asked, load.served, load.failed[:3])
    for client in idle:
        client.expect_closed()


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except ConnectionRefusedError:
        return True
    return False


@timeout(60)
def test_socket_that_is_no_listeners_any_more_leaves_the_store(env):
    """Else a client would wait in a queue that nobody serves. The other socket of that name stays."""
    moved, stays, gone = env.port(), env.port(), env.port()
    manager = UserManager(env)
    pair = {"bind": [f"127.0.0.1:{moved}", f"127.0.0.1:{stays}"], "routes": [respond(200, "x")]}
    unit = manager.weir(yaml({"web": pair, "old": http_listener(gone, [respond(200, "y")])}))
    manager.systemctl("start", unit.name)
    assert unit.show("NFileDescriptorStore") == "3"
    to = env.port()
    unit.path.write_text(yaml({"web": {**pair, "bind": [f"127.0.0.1:{to}", f"127.0.0.1:{stays}"]}}))
    manager.systemctl("restart", unit.name)
    assert RawClient(env, to).ask().status == 200 and RawClient(env, stays).ask().status == 200
    wait_until(lambda: unit.show("NFileDescriptorStore") == "2", "the store to have what is served")
    assert refused(moved) and refused(gone)
    # A renamed listener takes over the socket of its address.
    unit.path.write_text(yaml({"front": http_listener(stays, [respond(200, "z")])}))
    manager.systemctl("restart", unit.name)
    assert RawClient(env, stays).ask().body == b"z"


@timeout(60)
def test_reload_ends_when_it_is_done_and_says_what_became_of_it(env):
    port = env.port()
    manager, unit = started(env, port)
    old, client = unit.pid, RawClient(env, port)
    assert client.ask().body == b"x"
    unit.path.write_text(yaml({"web": http_listener(port, [respond(200, "second")])}))
    manager.systemctl("reload", unit.name)
    assert RawClient(env, port).ask().body == b"second"
    assert (unit.pid, unit.show("ActiveState"), unit.show("SubState")) == (old, "active", "running")
    assert unit.show("StatusText").endswith("generation 2"), unit.show("StatusText")
    # Rejected: the job fails with the diagnostics in the unit's log, and the unit goes on.
    unit.path.write_text("version: 1\nlistners: {}\n")
    code, said = manager.try_systemctl("reload", unit.name)
    assert code == 1, said
    assert (unit.pid, unit.show("ActiveState"), unit.show("SubState")) == (old, "active", "running")
    assert (unit.show("Result"), unit.show("ReloadResult")) == ("success", "exit-code")
    status = unit.show("StatusText")
    assert "generation 2" in status and "last reload REJECTED" in status and ":2:1" in status, status
    assert "did you mean `listeners`?" in unit.text(), unit.text()
    assert RawClient(env, port).ask().body == b"second" and client.ask().body == b"second"
    # A failing test of the configuration's own is a mistake like any other.
    unit.path.write_text(yaml({"web": http_listener(port, [respond(200, "third")])},
                              tests=[{"request": f"http://a:{port}/", "expect": {"status": 404}}]))
    assert manager.try_systemctl("reload", unit.name)[0] == 1
    assert "is answered with status 200, not `404`" in unit.text(), unit.text()
    unit.path.write_text(yaml({"web": http_listener(port, [respond(200, "third")])},
                              tests=[{"request": f"http://a:{port}/", "expect": {"status": 200}}]))
    manager.systemctl("reload", unit.name)
    assert RawClient(env, port).ask().body == b"third" and "REJECTED" not in unit.show("StatusText")


@timeout(60)
def test_reload_keeps_the_store_as_what_is_served(env):
    port, other = env.port(), env.port()
    manager, unit = started(env, port)
    unit.path.write_text(yaml({"web": http_listener(port, [respond(200, "x")]), "more": http_listener(other, [respond(200, "y")])}))
    manager.systemctl("reload", unit.name)
    wait_until(lambda: unit.show("NFileDescriptorStore") == "2", "two sockets in the store")
    unit.path.write_text(yaml({"more": http_listener(other, [respond(200, "y")])}))
    manager.systemctl("reload", unit.name)
    wait_until(lambda: unit.show("NFileDescriptorStore") == "1", "one socket in the store")
    wait_until(lambda: refused(port), "the old port to be refused")
    manager.systemctl("restart", unit.name)
    assert RawClient(env, other).ask().body == b"y" and refused(port)


def test_rejected_configuration_is_started_once(env):
    manager = UserManager(env)
    unit = manager.weir("version: 1\nlistners: {}\n")
    code, _ = manager.try_systemctl("start", unit.name)
    assert code != 0
    unit.wait("ActiveState", "failed")
    assert (unit.show("ExecMainStatus"), unit.show("NRestarts"), unit.show("Result")) == ("78", "0", "exit-code")
    assert unit.text().count("did you mean `listeners`?") == 1, unit.text()


def test_listening_socket_of_a_socket_unit_is_found_by_its_name(env):
    manager, port = UserManager(env), env.port()
    unit = manager.weir(yaml({"web": http_listener("systemd:front", [respond(200, "by name")])}))
    manager.unit("weir.socket", "[Unit]\nDefaultDependencies=no\n[Socket]\nFileDescriptorName=front\n"
                                f"ListenStream=127.0.0.1:{port}\n")
    manager.systemctl("start", "weir.socket")
    assert unit.show("ActiveState") == "inactive"
    assert RawClient(env, port, limit=30).ask().body == b"by name"
    unit.wait("ActiveState", "active")
    # It is systemd's: it outlives the service, and starts it again.
    manager.systemctl("stop", unit.name)
    assert RawClient(env, port, limit=30).ask().body == b"by name"


def test_listening_socket_of_a_socket_unit_is_found_by_its_address(env):
    manager, port = UserManager(env), env.port()
    unit = manager.weir(yaml({"web": http_listener(port, [respond(200, "by address")])}))
    manager.unit("weir.socket", f"[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=127.0.0.1:{port}\n")
    manager.systemctl("start", "weir.socket")
    assert RawClient(env, port, limit=30).ask().body == b"by address"
    unit.wait("ActiveState", "active")


@timeout(60)
def test_stop_takes_the_time_that_draining_needs(env):
    """A request that takes longer than TimeoutStopSec ends by itself: EXTEND_TIMEOUT_USEC says that there is progress."""
    def handler(conn, incoming):
        conn.report("begun")
        conn.wait_go("answer")
        conn.send(ok_response(b"late"))
    origin, port = ScriptedOrigin(env, handler), env.port()
    manager = UserManager(env)
    unit = manager.weir(yaml({"web": http_listener(port, [proxy(f"http://127.0.0.1:{origin.port}")])}), TimeoutStopSec="1s")
    manager.systemctl("start", unit.name)
    client = RawClient(env, port, limit=30)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    origin.wait_event("begun")
    begun = time.monotonic()
    manager.systemctl("stop", "--no-block", unit.name)
    wait_until(lambda: unit.show("StatusText").startswith("draining 1 connection, "), "the drain's status")
    assert unit.show("ActiveState") == "deactivating"
    wait_until(lambda: time.monotonic() - begun > 2.5, "longer than TimeoutStopSec")
    origin.go("answer")
    assert client.response().body == b"late"
    unit.wait("ActiveState", "inactive")
    assert unit.show("Result") == "success", unit.show("Result")


@timeout(60)
def test_restart_drains_for_restart_grace_only(env):
    """systemctl restart: those who wait in the backlog are not kept waiting for shutdown_grace."""
    origin, port = ScriptedOrigin(env, lambda conn, incoming: conn.hang()), env.port()
    manager = UserManager(env)
    text = yaml({"web": http_listener(port, [proxy(f"http://127.0.0.1:{origin.port}")])},
                runtime={"shutdown_grace": "1h", "restart_grace": "1s"})
    unit = manager.weir(text, TimeoutStopSec="50s")
    manager.systemctl("start", unit.name)
    old = unit.pid
    client = RawClient(env, port, limit=40)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until(origin.requests, "the request at the origin")
    manager.systemctl("restart", unit.name)
    assert unit.pid != old and unit.show("Result") == "success", unit.show("Result")
    assert "SIGTERM for a restart: draining 1 connections, at most 1 s" in unit.text(), unit.text()


PLUGIN = """
#include <weir/plugin.h>

/* Holds its loop for ever. */
static weir_error *stick(weir_transport *transport, void *state, const void *config)
{
    (void)transport, (void)state, (void)config;
    for (volatile int i = 0;; i++)
        ;
    return NULL;
}

static const weir_protocol sticky = {WEIR_SIZED(weir_protocol), .name = "sticky", .connection_made = stick};

WEIR_PLUGIN(.name = "sticky", .version = "0.1.0", .summary = "Never comes back", .protocols = WEIR_LIST(&sticky));
"""


@timeout(120)
def test_stuck_loop_is_killed_by_the_watchdog_and_weir_comes_back(env):
    manager, port, sticky = UserManager(env), env.port(), env.port()
    library, options = env.dir / "sticky.so", env.options
    source = env.file("sticky.c", PLUGIN)
    include = run(["pkg-config", "--cflags", "--libs", "weir-plugin"],
                  env={**os.environ, "PKG_CONFIG_PATH": str(options.libdir / "pkgconfig"),
                       "PKG_CONFIG_SYSROOT_DIR": options.destdir})
    built = run([*shlex.split(os.environ.get("CC", "cc")), "-std=gnu11", "-fPIC", "-shared", source, "-o", library,
                 *shlex.split(include.stdout.decode())], 60)
    if built.returncode:
        raise Failed("the plugin does not build:\n" + built.stderr.decode())
    listeners = {"web": http_listener(port, [respond(200, "x")]),
                 "stuck": {"bind": f"127.0.0.1:{sticky}", "protocol": "sticky"}}
    unit = manager.weir(yaml(listeners, plugins={"sticky": {"path": str(library)}}, runtime={"threads": 1}), WatchdogSec="2s",
                        extra=["LimitCORE=0"])
    manager.systemctl("start", unit.name)
    old = unit.pid
    # It lives longer than the watchdog's limit while its loops turn.
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 3, "time to pass")
    assert unit.pid == old and unit.show("Result") == "success"
    socket.create_connection(("127.0.0.1", sticky)).close()
    unit.wait_new_process(old, 60)
    assert "loop traffic-0 has not turned for half of WatchdogSec" in unit.text(), unit.text()
    assert RawClient(env, port, limit=30).ask().status == 200
    assert unit.show("NRestarts") == "1"


def test_credentials_are_read_where_the_manager_puts_them(env):
    """What a nested manager cannot set up (its own mounts) is put there by the test; a system's LoadCredential= stays
    for a real host."""
    manager, port = UserManager(env), env.port()
    listener = http_listener(port, [respond(200, "${cred:motto}")])
    secret = env.file("secret", "by credential\n")
    unit = manager.weir(yaml({"web": listener}), extra=[f"LoadCredential=motto:{secret}"])
    code, _ = manager.try_systemctl("start", unit.name)
    if code:
        folder = env.dir / "credentials"
        folder.mkdir()
        (folder / "motto").write_text("by credential\n")
        (folder / "motto").chmod(0o400)
        unit = manager.weir(yaml({"web": listener}), "own.service", extra=[f"Environment=CREDENTIALS_DIRECTORY={folder}"])
        manager.systemctl("start", unit.name)
    assert RawClient(env, port).ask().body == b"by credential"


def test_shipped_units_are_what_systemd_understands(env):
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    options, found = env.options, []
    for unit in sorted(options.prefix.rglob("weir*.service")) + sorted(options.prefix.rglob("weir*.socket")):
        text = unit.read_text().replace("/usr/local/", f"{options.prefix}/")
        found.append(env.file(f"verify/{unit.name}", text))
    assert len(found) >= 2, found
    result = run(["systemd-analyze", "verify", *found],
                 env={**os.environ, "MANPATH": f"{options.prefix}/share/man", "SYSTEMD_UNIT_PATH": f"{env.dir}/verify:"})
    said = [line for line in result.stderr.decode().splitlines() if "weir" in line]
    assert result.returncode == 0 and not said, result.stderr.decode()
