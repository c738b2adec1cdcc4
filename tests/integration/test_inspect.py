# SPDX-License-Identifier: Apache-2.0
"""Connections that are looked at first: routed by SNI, several protocols on one port, handed from one listener to
another, rejected; and that not a byte is lost on the way."""

import json
import random
import socket
import ssl
import struct

from harness import (Certificates, RawClient, ScriptedOrigin, Weir, chain, config, respond,
                     upstream, wait_until, weirctl)

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSS_REQUEST = struct.pack("!II", 8, 80877104)


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
            return
        conn.send(data)


def collects(conn):
    """Reports all that came, when the client has ended."""
    got = b""
    while True:
        data = conn.read_any()
        if not data:
            break
        got += data
    conn.report("got", bytes=got.hex())
    conn.send(b"thanks")


def got(origin, count=1):
    return bytes.fromhex(origin.wait_event("got", count)["bytes"])


def tls_says(certificates, word, ask=None):
    """A server that speaks TLS itself; `ask` is what it hears in plain words before."""
    def behaviour(conn):
        if ask:
            first = b""
            while len(first) < len(ask[0]):
                first += conn.socket.recv(len(ask[0]) - len(first))
            conn.report("asked", bytes=first.hex())
            conn.socket.sendall(ask[1])
            if ask[1] != b"S":
                conn.read_any()
                return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificates.pair())
        context.sni_callback = lambda _, name, __: conn.report("name", name=name)
        with context.wrap_socket(conn.socket, server_side=True) as tls:
            tls.sendall(word)
            tls.recv(100)
    return raw(behaviour)


def mux(port, routes, *names, **settings):
    return chain({"bind": f"127.0.0.1:{port}", "protocol": "tcp", "inspect": list(names)}, **settings, routes=routes)


def any_name(certificates):
    """A client that trusts the test's CA for whatever name it asks for."""
    context = certificates.client()
    context.check_hostname = False
    return context


