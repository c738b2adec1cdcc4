# SPDX-License-Identifier: Apache-2.0
"""Health checks, weights and what operators say of servers: what is seen after something was changed."""

import json
import re
import signal
import socket
import subprocess
import threading
import time

from harness import (Nginx, RawClient, ScriptedOrigin, Weir, app, cases, config, http_listener, ok_response, proxy,
                     upstream, wait_until, weir_check, weirctl)
from harness.config import tcp_listener, to_yaml
from harness.weir import variables

QUICK = {"interval": "20ms", "timeout": "2s", "rise": 2, "fall": 3}
ONE_LOOP = ["--set", "runtime.threads=1"]


def origin(env, name, sick=None, **more):
    """Answers its name; /healthz with 503 while the file `sick` exists."""
    def handler(conn, request):
        request.body()
        if request.target == "/healthz":
            ill = sick is not None and sick.exists()
            conn.send(ok_response(b"", "Connection: close", status="503 Unwell" if ill else "200 OK"))
            conn.close()
        elif request.target == "/hold":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
            conn.wait_go("end")
            conn.send(b"cd")
        else:
            conn.send(ok_response(name.encode()))
    return ScriptedOrigin(env, handler, **more)


def start(env, text, *arguments):
    weir = Weir(env, text, arguments=arguments)
    wait_until(weir.control.exists, "the control socket")
    return weir


def servers(env, weir, upstream_name="app"):
    code, out, err = weirctl(env, weir, "upstreams", "--json")
    assert code == 0 and not err, (code, out, err)
    [one] = [u for u in json.loads(out)["upstreams"] if u["name"] == upstream_name]
    return {server["address"]: server for server in one["servers"]}


def states(env, weir):
    return [server["state"] for server in servers(env, weir).values()]


def answers(env, port, count, *headers):
    client = RawClient(env, port)
    result = [client.ask("GET", "/", *headers).body.decode() for _ in range(count)]
    client.close()
    return result


def two(env, balance=None, check=None, **settings):
    """Two origins a and b, of which b can be made sick; the address of b."""
    sick = env.dir / "sick"
    a, b = origin(env, "a"), origin(env, "b", sick)
    port = env.port()
    weir = start(env, app(port, a.port, b.port, balance=balance, health_check=check, **settings), *ONE_LOOP)
    return port, weir, a, b, sick, f"127.0.0.1:{b.port}"


def test_server_that_goes_down_by_check_gets_no_request_and_comes_back(env):
    port, weir, _, b, sick, address = two(env, check={"path": "/healthz", **QUICK})
    assert set(answers(env, port, 4)) == {"a", "b"}
    sick.touch()
    weir.wait_line(re.escape(f"upstream app: server {address} is down: GET /healthz → 503 (3 of 3)"))
    before = len(b.requests(target="/"))
    assert set(answers(env, port, 10)) == {"a"}
    assert len(b.requests(target="/")) == before
    code, out, _ = weirctl(env, weir, "status")
    assert code == 1 and "app 1/2 up" in out, out
    assert re.search(re.escape(f"✗ {address} down ") + r"\d+ s: GET /healthz → 503 \(3 of 3\)", out), out
    assert "GET /healthz → 503 (3 of 3)" in weirctl(env, weir, "upstreams")[1]
    sick.unlink()
    weir.wait_line(re.escape(f"server {address} is up again after ") + r"\d+ s: GET /healthz → 200 \(2 of 2\)")
    assert set(answers(env, port, 4)) == {"a", "b"}
    code, out, _ = weirctl(env, weir, "status")
    assert code == 0 and "app 2/2 up" in out and "✗" not in out, out


