# SPDX-License-Identifier: Apache-2.0
"""Reload: what changes takes effect, what does not goes on, and what is wrong changes nothing."""

import json
import os
import signal
import socket
import threading

from harness import (Certificates, RawClient, ScriptedOrigin, Weir, cases, config, http_listener, ok_response, proxy,
                     request, respond, tcp_listener, timeout, upstream, wait_until, weirctl)
from harness.config import to_yaml
from harness.process import listening_ports


def rewrite(weir, configuration):
    text = configuration if isinstance(configuration, str) else to_yaml(configuration) + "\n"
    weir.path.write_text(text)


def reload(env, weir, configuration=None, *flags, expect=0):
    """Writes the configuration, and the screen of `weirctl reload`."""
    if configuration is not None:
        rewrite(weir, configuration)
    code, out, err = weirctl(env, weir, "reload", *flags)
    assert code == expect, (code, out, err)
    return err


def status(env, weir):
    code, out, err = weirctl(env, weir, "status", "--json")
    assert code in (0, 1), (code, out, err)
    return json.loads(out)


def start(env, configuration, **more):
    weir = Weir(env, configuration, **more)
    wait_until(weir.control.exists, "the control socket")
    return weir


def site(port, body, **more):
    return config({"web": http_listener(port, [respond(200, body)]), **more})


def test_changed_route_takes_effect_on_an_open_connection(env):
    port = env.port()
    weir = start(env, site(port, "old"))
    client = RawClient(env, port)
    assert client.ask().body == b"old"
    screen = reload(env, weir, site(port, "new"))
    assert "checking" in screen and "preparing" in screen and "Serving generation 2" in screen, screen
    assert client.ask().body == b"new"
    assert RawClient(env, port).ask().body == b"new"
    answer = status(env, weir)
    assert answer["generation"] == 2 and answer["last_reload"]["ok"], answer
    assert answer["listeners"][0]["accepted"] == 2, "counters did not survive"
    weir.wait_line("reload: ok, generation 2 serves")


def test_hup_is_the_same_reload(env):
    port = env.port()
    weir = start(env, site(port, "old"))
    client = RawClient(env, port)
    assert client.ask().body == b"old"
    rewrite(weir, site(port, "new"))
    weir.send_signal(signal.SIGHUP)
    weir.wait_line("reload: ok, generation 2 serves")
    assert client.ask().body == b"new"
    rewrite(weir, to_yaml(site(port, "newer")) + "\nbad: 1\n")
    weir.send_signal(signal.SIGHUP)
    weir.wait_line("reload: REJECTED, generation 2 serves on")
    assert client.ask().body == b"new"
    screen = weirctl(env, weir, "status")[1]
    assert "REJECTED" in screen and "previous:" in screen and "unknown key" in screen, screen


def taken_port(env, port):
    other = socket.socket()
    other.bind(("127.0.0.1", 0))
    other.listen()
    env.defer(other.close)
    extra = http_listener(other.getsockname()[1], [respond(200, "x")])
    return site(port, "new", extra=extra), 71, "cannot listen on"


def unreadable_key(env, port):
    crt, _ = Certificates(env).pair()
    listener = http_listener(port, [respond(200, "new")], certificate="site")
    return config({"web": listener}, certificates={"site": (str(crt), str(env.dir / "none.key"))}), 78, "none.key"


def missing_plugin(env, port):
    listeners = {"web": http_listener(port, [respond(200, "new")])}
    return config(listeners, plugins={"nowhere": {}}), 78, "nowhere"


def broken_yaml(env, port):
    return "version: 1\nlisteners:\n  web: [\n", 78, "error"


def no_file(env, port):
    return None, 66, "cannot"


@cases(("taken-port", taken_port), ("unreadable-key", unreadable_key), ("missing-plugin", missing_plugin),
       ("broken-yaml", broken_yaml), ("no-file", no_file))
def test_rejected_reload_changes_nothing(env, make):
    port = env.port()
    weir = start(env, site(port, "old"))
    client = RawClient(env, port)
    assert client.ask().body == b"old"
    configuration, code, text = make(env, port)
    if configuration is None:
        weir.path.unlink()
    else:
        rewrite(weir, configuration)
    screen = reload(env, weir, expect=code)
    assert text in screen and "Nothing changed: still serving generation 1 (loaded " in screen, screen
    assert client.ask().body == b"old"
    assert RawClient(env, port).ask().body == b"old"
    answer = status(env, weir)
    assert answer["generation"] == 1 and not answer["last_reload"]["ok"], answer
    assert port in listening_ports()
    reload(env, weir, site(port, "new"))
    assert client.ask().body == b"new"


def echo_back(sock):
    def serve():
        while True:
            try:
                conn, _ = sock.accept()
            except OSError:
                return
            threading.Thread(target=copy, args=(conn,), daemon=True).start()

    def copy(conn):
        with conn:
            while data := conn.recv(65536):
                conn.sendall(data)
    threading.Thread(target=serve, daemon=True).start()


