# SPDX-License-Identifier: Apache-2.0
"""What of a message reaches the other side: header fields, interim responses, bodiless answers, upgrades."""

import base64
import hashlib

from harness import Failed, RawClient, ScriptedOrigin, Weir, app, cases, curl, ok_response, request


def through(env, handler=None, **settings):
    origin = ScriptedOrigin(env, handler)
    port = env.port()
    weir = Weir(env, app(port, origin.port, **settings))
    return origin, port, weir


def fields(event, name):
    return [value for key, value in event["headers"] if key.lower() == name.lower()]


def test_hop_by_hop_fields_of_the_request_stay_here(env):
    origin, port, _ = through(env)
    RawClient(env, port).ask("GET", "/", "Connection: keep-alive, X-Mine", "Keep-Alive: timeout=5", "X-Mine: 1",
                             "TE: trailers", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eA==",
                             "X-End: kept")
    seen = origin.requests()[0]
    for name in ("keep-alive", "x-mine", "proxy-connection", "te", "upgrade"):
        assert not fields(seen, name), f"{name} reached the origin: {seen['headers']}"
    assert fields(seen, "x-end") == ["kept"], seen
    assert fields(seen, "connection") in ([], ["keep-alive"]), seen


def test_hop_by_hop_fields_of_the_response_stay_here(env):
    def handler(conn, incoming):
        conn.send(ok_response(b"x", "Connection: X-Mine", "X-Mine: 1", "Keep-Alive: timeout=5",
                              "Proxy-Connection: close", "X-End: kept"))
    _, port, _ = through(env, handler)
    response = RawClient(env, port).ask()
    for name in ("x-mine", "keep-alive", "proxy-connection"):
        assert response.get(name) is None, response.headers
    assert response.get("x-end") == "kept", response.headers


def test_forwarded_fields_are_set_and_incoming_ones_removed(env):
    origin, port, _ = through(env)
    RawClient(env, port).ask("GET", "/", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: gopher",
                             "X-Forwarded-Host: evil.test", "Forwarded: for=6.6.6.6", host="site.test")
    seen = origin.requests()[0]
    assert fields(seen, "x-forwarded-for") == ["127.0.0.1"], seen
    assert fields(seen, "x-forwarded-proto") == ["http"], seen
    assert fields(seen, "x-forwarded-host") in ([], ["site.test"]), seen
    assert not any("6.6.6.6" in value or "evil" in value for _, value in seen["headers"]), seen
    assert fields(seen, "host") == ["site.test"], seen


def test_several_fields_of_one_name_keep_their_order(env):
    def handler(conn, incoming):
        conn.send(ok_response(b"", "Set-Cookie: a=1", "X: 1", "Set-Cookie: b=2", "Set-Cookie: c=3"))
    origin, port, _ = through(env, handler)
    response = RawClient(env, port).ask("GET", "/", "X-A: 1", "X-B: 2", "X-A: 3")
    assert fields(origin.requests()[0], "x-a") in (["1", "3"], ["1, 3"]), origin.requests()
    assert response.all("set-cookie") == ["a=1", "b=2", "c=3"], response.headers


@cases(("plain", "/a/b?c=d&e=%20#"), ("escapes", "/%41%2f%2e%2e/x;y=z"), ("long", "/" + "p" * 4000),
       ("dots", "/a/./b/../c"), ("slashes", "//a///b"))
def test_target_reaches_the_origin_unchanged(env, target):
    origin, port, _ = through(env)
    target = target.rstrip("#")
    assert RawClient(env, port).ask("GET", target).status == 200
    assert origin.requests()[0]["target"] == target, origin.requests()