def test_server_that_was_stopped_is_shown_with_the_reason(env):
    sick = Nginx(env)
    a, port = origin(env, "a"), env.port()
    weir = start(env, app(port, a.port, sick.port, health_check=QUICK))
    wait_until(lambda: servers(env, weir)[f"127.0.0.1:{sick.port}"]["check"]["failed"] >= 3, "its 404 to count")
    # An empty nginx answers 404, which is not well; a file makes it so.
    assert servers(env, weir)[f"127.0.0.1:{sick.port}"]["reason"] == "GET / → 403 (3 of 3)"
    (sick.root / "index.html").write_text("here")
    wait_until(lambda: states(env, weir) == ["up", "up"], "nginx to be well")
    sick.send_signal(signal.SIGTERM)
    sick.wait(10)
    wait_until(lambda: "down" in states(env, weir), "the check to notice")
    code, out, _ = weirctl(env, weir, "status")
    assert code == 1 and "app 1/2 up" in out, out
    assert re.search(rf"✗ 127.0.0.1:{sick.port} down \d+ s: .*connection refused \(3 of 3\)", out), out
    assert set(answers(env, port, 6)) == {"a"}


def test_check_that_hangs_is_a_timeout(env):
    def silent(conn, request):
        conn.hang()
    hangs, port = ScriptedOrigin(env, silent), env.port()
    a = origin(env, "a")
    weir = start(env, app(port, a.port, hangs.port, health_check={**QUICK, "timeout": "100ms", "fall": 2}))
    weir.wait_line(re.escape(f"server 127.0.0.1:{hangs.port} is down: GET /: no answer within 100 ms (2 of 2)"))
    assert set(answers(env, port, 6)) == {"a"}


def test_tcp_check_wants_a_connection_only(env):
    def silent(conn, request):
        conn.hang()
    takes, nobody, port = ScriptedOrigin(env, silent), env.port(), env.port()
    text = config({"raw": tcp_listener(port, "app")},
                  {"app": upstream(takes.port, nobody, health_check={"type": "tcp", **QUICK})})
    weir = start(env, text)
    wait_until(lambda: states(env, weir) == ["up", "down"], "the check to notice")
    wait_until(lambda: servers(env, weir)[f"127.0.0.1:{takes.port}"]["check"]["passed"] >= 3, "checks to pass")
    one = servers(env, weir)[f"127.0.0.1:{takes.port}"]["check"]
    assert (one["type"], one["last"]) == ("tcp", "connected"), one


def test_http_check_is_there_for_tcp_listeners(env):
    sick = env.dir / "sick"
    sick.touch()
    ill, port = origin(env, "ill", sick), env.port()
    text = config({"raw": tcp_listener(port, "app")}, {"app": upstream(ill.port, health_check={"path": "/healthz", **QUICK})})
    weir = start(env, text)
    wait_until(lambda: states(env, weir) == ["down"], "the check to notice")
    assert servers(env, weir)[f"127.0.0.1:{ill.port}"]["reason"] == "GET /healthz → 503 (3 of 3)"


def test_check_says_what_it_was_told_to_say(env):
    o, port = ScriptedOrigin(env, lambda conn, request: conn.send(ok_response(b"", status="299 Odd"))), env.port()
    checks = {"path": "/up?deep=1", "host": "app.example", "method": "HEAD", "status": [200, "2xx"], **QUICK}
    weir = start(env, app(env.port(), port, health_check={**checks, "port": o.port}))
    wait_until(lambda: servers(env, weir)[f"127.0.0.1:{port}"]["check"]["passed"] >= 2, "checks at the other port")
    seen = o.requests(method="HEAD", target="/up?deep=1")
    assert seen, o.requests()
    assert servers(env, weir)[f"127.0.0.1:{port}"]["check"]["last"] == "HEAD /up?deep=1 → 299"


def test_without_any_server_that_is_well_it_is_503_and_says_so(env):
    sick = env.dir / "sick"
    only, port = origin(env, "only", sick), env.port()
    weir = start(env, app(port, only.port, health_check={"path": "/healthz", **QUICK}))
    assert answers(env, port, 1) == ["only"]
    sick.touch()
    wait_until(lambda: states(env, weir) == ["down"], "the check to notice")
    assert RawClient(env, port).ask().status == 503
    weir.expect_outcome("upstream.none_available")
    sick.unlink()
    wait_until(lambda: states(env, weir) == ["up"], "it to be back")
    assert answers(env, port, 1) == ["only"]


