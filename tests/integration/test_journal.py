# SPDX-License-Identifier: Apache-2.0
"""systemd's journal, played by the test: which records come, with which fields, and what happens without it."""

import os
import re
import signal
import socket
import struct
import subprocess

from harness import RawClient, Weir, app, chain, config, http_listener, respond, run, wait_until, weirctl
from harness.config import to_yaml
from harness.weir import command, variables


def parse(datagram):
    """Fields of the native protocol: NAME=value, or NAME, the length and a value with lines of its own."""
    fields, at = [], 0
    while at < len(datagram):
        end = datagram.index(b"\n", at)
        line = datagram[at:end]
        if b"=" in line:
            name, value = line.split(b"=", 1)
            at = end + 1
        else:
            name = line
            size, = struct.unpack("<Q", datagram[end + 1:end + 9])
            value = datagram[end + 9:end + 9 + size]
            assert datagram[end + 9 + size:end + 10 + size] == b"\n", datagram
            at = end + 10 + size
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]*", name), name
        fields.append((name.decode(), value.decode()))
    result = dict(fields)
    assert len(result) == len(fields), f"a field is there twice: {fields}"
    return result


class Journal:
    def __init__(self, env):
        self.path = env.dir / "journal.socket"
        self.records = []
        self.listen(env)

    def listen(self, env):
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)
        env.defer(self.socket.close)

    def read(self):
        try:
            while True:
                self.records.append(parse(self.socket.recv(1 << 20)))
        except BlockingIOError:
            return self.records

    def wait(self, pattern):
        def look():
            return [r for r in self.read() if re.search(pattern, r["MESSAGE"])]
        return wait_until(look, f"a record with {pattern}: {self.records}")[0]


def event(env, name):
    header = (env.options.source / "include/weir/event.h").read_text()
    return re.search(rf'WEIR_EVENT_{name} "(\w+)"', header)[1]


def start(env, settings, **log):
    journal = Journal(env)
    weir = Weir(env, chain(settings, {"log": {"format": "journal", **log}}),
                extra={"WEIR_JOURNAL_SOCKET": str(journal.path)})
    return journal, weir


def test_records_have_their_fields(env):
    port, nobody = env.port(), env.port()
    journal, weir = start(env, app(port, nobody, retries=0))
    started = journal.wait("^ready$")
    assert started["MESSAGE_ID"] == event(env, "STARTED") and started["PRIORITY"] == "6", started
    assert started["CODE_FILE"].endswith("daemon/run.c") and int(started["CODE_LINE"]) > 0
    assert started["CODE_FUNC"] == "serve" and started["WEIR_LOGGER"] == "weir.daemon"
    assert started["SYSLOG_IDENTIFIER"] == "weir"
    assert RawClient(env, port).ask("GET", "/x").status == 502
    down = journal.wait("server .* failed")
    assert down["MESSAGE_ID"] == event(env, "SERVER_DOWN") and down["PRIORITY"] == "4", down
    assert down["WEIR_UPSTREAM"] == "app" and down["WEIR_SERVER"] == f"127.0.0.1:{nobody}"
    failed = journal.wait("GET weir.test/x")
    assert failed["WEIR_LISTENER"] == "web" and failed["WEIR_ROUTE"] == "routes[0]", failed
    assert failed["WEIR_OUTCOME"] == "upstream.connect.refused" and failed["WEIR_CONN"].isdigit()
    weir.stop()
    assert journal.wait("^stopped$")["MESSAGE_ID"] == event(env, "STOPPED")
    assert weir.text() == "", weir.text()


def test_what_operators_say_of_a_server_is_an_event(env):
    origin = env.port()
    journal, weir = start(env, app(env.port(), origin))
    journal.wait("^ready$")
    name = f"app/127.0.0.1:{origin}"
    for words, text in ((("drain", name), "is drained"), (("disable", name), "is disabled"),
                        (("weight", name, "50"), "has weight 50"), (("enable", name), "is in use"),
                        (("weight", name, "--reset"), "is as the configuration says")):
        assert weirctl(env, weir, *words)[0] == 0
        said = journal.wait(f"server {re.escape(name)} {text}, says ")
        assert said["MESSAGE_ID"] == event(env, "SERVER_OVERRIDDEN") and said["PRIORITY"] == "6", said
        assert said["WEIR_UPSTREAM"] == "app" and said["WEIR_SERVER"] == f"127.0.0.1:{origin}", said
        assert said["MESSAGE"].endswith(", says " + said["WEIR_BY"]), said


