# SPDX-License-Identifier: Apache-2.0
"""The control socket and weirctl: what the daemon says of itself after something has changed."""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess

from harness import (Nginx, RawClient, ScriptedOrigin, Weir, app, cases, config, http_listener, ok_response, request,
                     respond, run, wait_until, weirctl)
from harness.config import to_yaml
from harness.weir import variables

ALL = ("status", "health", "listeners", "routes", "upstreams", "conns", "tasks", "loops", "executors", "dns", "memory", "plugins")


def simple(env, **more):
    port = env.port()
    weir = Weir(env, config({"web": http_listener(port, [respond(200, "x")])}), **more)
    wait_until(weir.control.exists, "the control socket")
    return port, weir


def ask(env, weir, *words):
    code, out, err = weirctl(env, weir, *words, "--json")
    assert code in (0, 1) and not err, (code, out, err)
    return json.loads(out)


def lines(weir):
    """A bare client: send objects, get objects."""
    conn = socket.socket(socket.AF_UNIX)
    conn.connect(str(weir.control))
    conn.settimeout(10)
    return conn, conn.makefile("r")


@cases(*[(verb, verb) for verb in ALL])
def test_verb_answers_people_and_programs(env, verb):
    _, weir = simple(env)
    code, out, err = weirctl(env, weir, verb)
    assert (code, err) == (0, "") and out.strip(), (code, out, err)
    assert isinstance(ask(env, weir, verb), dict)


def test_status_counts_what_happened(env):
    port, weir = simple(env)
    assert ask(env, weir, "status")["listeners"][0]["accepted"] == 0
    clients = [RawClient(env, port) for _ in range(3)]
    for client in clients:
        assert client.ask().status == 200
    answer = ask(env, weir, "status")
    assert answer["state"] == "serving" and answer["pid"] == weir.pid, answer
    assert answer["connections"] == 3 and answer["listeners"][0]["accepted"] == 3, answer
    assert f"127.0.0.1:{port}" in weirctl(env, weir, "status")[1]
    assert {row["listener"] for row in ask(env, weir, "conns")["conns"]} == {"web"}
    assert len(ask(env, weir, "conns")["conns"]) == 3
    for client in clients:
        client.close()
    wait_until(lambda: ask(env, weir, "conns")["conns"] == [], "the connections to go")


def test_one_connection_is_shown_by_its_number(env):
    port, weir = simple(env)
    client, other = RawClient(env, port), RawClient(env, port)
    assert client.ask().status == 200
    mine = "127.0.0.1:%d" % client.socket.getsockname()[1]
    [row] = [row for row in ask(env, weir, "conns")["conns"] if row["peer"] == mine]
    one = ask(env, weir, "conn", str(row["id"]))["conn"]
    assert (one["peer"], one["local"], one["listener"]) == (mine, f"127.0.0.1:{port}", "web"), one
    assert one["bytes_in"] > 0 and one["bytes_out"] > 0 and one["reading"] and one["current"] and not one["tls"], one
    before = one["bytes_out"]
    assert client.ask().status == 200
    assert ask(env, weir, "conn", str(row["id"]))["conn"]["bytes_out"] > before
    screen = weirctl(env, weir, "conn", str(row["id"]))[1]
    assert re.search(rf"peer +{mine}\n", screen) and re.search(r"current +yes", screen), screen
    client.close()
    wait_until(lambda: weirctl(env, weir, "conn", str(row["id"]))[0] == 1, "it to go")
    assert weirctl(env, weir, "conn", str(row["id"]), "--json")[0] == 1
    assert "is not open" in weirctl(env, weir, "conn", str(row["id"]))[1]
    assert weirctl(env, weir, "conn", "x")[0] == 64
    other.close()


def two_origins(env):
    first, second = (ScriptedOrigin(env, lambda conn, incoming, n=n: conn.send(ok_response(b"%d" % n))) for n in (1, 2))
    port = env.port()
    servers = [f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}"]
    weir = Weir(env, config({"web": http_listener(port, [{"proxy": "app"}])}, upstreams={"app": {"servers": servers}}))
    wait_until(weir.control.exists, "the control socket")
    return port, weir, servers


