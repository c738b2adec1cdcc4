# SPDX-License-Identifier: Apache-2.0
"""Protocols below HTTP: the byte proxy and the echo example."""

from harness import (Certificates, RawClient, ScriptedOrigin, Weir, chain, config, echo_listener, pattern_bytes, sha256,
                     tcp_listener, timeout, upstream)

MIB = 1024 * 1024


def raw(behaviour):
    """An origin that speaks no HTTP: `behaviour` gets the connection as it opens."""
    def on_accept(conn):
        behaviour(conn)
        conn.close()
    return on_accept


def mirror(conn):
    while True:
        data = conn.read_any()
        if not data:
            conn.report("eof")
            conn.send(b"<end>")
            return
        conn.send(data)


def tcp(env, behaviour, **settings):
    origin = ScriptedOrigin(env, on_accept=raw(behaviour))
    port = env.port()
    weir = Weir(env, config({"raw": tcp_listener(port, "app")}, {"app": upstream(origin.port, **settings)}))
    return origin, port, weir


def test_tcp_carries_bytes_both_ways(env):
    _, port, _ = tcp(env, mirror)
    client = RawClient(env, port)
    for size in (1, 1000, 100000):
        data = pattern_bytes(size, size)
        client.send(data)
        assert client.read(size) == data


def test_tcp_passes_the_half_close(env):
    origin, port, _ = tcp(env, mirror)
    client = RawClient(env, port)
    client.send(b"before")
    client.finish()
    assert client.read_end() == b"before<end>" and client.closed == "eof"
    assert origin.seen("eof")


def test_tcp_passes_the_half_close_of_the_origin(env):
    import socket

    def speaks_first(conn):
        conn.send(b"greeting")
        conn.socket.shutdown(socket.SHUT_WR)
        rest = b""
        while True:
            data = conn.read_any()
            if not data:
                break
            rest += data
        conn.report("rest", text=rest.decode())
    origin, port, _ = tcp(env, speaks_first)
    client = RawClient(env, port)
    assert client.read_end() == b"greeting"
    client.send(b"answer after your end")
    client.finish()
    assert origin.wait_event("rest")["text"] == "answer after your end"


def test_tcp_passes_a_reset_on_as_an_abrupt_end(env):
    def resets(conn):
        conn.read_any()
        conn.reset()
    _, port, weir = tcp(env, resets)
    client = RawClient(env, port)
    client.send(b"x")
    client.read_end()
    assert client.closed
    weir.expect_outcome("upstream.reset")


def test_tcp_refused_origin_closes_the_client(env):
    port, nobody = env.port(), env.port()
    weir = Weir(env, config({"raw": tcp_listener(port, "app")}, {"app": upstream(nobody)}))
    try:
        client = RawClient(env, port)
    except ConnectionResetError:
        pass  # it was over before connect() had returned
    else:
        client.read_end()
        assert client.closed
    weir.expect_outcome("upstream.connect.refused", "upstream.none_available")


def test_tcp_moves_on_to_the_next_server(env):
    origin = ScriptedOrigin(env, on_accept=raw(mirror))
    port, nobody = env.port(), env.port()
    Weir(env, config({"raw": tcp_listener(port, "app")}, {"app": upstream(nobody, origin.port)}))
    for _ in range(3):
        client = RawClient(env, port)
        client.send(b"hello")
        assert client.read(5) == b"hello"


@timeout(120)
def test_tcp_bulk_is_identical_both_ways_at_once(env):
    import threading
    _, port, _ = tcp(env, mirror)
    client = RawClient(env, port, limit=30)
    content = pattern_bytes(32 * MIB, 9)
    sender = threading.Thread(target=lambda: (client.send(content), client.finish()), daemon=True)
    sender.start()
    got = client.read_end()
    sender.join()
    assert sha256(got[:-5]) == sha256(content) and got[-5:] == b"<end>", len(got)


@timeout(120)
def test_tcp_client_that_does_not_read_stops_the_origin(env):
    size = 64 * MIB

    def floods(conn):
        taken = conn.send_until_stuck(b"f" * size, 1.0)
        conn.report("stuck", taken=taken)
        conn.send(b"f" * (size - taken))
    origin, port, weir = tcp(env, floods)
    before = weir.rss()
    client = RawClient(env, port, receive_buffer=65536)
    assert origin.wait_event("stuck", limit=30)["taken"] < size
    assert weir.rss() - before < 8 * MIB, f"weir grew by {weir.rss() - before}"
    assert len(client.read_end()) == size


def test_tcp_behind_tls(env):
    """weir ends TLS, the origin sees plain bytes."""
    certificates = Certificates(env)
    origin = ScriptedOrigin(env, on_accept=raw(mirror))
    port = env.port()
    listener = tcp_listener(port, "app", tls={"certificates": ["site"]})
    Weir(env, config({"raw": listener}, {"app": upstream(origin.port)}, certificates={"site": certificates.pair()}))
    client = RawClient(env, port, tls=certificates.client())
    client.send(b"through tls")
    assert client.read(11) == b"through tls"


def test_echo_sends_each_line_back(env):
    port = env.port()
    Weir(env, config({"echo": echo_listener(port)}))
    client = RawClient(env, port)
    for line in (b"hello\n", b"\n", b"x" * 4000 + b"\n", b"last\n"):
        client.send(line)
        assert client.read(len(line)) == line
    client.send(b"".join(b"line %d\n" % n for n in range(1000)))
    assert client.read(len(b"line 0\n")) == b"line 0\n"
    client.finish()
    assert client.read_end().endswith(b"line 999\n")


