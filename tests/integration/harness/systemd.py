# SPDX-License-Identifier: Apache-2.0
"""A real systemd: a user instance in a mount namespace and a control group of its own.

    manager = UserManager(env)              # Skip, with the reason, where it cannot be had
    unit = manager.weir(config, WatchdogSec="1s")
    manager.systemctl("start", unit.name)

What the unit says of start, stop, restart and watchdog is what systemd/weir.service.in says; users, folders and
the sandbox need the system's manager and are left out.
"""

import os
import re
import shutil
import signal
import subprocess

from .env import Skip, scaled
from .process import run, wait_until
from .weir import variables

# Inside the namespace: /run as a login would find it, cgroup v2 where systemd looks for it.
ENTER = """
set -e
mkdir -p /run/user/0 /run/systemd
mount -t tmpfs tmpfs /run/user/0
mount -t tmpfs tmpfs /run/systemd
mkdir -p /run/systemd/system
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/$1 /sys/fs/cgroup/$1/manager
echo $$ > /sys/fs/cgroup/$1/manager/cgroup.procs
export XDG_RUNTIME_DIR=/run/user/0 SYSTEMD_UNIT_PATH=$2
exec /lib/systemd/systemd --user --unit=basic.target --log-target=console
"""
LEAVE = """
umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && cd /sys/fs/cgroup || exit 0
[ -d $1 ] || exit 0
echo 1 > $1/cgroup.kill
until grep -q 'populated 0' $1/cgroup.events; do :; done
find $1 -depth -type d -exec rmdir {} \\;
"""
KEPT = re.compile(r"(Type|NotifyAccess|ExecReload|Restart|RestartSec|RestartPreventExitStatus|WatchdogSec|TimeoutStartSec"
                  r"|TimeoutStopSec|KillMode|FileDescriptorStoreMax|StartLimit\w+)=")


class Unit:
    def __init__(self, manager, name, path, log):
        self.manager, self.name, self.path, self.log = manager, name, path, log
        self.said = ""

    def show(self, what):
        return self.manager.systemctl("show", "--value", "-p", what, self.name).strip()

    @property
    def pid(self):
        return int(self.show("MainPID") or 0)

    def wait(self, what, value, limit=20.0):
        wait_until(lambda: self.show(what) == value, f"{what}={value} of {self.name} (it is {self.show(what)})", limit)

    def wait_new_process(self, old, limit=20.0):
        """Serving again, by another process."""
        wait_until(lambda: self.pid not in (0, old) and self.show("ActiveState") == "active", "a new process", limit)
        return self.pid

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class UserManager:
    def __init__(self, env):
        self.env = env
        if os.geteuid() != 0:
            raise Skip("namespaces of its own need root")
        for tool in ("unshare", "nsenter", "systemctl", "/lib/systemd/systemd"):
            if not shutil.which(tool):
                raise Skip(f"{tool} is not installed")
        if run(["unshare", "-m", "--propagation", "private", "true"]).returncode:
            raise Skip("the system refuses mount namespaces")
        self.group = f"weir-test-{os.getpid()}"
        self.units = env.dir / "units"
        self.units.mkdir()
        (self.units / "basic.target").write_text("[Unit]\nDescription=weir's tests\n")
        self.log = env.dir / "systemd.log"
        self._output = self.log.open("wb")
        self.said = ""
        env.diagnostics.append(lambda: "--- systemd\n" + self.said[-3000:])
        self._process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "--fork", "--kill-child", "sh", "-c", ENTER, "sh", self.group,
             str(self.units)], stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT)
        env.defer(self.close)
        self._pid = wait_until(self._child, "the manager's process")
        wait_until(self._answers, "systemd to answer")

    def _child(self):
        if self._process.poll() is not None:
            raise Skip("no systemd of one's own here: " + self.log.read_text(errors="replace").strip()[-200:])
        text = open(f"/proc/{self._process.pid}/task/{self._process.pid}/children", encoding="ascii").read()
        return int(text.split()[0]) if text.strip() else None

    def _answers(self):
        if self._process.poll() is not None:
            raise Skip("no systemd of one's own here: " + self.log.read_text(errors="replace").strip()[-200:])
        return self._enter(["systemctl", "--user", "is-system-running"]).stdout.strip() in (b"running", b"degraded")

    def _enter(self, argv, limit=60.0):
        return run(["nsenter", "-t", self._pid, "-m", "env", "XDG_RUNTIME_DIR=/run/user/0", *argv], limit)

    def close(self):
        run(["unshare", "-m", "--propagation", "private", "sh", "-c", LEAVE, "sh", self.group])
        self._process.kill()
        self._process.wait(scaled(10))
        self._output.close()
        self.said = self.log.read_text(errors="replace")

    def try_systemctl(self, *words):
        """returncode and all output."""
        result = self._enter(["systemctl", "--user", *words])
        return result.returncode, (result.stdout + result.stderr).decode("utf-8", "replace")

    def systemctl(self, *words):
        code, text = self.try_systemctl(*words)
        assert code == 0, f"systemctl {words}: {code} {text}"
        return text

    def unit(self, name, text):
        (self.units / name).write_text(text)
        self.systemctl("daemon-reload")

    def service(self, command, name="weir.service", extra=(), **settings):
        """A service with the settings of the shipped unit, changed by `settings` (None: left out)."""
        shipped = (self.env.options.source / "systemd" / "weir.service.in").read_text()
        lines = [line for line in shipped.splitlines() if KEPT.match(line)]
        control = self.env.dir / f"{name}.control"
        options = self.env.options
        lines = [line.replace("@bindir@", str(options.weir.parent)) for line in lines]
        unit = [line for line in lines if line.startswith("StartLimit")]
        body = [line for line in lines if not line.startswith("StartLimit") and line.split("=")[0] not in settings]
        body += [f"{key}={value}" for key, value in settings.items() if value is not None]
        environment = {key: value for key, value in variables(options).items()
                       if key in ("LD_LIBRARY_PATH", "WEIR_PLUGIN_DIR", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS",
                                  "TSAN_OPTIONS", "PATH")}
        environment["WEIR_CONTROL"] = str(control)
        body += [f'Environment="{key}={value}"' for key, value in environment.items()]
        log = self.env.dir / f"{name}.log"
        body += [f"ExecStart={command}", f"StandardOutput=append:{log}", f"StandardError=append:{log}", *extra]
        self.unit(name, "\n".join(["[Unit]", "DefaultDependencies=no", *unit, "[Service]", *body]) + "\n")
        made = Unit(self, name, None, log)
        self.env.diagnostics.append(lambda: f"--- {name}\n" + made.said[-4000:])
        self.env.defer(lambda: self._check(made))
        return made

    def _check(self, unit):
        unit.said = unit.text()
        for word in ("Sanitizer:", "runtime error:", "definitely lost"):
            if word in unit.said:
                self.env.problem(f"{unit.name} reported {word}")

    def weir(self, configuration, name="weir.service", **settings):
        """The installed weir with this YAML text."""
        path = self.env.file(f"{name}.yaml", configuration)
        command = f"{self.env.options.weir} run --config {path} --set admin.control.socket={self.env.dir / (name + '.control')}"
        unit = self.service(command, name, **settings)
        unit.path = path
        return unit

    def kill(self, unit, number=signal.SIGKILL):
        os.kill(unit.pid, number)