def test_slow_start_gives_a_server_that_came_back_little_at_first(env):
    port, weir, _, b, sick, _ = two(env, check={"path": "/healthz", **QUICK}, slow_start="10m")
    assert answers(env, port, 20).count("b") == 10    # a start is no coming back
    sick.touch()
    wait_until(lambda: "down" in states(env, weir), "the check to notice")
    sick.unlink()
    wait_until(lambda: states(env, weir) == ["up", "up"], "it to be back")
    assert answers(env, port, 60).count("b") <= 2


def test_thousand_servers_do_not_make_the_control_loop_stumble(env):
    o = origin(env, "many", host="0.0.0.0")
    port = env.port()
    groups = {f"g{g}": upstream(*(f"127.{g + 1}.{i // 250}.{i % 250 + 1}:{o.port}" for i in range(250)),
                                health_check={"path": "/healthz", "interval": "2s"}) for g in range(4)}
    weir = start(env, config({"web": http_listener(port, [proxy("g0")])}, groups))
    longest = 0.0
    checked = 0
    while checked < 1000:
        began = time.monotonic()
        code, out, err = weirctl(env, weir, "health")
        longest = max(longest, time.monotonic() - began)
        assert code == 0, (out, err)
        listed = json.loads(weirctl(env, weir, "upstreams", "--json")[1])["upstreams"]
        checked = sum(s["check"]["passed"] + s["check"]["failed"] > 0 for u in listed for s in u["servers"])
    assert longest < 3, f"an answer took {longest:.2f} s"


# Balancers, seen through HTTP.

def test_weights_of_the_configuration_and_of_an_operator(env):
    a, b, port = origin(env, "a"), origin(env, "b"), env.port()
    text = app(port, a.port, b.port)
    text["upstreams"]["app"]["servers"] = [{"address": f"127.0.0.1:{a.port}", "weight": 3}, f"127.0.0.1:{b.port}"]
    weir = start(env, text, *ONE_LOOP)
    assert answers(env, port, 40).count("a") == 30
    name = f"app/127.0.0.1:{b.port}"
    assert weirctl(env, weir, "weight", name, "9") == (0, f"{name} is up, weight 9\n", "")
    assert answers(env, port, 40).count("a") == 10
    out = weirctl(env, weir, "status")[1]
    assert re.search(re.escape(f"overrides     {name} weight 9 (by ") + r"\w+, \d+ s ago\)", out), out
    weir.wait_line("control: weight .* by uid")
    assert weirctl(env, weir, "weight", name, "--reset")[0] == 0
    assert answers(env, port, 40).count("a") == 30
    assert "overrides" not in weirctl(env, weir, "status")[1]
    assert weirctl(env, weir, "weight", name, "heavy")[0] == 64
    assert weirctl(env, weir, "weight", name)[0] == 64


@cases(("header", "header:X-User", "X-User: %d"), ("cookie", "cookie:session", "Cookie: theme=1; session=%d; x=y"))
def test_hash_keeps_a_key_on_its_server(env, key, header):
    origins = [origin(env, n) for n in "abc"]
    port = env.port()
    start(env, app(port, *(o.port for o in origins), balance="hash", hash_key=key))
    homes = [set(answers(env, port, 3, header % user)) for user in range(30)]
    assert all(len(home) == 1 for home in homes), homes
    assert {name for home in homes for name in home} == {"a", "b", "c"}


def test_ip_hash_keeps_a_client_on_its_server(env):
    origins = [origin(env, n) for n in "abc"]
    port = env.port()
    start(env, app(port, *(o.port for o in origins), balance="ip_hash"))
    assert len(set(answers(env, port, 9)) | set(answers(env, port, 9))) == 1