def test_every_event_is_sent_by_somebody(env):
    header = (env.options.source / "include/weir/event.h").read_text()
    sources = "".join(path.read_text() for folder in ("core", "http", "host", "daemon", "plugins")
                      for path in (env.options.source / folder).rglob("*.c"))
    names = re.findall(r'#define (WEIR_EVENT_\w+) "', header)
    assert names and not [name for name in names if not re.search(name + r"\b", sources)]


def test_error_has_its_number_and_its_lines(env):
    folder = env.dir / "folder"
    folder.mkdir()
    journal, weir = start(env, config({"web": http_listener(env.port(), [respond(200)])}),
                          access={"output": str(folder / "access.log")})
    journal.wait("^ready$")
    (folder / "access.log").unlink()
    folder.rmdir()
    weir.send_signal(signal.SIGUSR1)
    record = journal.wait("SIGUSR1")
    assert record["ERRNO"] == "2" and record["PRIORITY"] == "3", record
    assert "cannot open the access log" in record["MESSAGE"] and "\n" in record["MESSAGE"], record


def test_stderr_that_is_the_journal_is_noticed(env):
    port, journal = env.port(), Journal(env)
    path = env.file("j.yaml", to_yaml(config({"web": http_listener(port, [respond(200)])})) + "\n")
    with open(env.dir / "stderr", "wb") as stderr:
        status = os.fstat(stderr.fileno())
        popen = subprocess.Popen(
            [str(a) for a in command(env.options, "run", path, "--set", f"admin.control.socket={env.dir / 'c'}")],
            stderr=stderr, env={**variables(env.options), "WEIR_JOURNAL_SOCKET": str(journal.path),
                                "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    env.defer(lambda: (popen.kill(), popen.wait()))
    assert journal.wait("^ready$")["PRIORITY"] == "6"
    popen.terminate()
    assert popen.wait(10) == 0
    assert (env.dir / "stderr").read_bytes() == b""


def test_another_stderr_is_not_the_journal(env):
    journal = Journal(env)
    weir = Weir(env, config({"web": http_listener(env.port(), [respond(200)])}),
                extra={"WEIR_JOURNAL_SOCKET": str(journal.path), "JOURNAL_STREAM": "1:2"})
    weir.wait_line("ready")
    assert journal.read() == [] and "<6>" not in weir.text()


def test_journal_that_goes_away_leaves_text_and_comes_back(env):
    port = env.port()
    journal, weir = start(env, config({"web": http_listener(port, [respond(200, path="/x")])}))
    journal.wait("^ready$")
    journal.socket.close()
    journal.path.unlink()
    RawClient(env, port).ask("GET", "/one")
    weir.wait_line(r"<6>weir.access: GET weir.test/one: route.none")
    journal.listen(env)
    RawClient(env, port).ask("GET", "/two")
    assert journal.wait("/two")["WEIR_STATUS"] == "404"
    assert "/two" not in weir.text()


def test_journal_that_does_not_read_delays_nobody(env):
    port = env.port()
    journal, weir = start(env, config({"web": http_listener(port, [respond(200, path="/x")])}))
    client = RawClient(env, port)
    for number in range(3000):
        assert client.ask("GET", f"/{number}").status == 404
    journal.wait("records dropped")
    dropped = [r for r in journal.records if "records dropped" in r["MESSAGE"]][0]
    assert dropped["MESSAGE_ID"] == event(env, "LOG_DROPPED") and "the journal" in dropped["MESSAGE"], dropped


def test_journal_that_is_not_there_is_an_error_when_it_was_asked_for(env):
    weir = Weir(env, chain(config({"web": http_listener(env.port(), [respond(200)])}), {"log": {"format": "journal"}}),
                extra={"WEIR_JOURNAL_SOCKET": str(env.dir / "nobody")}, wait=False)
    weir.expected_status = 71
    weir.wait_line("cannot reach the journal at .*/nobody")
    weir.wait()


def test_catalog_has_a_text_for_each_event(env):
    header = (env.options.source / "include/weir/event.h").read_text()
    catalog = (env.options.source / "systemd/weir.catalog").read_text()
    ids = re.findall(r'WEIR_EVENT_\w+ "([0-9a-f]{32})"', header)
    assert len(set(ids)) == len(ids) >= 15
    assert sorted(ids) == sorted(re.findall(r"^-- ([0-9a-f]{32})$", catalog, re.M))
    root = env.dir / "root"
    for folder in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
        (root / folder).mkdir(parents=True)
    (root / "usr/lib/systemd/catalog/weir.catalog").write_text(catalog)
    try:
        result = run(["journalctl", f"--root={root}", "--update-catalog"])
    except FileNotFoundError:
        return  # the texts were compared all the same
    assert result.returncode == 0 and not result.stderr, result.stderr
    listed = run(["journalctl", f"--root={root}", "--list-catalog"]).stdout.decode()
    assert all(i in listed for i in ids), listed
