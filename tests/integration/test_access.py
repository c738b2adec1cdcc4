# SPDX-License-Identifier: Apache-2.0
"""The access log: exactly one line for each request and connection, with the word for how it ended.

A test makes something happen and reads the log: no line is missing, none is there twice, and every value that it
can know beforehand is the one in the line. Then the outputs that go wrong: a full disk, a pipe that nobody reads,
a file that is moved away.
"""

import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import threading

from harness import (Certificates, RawClient, ScriptedOrigin, Weir, app, cases, chain, config, http_listener, ok_response,
                     proxy, request, respond, run, tcp_listener, upstream, wait_until, weir_check, weirctl)
from harness.weir import variables
from harness.config import to_yaml
from test_plugin_build import pkg_config


class Log:
    def __init__(self, env, name="access.log", **access):
        self.path = env.dir / name
        self.settings = {"log": {"access": chain({"output": str(self.path), "format": "json"}, access)}}

    def text(self):
        return self.path.read_text(errors="surrogateescape") if self.path.exists() else ""

    def lines(self, count):
        """So many lines, and no more of them."""
        wait_until(lambda: self.text().count("\n") >= count, f"{count} lines in {self.path.name}:\n{self.text()}")
        lines = self.text().splitlines()
        assert len(lines) == count and self.text().endswith("\n"), self.text()
        return lines

    def records(self, count):
        return [json.loads(line) for line in self.lines(count)]

    def record(self):
        return self.records(1)[0]


def expect(record, **values):
    for key, value in values.items():
        assert record.get(key) == value, f"{key} is {record.get(key)!r}, not {value!r}: {record}"


def logged_app(env, handler=None, log=None, listener=None, on_accept=None, **settings):
    log = log or Log(env)
    origin = ScriptedOrigin(env, handler, on_accept)
    port = env.port()
    weir = Weir(env, chain(app(port, origin.port, listener=listener, **settings), log.settings))
    return log, origin, port, weir


def hello(conn, incoming):
    incoming.body()
    conn.send(ok_response(b"hello"))


# How requests end.

def test_request_that_went_well_has_every_value(env):
    log, origin, port, _ = logged_app(env, hello)
    client = RawClient(env, port)
    assert client.ask("POST", "/a%20b?secret=1", "User-Agent: x\"y", "Referer: http://r/", "X-Request-Id: id-1",
                      body=b"12345", host="Site.test").status == 200
    record = log.record()
    expect(record, listener="web", route="routes[0]", client_ip="127.0.0.1", method="POST", host="site.test",
           path="/a%20b", proto="HTTP/1.1", status=200, upstream="app", server=f"127.0.0.1:{origin.port}", retries=0,
           outcome="ok", user_agent="x\"y", referer="http://r/", request_id="id-1")
    assert record["ts"].endswith("Z") and record["conn"] > 0 and record["bytes_in"] > 100 and record["bytes_out"] > 5
    assert 0 < record["connect_ms"] <= record["first_byte_ms"] <= record["duration_ms"], record
    assert "secret" not in log.text() and "sni" not in record
    assert client.ask().status == 200
    second = log.records(2)[1]
    assert second["conn"] == record["conn"], "the same connection has another number"


def test_client_that_goes_is_client_gone(env):
    def handler(conn, incoming):
        conn.hang()
    log, origin, port, _ = logged_app(env, handler, response_timeout="30s")
    client = RawClient(env, port)
    client.send(request("GET", "/slow"))
    origin.wait_event("request")
    client.reset()
    expect(log.record(), outcome="client.gone", method="GET", path="/slow", upstream="app", route="routes[0]")


@cases(("header", b"GET / HTTP/1.1\r\nHost: a\r\n"), ("body", request("POST", "/", "Content-Length: 9") + b"some"))
def test_client_that_is_slow_is_client_timeout(env, data):
    log, _, port, _ = logged_app(env, hello, listener={"timeouts": {"header": "200ms", "body": "200ms"}})
    client = RawClient(env, port)
    client.send(data)
    client.read_end()
    expect(log.record(), outcome="client.timeout", listener="web")


