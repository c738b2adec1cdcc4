# SPDX-License-Identifier: Apache-2.0
"""Connections to origins: kept, retried, balanced, passed over."""

from harness import (RawClient, ScriptedOrigin, Weir, app, cases, config, curl, http_listener, ok_response, proxy,
                     request, upstream)


def named(name):
    def handler(conn, incoming):
        incoming.body()
        conn.send(ok_response(name.encode()))
    return handler


def ask(env, port, method="GET", target="/", body=b""):
    return RawClient(env, port).ask(method, target, body=body)


def test_one_client_connection_uses_one_origin_connection(env):
    origin = ScriptedOrigin(env)
    port = env.port()
    Weir(env, app(port, origin.port))
    client = RawClient(env, port)
    for _ in range(20):
        assert client.ask().status == 200
    assert origin.connections() == 1, origin.connections()


def test_origin_connection_outlives_its_client(env):
    origin = ScriptedOrigin(env)
    port = env.port()
    Weir(env, app(port, origin.port), arguments=["--set", "runtime.threads=1"])
    for _ in range(10):
        assert curl(env, f"http://127.0.0.1:{port}/").status == 200
    assert origin.connections() == 1, origin.connections()


def test_unread_rest_of_a_response_does_not_poison_the_pool(env):
    """A client that leaves in the middle of a response must not hand its rest to the next one."""
    def handler(conn, incoming):
        if incoming.target == "/long":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
            conn.send(b"L" * 1000000)
            conn.hang()
        conn.send(ok_response(b"mine"))
    origin = ScriptedOrigin(env, handler)
    port = env.port()
    weir = Weir(env, app(port, origin.port))
    client = RawClient(env, port)
    client.send(request("GET", "/long"))
    client.read(1000)
    mark = weir.mark()
    client.reset()
    for _ in range(3):
        assert ask(env, port).body == b"mine"
    origin.wait_event("end")
    del mark


def close_after_first(conn, incoming):
    """Answers the first request as if the connection stayed, then closes as soon as the second one comes."""
    incoming.body()
    if conn.count == 1:
        conn.send(ok_response(b"fresh"))
    else:
        conn.close()


def test_stale_pooled_connection_is_retried_for_get(env):
    origin = ScriptedOrigin(env, close_after_first)
    port = env.port()
    Weir(env, app(port, origin.port))
    client = RawClient(env, port)
    for _ in range(3):
        response = client.ask()
        assert (response.status, response.body) == (200, b"fresh"), response
    assert origin.connections() == 3, origin.connections()


def test_post_is_never_sent_twice(env):
    origin = ScriptedOrigin(env, close_after_first)
    port = env.port()
    weir = Weir(env, app(port, origin.port))
    client = RawClient(env, port)
    assert client.ask().status == 200
    mark = weir.mark()
    client.send(request("POST", "/pay", body=b"amount=1"))
    response = client.response()
    seen = origin.requests("POST")
    assert len(seen) <= 1, seen
    # A fresh connection would have been right; a used one may fail, and then it is said.
    if seen[0]["connection"] == 1:
        assert response.status == 502, response
        weir.expect_outcome("upstream.reset", "upstream.response.truncated", since=mark)
    assert ask(env, port).status == 200
    assert len(origin.requests("POST")) == len(seen)


def test_pooled_connection_closed_while_idle_is_noticed(env):
    """The origin ends an idle connection in order: even a POST is safe then, for the close is seen first."""
    def handler(conn, incoming):
        incoming.body()
        conn.send(ok_response(b"x"))
        if incoming.target == "/last":
            conn.close()
    origin = ScriptedOrigin(env, handler)
    port = env.port()
    Weir(env, app(port, origin.port))
    client = RawClient(env, port)
    assert client.ask("GET", "/last").status == 200
    origin.wait_event("end")        # weir has closed its end too
    assert client.ask("POST", "/", body=b"x").status == 200