def test_least_conn_avoids_the_server_that_is_busy(env):
    port, _, a, b, _, _ = two(env, balance="least_conn")
    slow = RawClient(env, port)
    slow.send(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
    busy = wait_until(lambda: "a" if a.requests(target="/hold") else "b" if b.requests(target="/hold") else None, "it")
    assert set(answers(env, port, 6)) == {"b" if busy == "a" else "a"}
    (a if busy == "a" else b).go("end")
    assert slow.response().body == b"abcd"
    assert set(answers(env, port, 6)) == {"a", "b"}


@cases(("hash without key", {"balance": "hash"}, "`balance: hash` needs a `hash_key`"),
       ("key without hash", {"hash_key": "path"}, "`hash_key` is for `balance: hash`"),
       ("nonsense", {"balance": "hash", "hash_key": "shoe_size"}, "`shoe_size` is nothing to hash"),
       ("weights", {"servers": [{"address": "127.0.0.1:1", "weight": 0}]}, "has a weight"),
       ("check", {"health_check": {"type": "smoke"}}, "there is no health check `smoke`"),
       ("path", {"health_check": {"path": "healthz"}}, "`healthz` is not a path"),
       ("status", {"health_check": {"status": "20"}}, "`20` is not a status"),
       ("option of another", {"health_check": {"type": "tcp", "path": "/"}}, "unknown key `path`"))
def test_mistakes_are_told(env, settings, message):
    text = app(env.port(), 1)
    text["upstreams"]["app"].update(settings)
    code, out = weir_check(env, env.file("weir.yaml", to_yaml(text) + "\n"))
    assert code == 78 and message in out and "1 error," in out, out


def test_proxy_header_and_tls_exclude_each_other(env):
    text = config({"web": http_listener(env.port(), [{"proxy": {"upstream": "app", "proxy_protocol": "v2"}}])},
                  {"app": upstream(1, tls=True)})
    code, out = weir_check(env, env.file("weir.yaml", to_yaml(text) + "\n"))
    assert code == 78 and "stands before TLS" in out, out


def test_proxy_header_of_a_check_and_tls_exclude_each_other(env):
    text = app(env.port(), 1, health_check={"proxy_protocol": "v1"}, tls=True)
    code, out = weir_check(env, env.file("weir.yaml", to_yaml(text) + "\n"))
    assert code == 78 and "stands before TLS" in out and "1 error," in out, out


@cases(("v1", "v1"), ("v2", "v2"))
def test_check_has_the_proxy_header_that_a_server_wants(env, version):
    wants, plain = env.port(), env.port()
    Nginx(env, f"listen 127.0.0.1:{wants} proxy_protocol; location = /healthz {{ return 200 well; }}")
    check = {"path": "/healthz", **QUICK}
    weir = start(env, config(
        {"web": http_listener(plain, [{"proxy": {"upstream": "with", "proxy_protocol": version}}])},
        {"with": upstream(wants, health_check={**check, "proxy_protocol": version}),
         "without": upstream(wants, health_check=check)}))
    wait_until(lambda: [s["state"] for s in servers(env, weir, "without").values()] == ["down"], "nginx to refuse")
    [one] = servers(env, weir, "with").values()
    wait_until(lambda: [s["check"]["passed"] >= 3 for s in servers(env, weir, "with").values()] == [True], "checks to pass")
    [one] = servers(env, weir, "with").values()
    assert (one["state"], one["check"]["last"]) == ("up", "GET /healthz → 200"), one
    assert RawClient(env, plain).ask("GET", "/healthz").body == b"well"


@cases(("v1", "v1", b"PROXY UNKNOWN\r\n"),
       ("v2", "v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"))
def test_tcp_check_says_that_it_speaks_for_itself(env, version, header):
    listening = socket.socket()
    env.defer(listening.close)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    listening.settimeout(30)
    start(env, config({"raw": tcp_listener(env.port(), "app")},
                      {"app": upstream(listening.getsockname()[1],
                                       health_check={"type": "tcp", "proxy_protocol": version, **QUICK})}))
    for _ in range(2):
        conn, _ = listening.accept()
        with conn:
            got = b""
            while more := conn.recv(100):
                got += more
        assert got == header, got


def test_tcp_refuses_keys_of_http(env):
    text = config({"raw": tcp_listener(env.port(), "app")}, {"app": upstream(1, balance="hash", hash_key="path")},
                  plugins={"http": {}})
    code, out = weir_check(env, env.file("weir.yaml", to_yaml(text) + "\n"))
    assert code == 78 and "tcp does not know" in out, out


def test_proxy_header_tells_an_http_server_who_the_client_is(env):
    def greeted(conn):
        conn.report("greeting", line=conn.line().decode())
    o = ScriptedOrigin(env, lambda conn, request: (request.body(), conn.send(ok_response(b"seen"))), greeted)
    port = env.port()
    start(env, config({"web": http_listener(port, [{"proxy": {"upstream": "app", "proxy_protocol": "v1"}}])},
                      {"app": upstream(o.port)}))
    client = RawClient(env, port)
    mine = client.socket.getsockname()[1]
    assert [client.ask().body for _ in range(3)] == [b"seen"] * 3
    assert client.ask("POST", "/", body=b"x").body == b"seen"
    lines = [event["line"].strip() for event in o.seen("greeting")]
    assert lines == [f"PROXY TCP4 127.0.0.1 127.0.0.1 {mine} {port}"] * 4, lines    # no connection served two requests
    assert not o.seen("error"), o.seen("error")


# What operators say.

def drain_in_background(env, weir, *words):
    argv = [env.options.weir.parent / "weirctl", "--socket", weir.control, "drain", *words]
    child = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, text=True, env=variables(env.options))
    env.defer(lambda: (child.kill(), child.wait(), child.stdout.close()))
    return child