@cases(("no_colon", b"GET / HTTP/1.1\r\nHost: a\r\nbad\r\n\r\n"), ("garbage", b"\x16\x03\x01\x02\x00\r\n\r\n"),
       ("two_hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"))
def test_request_that_is_none_is_client_bad_request(env, data):
    log, origin, port, _ = logged_app(env, hello)
    client = RawClient(env, port)
    client.send(data)
    assert client.response().status == 400
    expect(log.record(), outcome="client.bad_request", status=400)
    assert not origin.requests()


def test_request_without_a_route_is_route_none(env):
    log = Log(env)
    port = env.port()
    Weir(env, chain(config({"web": http_listener(port, [respond(200, "x", path="/x")])}), log.settings))
    assert RawClient(env, port).ask("GET", "/y").status == 404
    record = log.record()
    expect(record, outcome="route.none", status=404, path="/y")
    assert "route" not in record and "upstream" not in record


def test_server_that_nobody_is_is_connect_refused(env):
    log, nobody, port = Log(env), env.port(), env.port()
    Weir(env, chain(app(port, nobody, retries=0), log.settings))
    assert RawClient(env, port).ask().status == 502
    expect(log.record(), outcome="upstream.connect.refused", status=502, server=f"127.0.0.1:{nobody}")


def test_server_that_does_not_answer_the_door_is_connect_timeout(env):
    full = socket.socket()
    full.bind(("127.0.0.1", env.port()))
    full.listen(0)
    env.defer(full.close)
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
        env.defer(filler.close)
    log, port = Log(env), env.port()
    Weir(env, chain(app(port, full.getsockname()[1], connect_timeout="300ms", retries=0), log.settings))
    assert RawClient(env, port).ask().status == 504
    record = log.record()
    expect(record, outcome="upstream.connect.timeout", status=504)
    assert record["duration_ms"] >= 250 and "first_byte_ms" not in record, record


@cases(("timeout", b"", "hang", 504, "upstream.response.timeout"),
       ("truncated", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "close", 200, "upstream.response.truncated"),
       ("bad", b"220 mail ESMTP\r\n\r\n", "hang", 502, "upstream.response.bad"),
       ("reset", b"", "reset", 502, "upstream.reset"))
def test_origin_that_fails_is_named(env, data, end, status, outcome):
    def handler(conn, incoming):
        incoming.body()
        if data:
            conn.send(data)
        getattr(conn, end)()
    log, origin, port, _ = logged_app(env, handler, response_timeout="400ms", retries=0)
    client = RawClient(env, port)
    client.send(request("POST", "/", body=b"x"))
    client.response("POST")
    expect(log.record(), outcome=outcome, status=status, upstream="app", server=f"127.0.0.1:{origin.port}")


def test_upstream_without_a_server_left_is_none_available(env):
    log, origin, port, weir = logged_app(env, hello)
    wait_until(weir.control.exists, "the control socket")
    assert weirctl(env, weir, "disable", f"app/127.0.0.1:{origin.port}")[0] == 0
    assert RawClient(env, port).ask().status == 503
    expect(log.record(), outcome="upstream.none_available", status=503, upstream="app")


def test_connection_beyond_the_limit_is_limit_connections(env):
    log, port = Log(env), env.port()
    Weir(env, chain(config({"web": http_listener(port, [respond(200, "x")])},
                           runtime={"limits": {"connections": 1}}), log.settings))
    first = RawClient(env, port)
    assert first.ask().status == 200
    second = RawClient(env, port)
    assert second.read_end() == b""
    # Loops write on their own: the lines of two of them may change places.
    record, = [record for record in log.records(2) if record["outcome"] != "ok"]
    expect(record, outcome="limit.connections", listener="web", client_ip="127.0.0.1")
    assert "status" not in record and "method" not in record


def test_request_that_the_end_of_the_grace_cuts_is_draining(env):
    log, origin, port, weir = logged_app(env, lambda conn, incoming: conn.hang(), response_timeout="30s")
    client = RawClient(env, port)
    client.send(request("GET", "/long"))
    origin.wait_event("request")
    weir.send_signal(signal.SIGTERM)
    weir.wait_line("draining 1 connections")
    weir.send_signal(signal.SIGTERM)
    weir.wait()
    expect(log.record(), outcome="draining", path="/long")


