# SPDX-License-Identifier: Apache-2.0
"""Starting the contenders, the origins and the load, and reading what they used."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(FOLDER.parent / "integration"))

from harness.env import Env  # noqa: E402,F401  the path comes first
from harness.peers import Certificates  # noqa: E402
from harness.process import listening_ports, wait_until  # noqa: E402,F401

NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
# Which file serves what, and the words of the lines in it that count only then ("#tls " and the like).
FILES = {
    "weir": {"http": "weir.yaml", "https": "weir.yaml", "tcp": "weir-stream.yaml", "udp": "weir-stream.yaml",
             "websocket": "weir.yaml"},
    "nginx": {"http": "nginx.conf", "https": "nginx.conf", "tcp": "nginx-stream.conf", "udp": "nginx-stream.conf",
              "websocket": "nginx.conf"},
    "haproxy": {"http": "haproxy.cfg", "https": "haproxy.cfg", "tcp": "haproxy-tcp.cfg", "websocket": "haproxy.cfg"},
}
KINDS = ("http", "https", "tcp", "udp", "websocket")
LOAD_LIMIT = 60     # seconds above those it was asked for


class Void(Exception):
    """The run proves nothing; the text says why."""


class Program:
    """A process and its children, pinned to a set of CPUs, output to a file."""

    def __init__(self, name, argv, cpus, folder, variables=None, pipes=False):
        self.name = name
        self.log = folder / f"{name}.log"
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                [str(a) for a in argv], stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else log, stderr=log, cwd=folder, env=variables, process_group=0,
                preexec_fn=lambda: os.sched_setaffinity(0, cpus))

    def pids(self):
        found, queue = [], [self.popen.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                    queue += map(int, children.read().split())
        return found

    def cpu_ns(self):
        total = 0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
                    total += int(stat.read().split()[0])
        return total

    def memory(self):
        """Proportional set size in bytes, without mapped files: their pages are shared with whoever else runs."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
                total += sum(map(int, re.findall(r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", rollup.read(), re.M))) * 1024
        return total

    def wait_ready(self, ready):
        def look():
            if self.popen.poll() is not None:
                raise Void(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            return ready()
        wait_until(look, f"{self.name} to listen", 15)

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(3)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe:
                pipe.close()


def udp_port_is_bound(port):
    with open("/proc/net/udp", encoding="ascii") as table:
        return any(line.split()[1].endswith(f":{port:04X}") for line in table.readlines()[1:])


class Load(Program):
    """The load generator: warm when made, works once it is told to."""

    def __init__(self, stage, arguments, seconds):
        super().__init__("load", [stage.options.programs / "load", *arguments, f"seconds={seconds}"], stage.load_cpus,
                         stage.dir, pipes=True)
        self.limit = seconds + LOAD_LIMIT
        self.failed = None
        line = self.line()
        if line != "ready":
            self.failed = json.loads(line)["failed"] if line.startswith("{") else "the load generator died"

    def line(self):
        if not select.select([self.popen.stdout], [], [], self.limit)[0]:
            return '{"failed": "the load generator said nothing"}'
        return self.popen.stdout.readline().decode().strip()

    def work(self):
        self.popen.stdin.write(b"go\n")
        self.popen.stdin.flush()
        return json.loads(self.line() or '{"failed": "the load generator died"}')


class Stage:
    """What runs: origins, contenders, and where."""

    def __init__(self, options, env):
        self.options = options
        self.env = env
        self.dir = env.dir
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            raise Void("two CPUs are needed: one for the load, one for the contender")
        self.load_cpus, self.proxy_cpus, self.all_cpus = {usable[-1]}, {usable[0]}, set(usable)
        self.programs = []
        self.texts = {}     # configurations as used
        self.certificates = Certificates(env)
        self.pair = self.dir / "pair.pem"
        self.pair.write_text(self.certificates.certificate.read_text() + self.certificates.key.read_text())

    def program(self, name, argv, cpus, port, datagrams=False, variables=None):
        program = Program(name, argv, cpus, self.dir, variables)
        self.programs.append(program)
        program.wait_ready(lambda: udp_port_is_bound(port) if datagrams else port in listening_ports())
        return program

    def load(self, arguments, seconds):
        load = Load(self, arguments, seconds)
        self.programs.append(load)
        return load

    def stop(self, program):
        program.stop()
        self.programs.remove(program)

    def stop_all(self):
        for program in reversed(self.programs):
            program.stop()
        self.programs.clear()

    def origin(self, row):
        port = self.env.port()
        name, *arguments = row.origin
        self.program("origin", [self.options.programs / name, port, *arguments], self.load_cpus, port,
                     datagrams=row.serve == "udp")
        return port

    def configuration(self, contender, kind, port, origin, loops):
        """The contender's file with the lines of this kind and without those of others."""
        file = FILES[contender][kind]
        lines = []
        for line in (FOLDER / file).read_text().splitlines():
            word = re.match(r"( *)#(\w+) (.*)", line)
            if word and word[2] in KINDS:
                if word[2] != kind:
                    continue
                line = word[1] + word[3]
            lines.append(line)
        text = "\n".join(lines) + "\n"
        self.texts[f"{file} ({kind})"] = text
        for word, value in (("@PORT@", port), ("@ORIGIN@", origin), ("@DIR@", self.dir), ("@LOOPS@", loops),
                            ("@CERTIFICATE@", self.certificates.certificate), ("@KEY@", self.certificates.key),
                            ("@PAIR@", self.pair), ("@STREAM_MODULE@", NGINX_STREAM)):
            text = text.replace(word, str(value))
        path = self.dir / f"{port}-{file}"
        path.write_text(text)
        return path

    def contender(self, name, row, origin, loops=1, cpus=None):
        """A fresh one before the origin; (program, port)."""
        port = self.env.port()
        variables = dict(os.environ)
        if name.startswith("bare-"):
            kind = name[5:]
            argv = [self.options.programs / ("forwarder" if kind == "epoll" else f"forwarder-{kind}"), port, origin]
            if kind == "openssl":
                argv += [self.certificates.certificate, self.certificates.key]
        else:
            argv = self.command(name, self.configuration(name.split("-")[0], row.serve, port, origin, loops), variables,
                                port)
        return self.program(name, argv, cpus or self.proxy_cpus, port, row.serve == "udp", variables), port

    def command(self, name, path, variables, port):
        if name == "nginx":
            return ["nginx", "-e", "stderr", "-c", path]
        if name == "haproxy":
            return ["haproxy", "-db", "-f", path]
        if "WEIR_BACKEND" not in os.environ:
            variables["WEIR_BACKEND"] = "io_uring" if name.startswith("weir-uring") else "epoll"
        weir = self.options.before if name.endswith("-before") else self.options.weir
        self.weir_environment(variables, weir)
        argv = [weir, "run", "-f", path, "--set", f"admin.control.socket={self.control(port)}"]
        for setting in self.options.set:
            argv += ["--set", setting]
        return argv

    def control(self, port):
        return self.dir / f"{port}.sock"

    def weir_environment(self, variables, weir=None):
        """Libraries and plugins of that weir; the folders that options name are of the one under test."""
        libdir, plugins = self.options.libdir, self.options.plugin_dir
        if weir and weir != self.options.weir:
            libdir = plugins = None
        prefix = (weir or self.options.weir).parent.parent
        variables["LD_LIBRARY_PATH"] = str(libdir or prefix / "lib")
        variables["WEIR_PLUGIN_DIR"] = str(plugins or Path(variables["LD_LIBRARY_PATH"]) / "weir" / "plugins")
        return variables

    def why_absent(self, name, row):
        """None: it can take part."""
        program = name.split("-")[0]
        if program == "bare":
            return None
        if row.serve not in FILES[program]:
            return f"has no {row.serve}"
        if program == "weir":
            if not self.options.weir or not self.options.weir.exists():
                return "not installed"
            plugin = {"udp": "udp", "tcp": "tcp"}.get(row.serve, "http")
            folder = Path(self.weir_environment({})["WEIR_PLUGIN_DIR"])
            return None if list(folder.glob(f"*{plugin}.so")) else f"has no plugin {plugin}"
        if not shutil.which(program):
            return "not installed"
        if program == "nginx" and "stream" in FILES["nginx"][row.serve] and not NGINX_STREAM.exists():
            return "without libnginx-mod-stream"
        return None
