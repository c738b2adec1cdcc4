# SPDX-License-Identifier: Apache-2.0
"""What a peer can grow has a limit, and slowness on one side is felt on the other."""

import json
from collections import Counter

from harness import (RawClient, ScriptedOrigin, Weir, app, cases, config, http_listener, ok_response, pattern_bytes,
                     request, respond, sha256, timeout, weirctl)

MIB = 1024 * 1024


def refused(env, port, data, *statuses):
    """One of these statuses, then the connection's end. The rest of the request may meet a closed door."""
    client = RawClient(env, port)
    client.send(data)
    response = client.response()
    assert response is not None and response.status in statuses, response
    client.read_end()
    assert client.closed, "the connection is still open"


def test_header_beyond_the_limit_is_431(env):
    origin = ScriptedOrigin(env)
    port = env.port()
    Weir(env, app(port, origin.port))
    refused(env, port, request("GET", "/", "X-Big: " + "b" * 40000), 431)
    refused(env, port, request("GET", "/", *("X-Many: " + "m" * 100 for _ in range(1000))), 431)
    assert not origin.requests()
    assert RawClient(env, port).ask().status == 200


def test_target_beyond_the_limit_is_414(env):
    origin = ScriptedOrigin(env)
    port = env.port()
    Weir(env, app(port, origin.port))
    refused(env, port, request("GET", "/" + "t" * 100000), 414)
    assert not origin.requests()
    assert RawClient(env, port).ask().status == 200