def test_origin_that_says_close_gets_a_new_connection_each_time(env):
    def handler(conn, incoming):
        conn.send(ok_response(b"x", "Connection: close"))
        conn.close()
    origin = ScriptedOrigin(env, handler)
    port = env.port()
    Weir(env, app(port, origin.port))
    client = RawClient(env, port)
    for _ in range(3):
        assert client.ask().status == 200
    assert client.ask("POST", "/", body=b"x").status == 200
    assert origin.connections() == 4, origin.connections()


def test_http10_origin_is_understood(env):
    def handler(conn, incoming):
        conn.send(b"HTTP/1.0 200 OK\r\nX-Old: yes\r\n\r\nold")
        conn.close()
    origin = ScriptedOrigin(env, handler)
    port = env.port()
    Weir(env, app(port, origin.port))
    client = RawClient(env, port)
    for _ in range(2):
        response = RawClient(env, port).ask()
        assert (response.body, response.ended, response.version) == (b"old", "complete", "HTTP/1.1"), response
    client.close()


def test_round_robin_spreads_evenly(env):
    origins = [ScriptedOrigin(env, named(n)) for n in ("a", "b", "c")]
    port = env.port()
    Weir(env, app(port, *(o.port for o in origins)), arguments=["--set", "runtime.threads=1"])
    client = RawClient(env, port)
    answers = [client.ask().body for _ in range(12)]
    assert sorted(set(answers)) == [b"a", b"b", b"c"], answers
    assert all(answers.count(name) == 4 for name in set(answers)), answers


def test_failed_server_is_passed_over(env):
    """The client never notices: the first try moves on, later ones do not try the dead server again."""
    alive, dead = ScriptedOrigin(env, named("alive")), env.port()
    port = env.port()
    weir = Weir(env, app(port, dead, alive.port), arguments=["--set", "runtime.threads=1"])
    for _ in range(10):
        response = ask(env, port)
        assert (response.status, response.body) == (200, b"alive"), response
    weir.expect_outcome("upstream.connect.refused")
    tries = len([line for line in weir.text().splitlines() if "upstream.connect.refused" in line])
    assert tries <= 4, f"the dead server was tried {tries} times in 10 requests"


@cases(("GET", "GET"), ("POST", "POST"))
def test_refused_connection_goes_to_the_other_server(env, method):
    """Nothing was sent, so even a POST may move."""
    alive, dead = ScriptedOrigin(env, named("alive")), env.port()
    port = env.port()
    Weir(env, app(port, dead, alive.port))
    for _ in range(4):
        assert ask(env, port, method, body=b"x" if method == "POST" else b"").body == b"alive"
    assert len(alive.requests(method)) == 4


def test_all_servers_down_is_502_or_503_and_recovers(env):
    first, second = env.port(), env.port()
    port = env.port()
    weir = Weir(env, app(port, first, second))
    for _ in range(4):
        assert ask(env, port).status in (502, 503)
    weir.expect_outcome("upstream.none_available", "upstream.connect.refused")
    ScriptedOrigin(env, named("back"), port=first)
    ScriptedOrigin(env, named("back"), port=second)
    assert ask(env, port).body == b"back"


def test_unix_socket_origin(env):
    origin = ScriptedOrigin(env, named("unix"), unix=env.dir / "origin.sock")
    port = env.port()
    Weir(env, config({"web": http_listener(port, [proxy("app")])}, {"app": upstream(origin.address)}))
    assert ask(env, port).body == b"unix"


def test_url_as_proxy_target(env):
    origin = ScriptedOrigin(env, named("url"))
    port = env.port()
    Weir(env, config({"web": http_listener(port, [proxy(f"http://127.0.0.1:{origin.port}")])}))
    assert ask(env, port).body == b"url"


def test_host_name_as_server(env):
    origin = ScriptedOrigin(env, named("name"))
    port = env.port()
    Weir(env, app(port, f"localhost:{origin.port}"))
    assert ask(env, port).body == b"name"