def test_drain_waits_until_no_connection_is_left(env):
    port, weir, _, b, _, address = two(env)
    clients = []
    while not b.requests(target="/hold"):
        clients.append(RawClient(env, port))
        clients[-1].send(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: sum(s["connections"] for s in servers(env, weir).values()) == len(clients), "it to arrive")
    child = drain_in_background(env, weir, f"app/{address}", "--wait", "60s")
    assert child.stdout.readline() == f"app/{address}: 1 connection is left\n"
    assert set(answers(env, port, 6)) == {"a"}
    out = weirctl(env, weir, "status")[1]
    assert re.search(re.escape(f"overrides     app/{address} drained (by ") + r"\w+, \d+ s ago\)", out), out
    assert child.poll() is None
    b.go("end")
    assert clients[-1].response().body == b"abcd"    # what was under way ended by itself
    last = child.stdout.readline()
    assert last.startswith(f"app/{address} is drained: no connection is left, after "), last
    assert child.wait(10) == 0
    assert len(b.requests(target="/hold")) == 1
    assert servers(env, weir)[address]["idle"] == 0


def test_drain_gives_up_when_its_time_is_over(env):
    port, weir, _, b, _, address = two(env)
    while not b.requests(target="/hold"):
        count = sum(s["connections"] for s in servers(env, weir).values())
        RawClient(env, port).send(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: sum(s["connections"] for s in servers(env, weir).values()) > count, "it to arrive")
    code, out, _ = weirctl(env, weir, "drain", f"app/{address}", "--wait", "300ms")
    assert code == 1 and "1 connections are left after" in out, (code, out)
    code, out, _ = weirctl(env, weir, "drain", f"app/{address}", "--wait", "200ms", "--json")
    assert code == 1 and json.loads(out.splitlines()[-1])["connections"] == 1, (code, out)


def test_client_that_leaves_during_a_drain_hurts_nobody(env):
    port, weir, _, b, _, address = two(env)
    while not b.requests(target="/hold"):
        count = sum(s["connections"] for s in servers(env, weir).values())
        RawClient(env, port).send(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: sum(s["connections"] for s in servers(env, weir).values()) > count, "it to arrive")
    child = drain_in_background(env, weir, f"app/{address}", "--wait", "60s")
    assert "left" in child.stdout.readline()
    child.kill()
    child.wait()
    assert weirctl(env, weir, "health")[0] == 0
    assert servers(env, weir)[address]["override"] == "drained"