def test_drained_server_gets_no_request_until_it_is_enabled(env):
    port, weir, servers = two_origins(env)
    client = RawClient(env, port)
    assert {client.ask().body for _ in range(8)} == {b"1", b"2"}
    assert weirctl(env, weir, "drain", f"app/{servers[0]}") == (0, f"app/{servers[0]} is drained\n", "")
    assert {client.ask().body for _ in range(8)} == {b"2"}
    assert f"app/{servers[0]} drained" in weirctl(env, weir, "status")[1]
    assert ask(env, weir, "upstreams")["upstreams"][0]["up"] == 1
    assert weirctl(env, weir, "enable", f"app/{servers[0]}")[0] == 0
    assert {client.ask().body for _ in range(8)} == {b"1", b"2"}
    assert "overrides" not in weirctl(env, weir, "status")[1]
    weir.wait_line("control: drain .* by uid")


def test_every_server_out_is_503_and_says_so(env):
    port, weir, servers = two_origins(env)
    for server in servers:
        assert weirctl(env, weir, "disable", f"app/{server}")[0] == 0
    assert RawClient(env, port).ask().status == 503
    assert ask(env, weir, "upstreams")["upstreams"][0]["up"] == 0


@cases(("upstream", "nosuch/1.2.3.4:80", "there is no upstream `nosuch`"),
       ("server", "app/1.2.3.4:80", "upstream `app` has no server 1.2.3.4:80"),
       ("form", "app", "UPSTREAM/ADDRESS"))
def test_wrong_server_is_told(env, name, message):
    _, weir, _ = two_origins(env)
    code, _, err = weirctl(env, weir, "drain", name)
    assert code == 64 and message in err, (code, err)


def test_stopped_server_makes_status_degraded(env):
    port, dead = env.port(), env.port()
    nginx = Nginx(env)
    weir = Weir(env, config({"web": http_listener(port, [{"proxy": "app"}])},
                            upstreams={"app": {"servers": [f"127.0.0.1:{nginx.port}", f"127.0.0.1:{dead}"]}}))
    assert weirctl(env, weir, "status")[0] == 0
    client = RawClient(env, port)
    for _ in range(4):
        client.ask()
    code, out, _ = weirctl(env, weir, "status")
    assert code == 1 and "app 1/2 up" in out and f"127.0.0.1:{dead} down" in out, out


def test_log_level_goes_back_by_itself(env):
    _, weir = simple(env)
    assert weirctl(env, weir, "log", "level", "tls", "debug", "--for", "300ms")[0] == 0
    [override] = ask(env, weir, "status")["overrides"]
    assert (override["logger"], override["level"]) == ("weir.tls", "debug")
    weir.wait_line("the level of weir.tls is info again")
    assert ask(env, weir, "status")["overrides"] == []


def test_debug_mode_goes_back_by_itself(env):
    _, weir = simple(env)
    assert weirctl(env, weir, "debug", "on", "--for", "300ms")[0] == 0
    assert {loop["debug"] for loop in ask(env, weir, "loops")["loops"]} == {True}
    weir.wait_line("debug mode is off again")
    assert {loop["debug"] for loop in ask(env, weir, "loops")["loops"]} == {False}
    assert ask(env, weir, "status")["overrides"] == []