def echo_server(env):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    env.defer(sock.close)
    echo_back(sock)
    return sock.getsockname()[1]


def bounce(client, text):
    client.sendall(text)
    got = b""
    while len(got) < len(text):
        part = client.recv(100)
        assert part, "the tunnel was closed"
        got += part
    assert got == text


def test_tcp_tunnels_go_on_through_reloads(env):
    first, second = echo_server(env), echo_server(env)
    same, changed, web = env.port(), env.port(), env.port()

    def layout(target, body):
        return config({"same": tcp_listener(same, "one"), "changed": tcp_listener(changed, target),
                       "web": http_listener(web, [respond(200, body)])},
                      {"one": upstream(first), "two": upstream(second)})

    weir = start(env, layout("one", "0"))
    clients = [socket.create_connection(("127.0.0.1", port), 10) for port in (same, changed)]
    for client in clients:
        bounce(client, b"hello")
    for i in range(5):
        reload(env, weir, layout(("two", "one")[i % 2], str(i)))
        for client in clients:
            bounce(client, b"after %d" % i)
    generations = status(env, weir)["generations"]
    pinned = [one for one in generations if one["listeners"]]
    assert pinned == [{"generation": 1, "state": "drains", "listeners": {"changed": 1}}], generations
    clients[1].close()
    wait_until(lambda: not any(one["listeners"] for one in status(env, weir)["generations"]),
               "the old listener to be let go")
    bounce(clients[0], b"still")
    clients[0].close()


def upgrade(conn, incoming):
    conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    while data := conn.read_any():
        conn.send(data)


