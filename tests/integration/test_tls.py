# SPDX-License-Identifier: Apache-2.0
"""TLS on the client's side, with curl, openssl s_client and Python's ssl at the other end."""

import ssl

from harness import (Certificates, RawClient, ScriptedOrigin, Weir, cases, config, curl, http_listener, proxy, request,
                     respond, run, upstream)


def serve(env, routes=None, upstreams=None):
    certificates = Certificates(env)
    port = env.port()
    weir = Weir(env, config({"web": http_listener(port, routes or [respond(200, "secure\n")], certificate="site")},
                            upstreams, certificates={"site": certificates.pair()}))
    return certificates, port, weir


def test_curl_trusts_the_certificate(env):
    certificates, port, _ = serve(env)
    got = curl(env, f"https://localhost:{port}/", "--cacert", certificates.ca)
    assert (got.returncode, got.status, got.body) == (0, 200, b"secure\n"), got


@cases(("1.2", "-tls1_2", "TLSv1.2"), ("1.3", "-tls1_3", "TLSv1.3"))
def test_openssl_s_client_gets_an_answer(env, flag, version):
    certificates, port, _ = serve(env)
    result = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-CAfile",
                  certificates.ca, "-verify_return_error", "-ign_eof", flag],
                 stdin=request("GET", "/", "Connection: close"))
    text = result.stdout.decode("latin-1")
    assert "Verify return code: 0 (ok)" in text and version in text and "secure" in text, text + result.stderr.decode()


@cases(("1.0", ssl.TLSVersion.TLSv1), ("1.1", ssl.TLSVersion.TLSv1_1))
def test_old_versions_are_refused(env, version):
    certificates, port, _ = serve(env)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificates.ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    try:
        RawClient(env, port, tls=context)
    except (ssl.SSLError, ConnectionResetError):
        pass
    else:
        raise AssertionError(f"{version} was accepted")
    got = curl(env, f"https://localhost:{port}/", "--cacert", certificates.ca)
    assert got.status == 200, got


def test_keep_alive_and_close_notify(env):
    certificates, port, _ = serve(env)
    client = RawClient(env, port, tls=certificates.client())
    for _ in range(5):
        assert client.ask().body == b"secure\n"
    client.ask("GET", "/", "Connection: close")
    client.expect_closed()
    assert client.closed == "eof", client.closed


def test_session_is_resumed(env):
    certificates, port, _ = serve(env)
    context = certificates.client()
    first = RawClient(env, port, tls=context)
    assert first.ask().status == 200
    session = first.socket.session
    first.close()
    import socket
    plain = socket.create_connection(("127.0.0.1", port))
    second = context.wrap_socket(plain, server_hostname="localhost", session=session)
    assert second.session_reused
    second.close()


def test_origin_learns_that_the_client_used_https(env):
    origin = ScriptedOrigin(env)
    certificates, port, _ = serve(env, [proxy("app")], {"app": upstream(origin.port)})
    assert RawClient(env, port, tls=certificates.client()).ask().status == 200
    assert ["x-forwarded-proto", "https"] in [[k.lower(), v] for k, v in origin.requests()[0]["headers"]]


def test_plain_http_on_the_tls_port_harms_nobody(env):
    certificates, port, _ = serve(env)
    client = RawClient(env, port)
    client.send(request("GET", "/"))
    answer = client.read_end()
    assert b"secure" not in answer, answer
    half = RawClient(env, port)
    half.send(b"\x16\x03\x01\x02\x00\x01\x00")
    half.reset()
    assert curl(env, f"https://localhost:{port}/", "--cacert", certificates.ca).status == 200


def test_response_cut_by_the_origin_has_no_close_notify_that_makes_it_whole(env):
    def handler(conn, incoming):
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of a close-delimited body")
        conn.reset()
    origin = ScriptedOrigin(env, handler)
    certificates, port, _ = serve(env, [proxy("app")], {"app": upstream(origin.port)})
    client = RawClient(env, port, tls=certificates.client())
    client.send(request("GET", "/"))
    response = client.response()
    assert response is None or response.status == 502 or response.ended == "truncated", response


def test_http2_is_not_offered(env):
    """ALPN agrees on what is built: http/1.1."""
    certificates, port, _ = serve(env)
    context = certificates.client()
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = RawClient(env, port, tls=context)
    assert client.socket.selected_alpn_protocol() in ("http/1.1", None)
    assert client.ask().status == 200


def test_unix_socket_listener_with_tls(env):
    certificates = Certificates(env)
    path = env.dir / "tls.sock"
    Weir(env, config({"web": http_listener(f"unix:{path}", [respond(200, "both")], certificate="site")},
                     certificates={"site": certificates.pair()}))
    got = curl(env, "https://localhost/", "--unix-socket", path, "--cacert", certificates.ca)
    assert (got.status, got.body) == (200, b"both"), got


def test_handshake_that_stalls_is_cut_off(env):
    certificates = Certificates(env)
    port = env.port()
    listener = http_listener(port, [respond(200, "x")], certificate="site", timeouts={"handshake": "300ms"})
    Weir(env, config({"web": listener}, certificates={"site": certificates.pair()}))
    client = RawClient(env, port)
    client.send(b"\x16\x03\x01")
    client.read_end()
    assert client.closed