BROKEN_ACTION = r"""
#include <weir/plugin.h>
#include <weir/http.h>

static weir_error *start(weir_http *x) { (void)x; return weir_raise(EIO, "the dog ate it"); }
static const weir_http_action broken = {WEIR_SIZED(weir_http_action), .name = "broken", .start = start};
static const weir_extension action = {WEIR_SIZED(weir_extension), .kind = "http.action", .name = "broken",
                                      .table = &broken};
WEIR_PLUGIN(.name = "broken", .version = "1", .summary = "Fails", .extensions = WEIR_LIST(&action));
"""


def test_action_that_fails_is_plugin_error(env):
    library = env.dir / "broken.so"
    source = env.file("broken.c", "#include <errno.h>\n" + BROKEN_ACTION)
    built = run([*shlex.split(os.environ.get("CC", "cc")), "-std=gnu11", "-fPIC", "-shared", source, "-o", library,
                 *pkg_config(env, "--cflags", "--libs")], 60)
    assert built.returncode == 0, built.stderr.decode()
    log, port = Log(env), env.port()
    weir = Weir(env, chain(config({"web": http_listener(port, [{"name": "b", "broken": {}}])}),
                           {"plugins": {"broken": {"path": str(library)}}}, log.settings))
    assert RawClient(env, port).ask().status == 500
    expect(log.record(), outcome="plugin.error", status=500, route="b")
    weir.wait_line("the dog ate it")


# Connections that are not HTTP.

def echo(conn):
    try:
        while data := conn.socket.recv(65536):
            conn.socket.sendall(data)
    except OSError:
        pass


def test_tunnel_has_a_line_with_its_bytes(env):
    origin = ScriptedOrigin(env, on_accept=echo)
    log, port = Log(env), env.port()
    Weir(env, chain(config({"raw": tcp_listener(port, "app")}, {"app": upstream(origin.port)}), log.settings))
    client = RawClient(env, port)
    client.send(b"12345")
    assert client.read(5) == b"12345"
    client.finish()
    client.read_end()
    record = log.record()
    expect(record, listener="raw", outcome="ok", bytes_in=5, bytes_out=5, upstream="app", client_ip="127.0.0.1",
           server=f"127.0.0.1:{origin.port}", route="routes[0]")
    assert "method" not in record and record["duration_ms"] >= record["connect_ms"] > 0, record


def test_tunnel_to_nobody_is_connect_refused(env):
    log, port, nobody = Log(env), env.port(), env.port()
    Weir(env, chain(config({"raw": tcp_listener(port, "app")}, {"app": upstream(nobody, retries=0)}), log.settings))
    assert RawClient(env, port).read_end() == b""
    expect(log.record(), outcome="upstream.connect.refused", listener="raw")


def test_tls_client_leaves_the_name_it_asked_for(env):
    log, port = Log(env), env.port()
    certificates = Certificates(env)
    Weir(env, chain(config({"web": http_listener(port, [respond(200, "x")], certificate="site")},
                           certificates={"site": certificates.pair()}), log.settings))
    client = RawClient(env, port, tls=certificates.client(), server_name="localhost")
    assert client.ask().status == 200
    expect(log.record(), sni="localhost", outcome="ok")


# Formats.

@cases(("common", "common",
        r'127.0.0.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /a\?b HTTP/1.1" 200 1'),
       ("combined", "combined", r'127.0.0.1 - - \[[^]]+\] "GET /a\?b HTTP/1.1" 200 1 "-" "ua"'),
       ("vhost_combined", "vhost_combined",
        r'weir.test:\d+ 127.0.0.1 - - \[[^]]+\] "GET /a\?b HTTP/1.1" 200 1 "-" "ua"'),
       ("logfmt", "logfmt", r"ts=\S+Z listener=web route=routes\[0\] client_ip=127.0.0.1 method=GET host=weir.test "
                            r"path=/a .*outcome=ok user_agent=ua conn=\d+"),
       ("template", "${outcome} ${status} ${uri} [${referer}] $$ ${body_bytes_out} ${bytes_out}",
        r"ok 200 /a\?b \[-\] \$ 1 1\d\d"))
