# SPDX-License-Identifier: Apache-2.0
"""What the daemon and systemd say to each other, with the test in systemd's place: the notify socket, the
watchdog, sockets handed over.."""

import array
import os
import shutil
import signal
import socket
import subprocess

from harness import Failed, RawClient, Skip, Weir, config, http_listener, respond, run


class Manager:
    """The receiving end of sd_notify; keeps stored descriptors."""

    def __init__(self, env):
        self.path = env.dir / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(10)
        self.stored = {}
        env.defer(self.close)

    def close(self):
        for fd in self.stored.values():
            os.close(fd)
        self.socket.close()

    def wait(self, *wanted):
        """The first message with each of these at the start of some line."""
        while True:
            try:
                data, control, _, _ = self.socket.recvmsg(4096, 1024)
            except TimeoutError as late:
                raise Failed(f"nobody said {wanted}") from late
            fds = array.array("i")
            for _, _, block in control:
                fds.frombytes(block[:len(block) - len(block) % fds.itemsize])
            lines = data.decode().split("\n")
            for fd in fds:
                if "FDSTORE=1" in lines:
                    self.stored[next(line[7:] for line in lines if line.startswith("FDNAME="))] = fd
                else:
                    os.close(fd)
            if all(any(line.startswith(text) for line in lines) for text in wanted):
                return lines


def start(env, port, manager, **more):
    more.setdefault("extra", {})["NOTIFY_SOCKET"] = str(manager.path)
    return Weir(env, config({"web": http_listener(port, [respond(200, "x")])}), **more)


def test_ready_comes_when_it_serves_and_stopping_when_it_stops(env):
    manager, port = Manager(env), env.port()
    weir = start(env, port, manager, wait=False)
    lines = manager.wait("READY=1")
    assert "STATUS=serving: 1 listener, 0 upstreams, 0 connections, generation 1" in lines, lines
    assert RawClient(env, port).ask().status == 200
    weir.send_signal(signal.SIGTERM)
    manager.wait("STOPPING=1")
    manager.wait("STATUS=draining")
    manager.wait("EXTEND_TIMEOUT_USEC=")
    assert weir.wait(5) == 0


def test_rejected_configuration_is_never_ready_and_78(env):
    manager = Manager(env)
    weir = Weir(env, "version: 1\nlistners: {}\n", extra={"NOTIFY_SOCKET": str(manager.path)})
    weir.expected_status = 78
    assert weir.wait(10) == 78
    manager.socket.settimeout(0.05)
    try:
        manager.wait("READY=1")
    except Failed:
        return
    raise Failed("a daemon that was refused said READY=1")


def test_watchdog_is_fed_while_loops_turn(env):
    manager, port = Manager(env), env.port()
    start(env, port, manager, extra={"WATCHDOG_USEC": "400000"})
    for _ in range(3):
        manager.wait("WATCHDOG=1")


def test_stored_socket_is_used_by_the_next_process_and_refuses_nobody(env):
    manager, port = Manager(env), env.port()
    weir = start(env, port, manager)
    manager.wait("READY=1")
    stored = manager.stored["web"]
    weir.expected_status = -signal.SIGKILL
    weir.send_signal(signal.SIGKILL)
    weir.wait(5)
    waiting = RawClient(env, port)  # nobody serves, and it is not refused
    waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    path = env.file("second.yaml", (env.dir / "weir.yaml").read_text())
    script = f'export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; exec 3<&{stored}; exec "$@"'
    from harness.weir import command, variables
    argv = ["sh", "-c", script, "sh", *command(env.options, "run", path),
            "--set", f"admin.control.socket={env.dir}/second.control"]
    os.set_inheritable(stored, True)
    second = subprocess.Popen([str(a) for a in argv], pass_fds=[stored], env=variables(env.options),
                              stderr=subprocess.DEVNULL)
    env.defer(lambda: (second.terminate(), second.wait()))
    response = waiting.response()
    assert response.status == 200, response


def test_unit_is_hardened(env):
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    text = (env.options.source / "systemd" / "weir.service.in").read_text()
    for name, value in (("bindir", "/usr/bin"), ("libdir", "/usr/lib"), ("weirconfdir", "/etc/weir")):
        text = text.replace(f"@{name}@", value)
    unit = env.file("weir.service", text)
    result = run(["systemd-analyze", "security", "--offline=true", "--threshold=15", unit])
    assert result.returncode == 0, result.stdout[-300:]