def test_logs_are_followed(env):
    _, weir = simple(env)
    argv = [env.options.weir.parent / "weirctl", "--socket", weir.control, "logs", "-f", "--level", "error"]
    follower = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, text=True, env=variables(env.options))
    env.defer(lambda: (follower.kill(), follower.wait(), follower.stdout.close()))
    conn, reader = lines(weir)
    with conn, reader:
        assert json.loads(reader.readline())["protocol"] == 1
        conn.sendall(b'{"id":7,"method":"logs","params":{"level":"error"}}\n')
        def comes():  # a signal may be handled before the request is
            weir.send_signal(signal.SIGUSR2)
            return select.select([conn], [], [], 0.05)[0]
        wait_until(comes, "the first record")
        got = json.loads(reader.readline())
        assert got["id"] == 7 and got["more"] and "upgrade is not built yet" in got["record"]["message"], got
    def look():  # until one comes after the follower was there
        weir.send_signal(signal.SIGUSR2)
        return select.select([follower.stdout], [], [], 0.05)[0]
    wait_until(look, "weirctl logs -f to print")
    assert "upgrade is not built yet" in follower.stdout.readline()


def test_follower_that_does_not_read_delays_nobody(env):
    _, weir = simple(env)
    conn, _ = lines(weir)
    with conn:
        conn.sendall(b'{"id":1,"method":"logs","params":{}}\n')
        other, reader = lines(weir)
        with other, reader:
            reader.readline()
            for turn in range(4000):  # each is a record of the log that the first does not read
                other.sendall(b'{"id":%d,"method":"reopen","params":{"padding":"%s"}}\n' % (turn, b"x" * 1000))
                assert json.loads(reader.readline())["id"] == turn
        assert ask(env, weir, "health")["ready"]


@cases(("garbage", b"hello\n", 64), ("unknown", b'{"id":1,"method":"nosuch"}\n', 64),
       ("params", b'{"id":1,"method":"status","params":[]}\n', 64),
       ("later", b'{"id":1,"method":"upgrade"}\n', 69), ("long", b"x" * 70000 + b"\n", 64))
def test_wrong_request_is_an_error_in_words(env, text, code):
    _, weir = simple(env)
    conn, reader = lines(weir)
    with conn, reader:
        json.loads(reader.readline())
        conn.sendall(text)
        error = json.loads(reader.readline())["error"]
    assert error["exit"] == code and error["message"], error
    assert ask(env, weir, "health")["ready"]


def test_requests_in_one_write_are_all_answered(env):
    _, weir = simple(env)
    conn, reader = lines(weir)
    with conn, reader:
        reader.readline()
        conn.sendall(b"".join(b'{"id":%d,"method":"health"}\n' % n for n in range(50)))
        assert sorted(json.loads(reader.readline())["id"] for _ in range(50)) == list(range(50))


def test_clients_have_a_limit_and_the_next_is_told(env):
    _, weir = simple(env)
    many = [lines(weir) for _ in range(64)]
    for _, reader in many:
        assert "protocol" in reader.readline()
    conn, reader = lines(weir)
    assert json.loads(reader.readline())["error"]["exit"] == 75
    for one, its_reader in [*many, (conn, reader)]:
        its_reader.close()
        one.close()
    wait_until(lambda: weirctl(env, weir, "health")[0] == 0, "room for a client")


def test_others_may_only_look(env):
    if os.geteuid():
        return
    path = env.dir / "open.control"
    port = env.port()
    text = config({"web": http_listener(port, [respond(200, "x")])})
    text["admin"] = {"control": {"socket": str(path), "mode": "0666", "group": "65533"}}
    weir = Weir(env, text)
    weir.control = path

    def as_nobody(groups, *words):
        argv = ["setpriv", "--reuid=65534", "--regid=65534", groups, env.options.weir.parent / "weirctl", "--socket",
                path, *words]
        result = run(argv, env=variables(env.options))
        return result.returncode, result.stderr.decode()
    code, err = as_nobody("--clear-groups", "health")
    assert code == 0, err
    code, err = as_nobody("--clear-groups", "reopen")
    assert code == 77 and "operate" in err, (code, err)
    assert as_nobody("--groups=65533", "reopen") == (0, "")
    code, err = as_nobody("--groups=65533", "stop")
    assert code == 77 and "admin" in err, (code, err)
    assert weirctl(env, weir, "reopen")[0] == 0


