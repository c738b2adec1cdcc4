# SPDX-License-Identifier: Apache-2.0
"""Bodies arrive byte-identical in both directions: fixed and chunked, plain and TLS, 0 B to 16 MiB (1 GiB in full runs)."""

import hashlib

from harness import (Certificates, Nginx, RawClient, ScriptedOrigin, Weir, app, cases, config, curl, http_listener,
                     needs_full, ok_response, pattern_bytes, proxy, request, sha256, timeout, upstream)

KIB, MIB = 1024, 1024 * 1024
SIZES = [("0", 0), ("1", 1), ("1K", KIB), ("64K", 64 * KIB), ("1M", MIB), ("16M", 16 * MIB)]
GRID = [(f"{size}-{framing}-{wire}", count, framing == "chunked", wire == "tls")
        for size, count in SIZES for framing in ("fixed", "chunked") for wire in ("plain", "tls")]


def serve(env, origin_port, tls):
    """weir before the origin; returns the URL's beginning and curl's arguments."""
    port = env.port()
    if not tls:
        Weir(env, app(port, origin_port))
        return f"http://127.0.0.1:{port}", []
    certificates = Certificates(env)
    Weir(env, config({"web": http_listener(port, [proxy("app")], certificate="site")}, {"app": upstream(origin_port)},
                     certificates={"site": certificates.pair()}))
    return f"https://localhost:{port}", ["--cacert", certificates.ca]


def curl_upload(env, url, content, chunked, *arguments):
    """From stdin curl sends chunks, from a file with a length. (A chunked empty file it never ends: curl 7.88.)"""
    if chunked:
        return curl(env, url, "-T", "-", *arguments, stdin=content)
    return curl(env, url, "-T", env.file("upload.bin", content), *arguments)


@cases(*GRID)
def test_download_from_nginx(env, size, chunked, tls):
    nginx = Nginx(env)
    content = pattern_bytes(size)
    (nginx.root / "file.bin").write_bytes(content)
    url, arguments = serve(env, nginx.port, tls)
    headers = env.dir / "headers"
    path = "/chunked/file.bin" if chunked else "/file.bin"
    for _ in range(2):      # the second one over the pooled connection to nginx
        got = curl(env, url + path, "-D", headers, *arguments)
        assert (got.returncode, got.status) == (0, 200), got.stderr
        assert sha256(got.body) == sha256(content), f"{len(got.body)} bytes of {size} came, or others"
        head = headers.read_text().lower()
        if size:
            assert ("transfer-encoding: chunked" in head) == chunked, head
        if not chunked:
            assert f"content-length: {size}\n" in head, head


@cases(*GRID)
def test_upload_to_nginx(env, size, chunked, tls):
    nginx = Nginx(env)
    content = pattern_bytes(size, 2)
    url, arguments = serve(env, nginx.port, tls)
    got = curl_upload(env, url + "/put/stored.bin", content, chunked, *arguments)
    assert (got.returncode, got.status) == (0, 201), f"{got.status} {got.stderr}"
    stored = (nginx.root / "put" / "stored.bin").read_bytes()
    assert sha256(stored) == sha256(content), f"{len(stored)} bytes of {size} arrived, or others"


def hashing(conn, incoming):
    """Answers the SHA-256 of what came."""
    length, digest = incoming.body_digest()
    conn.report("body", length=length, digest=digest, framing=incoming.get("transfer-encoding") or
                incoming.get("content-length"))
    conn.send(ok_response(f"{length} {digest}".encode()))


@cases(*GRID)
def test_upload_is_framed_for_the_origin_as_the_client_did(env, size, chunked, tls):
    origin = ScriptedOrigin(env, hashing)
    content = pattern_bytes(size, 3)
    url, arguments = serve(env, origin.port, tls)
    got = curl_upload(env, url + "/up", content, chunked, "-X", "POST", *arguments)
    assert (got.returncode, got.status) == (0, 200), f"{got.status} {got.stderr}"
    assert got.body.decode() == f"{size} {sha256(content)}", got.body
    seen = origin.wait_event("body")
    assert seen["framing"] == ("chunked" if chunked else str(size)), seen


def mirror(conn, incoming):
    """Sends each part back as a chunk while the request is still coming."""
    conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for part in incoming.body_parts():
        conn.send(b"%x\r\n" % len(part) + part + b"\r\n")
    conn.send(b"0\r\n\r\n")


