# SPDX-License-Identifier: Apache-2.0
"""Processes: started in a group of their own, watched by their output, and always ended."""

import os
import re
import signal
import subprocess
import threading
import time

from .env import Failed, scaled

_pause = threading.Event()


def wait_until(condition, what, limit=10.0):
    """Wait for something that gives no event of its own (a port, a /proc file); returns its value."""
    deadline = time.monotonic() + scaled(limit)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"waited {scaled(limit):g} s for {what}")
        _pause.wait(0.005)


def listening_paths():
    """Paths of the Unix sockets that somebody listens on; a stale file is none of them."""
    paths = set()
    for line in open("/proc/net/unix", encoding="utf-8", errors="replace").read().splitlines()[1:]:
        words = line.split(None, 7)
        if len(words) == 8 and int(words[3], 16) & 0x10000:
            paths.add(words[7])
    return paths


def listening_ports():
    """TCP ports that some process listens on, without connecting to any of them."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                next(lines)
                for line in lines:
                    fields = line.split()
                    if fields[3] == "0A":
                        ports.add(int(fields[1].rpartition(":")[2], 16))
        except OSError:
            pass
    return ports


def run(argv, limit=30.0, stdin=None, env=None, cwd=None):
    """Run a program to its end; the result has returncode, stdout and stderr as bytes."""
    try:
        return subprocess.run([str(a) for a in argv], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=scaled(limit), env=env, cwd=cwd,
                              stdin=None if stdin is not None else subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{argv[0]} did not end within {scaled(limit):g} s: {argv}") from late


class Process:
    """A program whose stdout and stderr are read line by line, as one log."""

    def __init__(self, env, argv, name, variables=None, cwd=None, pass_fds=()):
        self.env = env
        self.name = name
        self.argv = [str(a) for a in argv]
        self.lines = []
        self._news = threading.Condition()
        self._ended_output = False
        self.popen = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=variables, cwd=cwd or env.dir, process_group=0, pass_fds=pass_fds)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        env.defer(self.kill)
        env.diagnostics.append(self.excerpt)

    @property
    def pid(self):
        return self.popen.pid

    def _read(self):
        for raw in self.popen.stdout:
            with self._news:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended_output = True
            self._news.notify_all()

    def excerpt(self, count=40):
        with self._news:
            shown, total = self.lines[-count:], len(self.lines)
        status = self.popen.poll()
        state = "running" if status is None else f"exit status {status}"
        head = f"--- {self.name} (pid {self.pid}, {state}; last {len(shown)} of {total} lines)"
        return "\n".join([head, *shown])

    def mark(self):
        """A position in the log, for wait_line(since=…)."""
        with self._news:
            return len(self.lines)

    def text(self, since=0):
        with self._news:
            return "\n".join(self.lines[since:])

    def wait_line(self, pattern, since=0, limit=10.0, what=None):
        """The first match of the pattern in a line from `since` on, waiting for it."""
        regex = re.compile(pattern)
        deadline = time.monotonic() + scaled(limit)
        position = since
        with self._news:
            while True:
                while position < len(self.lines):
                    found = regex.search(self.lines[position])
                    if found:
                        return found
                    position += 1
                rest = deadline - time.monotonic()
                if self._ended_output or rest <= 0:
                    why = "its output ended" if self._ended_output else f"{scaled(limit):g} s passed"
                    raise Failed(f"{self.name}: no line says {what or pattern!r} ({why})")
                self._news.wait(rest)

    def wait_listening(self, port, limit=10.0):
        """Until the port is listened on, or the process ends, which fails at once."""
        def look():
            if self.popen.poll() is not None:
                raise Failed(f"{self.name} ended with status {self.popen.returncode} before it listened")
            return port in listening_ports()
        wait_until(look, f"{self.name} to listen on port {port}", limit)

    def alive(self):
        return self.popen.poll() is None

    def send_signal(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def wait(self, limit=10.0):
        try:
            status = self.popen.wait(scaled(limit))
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{self.name} did not end within {scaled(limit):g} s") from late
        self._reader.join(scaled(5))
        return status

    def stop(self, number=signal.SIGTERM, limit=10.0):
        self.send_signal(number)
        return self.wait(limit)

    def kill(self):
        """End it and whatever it started: the group is ours alone."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        self._reader.join(5)
        self.popen.stdout.close()

    def _status_kib(self, key):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as lines:
            for line in lines:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
        raise Failed(f"no {key} for {self.name}")

    def rss(self):
        """Resident bytes now."""
        return self._status_kib("VmRSS") * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))