def test_format(env, name, pattern):
    log, port = Log(env, format=name), env.port()
    Weir(env, chain(config({"web": http_listener(port, [respond(200, "x")])}), log.settings))
    assert RawClient(env, port).ask("GET", "/a?b", "User-Agent: ua").status == 200
    line = log.lines(1)[0]
    assert re.fullmatch(pattern, line), line


def test_fields_sample_and_exclude(env):
    log = Log(env, fields=["status", "path"], exclude=["path=/health* status<400"], sample=1)
    port = env.port()
    Weir(env, chain(config({"web": http_listener(port, [respond(200, "x", path="/health/*"),
                                                        respond(500, "x", path="/healthy"), respond(204)])}),
                    log.settings))
    client = RawClient(env, port)
    for target in ("/health/live", "/healthy", "/x"):
        client.ask("GET", target)
    assert log.lines(2) == ['{"status":500,"path":"/healthy"}', '{"status":204,"path":"/x"}']


@cases(("variable", {"format": "${client_pi} ${path}"}, "there is no `${client_pi}`", "did you mean `${client_ip}`?"),
       ("later", {"format": "${user}"}, "`${user}` is not built yet", ""),
       ("word", {"format": "jsn"}, "`jsn` is not a format of the access log", "did you mean `json`?"),
       ("field", {"fields": ["statsu"]}, "`statsu` is not one of the words", "did you mean `status`?"),
       ("condition", {"exclude": ["statsu>400"]}, "there is no field `statsu`", "did you mean `status`?"),
       ("text", {"exclude": ["path>3"]}, "`path` is a text, which is only = or !=", ""),
       ("share", {"sample": 1.5}, "a number in range", ""),
       ("unclosed", {"format": "${path"}, "`${` is never closed", ""))
def test_mistake_is_shown_where_it_is(env, access, message, hint):
    port = env.port()
    settings = chain(config({"web": http_listener(port, [respond(200)])}), {"log": {"access": access}})
    path = env.file("bad.yaml", to_yaml(settings) + "\n")
    code, text = weir_check(env, path)
    assert code == 78 and message in text and hint in text and "^" in text, text
    assert "1 error" in text, text


def test_off_is_off(env):
    log, port = Log(env, format="off"), env.port()
    Weir(env, chain(config({"web": http_listener(port, [respond(200)])}), log.settings))
    assert RawClient(env, port).ask().status == 200
    assert not log.path.exists()


# Outputs.