@cases(("no_colon", b"GET / HTTP/1.1\r\nHost: a\r\nbad\r\n\r\n"),
       ("no_host", b"GET / HTTP/1.1\r\n\r\n"),
       ("two_hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
       ("length_and_chunked", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
       ("two_lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
       ("bad_chunk", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
       ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"))
def test_bad_request_is_400_and_the_connection_ends(env, data):
    origin = ScriptedOrigin(env)
    port = env.port()
    weir = Weir(env, app(port, origin.port))
    refused(env, port, data, 400)
    weir.expect_outcome("client.bad_request")
    assert RawClient(env, port).ask().status == 200


def test_slow_header_is_cut_off_at_its_timeout(env):
    origin = ScriptedOrigin(env)
    port = env.port()
    weir = Weir(env, app(port, origin.port, listener={"timeouts": {"header": "300ms"}}))
    client = RawClient(env, port)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
    data = client.read_end()
    assert data == b"" or data.startswith(b"HTTP/1.1 408"), data
    weir.expect_outcome("client.timeout")


def test_idle_connection_is_closed_at_its_timeout(env):
    origin = ScriptedOrigin(env)
    port = env.port()
    Weir(env, app(port, origin.port, listener={"timeouts": {"idle": "300ms"}}))
    client = RawClient(env, port)
    assert client.ask().status == 200
    client.expect_closed()


def test_slow_body_is_cut_off_at_its_timeout(env):
    origin = ScriptedOrigin(env)
    port = env.port()
    weir = Weir(env, app(port, origin.port, listener={"timeouts": {"body": "300ms"}}))
    client = RawClient(env, port)
    client.send(request("POST", "/", "Content-Length: 100") + b"some")
    response = client.response()
    assert response is None or response.status in (400, 408), response
    client.read_end()
    weir.expect_outcome("client.timeout")
    assert RawClient(env, port).ask().status == 200


@timeout(120)
def test_client_that_does_not_read_stops_the_origin_not_the_memory(env):
    size = 64 * MIB
    content = pattern_bytes(size, 6)

    def handler(conn, incoming):
        if incoming.target != "/big":
            conn.send(ok_response(b"small"))
            return
        conn.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        taken = conn.send_until_stuck(content, 1.0)
        conn.report("stuck", taken=taken)
        conn.send(content[taken:])
    origin = ScriptedOrigin(env, handler)
    port = env.port()
    weir = Weir(env, app(port, origin.port, response_timeout="60s"))
    assert RawClient(env, port).ask().body == b"small"
    before = weir.rss()
    client = RawClient(env, port, receive_buffer=65536)
    client.send(request("GET", "/big"))
    stuck = origin.wait_event("stuck", limit=30)
    grown = weir.rss() - before
    assert stuck["taken"] < size, "the origin could send everything to a client that reads nothing"
    assert grown < 8 * MIB, f"weir grew by {grown} bytes holding a response nobody reads"
    assert RawClient(env, port).ask().body == b"small", "others must not wait"
    response = client.response()
    assert response.ended == "complete" and sha256(response.body) == sha256(content), response


@timeout(120)
def test_origin_that_does_not_read_stops_the_client_not_the_memory(env):
    size = 64 * MIB

    def handler(conn, incoming):
        if incoming.method == "POST":
            conn.wait_go("read")
            length, digest = incoming.body_digest()
            conn.send(ok_response(f"{length} {digest}".encode()))
        else:
            conn.send(ok_response(b"small"))
    origin = ScriptedOrigin(env, handler)
    port = env.port()
    weir = Weir(env, app(port, origin.port, response_timeout="60s"))
    assert RawClient(env, port).ask().body == b"small"
    before = weir.rss()
    content = pattern_bytes(size, 7)
    client = RawClient(env, port, limit=30)
    client.send(request("POST", "/", f"Content-Length: {size}"))
    client.socket.settimeout(1)
    sent = 0
    try:
        while sent < size:
            sent += client.socket.send(content[sent:sent + 65536])
    except TimeoutError:
        pass
    grown = weir.rss() - before
    assert sent < size, "the client could send everything to an origin that reads nothing"
    assert grown < 8 * MIB, f"weir grew by {grown} bytes holding a request nobody reads"
    origin.go("read")
    client.socket.settimeout(client.limit)
    client.send(content[sent:])
    assert client.response().body.decode() == f"{size} {sha256(content)}"


def test_descriptors_do_not_leak(env):
    """After a storm of clients that leave in every possible moment, weir holds what it held before."""
    from harness import wait_until

    def handler(conn, incoming):
        if incoming.target == "/hang":
            conn.hang()
        if incoming.target == "/cut":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            conn.close()
        conn.send(ok_response(b"x" * 1000))
    origin = ScriptedOrigin(env, handler)
    port = env.port()
    weir = Weir(env, app(port, origin.port))
    RawClient(env, port).ask("GET", "/", "Connection: close")
    start = weir.descriptors()
    for number in range(60):
        client = RawClient(env, port)
        target = ("/", "/hang", "/cut")[number % 3]
        if number % 4 == 0:
            client.send(request("GET", target)[:20])
        elif number % 4 == 1:
            client.send(request("GET", target))
        elif number % 4 == 2:
            client.send(request("POST", target, "Content-Length: 1000") + b"part")
        if number % 2:
            client.reset()
        else:
            client.close()
    # Idle connections to the origin may stay: the pool is bounded by what ran at once on each loop.
    wait_until(lambda: weir.descriptors() <= start + 8, f"descriptors to come back to {start}", 20)
    assert RawClient(env, port).ask().status == 200


def test_connections_spread_over_loops(env):
    """No loop has more than 1.25 times the mean, whichever the kernel wakes first."""
    port = env.port()
    weir = Weir(env, {**config({"web": http_listener(port, [respond(200, "x")])}), "runtime": {"threads": 4}})
    clients = [RawClient(env, port) for _ in range(400)]
    assert all(client.ask().status == 200 for client in clients)
    code, out, err = weirctl(env, weir, "conns", "--limit", "1000", "--json")
    assert code == 0, err
    loops = Counter(one["loop"] for one in json.loads(out)["conns"])
    assert sum(loops.values()) == 400 and max(loops.values()) <= 125, loops