def test_response_streams_while_the_request_still_comes(env):
    origin = ScriptedOrigin(env, mirror)
    port = env.port()
    Weir(env, app(port, origin.port))
    client = RawClient(env, port)
    client.send(request("POST", "/", "Transfer-Encoding: chunked"))
    client.send(b"5\r\nfirst\r\n")
    response = client.response(body=False)
    assert response.status == 200 and client.read(10) == b"5\r\nfirst\r\n", response
    client.send(b"6\r\nsecond\r\n0\r\n\r\n")
    assert client.read(16) == b"6\r\nsecond\r\n0\r\n\r\n"


@cases(("1-byte", 1), ("2-bytes", 2), ("7-bytes", 7))
def test_response_cut_into_tiny_segments_arrives_whole(env, size):
    def drip(conn, incoming):
        conn.drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Drip: yes\r\n\r\n"
                  b"5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nX-Sum: 1\r\n\r\n", size)
    origin = ScriptedOrigin(env, drip)
    port = env.port()
    Weir(env, app(port, origin.port))
    client = RawClient(env, port)
    for _ in range(2):
        response = client.ask()
        assert (response.body, response.ended, response.get("x-drip")) == (b"hello, world", "complete", "yes"), response


@cases(("1-byte", 1), ("3-bytes", 3))
def test_request_cut_into_tiny_segments_arrives_whole(env, size):
    origin = ScriptedOrigin(env, hashing)
    port = env.port()
    Weir(env, app(port, origin.port))
    client = RawClient(env, port)
    data = request("POST", "/slow", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n1e\r\n" + b"d" * 30 + b"\r\n0\r\n\r\n"
    for start in range(0, len(data), size):
        client.send(data[start:start + size])
    expected = b"abc" + b"d" * 30
    assert client.response().body.decode() == f"33 {sha256(expected)}"


def test_close_delimited_response_arrives_whole(env):
    content = pattern_bytes(300000, 4)

    def closing(conn, incoming):
        conn.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + content)
        conn.close()
    origin = ScriptedOrigin(env, closing)
    port = env.port()
    Weir(env, app(port, origin.port))
    client = RawClient(env, port)
    response = client.ask()
    assert response.ended == "complete" and response.body == content, response


@needs_full
@timeout(600)
@cases(("fixed", False), ("chunked", True))
def test_one_gib_in_each_direction(env, chunked):
    size = 1024 * MIB
    block = pattern_bytes(MIB, 5)

    def both(conn, incoming):
        if incoming.method == "GET":
            frame = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
            conn.send(f"HTTP/1.1 200 OK\r\n{frame}\r\n\r\n".encode())
            for _ in range(size // MIB):
                conn.send(b"%x\r\n" % MIB + block + b"\r\n" if chunked else block)
            if chunked:
                conn.send(b"0\r\n\r\n")
        else:
            hashing(conn, incoming)
    digest = hashlib.sha256()
    for _ in range(size // MIB):
        digest.update(block)
    origin = ScriptedOrigin(env, both)
    port = env.port()
    weir = Weir(env, app(port, origin.port))
    before = weir.rss()
    client = RawClient(env, port, limit=60)
    client.send(request("GET", "/"))
    response = client.response(body=False)
    assert response.status == 200, response
    received = hashlib.sha256()
    for _ in range(size // MIB):
        received.update(client.read(MIB) if not chunked else read_chunks(client, MIB))
    assert received.hexdigest() == digest.hexdigest()
    if chunked:
        assert client.read(5) == b"0\r\n\r\n"
    frame = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    client.send(request("POST", "/", frame))
    for _ in range(size // MIB):
        client.send(b"%x\r\n" % MIB + block + b"\r\n" if chunked else block)
    if chunked:
        client.send(b"0\r\n\r\n")
    assert client.response().body.decode() == f"{size} {digest.hexdigest()}"
    assert weir.rss() - before < 64 * MIB, "memory grew with the body"


def read_chunks(client, count):
    """count decoded bytes; the proxy may cut chunks anew, but here only at multiples that end inside `count`."""
    parts, have = [], 0
    while have < count:
        if not getattr(client, "chunk_left", 0):
            client.chunk_left = int(client.read_line().split(b";")[0], 16)
        part = client.read(min(client.chunk_left, count - have))
        client.chunk_left -= len(part)
        if not client.chunk_left:
            assert client.read(2) == b"\r\n"
        parts.append(part)
        have += len(part)
    return b"".join(parts)