def load(port, env, count):
    """So many requests, by four clients; every one is answered."""
    def client(n):
        conn = RawClient(env, port)
        for _ in range(n):
            assert conn.ask("GET", "/" + "x" * 500).status == 200
        done.append(n)
    done = []
    threads = [threading.Thread(target=client, args=(count // 4,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == count // 4 * 4


def dropped(weir):
    """What a machine that is busy with others did not let the writer take in time."""
    return sum(int(n) for n in re.findall(r"(\d+) records were dropped", weir.text()))


def metric(env, port, name):
    response = RawClient(env, port).ask("GET", "/metrics", host="localhost")
    values = [line.split()[-1] for line in response.body.decode().splitlines() if line.startswith(name + " ")]
    return float(values[0])


def with_metrics(env, port, log):
    admin = env.port()
    weir = Weir(env, chain(config({"web": http_listener(port, [respond(200, "x")])}, runtime={"threads": 1},
                                  admin={"control": {"socket": str(env.dir / "control")},
                                         "http": {"bind": f"127.0.0.1:{admin}"}}), log.settings))
    wait_until(lambda: env.dir.joinpath("control").exists(), "the control socket")
    return weir, admin


def test_full_disk_fails_no_request_and_is_told_once(env):
    log, port = Log(env), env.port()
    log.settings["log"]["access"]["output"] = "/dev/full"
    weir, admin = with_metrics(env, port, log)
    load(port, env, 2400)
    weir.wait_line("the access log cannot be written to /dev/full: No space left on device")
    dropped = metric(env, admin, "weir_access_dropped_total")
    assert dropped > 500, dropped
    assert weir.text().count("cannot be written") == 1, weir.text()


def test_pipe_that_nobody_reads_fails_no_request_and_is_told_once(env):
    log, port = Log(env, "pipe"), env.port()
    os.mkfifo(log.path)
    weir, admin = with_metrics(env, port, log)
    load(port, env, 2400)
    wait_until(lambda: metric(env, admin, "weir_access_dropped_total") > 0, "records to be dropped")
    weir.wait_line("records of the access log are dropped and counted")
    assert weir.text().count("are dropped and counted") == 1, weir.text()
    with open(os.open(log.path, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        got = b""

        def read():
            nonlocal got
            got += reader.read() or b""
            return b"\n" in got and "the access log goes on" in weir.text()
        wait_until(read, "lines to come out of the pipe")
        whole = got[:got.rindex(b"\n")].split(b"\n")
        assert all(json.loads(line)["outcome"] == "ok" for line in whole)


@cases(("usr1", lambda env, weir: weir.send_signal(signal.SIGUSR1)), ("weirctl", None))
def test_moved_file_is_opened_again(env, how):
    log, port = Log(env), env.port()
    weir = Weir(env, chain(config({"web": http_listener(port, [respond(200, "x")])}), log.settings))
    wait_until(weir.control.exists, "the control socket")
    client = RawClient(env, port)
    client.ask("GET", "/1")
    log.lines(1)
    moved = log.path.rename(log.path.with_suffix(".1"))
    client.ask("GET", "/2")
    wait_until(lambda: moved.read_text().count("\n") == 2, "the second line in the moved file")
    assert not log.path.exists()
    if how:
        how(env, weir)
        wait_until(log.path.exists, "the new file")
    else:
        assert weirctl(env, weir, "reopen")[0] == 0
    client.ask("GET", "/3")
    expect(log.record(), path="/3")
    assert oct(log.path.stat().st_mode & 0o777) == "0o640"
    assert moved.read_text().count("\n") == 2


def test_reload_changes_format_and_file(env):
    log, port = Log(env), env.port()
    weir = Weir(env, chain(config({"web": http_listener(port, [respond(200, "x")])}), log.settings))
    wait_until(weir.control.exists, "the control socket")
    client = RawClient(env, port)
    client.ask("GET", "/1")
    other = Log(env, "other.log")
    text = weir.path.read_text()
    weir.path.write_text(text.replace("access.log", "other.log").replace("format: json", 'format: "${path} ${status}"'))
    assert weirctl(env, weir, "reload")[0] == 0
    client.ask("GET", "/2")
    assert other.lines(1) == ["/2 200"] and log.record()["path"] == "/1"
    weir.path.write_text(text.replace("format: json", "format: off"))
    assert weirctl(env, weir, "reload")[0] == 0
    client.ask("GET", "/3")
    weir.path.write_text(text)
    assert weirctl(env, weir, "reload")[0] == 0
    client.ask("GET", "/4")
    assert [r["path"] for r in log.records(2)] == ["/1", "/4"] and other.lines(1)


@cases(("no_folder", ("missing", "access.log"), "no such file or directory"),
       ("folder", (".",), "is a directory"))
def test_reload_with_a_file_that_cannot_be_opened_is_rejected(env, place, reason):
    log, port = Log(env), env.port()
    weir = Weir(env, chain(config({"web": http_listener(port, [respond(200, "old")])}), log.settings))
    wait_until(weir.control.exists, "the control socket")
    client = RawClient(env, port)
    client.ask("GET", "/1")
    bad = env.dir.joinpath(*place)
    text = weir.path.read_text()
    assert text.count(str(log.path)) == 1
    changed = text.replace(str(log.path), str(bad)).replace("body: old", "body: new")
    assert "body: new" in changed
    weir.path.write_text(changed)
    line = 1 + next(i for i, t in enumerate(changed.splitlines()) if str(bad) in t and "output" in t)
    column = 1 + changed.splitlines()[line - 1].index(f'"{bad}')
    for verb in (("reload",), ("reload", "--dry-run")):
        status, out, err = weirctl(env, weir, *verb)
        screen = out + err
        assert status == 71, (status, screen)
        assert f"{weir.path}:{line}:{column}" in screen or f"weir.yaml:{line}:{column}" in screen, (line, column, screen)
        assert f"cannot open the access log {bad}: {reason}" in screen, screen
        assert "still serving generation 1" in screen or "dry-run" in verb[-1], screen
    assert client.ask("GET", "/2").body == b"old"
    assert [r["path"] for r in log.records(2)] == ["/1", "/2"]
    # What was wrong is mended in the file system: the same reload is taken, and the line goes to the new file.
    good = Log(env, "good.log")
    weir.path.write_text(changed.replace(str(bad), str(good.path)))
    assert weirctl(env, weir, "reload")[0] == 0
    assert client.ask("GET", "/3").body == b"new"
    assert good.record()["path"] == "/3" and len(log.records(2)) == 2


def test_dry_run_makes_no_file(env):
    log, port = Log(env), env.port()
    weir = Weir(env, chain(config({"web": http_listener(port, [respond(200)])}), log.settings))
    wait_until(weir.control.exists, "the control socket")
    other = env.dir / "other.log"
    weir.path.write_text(weir.path.read_text().replace(str(log.path), str(other)))
    assert weirctl(env, weir, "reload", "--dry-run")[0] == 0
    assert not other.exists()
    RawClient(env, port).ask("GET", "/1")
    assert log.record()["path"] == "/1"


def test_rollback_to_a_file_that_cannot_be_opened_is_rejected(env):
    port, folder = env.port(), env.dir / "logs"
    folder.mkdir()
    old, new = Log(env, "logs/access.log"), Log(env, "new.log")
    weir = Weir(env, chain(config({"web": http_listener(port, [respond(200, "x")])}), old.settings))
    wait_until(weir.control.exists, "the control socket")
    weir.path.write_text(weir.path.read_text().replace(str(old.path), str(new.path)))
    assert weirctl(env, weir, "reload")[0] == 0
    folder.rename(env.dir / "moved")
    client = RawClient(env, port)
    for n in range(2):
        status, out, err = weirctl(env, weir, "rollback")
        assert status == 71 and f"cannot open the access log {old.path}" in out + err, (status, out, err)
        client.ask("GET", f"/{n}")
    assert [r["path"] for r in new.records(2)] == ["/0", "/1"]
    (env.dir / "moved").rename(folder)
    assert weirctl(env, weir, "rollback")[0] == 0
    client.ask("GET", "/back")
    assert old.record()["path"] == "/back"


def follow(env, weir, **params):
    """A connection to the control socket that follows, and its lines; the daemon has begun when this returns."""
    conn = socket.socket(socket.AF_UNIX)
    env.defer(conn.close)
    conn.settimeout(30)
    conn.connect(str(weir.control))
    reader = conn.makefile("r")
    env.defer(reader.close)
    reader.readline()
    conn.sendall(json.dumps({"id": 1, "method": "access", "params": params}).encode() + b"\n")
    conn.sendall(b'{"id":2,"method":"health"}\n')
    answer = json.loads(reader.readline())
    while answer["id"] != 2 and "error" not in answer:  # a record came in between
        answer = json.loads(reader.readline())
    return conn, reader, answer


def test_access_is_followed_by_condition_though_the_log_is_off(env):
    port = env.port()
    weir = Weir(env, config({"web": http_listener(port, [respond(200, "x")])}, log={"access": "off"}))
    wait_until(weir.control.exists, "the control socket")
    client = RawClient(env, port)
    _, some, _ = follow(env, weir, filter="path=/b*")
    _, every, _ = follow(env, weir)
    for path in ("/a", "/b1", "/c", "/b2"):
        client.ask("GET", path)
    records = [json.loads(some.readline())["record"] for _ in range(2)]
    assert [r["path"] for r in records] == ["/b1", "/b2"], records
    expect(records[0], method="GET", status=200, outcome="ok", listener="web", client_ip="127.0.0.1")
    assert [json.loads(every.readline())["record"]["path"] for _ in range(4)] == ["/a", "/b1", "/c", "/b2"]
    error = follow(env, weir, filter="stauts>=500")[2]["error"]
    assert error["exit"] == 64 and "there is no field `stauts`" in error["message"], error


def test_followers_come_and_go_under_load(env):
    log, port = Log(env), env.port()
    weir = Weir(env, chain(config({"web": http_listener(port, [respond(200, "x")])}), log.settings))
    wait_until(weir.control.exists, "the control socket")
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            conn, reader, _ = follow(env, weir, filter="status=200")
            assert json.loads(reader.readline())["record"]["status"] == 200
            reader.close()
            conn.close()
    thread = threading.Thread(target=come_and_go)
    thread.start()
    load(port, env, 3000)
    stop.set()
    RawClient(env, port).ask("GET", "/last")  # for the one that waits
    client = RawClient(env, port)
    while thread.is_alive():
        client.ask("GET", "/last")
        thread.join(0.05)
    weir.stop()
    lines = len(log.text().splitlines()) + dropped(weir)
    assert log.text().count('"path":"/last"') < lines >= 3000


def test_follower_that_does_not_read_is_told_what_it_missed(env):
    port = env.port()
    weir = Weir(env, config({"web": http_listener(port, [respond(200, "x")])}, log={"access": "off"}))
    wait_until(weir.control.exists, "the control socket")
    conn, reader, _ = follow(env, weir)
    client, path, sent = RawClient(env, port), "/" + "x" * 3000, 0
    for _ in range(3000):
        assert client.ask("GET", path).status == 200
        sent += 1
    read, dropped = 0, 0
    while not dropped:  # what it missed is said in front of what it gets next
        client.ask("GET", "/more")
        sent += 1
        while not dropped and (read < 100 or select.select([conn], [], [], 0)[0]):
            record = json.loads(reader.readline())["record"]
            dropped += record.get("dropped", 0)
            read += "path" in record
    assert 0 < dropped < sent and read + dropped <= sent, (read, dropped, sent)


def test_weirctl_shows_a_line_for_each(env):
    port = env.port()
    weir = Weir(env, config({"web": http_listener(port, [respond(404, "x")])}, log={"access": "off"}))
    wait_until(weir.control.exists, "the control socket")
    argv = [env.options.weir.parent / "weirctl", "--socket", weir.control, "access", "-f", "--filter", "status=404"]
    follower = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, text=True, env=variables(env.options))
    env.defer(lambda: (follower.kill(), follower.wait(), follower.stdout.close()))
    client = RawClient(env, port)

    def look():  # until one comes after the follower was there
        client.ask("GET", "/seen?x=1")
        return select.select([follower.stdout], [], [], 0.05)[0]
    wait_until(look, "a line")
    line = follower.stdout.readline()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} 127\.0\.0\.1 GET \S*/seen 404 ok \d+\.\d ms - -\n", line), line
    status, out, err = weirctl(env, weir, "access")
    assert status == 64 and "access -f" in err, (status, out, err)


def test_one_line_each_under_load(env):
    log, port = Log(env), env.port()
    weir = Weir(env, chain(config({"web": http_listener(port, [respond(200, "x")])}), log.settings))
    load(port, env, 2000)
    weir.stop()
    records = [json.loads(line) for line in log.text().splitlines()]
    assert len(records) + dropped(weir) == 2000 and {r["outcome"] for r in records} == {"ok"}, len(records)


def test_file_that_cannot_be_made_is_told_at_the_start(env):
    log, port = Log(env), env.port()
    log.settings["log"]["access"]["output"] = str(env.dir / "missing" / "access.log")
    weir = Weir(env, chain(config({"web": http_listener(port, [respond(200)])}), log.settings), wait=False)
    weir.expected_status = 71
    weir.wait_line("cannot open the access log .*missing/access.log")
    weir.wait()