def test_echo_greets_as_configured(env):
    port = env.port()
    Weir(env, config({"echo": echo_listener(port, greeting="hello")}))
    client = RawClient(env, port)
    assert client.read(6) == b"hello\n"
    client.send(b"and you\n")
    assert client.read(8) == b"and you\n"


def test_echo_line_that_is_too_long_ends_its_connection_only(env):
    port = env.port()
    Weir(env, config({"echo": echo_listener(port)}))
    client, other = RawClient(env, port), RawClient(env, port)
    client.send(b"y" * 100000)
    client.read_end()
    assert client.closed
    other.send(b"fine\n")
    assert other.read(5) == b"fine\n"


def test_echo_idle_limit_ends_the_connection(env):
    port = env.port()
    Weir(env, config({"echo": echo_listener(port, idle="300ms")}))
    client = RawClient(env, port)
    client.read_end()
    assert client.closed


def test_many_echo_connections_at_once(env):
    port = env.port()
    Weir(env, config({"echo": echo_listener(port)}))
    clients = [RawClient(env, port) for _ in range(200)]
    for number, client in enumerate(clients):
        client.send(b"%06d\n" % number)
    for number, client in enumerate(clients):
        assert client.read(7) == b"%06d\n" % number


def test_http_and_tcp_and_echo_in_one_daemon(env):
    from harness import http_listener, respond
    origin = ScriptedOrigin(env, on_accept=raw(mirror))
    web, byte, echo = env.port(), env.port(), env.port()
    Weir(env, config(chain(web=http_listener(web, [respond(200, "web")]), raw=tcp_listener(byte, "app"),
                           echo=echo_listener(echo)), {"app": upstream(origin.port)}))
    assert RawClient(env, web).ask().body == b"web"
    for port in (byte, echo):
        client = RawClient(env, port)
        client.send(b"ping\n")
        assert client.read(5) == b"ping\n"


def hears_one(conn):
    data = b""
    while not data.endswith(b"hello"):
        data += conn.read_any()
    conn.report("heard", bytes=data.hex())
    conn.send(b"done")


def heard(origin):
    return bytes.fromhex(origin.wait_event("heard")["bytes"])


def introduced(env, version, **listener):
    origin = ScriptedOrigin(env, on_accept=raw(hears_one))
    port = env.port()
    target = {"upstream": "app", "proxy_protocol": version}
    Weir(env, config({"raw": tcp_listener(port, target, **listener)}, {"app": upstream(origin.port)}),
         name=f"weir-{port}")
    return origin, port, RawClient(env, port)


def test_tcp_tells_the_server_who_the_client_is(env):
    """v1 is a line, v2 a binary head with the same addresses."""
    for version in ("v1", "v2"):
        origin, port, client = introduced(env, version)
        mine = client.socket.getsockname()[1]
        client.send(b"hello")
        assert client.read(4) == b"done"
        if version == "v1":
            assert heard(origin) == f"PROXY TCP4 127.0.0.1 127.0.0.1 {mine} {port}\r\nhello".encode()
        else:
            ports = mine.to_bytes(2, "big") + port.to_bytes(2, "big")
            assert heard(origin) == (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + b"\x7f\0\0\1" * 2 + ports + b"hello")


def test_a_trusted_balancer_speaks_for_its_client(env):
    """What it says is passed on; a connection of its that begins otherwise is closed."""
    origin, port, client = introduced(env, "v1", accept_proxy_protocol=["127.0.0.0/8"])
    client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 ")
    client.send(b"4711 443\r\nhello")
    assert client.read(4) == b"done"
    assert heard(origin) == b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\nhello"
    client = RawClient(env, port)
    client.send(b"hello\r\n")
    assert client.read_end() == b""


def test_others_bytes_are_no_proxy_header(env):
    origin, _, client = introduced(env, "v1", accept_proxy_protocol=["192.0.2.0/24"])
    client.send(b"PROXY UNKNOWN\r\nhello")
    assert client.read(4) == b"done"
    assert heard(origin).endswith(b"\r\nPROXY UNKNOWN\r\nhello")


def test_a_socket_for_each_loop(env):
    """All take their share, what is wrong with an address is told, and nobody who waits at the end is turned away."""
    import socket
    port = env.port()
    weir = Weir(env, config({"echo": {"bind": f"127.0.0.1:{port}", "protocol": "echo", "reuse_port": True}},
                            runtime={"threads": 4}))
    sockets = [line for line in open("/proc/net/tcp", encoding="ascii")
               if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"]
    assert len(sockets) == 4, sockets
    clients = [RawClient(env, port) for _ in range(64)]
    for client in clients:
        client.send(b"hello\n")
        assert client.read(6) == b"hello\n"
    second = Weir(env, config({"echo": echo_listener(port)}), wait=False, name="second")
    second.expected_status = 71
    assert second.wait(10) == 71
    for client in clients:
        client.close()
    # Connections that are made while it stops are served to their end: all of them were in some queue.
    waiting = []
    weir.send_signal(19)  # STOP: it accepts nobody
    for _ in range(16):
        client = socket.create_connection(("127.0.0.1", port), 5)
        client.sendall(b"last\n")
        client.shutdown(socket.SHUT_WR)
        client.settimeout(10)
        waiting.append(client)
        env.defer(client.close)
    weir.send_signal(15)
    weir.send_signal(18)
    for client in waiting:
        assert client.recv(100) == b"last\n"