def client_hello(name, alpn=None):
    """The first bytes of a real client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    if alpn:
        context.set_alpn_protocols(alpn)
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


# SNI


def test_sni_routes_tls_that_goes_on_untouched(env):
    certificates = Certificates(env)
    origins = {word: ScriptedOrigin(env, on_accept=tls_says(certificates, word)) for word in (b"exact", b"wild", b"rest")}
    port = env.port()
    to = {word: origin.address for word, origin in origins.items()}
    Weir(env, config({"sni": mux(port, [
        {"match": {"sni": "a.example.com"}, "proxy": to[b"exact"]},
        {"match": {"sni": "*.example.com"}, "proxy": to[b"wild"]},
        {"proxy": to[b"rest"]}], "tls")}))
    for name, word in (("a.example.com", b"exact"), ("A.Example.COM", b"exact"), ("b.example.com", b"wild"),
                       ("example.com", b"rest"), ("c.b.example.com", b"rest"), ("localhost", b"rest")):
        client = RawClient(env, port, tls=any_name(certificates), server_name=name)
        assert client.read(len(word)) == word, name
        assert origins[word].wait_event("name", len(origins[word].seen("name")))["name"] == name
        client.close()


def test_alpn_routes(env):
    """Any of the protocols that a client offers counts."""
    origins = [ScriptedOrigin(env, on_accept=raw(collects)) for _ in range(2)]
    port = env.port()
    Weir(env, config({"alpn": mux(port, [{"match": {"alpn": ["acme-tls/1", "h3"]}, "proxy": origins[0].address},
                                         {"proxy": origins[1].address}], "tls")}))
    for number, offered in enumerate((["acme-tls/1"], ["http/1.1", "h3"], ["h2", "http/1.1"], None)):
        hello = client_hello("a.test", offered)
        origin = origins[number // 2]
        client = RawClient(env, port)
        client.send(hello)
        client.finish()
        assert client.read_end() == b"thanks"
        assert got(origin, number % 2 + 1) == hello


def test_what_was_looked_at_arrives_whole(env):
    """However it was cut, and with what came behind it."""
    origin = ScriptedOrigin(env, on_accept=raw(collects))
    port = env.port()
    Weir(env, config({"sni": mux(port, [{"match": {"sni": "a.test"}, "proxy": origin.address}], "tls")}))
    sent = client_hello("a.test", ["h2", "http/1.1"]) + bytes(range(256)) * 300
    hello = len(client_hello("a.test", ["h2", "http/1.1"]))
    cuts = [(1,), (5,), (hello - 1,), (hello,), (hello + 1,), (hello + 5000,), tuple(range(1, hello + 1))]
    cuts += [tuple(sorted(random.Random(n).sample(range(1, hello + 2000), 4))) for n in range(6)]
    for number, places in enumerate(cuts):
        client = RawClient(env, port)
        for begin, end in zip((0, *places), (*places, len(sent))):
            client.send(sent[begin:end])
        client.finish()
        assert client.read_end() == b"thanks", places
        assert got(origin, number + 1) == sent, places


def test_fragments_of_a_hello_are_one(env):
    """A hello in many records, as TLS allows it."""
    origin = ScriptedOrigin(env, on_accept=raw(collects))
    port = env.port()
    Weir(env, config({"sni": mux(port, [{"match": {"sni": "a.test"}, "proxy": origin.address}], "tls")}))
    hello = client_hello("a.test")
    body = hello[5:]
    cut = b"".join(hello[:3] + struct.pack("!H", len(body[i:i + 40])) + body[i:i + 40] for i in range(0, len(body), 40))
    client = RawClient(env, port)
    client.send(cut)
    client.finish()
    assert client.read_end() == b"thanks" and got(origin) == cut


# Several protocols on one port


def test_one_port_for_https_http_ssh_and_echo(env):
    certificates = Certificates(env)
    ssh = ScriptedOrigin(env, on_accept=raw(mirror))
    port = env.port()
    weir = Weir(env, config({
        "mux": mux(port, [{"match": {"protocol": "tls"}, "handoff": "https"},
                          {"match": {"protocol": "http"}, "handoff": "plain"},
                          {"match": {"protocol": "ssh"}, "proxy": ssh.address},
                          {"match": {"protocol": "echo"}, "handoff": "echo"}], "tls", "http", "ssh", "echo"),
        "https": {"tls": {"certificates": ["site"]}, "routes": [respond(200, "in tls")]},
        "plain": {"routes": [respond(200, "in the clear")]},
        "echo": {"protocol": "echo", "echo": {"greeting": "hello"}},
    }, certificates={"site": certificates.pair()}))
    for _ in range(3):
        answer = RawClient(env, port, tls=certificates.client()).ask()
        assert (answer.status, answer.body) == (200, b"in tls")
        assert RawClient(env, port).ask().body == b"in the clear"
    status, body = curl_text(f"https://localhost:{port}/", "--cacert", certificates.ca)
    assert (status, body) == (0, "in tls")
    client = RawClient(env, port)
    client.send(b"SSH-2.0-test\r\n")
    assert client.read(14) == b"SSH-2.0-test\r\n"
    client = RawClient(env, port)
    client.send(b"one\ntwo\n")
    assert client.read(14) == b"hello\none\ntwo\n"
    client = RawClient(env, port)
    client.send(b"\x01\x02\x03\x04")
    client.read_end()
    weir.expect_outcome("route.none")
    assert "of no protocol of `inspect`" in weir.text()


def curl_text(url, *arguments):
    from harness import run
    result = run(["curl", "-sS", "--resolve", f"localhost:{url.split(':')[2].strip('/')}:127.0.0.1", *map(str, arguments), url])
    return result.returncode, result.stdout.decode()


def test_handed_over_connections_are_counted_where_they_are(env):
    port = env.port()
    weir = Weir(env, config({"mux": mux(port, [{"match": {"protocol": "echo"}, "handoff": "echo"}], "echo"),
                             "echo": {"protocol": "echo"}}))
    from harness import weirctl
    import json
    client = RawClient(env, port)
    client.send(b"x\n")
    assert client.read(2) == b"x\n"

    def connections():
        answer = json.loads(weirctl(env, weir, "listeners", "--json")[1])
        return {one["name"]: one for one in answer["listeners"]}
    listeners = connections()
    assert listeners["echo"]["connections"] == 1 and listeners["mux"]["connections"] == 0, listeners
    client.close()
    wait_until(lambda: connections()["echo"]["connections"] == 0, "the connection to be gone")


def test_handoff_into_another_inspection(env):
    """What was handed over is looked at again, there within TLS."""
    certificates = Certificates(env)
    port = env.port()
    Weir(env, config({
        "mux": mux(port, [{"match": {"protocol": "tls"}, "handoff": "inner"}], "tls"),
        "inner": {"protocol": "tcp", "tls": {"certificates": ["site"]}, "inspect": ["echo", "http"], "routes": [
            {"match": {"protocol": "http", "sni": "localhost"}, "handoff": "web"},
            {"match": {"protocol": "echo"}, "handoff": "echo"}]},
        "web": {"routes": [respond(200, "web")]},
        "echo": {"protocol": "echo"},
    }, certificates={"site": certificates.pair()}))
    client = RawClient(env, port, tls=certificates.client())
    client.send(b"a line\n")
    assert client.read(7) == b"a line\n"


def test_handshake_that_fails_after_the_handoff_ends_its_connection_only(env):
    certificates = Certificates(env)
    port = env.port()
    weir = Weir(env, config({
        "mux": mux(port, [{"handoff": "https"}], "tls", inspect_timeout="200ms"),
        "https": {"tls": {"certificates": ["site"]}, "timeouts": {"handshake": "300ms"}, "routes": [respond(200, "x")]},
    }, certificates={"site": certificates.pair()}))
    client = RawClient(env, port)
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    client.read_end()
    weir.expect_outcome("client.bad_request")
    client = RawClient(env, port)
    client.read_end()
    weir.expect_outcome("client.timeout")
    assert RawClient(env, port, tls=certificates.client()).ask().status == 200
    # Counted as those of connections that were accepted there.
    wait_until(weir.control.exists, "the control socket")
    code, out, err = weirctl(env, weir, "tls", "--json")
    assert code == 0, (code, out, err)
    [counted] = [h for h in json.loads(out)["handshakes"] if h["listener"] == "https"]
    assert (counted["tls_1_3"], counted["failed"]) == (1, 2), counted
    assert (counted["reasons"]["not_tls"], counted["reasons"]["timeout"]) == (1, 1), counted


# What becomes of the others


def test_reject_closes_or_resets(env):
    port = env.port()
    weir = Weir(env, config({"a": mux(port, [{"match": {"protocol": "ssh"}, "reject": {}},
                                             {"match": {"protocol": "echo"}, "reject": {"reset": True}}],
                                      "ssh", "echo")}))
    client = RawClient(env, port)
    client.send(b"SSH-")
    assert client.read_end() == b"" and client.closed == "eof"
    client = RawClient(env, port)
    client.send(b"hello\n")
    assert client.read_end() == b"" and client.closed == "reset"
    weir.expect_outcome("denied")


def test_silent_client_is_given_up(env):
    port = env.port()
    weir = Weir(env, config({"a": mux(port, [{"match": {"protocol": "ssh"}, "reject": {}}], "tls", "ssh",
                                      inspect_timeout="100ms")}))
    client = RawClient(env, port)
    client.read_end()
    weir.expect_outcome("client.timeout")
    before = len(weir.text())
    client = RawClient(env, port)
    client.send(client_hello("a.test")[:50])
    client.read_end()
    wait_until(lambda: "client.timeout" in weir.text()[before:], "the second one to be given up")


def test_silent_client_reaches_a_server_that_speaks_first(env):
    def speaks_first(conn):
        conn.send(b"220 ready\r\n")
        mirror(conn)
    origin = ScriptedOrigin(env, on_accept=raw(speaks_first))
    port = env.port()
    Weir(env, config({"a": mux(port, [{"match": {"protocol": "tls"}, "reject": {}}, {"proxy": origin.address}], "tls",
                               inspect_timeout="100ms")}))
    client = RawClient(env, port)
    assert client.read(11) == b"220 ready\r\n"
    client.send(b"\x16\x03\x01 may come later")
    assert client.read(18) == b"\x16\x03\x01 may come later"


def test_partial_hello_is_passed_on_when_time_is_over(env):
    origin = ScriptedOrigin(env, on_accept=raw(mirror))
    port = env.port()
    Weir(env, config({"a": mux(port, [{"proxy": origin.address}], "tls", inspect_timeout="100ms")}))
    part = client_hello("a.test")[:77]
    client = RawClient(env, port)
    client.send(part)
    assert client.read(len(part)) == part


def test_end_of_the_client_is_passed_on(env):
    """Also when it comes before anything is known."""
    origin = ScriptedOrigin(env, on_accept=raw(collects))
    port = env.port()
    weir = Weir(env, config({"a": mux(port, [{"proxy": origin.address}], "tls", "ssh", inspect_timeout="60s")}))
    client = RawClient(env, port)
    client.send(b"SSH")
    client.finish()
    assert client.read_end() == b"thanks" and got(origin) == b"SSH"
    client = RawClient(env, port)
    client.finish()
    assert client.read_end() == b""
    assert origin.connections() == 1
    weir.send_signal(15)
    assert weir.wait(5) == 0


def test_connections_past_the_limit_of_a_listener_are_closed(env):
    port, other = env.port(), env.port()
    weir = Weir(env, config({"a": {"bind": f"127.0.0.1:{port}", "protocol": "echo", "max_connections": 3},
                             "b": mux(other, [{"handoff": "a"}], "echo")}))

    def connect(to):
        client = RawClient(env, to)
        client.send(b"x\n")
        return client if client.read(2) == b"x\n" else None
    clients = [connect(port), connect(port), connect(other)]
    assert all(clients)
    assert connect(port) is None and connect(other) is None
    weir.expect_outcome("limit.connections")
    assert "all 3 of max_connections are open" in weir.text()
    clients.pop().close()
    wait_until(lambda: connect(port), "room for another one")


# PostgreSQL


def postgres(env, certificates, answer=b"S", **proxy):
    origin = ScriptedOrigin(env, on_accept=tls_says(certificates, b"R", (SSL_REQUEST, answer)))
    port = env.port()
    weir = Weir(env, config({"pg": mux(port, [
        {"match": {"sni": "a.db.example.com"}, "proxy": {"upstream": "a", **proxy}}, {"reject": {}}],
        "postgres", "tls")}, {"a": upstream(origin.port)}))
    return origin, port, weir


def ask_for_tls(env, port, first=b""):
    client = RawClient(env, port)
    if first:
        client.send(first)
        assert client.read(1) == b"N"
    client.send(SSL_REQUEST)
    assert client.read(1) == b"S"
    return client


def upgrade(client, certificates, name):
    client.socket = any_name(certificates).wrap_socket(client.socket, server_hostname=name)
    return client


def test_postgres_client_is_routed_by_name_and_ends_tls_with_its_server(env):
    certificates = Certificates(env)
    origin, port, weir = postgres(env, certificates)
    for number, first in enumerate((b"", GSS_REQUEST)):
        client = upgrade(ask_for_tls(env, port, first), certificates, "a.db.example.com")
        assert client.read(1) == b"R"
        assert bytes.fromhex(origin.wait_event("asked", number + 1)["bytes"]) == SSL_REQUEST
        assert origin.wait_event("name", number + 1)["name"] == "a.db.example.com"
    client = ask_for_tls(env, port)
    client.send(client_hello("c.db.example.com"))
    assert client.read_end() == b""
    weir.expect_outcome("denied")


def test_postgres_with_tls_at_once(env):
    """As libpq 17 does when it is told to: nothing is asked, nothing is answered."""
    certificates = Certificates(env)
    origin = ScriptedOrigin(env, on_accept=tls_says(certificates, b"R"))
    port = env.port()
    Weir(env, config({"pg": mux(port, [{"match": {"protocol": "postgres", "sni": "*.db.test"}, "proxy": origin.address}],
                                "postgres", "tls")}))
    context = any_name(certificates)
    context.set_alpn_protocols(["postgresql"])
    client = RawClient(env, port, tls=context, server_name="a.db.test")
    assert client.read(1) == b"R"


def test_postgres_server_without_tls_ends_the_connection(env):
    certificates = Certificates(env)
    _, port, weir = postgres(env, certificates, answer=b"N")
    client = ask_for_tls(env, port)
    client.send(client_hello("a.db.example.com"))
    assert client.read_end() == b""
    weir.expect_outcome("upstream.response.bad")


def test_postgres_server_that_does_not_answer_is_given_up(env):
    origin = ScriptedOrigin(env, on_accept=raw(collects))
    port = env.port()
    weir = Weir(env, config({"pg": mux(port, [{"proxy": "a"}], "postgres")},
                            {"a": upstream(origin.port, response_timeout="200ms")}))
    client = ask_for_tls(env, port)
    client.send(client_hello("a.db.example.com"))
    assert client.read_end() == b""
    weir.expect_outcome("upstream.response.timeout")
    assert got(origin) == SSL_REQUEST


def test_postgres_proxy_header_comes_before_all(env):
    """The server hears first who the client is, then what it asks."""
    def behaviour(conn):
        head = b""
        while len(head) < 28 + len(SSL_REQUEST):
            head += conn.socket.recv(28 + len(SSL_REQUEST) - len(head))
        conn.report("head", bytes=head.hex())
        conn.socket.sendall(b"S")
        mirror(conn)
    origin = ScriptedOrigin(env, on_accept=raw(behaviour))
    port = env.port()
    Weir(env, config({"pg": mux(port, [{"proxy": {"upstream": "a", "proxy_protocol": "v2"}}], "postgres")},
                     {"a": upstream(origin.port)}))
    client = ask_for_tls(env, port)
    hello = client_hello("a.test")
    client.send(hello)
    assert client.read(len(hello)) == hello
    head = bytes.fromhex(origin.wait_event("head")["bytes"])
    assert head.startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11") and head.endswith(SSL_REQUEST)


def test_postgres_that_ends_tls_here_asks_no_server_for_it(env):
    certificates = Certificates(env)
    origin = ScriptedOrigin(env, on_accept=raw(mirror))
    port = env.port()
    Weir(env, config({"pg": mux(port, [{"handoff": "inner"}], "postgres"),
                      "inner": {"protocol": "tcp", "tls": {"certificates": ["site"]},
                                "routes": [{"proxy": origin.address}]}},
                     certificates={"site": certificates.pair()}))
    client = upgrade(ask_for_tls(env, port), certificates, "localhost")
    client.send(b"startup")
    assert client.read(7) == b"startup"


def test_postgres_in_the_clear(env):
    origin = ScriptedOrigin(env, on_accept=raw(mirror))
    port = env.port()
    Weir(env, config({"pg": mux(port, [{"match": {"protocol": "postgres"}, "proxy": origin.address}], "postgres")}))
    startup = struct.pack("!II", 17, 3 << 16) + b"user\0a\0\0\0"
    client = RawClient(env, port)
    client.send(startup[:6])
    client.send(startup[6:])
    assert client.read(len(startup)) == startup


# redirect_from


def test_plain_http_is_sent_to_https(env):
    certificates = Certificates(env)
    port, plain, also = env.port(), env.port(), env.port()
    weir = Weir(env, config({"web": {
        "bind": f"127.0.0.1:{port}", "redirect_from": [f"127.0.0.1:{plain}", f"127.0.0.1:{also}"],
        "tls": {"certificates": ["site"]}, "routes": [respond(200, "safe")]}},
        certificates={"site": certificates.pair()}))
    for number in (plain, also):
        wait_until(lambda: listens(number), f"weir to listen on {number}")
        client = RawClient(env, number)
        for target in ("/", "/a/b?c=d&e"):
            answer = client.ask("GET", target, host=f"localhost:{number}")
            assert answer.status == 308
            assert answer.get("Location") == f"https://localhost:{port}{target}"
        answer = client.ask("POST", "/form", body=b"xy", host="[::1]")
        assert (answer.status, answer.get("Location")) == (308, f"https://[::1]:{port}/form")
    assert RawClient(env, port, tls=certificates.client()).ask().body == b"safe"
    assert curl_text(f"https://localhost:{port}/", "--cacert", certificates.ca) == (0, "safe")
    assert weir.alive()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False