def websocket(env, port):
    client = RawClient(env, port)
    client.send(request("GET", "/ws", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="))
    assert client.response(body=False).status == 101
    return client


def test_websockets_go_on_through_reloads(env):
    origin = ScriptedOrigin(env, upgrade)
    port = env.port()

    def layout(i):
        routes = [proxy("app", path="/ws"), respond(200, f"body {i}")]
        return config({"web": http_listener(port, routes)}, {"app": upstream(origin.port)})

    weir = start(env, layout(0))
    sockets = [websocket(env, port) for _ in range(5)]
    for i in range(10):
        reload(env, weir, layout(i + 1))
        for n, client in enumerate(sockets):
            frame = b"frame %d of %d" % (i, n)
            client.send(frame)
            assert client.read(len(frame)) == frame
    assert RawClient(env, port).ask().body == b"body 10"
    for client in sockets:
        client.close()


def test_removed_listener_closes_its_socket_and_drains(env):
    kept, removed = env.port(), env.port()
    origin = ScriptedOrigin(env, lambda conn, incoming: (conn.report("held"), conn.wait_go("answer"),
                                                         conn.send(ok_response(b"late"))))
    both = {"web": http_listener(kept, [respond(200, "x")]), "old": http_listener(removed, [proxy("app")])}
    weir = start(env, config(both, {"app": upstream(origin.port, response_timeout="30s")}))
    busy, idle = RawClient(env, removed), RawClient(env, removed)
    busy.send(request("GET", "/held"))
    origin.wait_event("held")
    reload(env, weir, site(kept, "y"))
    wait_until(lambda: removed not in listening_ports(), "the socket to close")
    idle.expect_closed()
    origin.go("answer")
    assert busy.response().body == b"late"
    busy.expect_closed()
    assert RawClient(env, kept).ask().body == b"y"
    wait_until(lambda: len(status(env, weir)["generations"]) == 2, "nothing to be pinned")


def test_address_that_moves_to_another_listener_keeps_its_socket(env):
    port = env.port()
    weir = start(env, config({"a": http_listener(port, [respond(200, "a")])}))
    sockets = [os.readlink(f"/proc/{weir.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{weir.pid}/fd")
               if os.path.exists(f"/proc/{weir.pid}/fd/{fd}")]
    screen = reload(env, weir, config({"b": http_listener(port, [respond(200, "b")])}))
    assert "0 new sockets" in screen, screen
    after = [os.readlink(f"/proc/{weir.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{weir.pid}/fd")]
    assert set(after) & {one for one in sockets if one.startswith("socket:")}
    assert RawClient(env, port).ask().body == b"b"


def test_changed_bind_opens_the_new_and_closes_the_old(env):
    first, second = env.port(), env.port()
    weir = start(env, site(first, "x"))
    client = RawClient(env, first)
    assert client.ask().body == b"x"
    reload(env, weir, site(second, "y"))
    assert RawClient(env, second).ask().body == b"y"
    wait_until(lambda: first not in listening_ports(), "the old socket to close")
    assert client.ask().body == b"y", "a connection of the same listener goes on"


def test_rollback_goes_back_and_forth(env):
    first, second = env.port(), env.port()
    weir = start(env, site(first, "old"))
    assert weirctl(env, weir, "rollback")[0] == 64
    reload(env, weir, site(second, "new"))
    assert RawClient(env, second).ask().body == b"new"
    for _ in range(3):
        assert weirctl(env, weir, "rollback")[0] == 0
        assert RawClient(env, first).ask().body == b"old"
        wait_until(lambda: second not in listening_ports(), "the new socket to close")
        assert weirctl(env, weir, "rollback")[0] == 0
        assert RawClient(env, second).ask().body == b"new"
    assert status(env, weir)["generation"] == 2


def test_dry_run_says_and_does_nothing(env):
    port, other = env.port(), env.port()
    weir = start(env, site(port, "old"))
    screen = reload(env, weir, site(other, "new"), "--dry-run")
    assert "A dry run: still serving generation 1" in screen and "1 new socket" in screen, screen
    assert "~ listeners.web.bind" in screen and "1 socket" in screen and "old → new" in screen, screen
    assert RawClient(env, port).ask().body == b"old"
    wait_until(lambda: other not in listening_ports(), "the dry run's socket to close")
    reload(env, weir, "version: 2\n", "--dry-run", expect=78)


def test_diff_shows_a_value_in_one_line_and_no_more_of_it_than_changes(env):
    port = env.port()
    weir = start(env, site(port, "one\ntwo\t\"2\""))
    screen = reload(env, weir, site(port, "one\nthree \\"), "--dry-run")
    assert '"one\\ntwo\\t\\"2\\"" → "one\\nthree \\\\"' in screen, screen
    screen = reload(env, weir, site(port, "back\\slash"), "--dry-run")
    assert '"one\\ntwo\\t\\"2\\"" → back\\slash' in screen, screen
    reload(env, weir, site(port, "é" * 300 + "\nold" + "x" * 300))
    screen = reload(env, weir, site(port, "é" * 300 + "\nnew" + "x" * 300), "--dry-run")
    line = next(line for line in screen.splitlines() if "body" in line)
    assert 'é\\nold' in line and 'é\\nnew' in line and len(line) < 300, line
    names = [f"s{i}.example.com:80" for i in range(100)]

    def layout(servers):
        return config({"web": http_listener(port, [proxy("app")])}, {"app": {"servers": servers}})
    reload(env, weir, layout(names[:1]))
    screen = reload(env, weir, layout(names), "--dry-run")
    line = next(line for line in screen.splitlines() if "upstreams.app.servers" in line)
    assert "+ s1.example.com:80 + s2" in line and "more" in line and len(line) < 400, line


def test_unconfirmed_reload_goes_back_and_a_confirmed_one_stays(env):
    port = env.port()
    weir = start(env, site(port, "old"))
    screen = reload(env, weir, site(port, "new"), "--confirm", "1s")
    assert "weirctl confirm" in screen, screen
    assert RawClient(env, port).ask().body == b"new"
    assert "confirm_left" in status(env, weir)
    wait_until(lambda: RawClient(env, port).ask().body == b"old", "the configuration before")
    weir.wait_line("not confirmed in time")
    reload(env, weir, None, "--confirm", "60s")
    assert weirctl(env, weir, "confirm")[0] == 0
    assert "confirm_left" not in status(env, weir)
    assert RawClient(env, port).ask().body == b"new"
    assert weirctl(env, weir, "confirm")[0] == 69


@timeout(90)
def test_reload_that_hangs_is_given_up_and_others_wait(env):
    port = env.port()
    weir = start(env, site(port, "old"))
    fifo = env.dir / "hangs.crt"
    os.mkfifo(fifo)
    listener = http_listener(port, [respond(200, "new")], certificate="site")
    rewrite(weir, config({"web": listener}, certificates={"site": (str(fifo), str(fifo))}))
    results = []
    thread = threading.Thread(target=lambda: results.append(weirctl(env, weir, "reload", limit=60)))
    thread.start()
    wait_until(lambda: status(env, weir)["reloading"], "the reload to begin")
    code, _, err = weirctl(env, weir, "reload")
    assert code == 75 and "another reload" in err, (code, err)
    assert RawClient(env, port).ask().body == b"old", "serves meanwhile"
    thread.join(60)
    assert results[0][0] == 75 and "given up" in results[0][2], results
    assert RawClient(env, port).ask().body == b"old"

    def let_go():
        try:
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            pass
        return weirctl(env, weir, "reload")[0] == 0

    rewrite(weir, site(port, "newer"))
    wait_until(let_go, "the reload that hung to come back", 30)
    assert RawClient(env, port).ask().body == b"newer"


def test_health_and_overrides_survive(env):
    origin = ScriptedOrigin(env, lambda conn, incoming: conn.send(ok_response(b"1")))
    port = env.port()

    def layout(i):
        return config({"web": http_listener(port, [respond(200, f"{i}", path="/x"), proxy("app")])},
                      {"app": upstream(origin.port)})

    weir = start(env, layout(0))
    assert RawClient(env, port).ask().body == b"1"
    assert weirctl(env, weir, "drain", f"app/127.0.0.1:{origin.port}")[0] == 0
    reload(env, weir, layout(1))
    assert RawClient(env, port).ask().status == 503
    assert "drained" in weirctl(env, weir, "status")[1]
