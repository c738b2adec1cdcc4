# SPDX-License-Identifier: Apache-2.0
"""The world of one test: its folder, its ports, what it started, and how a test is marked."""

import os
import random
import socket
import tempfile
import traceback
from pathlib import Path

# Below the kernel's ephemeral range (32768 and up), so no outgoing connection ever takes one of ours.
PORT_FIRST, PORT_LAST = 20000, 32000


class Failed(AssertionError):
    """A claim that did not hold, in words."""


class Skip(Exception):
    """The test cannot run here; the text says why."""


def scaled(seconds):
    """A limit for this machine: sanitizers and valgrind are slower by WEIR_TEST_SCALE."""
    return seconds * float(os.environ.get("WEIR_TEST_SCALE", "1"))


def cases(*rows):
    """Run the test once per row: (name, argument...)."""
    def mark(function):
        function.cases = rows
        return function
    return mark


def timeout(seconds):
    """The test's own limit instead of the runner's."""
    def mark(function):
        function.timeout = seconds
        return function
    return mark


def needs_full(function):
    """Only in `--full` runs."""
    function.full = True
    return function


class Options:
    """Where the installed tree is; the runner's flags become these variables for its children."""

    def __init__(self):
        variables = os.environ
        self.prefix = Path(variables.get("WEIR_PREFIX", "/usr/local"))
        self.libdir = Path(variables.get("WEIR_LIBDIR", self.prefix / "lib"))
        self.plugin_dir = Path(variables.get("WEIR_PLUGIN_DIR", self.libdir / "weir" / "plugins"))
        self.destdir = variables.get("WEIR_DESTDIR", "")
        self.backend = variables.get("WEIR_BACKEND", "")
        self.wrap = variables.get("WEIR_WRAP", "").split()
        self.full = variables.get("WEIR_FULL", "") == "1"
        self.verbose = variables.get("WEIR_VERBOSE", "") == "1"
        self.source = Path(__file__).resolve().parents[3]

    @property
    def weir(self):
        return self.prefix / "bin" / "weir"


class Env:
    def __init__(self, name):
        self.name = name
        self.options = Options()
        self.problems = []      # found while cleaning up; they fail the test too
        self.diagnostics = []   # callables that give text for a failed test
        self._undo = []
        self._reservations = []
        folder = tempfile.TemporaryDirectory(prefix="weir-test-")
        self.dir = Path(folder.name)
        self.dir.chmod(0o755)
        self.defer(folder.cleanup)

    def defer(self, function):
        self._undo.append(function)

    def port(self):
        """A free TCP port, reserved against every other test on this machine.

        The reservation is an abstract Unix socket named after the port: it cannot outlive us.
        """
        for port in random.sample(range(PORT_FIRST, PORT_LAST), 2000):
            reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                reservation.bind(f"\0weir-test-port-{port}")
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                reservation.close()
                continue
            self._reservations.append(reservation)
            return port
        raise Failed("no free port")

    def file(self, name, content):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def problem(self, text):
        self.problems.append(text)

    def close(self):
        for undo in reversed(self._undo):
            try:
                undo()
            except Exception:  # one broken clean-up must not keep the others from running
                self.problem("clean-up failed: " + traceback.format_exc())
        self._undo.clear()
        for reservation in self._reservations:
            reservation.close()