def test_enable_forgets_what_checks_found(env):
    port, weir, _, _, sick, address = two(env, check={"path": "/healthz", "interval": "2s", "fall": 1})
    sick.touch()
    wait_until(lambda: "down" in states(env, weir), "the check to notice")
    sick.unlink()
    assert weirctl(env, weir, "enable", f"app/{address}")[0] == 0
    assert set(answers(env, port, 4)) == {"a", "b"}


def test_reset_ends_everything_that_was_said(env):
    port, weir, _, _, _, address = two(env)
    assert weirctl(env, weir, "weight", f"app/{address}", "7")[0] == 0
    assert weirctl(env, weir, "disable", f"app/{address}")[0] == 0
    assert set(answers(env, port, 4)) == {"a"}
    one = servers(env, weir)[address]
    assert (one["override"], one["weight_override"], one["state"]) == ("disabled", 7, "disabled"), one
    assert weirctl(env, weir, "disable", f"app/{address}", "--reset")[0] == 0
    assert answers(env, port, 8).count("b") == 4
    assert "overrides" not in weirctl(env, weir, "status")[1]


def test_reload_follows_the_newest_definition_and_keeps_what_is_known(env):
    port, weir, a, b, sick, address = two(env, check={"path": "/healthz", **QUICK})
    name = f"app/127.0.0.1:{a.port}"

    def reload(**settings):
        text = app(port, a.port, b.port, **settings)
        if "a_weight" in settings:
            del text["upstreams"]["app"]["a_weight"]
            text["upstreams"]["app"]["servers"][0] = {"address": f"127.0.0.1:{a.port}", "weight": settings["a_weight"]}
        weir.path.write_text(to_yaml(text) + "\n")
        code, out, err = weirctl(env, weir, "reload")
        assert code == 0, (code, out, err)
    sick.touch()
    wait_until(lambda: states(env, weir) == ["up", "down"], "the check to notice")
    assert weirctl(env, weir, "weight", name, "5")[0] == 0
    reload(health_check={"path": "/", **QUICK, "interval": "1h"})
    one = servers(env, weir)
    assert one[address]["state"] == "down", one    # known before, and not asked again for an hour
    assert one[f"127.0.0.1:{a.port}"]["weight_override"] == 5, one
    reload(health_check={"path": "/", **QUICK})    # what it is asked now it answers well
    weirctl(env, weir, "enable", f"app/{address}")
    wait_until(lambda: servers(env, weir)[address]["check"].get("last") == "GET / → 200", "the new question")
    reload(health_check={"path": "/", **QUICK}, a_weight=3)
    assert "weight_override" not in servers(env, weir)[f"127.0.0.1:{a.port}"]    # its line has changed
    weir.wait_line("has other settings now: what an operator said of it ends")
    sick.unlink()
    reload()
    assert servers(env, weir)[address]["check"] is None
    assert states(env, weir) == ["up", "up"]


def test_many_operators_and_checks_at_once(env):
    """Verbs, checks that flap, and traffic, together: nothing is lost and nothing breaks (for the sanitizers)."""
    port, weir, _, _, sick, address = two(env, check={"path": "/healthz", "interval": "10ms", "rise": 1, "fall": 1})
    failed = []

    def traffic():
        client = RawClient(env, port)
        for _ in range(300):
            if client.ask().status != 200:
                failed.append(1)
    threads = [threading.Thread(target=traffic) for _ in range(3)]
    for thread in threads:
        thread.start()
    turn = 0
    while any(thread.is_alive() for thread in threads):
        turn += 1
        sick.touch() if turn % 2 else sick.unlink(missing_ok=True)
        for words in (("drain", f"app/{address}"), ("weight", f"app/{address}", str(turn % 9)), ("status",),
                      ("enable", f"app/{address}")):
            assert weirctl(env, weir, *words)[0] in (0, 1)
    for thread in threads:
        thread.join()
    assert not failed, len(failed)
