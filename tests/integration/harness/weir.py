# SPDX-License-Identifier: Apache-2.0
"""The installed weir, run the way a person runs it."""

import os
import re
import signal

from .config import to_yaml
from .env import Failed
from .process import Process, listening_paths, listening_ports, run, wait_until

# What a sanitizer, or weir itself, prints when the run is broken although every answer was right.
BROKEN = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|: runtime error: "
                    r"|definitely lost: [1-9]|possibly lost: [1-9]|Invalid (read|write) of size")


def variables(options):
    """The environment in which the installed tree finds its own libraries and plugins."""
    result = dict(os.environ)
    result["LD_LIBRARY_PATH"] = str(options.libdir)
    result["WEIR_PLUGIN_DIR"] = str(options.plugin_dir)
    for name in ("WEIR_DEBUG", "WEIR_DEV", "WEIR_BACKEND", "NOTIFY_SOCKET", "LISTEN_FDS",
                 "JOURNAL_STREAM"):
        result.pop(name, None)
    return result


def command(options, verb, path, *more):
    argv = [*options.wrap, options.weir, verb, "-f", path]
    if options.backend and verb == "run":
        argv += ["--set", f"runtime.backend={options.backend}"]
    return [*argv, *more]


def weir_check(env, path, extra=None):
    """`weir check -f PATH`: returncode, and stdout and stderr as one text."""
    result = run(command(env.options, "check", path), env={**variables(env.options), **(extra or {})})
    return result.returncode, (result.stdout + result.stderr).decode("utf-8", "replace")


def weir_run(env, *arguments):
    """Any other command: returncode, and stdout and stderr as one text."""
    argv = [env.options.weir, *arguments]
    result = run([*env.options.wrap, *argv], env=variables(env.options))
    return result.returncode, (result.stdout + result.stderr).decode("utf-8", "replace")


def weirctl(env, weir, *words, limit=30.0):
    """`weirctl WORDS` to that weir: returncode, stdout, stderr."""
    argv = [env.options.weir.parent / "weirctl", "--socket", weir.control, *words]
    result = run([*env.options.wrap, *argv], limit, env=variables(env.options))
    return result.returncode, result.stdout.decode(), result.stderr.decode()


def activated(sockets):
    """A shell that becomes weir, since LISTEN_PID must be weir's own."""
    if not sockets:
        return []
    moves = " ".join(f"{number}<&{fd}" for number, fd in enumerate(sockets.values(), 3))
    return ["bash", "-c", f"export LISTEN_PID=$$ LISTEN_FDS={len(sockets)} LISTEN_FDNAMES={':'.join(sockets)}; "
            f"exec {moves}; exec \"$@\"", "activated"]


def outcome_pattern(*words):
    """A line with one of operation.md's outcome words, as a word of its own."""
    return r"(?<![\w.])(?:" + "|".join(re.escape(word) for word in words) + r")(?![\w.]*\w)"


class Weir(Process):
    """`weir run` with this configuration (a map or YAML text), serving when the constructor returns.

    `sockets` are handed over as systemd does it: {name: descriptor}.
    At the end of the test it gets TERM, must exit 0, and must not have upset a sanitizer.
    """

    stopping = False  # it has got TERM

    def __init__(self, env, configuration, arguments=(), wait=True, extra=None, name="weir", sockets=None):
        text = configuration if isinstance(configuration, str) else to_yaml(configuration) + "\n"
        self.path = env.file(f"{name}.yaml", text)
        self.expected_status = 0
        if not env.options.weir.exists():
            raise Failed(f"no weir at {env.options.weir} (use --prefix)")
        env.diagnostics.append(lambda: f"--- {self.path.name}\n{text}")
        # A control socket of its own, unless the configuration names one.
        self.control = env.dir / f"{name}.control"
        if "admin" not in text:
            arguments = ["--set", f"admin.control.socket={self.control}", *arguments]
        super().__init__(env, activated(sockets) + command(env.options, "run", self.path, *arguments), name,
                         {**variables(env.options), **(extra or {})}, pass_fds=(sockets or {}).values())
        env.defer(self.finish)
        if wait:
            self.wait_serving(configuration)

    def send_signal(self, number):
        self.stopping = self.stopping or number == signal.SIGTERM
        super().send_signal(number)

    def wait_serving(self, configuration):
        wanted = binds(configuration) if isinstance(configuration, dict) else []
        ports = {int(b.rpartition(":")[2]) for b in wanted if not b.startswith("unix:")} - {0}
        paths = [b[5:] for b in wanted if b.startswith("unix:")]

        def look():
            if not self.alive():
                self.wait()
                raise Failed(f"weir ended with status {self.popen.returncode} instead of serving")
            return ports <= listening_ports() and set(paths) <= listening_paths()
        if ports or paths:
            wait_until(look, f"weir to listen on {sorted(ports)} {paths}", 15)

    def wait_ports(self, count=1):
        """Ports that the start lines name, for listeners with `bind: …:0`."""
        def look():
            found = re.findall(r"(?:127\.0\.0\.1|\[::1\]|\*):(\d+)", self.text())
            real = list(dict.fromkeys(int(p) for p in found if int(p) in listening_ports()))
            if not self.alive():
                raise Failed(f"weir ended with status {self.popen.returncode} instead of serving")
            return real if len(real) >= count else None
        return wait_until(look, f"{count} start line(s) with a port", 15)

    def expect_outcome(self, *words, since=0):
        """Some line from `since` on carries one of these outcome words."""
        return self.wait_line(outcome_pattern(*words), since, 5, what=" or ".join(words))

    def finish(self):
        """Ask it to stop, insist, and judge how it went."""
        if self.alive():
            if not self.stopping:  # a second one, when it has ended its loop already, would kill it
                self.send_signal(signal.SIGTERM)
            try:
                self.wait(10)
            except Failed:
                self.send_signal(signal.SIGTERM)
                try:
                    self.wait(5)
                except Failed:
                    self.env.problem(f"{self.name} ignored two TERMs")
                    return
                self.env.problem(f"{self.name} needed a second TERM though no connection was left")
        status = self.popen.returncode
        if status != self.expected_status:
            self.env.problem(f"{self.name} ended with status {status}, not {self.expected_status}")
        broken = BROKEN.search(self.text())
        if broken:
            self.env.problem(f"{self.name}: a sanitizer reported: {broken.group(0)}\n{self.excerpt(200)}")


def binds(configuration):
    result = []
    for listener in configuration.get("listeners", {}).values():
        value = listener.get("bind", [])
        result += [value] if isinstance(value, str) else value
    return result
