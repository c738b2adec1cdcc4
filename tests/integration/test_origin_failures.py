# SPDX-License-Identifier: Apache-2.0
"""What the client, the log and the next request see when the origin fails.

One row per way to fail and moment: before the response head the client gets 502, or 504 where waiting was the
cause; once the head is out, the connection ends short, so that a cut response never looks whole. Every row names
the outcome words, one of which a log line must carry. The same connection or a new one is then served.
"""

import socket

from harness import Failed, RawClient, ScriptedOrigin, Weir, app, cases, ok_response, request, timeout

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FIXED = OK + b"Content-Length: 1000\r\n\r\n"
RESET = ("upstream.reset",)
SHORT = ("upstream.response.truncated", "upstream.reset")
BAD = ("upstream.response.bad",)
LATE = ("upstream.response.timeout",)


# (name, what is sent before the end, how it ends, status, outcome words)
BEFORE = [
    ("closes", b"", "close", 502, SHORT),
    ("resets", b"", "reset", 502, RESET),
    ("hangs", b"", "hang", 504, LATE),
    ("garbage", b"\x16\x03\x01\x02\x00 this is not HTTP\r\n\r\n", "hang", 502, BAD),
    ("garbage_then_close", b"220 mail.example ESMTP\r\n", "close", 502, BAD),
    ("html_without_head", b"<html><body>HTTP/0.9</body></html>\r\n\r\n", "close", 502, BAD),
    ("wrong_version", b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n", "hang", 502, BAD),
    ("status_of_two_digits", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", "hang", 502, BAD),
    ("endless_status_line", b"HTTP/1.1 200 " + b"a" * 200000, "hang", 502, BAD),
    ("interim_then_close", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "close", 502, SHORT),
    ("interim_then_hang", b"HTTP/1.1 100 Continue\r\n\r\n", "hang", 504, LATE),
    ("unasked_101", b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "hang", 502, BAD),
]
INSIDE = [
    ("status_line_cut_close", b"HTTP/1.1 2", "close", 502, SHORT),
    ("status_line_cut_reset", b"HTTP/1.1 2", "reset", 502, RESET + SHORT),
    ("status_line_cut_hang", b"HTTP/1.1 2", "hang", 504, LATE),
    ("field_cut_close", OK + b"Content-Le", "close", 502, SHORT),
    ("field_cut_reset", OK + b"Content-Le", "reset", 502, RESET + SHORT),
    ("field_cut_hang", OK + b"Content-Le", "hang", 504, LATE),
    ("field_without_colon", OK + b"garbage\r\nContent-Length: 0\r\n\r\n", "hang", 502, BAD),
    ("field_with_nul", OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n", "hang", 502, BAD),
    ("space_before_colon", OK + b"Content-Length : 3\r\n\r\nabc", "hang", 502, BAD),
    ("head_too_long", OK + b"X: " + b"a" * 300000 + b"\r\n\r\n", "hang", 502, BAD),
    ("too_many_fields", OK + b"X: y\r\n" * 100000 + b"\r\n", "hang", 502, BAD),
    ("two_lengths", OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "hang", 502, BAD),
    ("length_not_a_number", OK + b"Content-Length: 3x\r\n\r\nabc", "hang", 502, BAD),
    ("length_too_big", OK + b"Content-Length: 99999999999999999999\r\n\r\nabc", "hang", 502, BAD),
    ("length_and_chunked", OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
     "hang", 502, BAD),
    ("unknown_coding", OK + b"Transfer-Encoding: zip\r\n\r\nabc", "hang", 502, BAD),
]
# After the head: status is 200 and what of the body must have come, at least, is in the last place.
AFTER = [
    ("too_short_close", FIXED + b"half", "close", SHORT, b"half"),
    ("too_short_reset", FIXED + b"half", "reset", RESET + SHORT, b""),
    ("too_short_hang", FIXED + b"half", "hang", LATE, b"half"),
    ("no_body_close", FIXED, "close", SHORT, b""),
    ("no_body_hang", FIXED, "hang", LATE, b""),
    ("chunk_cut_close", CHUNKED + b"a\r\nhalf", "close", SHORT, b"half"),
    ("chunk_cut_reset", CHUNKED + b"a\r\nhalf", "reset", RESET + SHORT, b""),
    ("chunk_cut_hang", CHUNKED + b"a\r\nhalf", "hang", LATE, b"half"),
    ("between_chunks_close", CHUNKED + b"4\r\nhalf\r\n", "close", SHORT, b"half"),
    ("between_chunks_hang", CHUNKED + b"4\r\nhalf\r\n", "hang", LATE, b"half"),
    ("last_chunk_unended_close", CHUNKED + b"4\r\nhalf\r\n0\r\n", "close", SHORT, b"half"),
    ("trailer_cut_close", CHUNKED + b"4\r\nhalf\r\n0\r\nX-Sum: ", "close", SHORT, b"half"),
    ("bad_chunk_size", CHUNKED + b"4\r\nhalf\r\nzz\r\nabc\r\n0\r\n\r\n", "hang", BAD, b""),
    ("negative_chunk_size", CHUNKED + b"4\r\nhalf\r\n-1\r\n\r\n0\r\n\r\n", "hang", BAD, b""),
    ("huge_chunk_size", CHUNKED + b"4\r\nhalf\r\nfffffffffffffffff\r\nabc", "hang", BAD, b""),
    ("chunk_longer_than_said", CHUNKED + b"4\r\nhalf and more\r\n0\r\n\r\n", "hang", BAD, b""),
    ("endless_chunk_extension", CHUNKED + b"4\r\nhalf\r\n4;" + b"x" * 200000, "hang", BAD, b""),
    ("endless_trailer", CHUNKED + b"4\r\nhalf\r\n0\r\nX: " + b"x" * 200000, "hang", BAD, b""),
    ("bad_trailer", CHUNKED + b"4\r\nhalf\r\n0\r\nno colon here\r\n\r\n", "hang", BAD, b""),
]


def misbehaving(data, end):
    """Fails for /fail, answers everything else."""
    def handler(conn, incoming):
        incoming.body()
        if incoming.target != "/fail":
            conn.send(ok_response(b"served"))
            return
        if data:
            conn.send(data)
            # A reset throws away what the proxy has not read yet: let the proxy take it first.
            while end == "reset" and unread_by_peer(conn.socket):
                pass
        getattr(conn, end)()
    return handler


def unread_by_peer(sock):
    """Bytes not yet acknowledged by the peer's kernel."""
    import fcntl
    import struct
    import termios
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0]


def setup(env, handler=None, on_accept=None):
    origin = ScriptedOrigin(env, handler, on_accept)
    port = env.port()
    weir = Weir(env, app(port, origin.port, response_timeout="500ms", connect_timeout="500ms"))
    return origin, port, weir


def expect_served(env, port):
    """The next request works, on a connection of its own."""
    response = RawClient(env, port).ask("GET", "/next")
    if (response.status, response.body) != (200, b"served"):
        raise Failed(f"the next request got {response} {response.body[:100]!r}")


def expect_error(env, port, weir, status, words, method="GET"):
    client = RawClient(env, port)
    mark = weir.mark()
    response = client.ask(method, "/fail", body=b"x=1" if method == "POST" else b"")
    if response.status != status or response.ended != "complete":
        raise Failed(f"the client got {response}, not a whole {status}")
    weir.expect_outcome(*words, since=mark)
    if client.quiet(0.05):      # still open: then it is usable
        assert client.ask("GET", "/next").body == b"served"
    expect_served(env, port)


@cases(*((f"{row[0]}-{method}", *row[1:], method) for row in BEFORE for method in ("GET", "POST")))
def test_before_the_head(env, data, end, status, words, method):
    _, port, weir = setup(env, misbehaving(data, end))
    expect_error(env, port, weir, status, words, method)


@cases(*INSIDE)
def test_inside_the_head(env, data, end, status, words):
    _, port, weir = setup(env, misbehaving(data, end))
    expect_error(env, port, weir, status, words)


@cases(*AFTER)
def test_after_the_head(env, data, end, words, part):
    _, port, weir = setup(env, misbehaving(data, end))
    client = RawClient(env, port)
    mark = weir.mark()
    client.send(request("GET", "/fail"))
    response = client.response()
    if response is None or response.status == 502:
        # Head and failure arrived in one piece: nothing had been sent to the client yet, so this is right as well.
        if end != "hang" or words != BAD:
            raise Failed(f"{response} though the head was good")
    else:
        if response.status != 200:
            raise Failed(f"{response}")
        if response.ended != "truncated":
            raise Failed(f"a cut response looks whole: {response} {response.body[-40:]!r}")
        if not response.body.startswith(part):
            raise Failed(f"of {part!r} only {response.body[:40]!r} came")
        assert client.read_end() == b"" and client.closed, "the connection is still open"
    weir.expect_outcome(*words, since=mark)
    expect_served(env, port)


@cases(("closed_port", "upstream.connect.refused"))
def test_refused(env, word):
    port, nobody = env.port(), env.port()
    weir = Weir(env, app(port, nobody))
    client = RawClient(env, port)
    mark = weir.mark()
    assert client.ask("GET", "/fail").status in (502, 503)
    weir.expect_outcome(word, since=mark)
    origin = ScriptedOrigin(env, misbehaving(b"", "close"), port=nobody)
    expect_served(env, port)
    assert origin.requests()


def test_connect_that_hangs_is_504(env):
    """A listener whose backlog is full drops SYNs."""
    full = socket.socket()
    full.bind(("127.0.0.1", env.port()))
    full.listen(0)
    env.defer(full.close)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
        fillers.append(filler)
        env.defer(filler.close)
    port = env.port()
    weir = Weir(env, app(port, full.getsockname()[1], connect_timeout="300ms", retries=0))
    response = RawClient(env, port).ask("GET", "/fail")
    assert response.status == 504, response
    weir.expect_outcome("upstream.connect.timeout")


@cases(("closes", "close", 502, SHORT), ("resets", "reset", 502, RESET + SHORT))
def test_on_accept(env, end, status, words):
    """The connection opens and ends before the request is read; from the third one on all is well."""
    def on_accept(conn):
        if conn.number <= 4:
            getattr(conn, end)()
    _, port, weir = setup(env, misbehaving(b"", "close"), on_accept)
    client = RawClient(env, port)
    mark = weir.mark()
    response = client.ask("POST", "/fail", body=b"x=1")
    assert response.status == status, response
    weir.expect_outcome(*words, since=mark)
    for _ in range(4):
        response = RawClient(env, port).ask("GET", "/next")
        if response.status == 200:
            return
        assert response.status == 502, response
    expect_served(env, port)


def test_name_that_does_not_resolve_is_502(env):
    port = env.port()
    weir = Weir(env, app(port, "no-such-name.invalid:80"))
    response = RawClient(env, port, limit=30).ask("GET", "/")
    assert response.status in (502, 503, 504), response
    weir.expect_outcome("upstream.dns")


def test_body_longer_than_its_length_is_cut_there(env):
    """The surplus is never shown to anybody, least of all as the next response."""
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned"
    _, port, _ = setup(env, misbehaving(OK + b"Content-Length: 4\r\n\r\nhalf" + poison, "hang"))
    client = RawClient(env, port)
    client.send(request("GET", "/fail"))
    response = client.response()
    assert (response.body, response.ended) == (b"half", "complete"), response
    client.send(request("GET", "/next"))
    after = client.response()
    assert after is None or after.body == b"served", after.body
    expect_served(env, port)


@cases(("204", b"204 No Content"), ("304", b"304 Not Modified"))
def test_body_after_a_bodyless_status_is_never_shown(env, status):
    _, port, _ = setup(env, misbehaving(b"HTTP/1.1 " + status + b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX",
                                        "hang"))
    client = RawClient(env, port)
    client.send(request("GET", "/fail"))
    response = client.response()
    assert response.status == int(status[:3]) and not response.body, response
    client.send(request("GET", "/next"))
    after = client.response()
    assert after is None or after.body == b"served", after.body
    expect_served(env, port)


def test_response_that_nobody_asked_for_is_not_used(env):
    """An origin that speaks first: what it said must not answer the first request."""
    def early(conn):
        if conn.number == 1:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nunused")

    def handler(conn, incoming):
        if conn.number == 1:
            conn.hang()
        conn.send(ok_response(b"served"))
    _, port, _ = setup(env, handler, early)
    for _ in range(3):
        response = RawClient(env, port).ask("GET", "/next")
        # On the very first connection the bytes may have come after the request was sent.
        assert response.body in (b"served", b"unused") or response.status in (502, 504), response
    expect_served(env, port)


@timeout(90)
@cases(("close", "close"), ("reset", "reset"))
def test_origin_that_fails_during_the_upload_ends_the_exchange(env, end):
    def handler(conn, incoming):
        if incoming.target == "/fail":
            next(incoming.body_parts())
            getattr(conn, end)()
        misbehaving(b"", "close")(conn, incoming)
    _, port, weir = setup(env, handler)
    client = RawClient(env, port)
    mark = weir.mark()
    client.send(request("POST", "/fail", "Content-Length: 50000000"))
    block = b"u" * 65536
    for _ in range(50000000 // len(block)):
        if not client.send(block):
            break
        if client.socket in readable(client.socket):
            break
    response = client.response()
    if response is not None:
        assert response.status == 502, response
    weir.expect_outcome("upstream.reset", "upstream.response.truncated", since=mark)
    expect_served(env, port)


def readable(sock):
    import select
    return select.select([sock], [], [], 0)[0]


def test_early_answer_during_an_upload_reaches_the_client(env):
    def handler(conn, incoming):
        if incoming.target == "/fail":
            conn.send(ok_response(b"no more", "Connection: close", status="413 Content Too Large"))
            conn.close()
        conn.send(ok_response(b"served"))
    _, port, _ = setup(env, handler)
    client = RawClient(env, port)
    client.send(request("POST", "/fail", "Content-Length: 1000000") + b"u" * 1000)
    response = client.response()
    assert (response.status, response.body) == (413, b"no more"), response
    expect_served(env, port)