@cases(*((m, m) for m in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH")))
def test_method_reaches_the_origin(env, method):
    origin, port, _ = through(env)
    assert RawClient(env, port).ask(method, "/").status == 200
    assert origin.requests(method), origin.requests()


def test_big_header_fields_pass(env):
    def handler(conn, incoming):
        conn.send(ok_response(b"", "X-Back: " + incoming.get("x-big")))
    _, port, _ = through(env, handler)
    client = RawClient(env, port)
    for size in (1000, 9000, 20000):
        assert client.ask("GET", "/", "X-Big: " + "b" * size).get("x-back") == "b" * size, size


def test_hundred_fields_pass(env):
    origin, port, _ = through(env)
    RawClient(env, port).ask("GET", "/", *(f"X-{i}: {i}" for i in range(80)))
    seen = origin.requests()[0]
    assert all(fields(seen, f"x-{i}") == [str(i)] for i in range(80)), seen


def test_head_has_the_length_and_no_body(env):
    def handler(conn, incoming):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n" + (b"" if incoming.method == "HEAD" else b"x" * 1234))
    origin, port, _ = through(env, handler)
    client = RawClient(env, port)
    response = client.ask("HEAD", "/")
    assert response.get("content-length") == "1234" and not response.body, response
    assert len(client.ask("GET", "/").body) == 1234
    assert origin.connections() == 1, "HEAD cost a connection"


@cases(("204", "204 No Content", []), ("304", "304 Not Modified", ["ETag: \"x\""]),
       ("304_with_length", "304 Not Modified", ["Content-Length: 77"]))
def test_bodiless_status_ends_at_its_head(env, status, extra):
    def handler(conn, incoming):
        if incoming.target == "/none":
            conn.send("\r\n".join([f"HTTP/1.1 {status}", *extra, "", ""]).encode())
        else:
            conn.send(ok_response(b"after"))
    origin, port, _ = through(env, handler)
    client = RawClient(env, port)
    assert client.ask("GET", "/none").status == int(status[:3])
    assert client.ask("GET", "/").body == b"after"
    assert origin.connections() == 1, "a bodiless answer cost a connection"


def test_expect_continue_is_answered_before_the_body(env):
    def handler(conn, incoming):
        if "100-continue" in (incoming.get("expect") or ""):
            conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.send(ok_response(incoming.body()))
    _, port, _ = through(env, handler)
    client = RawClient(env, port)
    client.send(request("POST", "/", "Content-Length: 5", "Expect: 100-continue"))
    line = client.read_line()
    assert line is not None and line.startswith(b"HTTP/1.1 100"), line
    while client.read_line():
        pass
    client.send(b"hello")
    response = client.response()
    assert (response.status, response.body) == (200, b"hello"), response
    assert not response.interim, "100 was sent twice"


def test_curl_uploads_with_expect_continue(env):
    def handler(conn, incoming):
        conn.send(ok_response(str(len(incoming.body())).encode()))
    _, port, _ = through(env, handler)
    source = env.file("upload", b"u" * 100000)
    got = curl(env, f"http://127.0.0.1:{port}/", "-T", source, "-H", "Expect: 100-continue", "--expect100-timeout", "20")
    assert (got.status, got.body) == (200, b"100000"), got


def test_early_hints_come_first(env):
    def handler(conn, incoming):
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        conn.report("hinted")
        conn.wait_go("final")
        conn.send(ok_response(b"done"))
    origin, port, _ = through(env, handler, response_timeout="10s")
    client = RawClient(env, port)
    client.send(request("GET", "/"))
    line = client.read_line()
    assert line is not None and line.startswith(b"HTTP/1.1 103"), line
    hints = []
    while True:
        line = client.read_line()
        if not line:
            break
        hints.append(line)
    assert b"Link: </style.css>; rel=preload" in hints, hints
    origin.go("final")
    assert client.response().body == b"done"


def test_interim_responses_are_not_sent_to_http10(env):
    def handler(conn, incoming):
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok_response(b"done"))
    _, port, _ = through(env, handler)
    client = RawClient(env, port)
    client.send(request("GET", "/", version="HTTP/1.0"))
    response = client.response()
    assert response.status == 200 and not response.interim, response


def test_pipelined_requests_are_answered_in_order(env):
    def handler(conn, incoming):
        incoming.body()
        conn.send(ok_response(incoming.target.encode()))
    _, port, _ = through(env, handler)
    client = RawClient(env, port)
    targets = [f"/{i}" for i in range(50)]
    client.send(b"".join(request("POST" if i % 3 == 0 else "GET", t, body=b"b" * i if i % 3 == 0 else b"")
                         for i, t in enumerate(targets)))
    answers = [client.response().body.decode() for _ in targets]
    assert answers == targets, answers


def test_http10_client_gets_an_unchunked_answer_and_the_end(env):
    def handler(conn, incoming):
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    _, port, _ = through(env, handler)
    client = RawClient(env, port)
    client.send(request("GET", "/", version="HTTP/1.0"))
    response = client.response()
    assert response.framing == "close" and response.body == b"hello", response


def test_connection_close_is_obeyed(env):
    _, port, _ = through(env)
    client = RawClient(env, port)
    response = client.ask("GET", "/", "Connection: close")
    assert response.get("connection", "").lower() == "close", response.headers
    client.expect_closed()


def test_half_closed_client_still_gets_its_answer(env):
    def handler(conn, incoming):
        conn.report("asked")
        conn.wait_go("answer")
        conn.send(ok_response(b"for you"))
    origin, port, _ = through(env, handler, response_timeout="10s")
    client = RawClient(env, port)
    client.send(request("GET", "/"))
    client.finish()
    origin.wait_event("asked")
    origin.go("answer")
    response = client.response()
    assert response is not None and response.body == b"for you", response
    client.expect_closed()


def test_trailers_reach_the_client_or_are_left_out_cleanly(env):
    def handler(conn, incoming):
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n")
    _, port, _ = through(env, handler)
    client = RawClient(env, port)
    for _ in range(2):
        response = client.ask("GET", "/", "TE: trailers", "Connection: TE")
        assert (response.body, response.ended) == (b"abc", "complete"), response
        assert response.trailers in ([], [("X-Sum", "9")]), response.trailers


def websocket(conn, incoming):
    """Accepts, then mirrors raw bytes until the peer half-closes; then says goodbye."""
    key = incoming.get("sec-websocket-key", "")
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    conn.report("upgrade", upgrade=incoming.get("upgrade"), connection_field=incoming.get("connection"))
    conn.send(("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode() + b"welcome")
    while True:
        data = conn.read_any()
        if not data:
            break
        conn.send(data)
    conn.send(b"goodbye")
    conn.close()


UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


def upgraded(env, port, more=b""):
    client = RawClient(env, port)
    client.send(request("GET", "/chat", *UPGRADE) + more)
    response = client.response(body=False)
    if response.status != 101:
        raise Failed(f"{response}")
    assert response.get("upgrade") == "websocket", response.headers
    assert response.get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", response.headers
    return client


def test_websocket_upgrade_passes_bytes_both_ways(env):
    origin, port, _ = through(env, websocket)
    client = upgraded(env, port)
    assert client.read(7) == b"welcome"
    for size in (1, 100, 100000):
        data = bytes(range(256)) * (size // 256 + 1)
        client.send(data[:size])
        assert client.read(size) == data[:size]
    seen = origin.wait_event("upgrade")
    assert seen["upgrade"] == "websocket" and "upgrade" in seen["connection_field"].lower(), seen


def test_bytes_right_after_the_upgrade_request_are_not_lost(env):
    _, port, _ = through(env, websocket)
    client = upgraded(env, port, b"early bytes")
    assert client.read(18) == b"welcomeearly bytes"


def test_tunnel_passes_half_close(env):
    _, port, _ = through(env, websocket)
    client = upgraded(env, port)
    client.send(b"last words")
    client.finish()
    assert client.read_end() == b"welcomelast wordsgoodbye" and client.closed == "eof"


def test_tunnel_may_idle_longer_than_the_response_timeout(env):
    _, port, _ = through(env, websocket, response_timeout="200ms")
    client = upgraded(env, port)
    assert client.read(7) == b"welcome"
    assert client.quiet(0.6), "the idle tunnel was closed"
    client.send(b"still here")
    assert client.read(10) == b"still here"


def test_refused_upgrade_is_an_ordinary_answer(env):
    def handler(conn, incoming):
        conn.send(ok_response(b"no", status="426 Upgrade Required"))
    _, port, _ = through(env, handler)
    client = RawClient(env, port)
    assert client.ask("GET", "/chat", *UPGRADE).status == 426
    assert client.ask("GET", "/chat", *UPGRADE).body == b"no"