def test_stop_drains_and_ends(env):
    port, weir = simple(env)
    assert RawClient(env, port).ask().status == 200
    assert weirctl(env, weir, "stop")[0] == 0
    assert weir.wait(5) == 0
    assert not weir.control.exists()


def test_reopen_writes_to_a_new_file(env):
    log = env.dir / "weir.log"
    port = env.port()
    text = config({"web": http_listener(port, [respond(200, "x")])})
    text["log"] = {"output": str(log)}
    weir = Weir(env, text)
    wait_until(log.exists, "the log")
    log.rename(env.dir / "weir.log.1")
    weir.send_signal(signal.SIGUSR1)
    wait_until(log.exists, "the new log")
    log.rename(env.dir / "weir.log.2")
    assert weirctl(env, weir, "reopen")[0] == 0
    assert log.exists()


@cases(("USR2", signal.SIGUSR2, "upgrade"))
def test_signal_that_is_not_built_says_so_and_changes_nothing(env, number, what):
    port, weir = simple(env)
    weir.send_signal(number)
    weir.wait_line(f"{what} is not built yet")
    assert RawClient(env, port).ask().status == 200


def test_no_daemon_is_69_with_the_path(env):
    _, weir = simple(env)
    weir.control = env.dir / "nosuch"
    code, _, err = weirctl(env, weir, "status")
    assert code == 69 and str(weir.control) in err, (code, err)


def test_socket_is_found_through_the_configuration(env):
    port = env.port()
    text = config({"web": http_listener(port, [respond(200, "x")])})
    text["admin"] = {"control": {"socket": str(env.dir / "named.control")}}
    Weir(env, text)
    text["listeners"]["web"]["mistake"] = 1
    path = env.file("other.yaml", to_yaml(text) + "\n")
    result = run([env.options.weir, "ctl", "-f", path, "health"], env=variables(env.options))
    assert (result.returncode, result.stdout) == (0, b"ready: serving\n"), result


def test_socket_that_cannot_be_made_is_73(env):
    port = env.port()
    text = config({"web": http_listener(port, [respond(200, "x")])})
    text["admin"] = {"control": {"socket": str(env.dir / "no" / "such" / "folder")}}
    weir = Weir(env, text, wait=False)
    weir.expected_status = 73
    assert weir.wait(10) == 73


@cases(("typo", ["stauts"], 64, "did you mean `status`"), ("later", ["upgrade"], 69, "not built yet"),
       ("flag", ["conns", "--tree"], 64, "has no flag --tree"), ("words", ["drain"], 64, "usage: weirctl drain"),
       ("time", ["debug", "on", "--for", "5"], 64, "a time, as in"))
def test_command_line_mistakes_are_told(env, words, code, message):
    result = run([env.options.weir.parent / "weirctl", *words], env=variables(env.options))
    assert result.returncode == code and message in result.stderr.decode(), result


@cases(*[(verb, verb) for verb in (*ALL, "drain", "disable", "enable", "weight", "log", "logs", "debug", "reopen", "stop",
                                   "dns-flush", "ps", "servers")])
def test_every_verb_has_help(env, verb):
    for words in (["help", verb], [verb, "--help"]):
        result = run([env.options.weir.parent / "weirctl", *words], env=variables(env.options))
        assert result.returncode == 0 and result.stdout.startswith(b"weirctl "), result


def test_manual_has_every_verb_and_is_sound(env):
    listed = run([env.options.weir.parent / "weirctl", "help"], env=variables(env.options)).stdout.decode()
    verbs = [line.split()[0] for line in listed.split("Verbs:\n")[1].split("\n\n")[0].splitlines()]
    page = env.options.source / "docs" / "weirctl.8"
    text = page.read_text()
    assert len(verbs) > 15 and not [verb for verb in verbs if f".It Cm {verb}" not in text], verbs
    if shutil.which("mandoc"):
        for name in (page, page.with_name("weir.8")):
            result = run(["mandoc", "-Tlint", "-Wwarning", name])
            assert result.returncode == 0, result.stdout
