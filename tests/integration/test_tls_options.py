# SPDX-License-Identifier: Apache-2.0
"""What can be set about TLS: lists of one's own, limits, the key log; TLS with servers; weirctl tls."""

import json
import re
import socket
import ssl
import threading

from harness import (Certificates, RawClient, Weir, cases, config, curl, http_listener, ok_response, proxy, request,
                     run, to_yaml, upstream, wait_until, weir_run, weirctl)
from test_tls_certificates import renew, settings, shown


def s_client(port, certificates, *flags):
    """Its exit status and text."""
    result = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-CAfile",
                  certificates.ca, "-ign_eof", *flags], stdin=request("GET", "/", "Connection: close"))
    return result.returncode, result.stdout.decode("latin-1") + result.stderr.decode("latin-1")


CUSTOM = {"profile": "custom", "protocols": ["1.2", "1.3"],
          "ciphers": ["TLS_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"],
          "groups": ["P-384"]}


def custom(env, certificates, port, **said):
    document = settings(port, certificates)
    document["tls"].update({**CUSTOM, **said})
    return document


@cases(("1.3", ["-tls1_3"], "Cipher is TLS_CHACHA20_POLY1305_SHA256"),
       ("order_of_the_server", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA384"],
        "Cipher is ECDHE-ECDSA-AES256-SHA384"),
       ("group", ["-tls1_3", "-groups", "X25519:P-384"], "Server Temp Key: ECDH, secp384r1"),
       ("other_cipher", ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], "handshake failure"),
       ("other_suite", ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], "handshake failure"),
       ("other_group", ["-tls1_3", "-groups", "X25519"], "handshake failure"))
def test_custom_profile(env, flags, wanted):
    certificates, port = Certificates(env), env.port()
    Weir(env, custom(env, certificates, port))
    _, text = s_client(port, certificates, *flags)
    assert wanted in text and ("handshake failure" in wanted or "secure" in text), text


def test_protocols_of_the_custom_profile(env):
    certificates, port = Certificates(env), env.port()
    Weir(env, custom(env, certificates, port, protocols=["1.2"]))
    _, text = s_client(port, certificates, "-tls1_3")
    assert "protocol version" in text, text
    _, text = s_client(port, certificates)
    assert "TLSv1.2" in text and "secure" in text, text


def check(env, document, *arguments):
    path = env.file("checked.yaml", to_yaml(document) + "\n")
    return weir_run(env, "check", *arguments, "-f", path)


def test_names_of_ciphers_groups_and_versions_are_checked(env):
    certificates = Certificates(env)
    status, text = check(env, custom(env, certificates, 8443, ciphers=["ECDHE-ECDSA-AES128-GCM-SHA255"],
                                     groups=["X25518"], protocols=["1.1"]))
    assert status == 78 and text.count("error[") == 3, text
    for wrong, near in (("ECDHE-ECDSA-AES128-GCM-SHA255", "ECDHE-ECDSA-AES128-GCM-SHA256"), ("X25518", "X25519"),
                        ("1.1", "1.2")):
        assert f"`{wrong}`" in text and f"`{near}`" in text, text
    assert re.search(r"\^", text) and len(re.findall(r"checked\.yaml:\d+:\d+", text)) >= 3, text


def test_lists_without_the_custom_profile_are_refused(env):
    status, text = check(env, custom(env, Certificates(env), 8443, profile="modern"))
    assert status == 78 and text.count("is for `profile: custom`") == 3, text


def test_min_version_and_protocols_need_one_in_common(env):
    document = custom(env, Certificates(env), 8443, protocols=["1.2"])
    document["listeners"]["web"]["tls"]["min_version"] = "1.3"
    status, text = check(env, document, "--deep")
    assert status == 78 and "have no version in common" in text, text


def test_key_log_lets_the_traffic_be_read_and_check_warns(env):
    certificates, port = Certificates(env), env.port()
    document = settings(port, certificates)
    log = env.dir / "keys.log"
    document["tls"]["key_log"] = str(log)
    Weir(env, document)
    assert curl(env, f"https://localhost:{port}/", "--cacert", certificates.ca).status == 200
    text = log.read_text()
    assert "CLIENT_TRAFFIC_SECRET_0 " in text and "SERVER_HANDSHAKE_TRAFFIC_SECRET " in text, text
    assert log.stat().st_mode & 0o777 == 0o600
    document["listeners"]["web"]["bind"] = "127.0.0.1:0"
    status, text = check(env, document, "--deep")
    assert status == 0 and "secrets of all sessions are written to" in text, text


def test_handshakes_of_one_address_are_limited(env):
    certificates, port = Certificates(env), env.port()
    weir = Weir(env, settings(port, certificates, tls={"max_handshakes_per_address": 2}, runtime={"threads": 1}))
    stuck = [RawClient(env, port) for _ in range(2)]
    for client in stuck:
        client.send(b"\x16\x03\x01")
    late = RawClient(env, port)
    late.read_end()
    assert late.closed
    weir.wait_line("2 TLS handshakes of this address are under way")
    stuck[0].reset()
    wait_until(lambda: curl(env, f"https://localhost:{port}/", "--cacert", certificates.ca).status == 200,
               "room for a handshake", 10)
    stuck[1].reset()


def test_accepting_rests_at_the_limit_of_handshakes_and_goes_on(env):
    certificates, port = Certificates(env), env.port()
    Weir(env, settings(port, certificates, tls={"max_handshakes": 1}, runtime={"threads": 1}))
    stuck = RawClient(env, port)
    stuck.send(b"\x16\x03\x01")
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(
        curl(env, f"https://localhost:{port}/", "--cacert", certificates.ca)))
    waiting.start()
    stuck.reset()
    waiting.join(20)
    assert answers and answers[0].status == 200, answers


def test_weirctl_tls_shows_certificates_and_handshakes(env):
    certificates, port = Certificates(env), env.port()
    weir = Weir(env, settings(port, certificates))
    old = shown(port, certificates.ca)
    assert curl(env, f"https://localhost:{port}/", "--cacert", certificates.ca).status == 200
    plain = RawClient(env, port)
    plain.send(request("GET", "/"))
    plain.read_end()
    untrusting = run(["curl", "-s", f"https://localhost:{port}/"])
    assert untrusting.returncode == 60, untrusting

    def counted():
        status, out, err = weirctl(env, weir, "tls", "--json")
        assert status == 0, err
        return json.loads(out)
    wait_until(lambda: counted()["handshakes"][0]["failed"] == 2, "both failures", 10)
    answer = counted()
    (one,) = answer["certificates"]
    assert (one["name"], one["listener"], one["subject"]) == ("site", "web", "CN=localhost"), one
    assert one["key"] == "EC prime256v1" and 28 <= one["days_left"] <= 30 and one["warning"] == "", one
    (counts,) = answer["handshakes"]
    assert counts["tls_1_3"] == 2 and counts["tls_1_2"] == 0, counts
    assert counts["reasons"] == {"not_tls": 1, "refused": 1}, counts
    status, out, _ = weirctl(env, weir, "tls")
    assert status == 0 and "CN=weir test CA" in out and "DAYS LEFT" in out, out
    with open("/proc/sys/net/ipv4/tcp_available_ulp", encoding="ascii") as names:
        assert answer["kernel"]["offered"] == ("tls" in names.read().split()), answer
    assert not answer["kernel"]["used"] and f"TLS of the kernel: {answer['kernel']['words']}; it is not used" in out, out
    wanted = renew(certificates, days=3)
    wait_until(lambda: shown(port, certificates.ca) == wanted != old, "the new certificate", 15)
    assert counted()["certificates"][0]["days_left"] in (2, 3)


def test_sessions_outlive_a_renewed_certificate(env):
    """The keys of tickets are not those of the certificate; sessions by id stand beside them."""
    certificates, port = Certificates(env), env.port()
    Weir(env, settings(port, certificates, runtime={"threads": 2}))
    sessions = {flags: env.dir / f"session{''.join(flags)}"
                for flags in (("-tls1_2",), ("-tls1_3",), ("-tls1_2", "-no_ticket"))}
    for flags, path in sessions.items():
        _, text = s_client(port, certificates, *flags, "-sess_out", path)
        assert "New, TLSv1" in text, text
    wanted = renew(certificates)
    wait_until(lambda: shown(port, certificates.ca) == wanted, "the new certificate", 15)
    for flags, path in sessions.items():
        _, text = s_client(port, certificates, *flags, "-sess_in", path)
        assert "Reused, TLSv1" in text and "secure" in text, text


@cases(("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3))
def test_session_of_one_thread_is_resumed_by_another(env, version):
    """Connections stay open, so that weir can say which loop has each."""
    certificates, port = Certificates(env), env.port()
    weir = Weir(env, settings(port, certificates, runtime={"threads": 4}))
    context = certificates.client()
    context.maximum_version = version
    held, session = [], None

    def visit(plain):
        nonlocal session
        client = context.wrap_socket(plain, server_hostname="localhost", session=session)
        held.append(client)
        client.sendall(request("GET", "/"))
        client.recv(4096)       # with TLS 1.3 the ticket comes before it
        assert client.session_reused == (len(held) > 1), len(held)
        session = client.session

    def loops_of_many():
        """Those that come at once wake several loops."""
        plain = [socket.socket() for _ in range(32)]
        for one in plain:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        for one in plain:
            one.settimeout(30)
            visit(one)
        return {one["loop"] for one in json.loads(weirctl(env, weir, "conns", "--json")[1])["conns"]}
    visit(socket.create_connection(("127.0.0.1", port)))
    wait_until(lambda: len(loops_of_many()) >= 2, "connections on two loops", 60)
    for client in held:
        client.close()


def test_sessions_and_connections_outlive_a_reload_and_settings_change(env):
    certificates, port = Certificates(env), env.port()
    document = settings(port, certificates, runtime={"threads": 2})
    weir = Weir(env, document)
    sessions = {flag: env.dir / f"session{flag}" for flag in ("-tls1_2", "-tls1_3")}
    for flag, path in sessions.items():
        _, text = s_client(port, certificates, flag, "-sess_out", path)
        assert "New, TLSv1" in text, text
    held = RawClient(env, port, tls=certificates.client())
    assert held.ask().status == 200
    document["listeners"]["web"]["tls"]["alpn"] = ["http/1.1"]
    weir.path.write_text(to_yaml(document) + "\n")
    status, out, err = weirctl(env, weir, "reload")
    assert status == 0, (out, err)

    def agreed():
        context = certificates.client()
        context.set_alpn_protocols(["http/1.1"])
        return RawClient(env, port, tls=context).socket.selected_alpn_protocol() == "http/1.1"
    wait_until(agreed, "the reloaded listener", 20)
    for flag, path in sessions.items():
        _, text = s_client(port, certificates, flag, "-sess_in", path)
        assert "Reused, TLSv1" in text and "secure" in text, text
    assert held.ask().status == 200
    wanted = renew(certificates)        # what the reloaded listener shows is watched
    wait_until(lambda: shown(port, certificates.ca) == wanted, "the new certificate", 20)


# Servers


class SecureOrigin:
    """Speaks TLS and answers every request; `seen` has what it knows of each connection's client."""

    def __init__(self, env, certificates, client_ca=None, alpn=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificates.pair())
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        if alpn:
            self.context.set_alpn_protocols(alpn)
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        env.defer(lambda: self.listener.shutdown(socket.SHUT_RDWR))

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as client:
                self.seen.append((client.selected_alpn_protocol(), client.getpeercert()))
                while True:
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        more = client.recv(4096)
                        if not more:
                            return
                        head += more
                    client.sendall(ok_response(b"from a secure origin"))
        except OSError:
            return


def to_secure(env, origin, certificates, port, **tls):
    said = {"ca": str(certificates.ca), "server_name": "localhost", **tls}
    return config({"web": http_listener(port, [proxy("app")])}, {"app": upstream(origin.port, tls=said)},
                  certificates={"mine": certificates.pair()})


def test_server_is_shown_a_certificate_and_offered_alpn(env):
    certificates, port = Certificates(env), env.port()
    origin = SecureOrigin(env, certificates, client_ca=certificates.ca, alpn=["h2", "http/1.1"])
    Weir(env, to_secure(env, origin, certificates, port, certificate="mine", alpn=["http/1.1"]))
    assert RawClient(env, port).ask().body == b"from a secure origin"
    alpn, certificate = origin.seen[0]
    assert alpn == "http/1.1" and certificate["subject"] == ((("commonName", "localhost"),),), origin.seen


def test_server_that_wants_a_certificate_and_gets_none_is_a_502_in_words(env):
    certificates, port = Certificates(env), env.port()
    origin = SecureOrigin(env, certificates, client_ca=certificates.ca)
    # With TLS 1.3 a client is done before it is refused: its request may meet a reset, and the alert is lost.
    origin.context.maximum_version = ssl.TLSVersion.TLSv1_2
    weir = Weir(env, to_secure(env, origin, certificates, port))
    assert RawClient(env, port).ask().status in (502, 503)
    weir.wait_line(r'the peer refused with the alert \\?"handshake failure')


def test_renewed_client_certificate_is_shown_to_servers(env):
    certificates, port = Certificates(env), env.port()
    origin = SecureOrigin(env, certificates, client_ca=certificates.ca)
    document = to_secure(env, origin, certificates, port, certificate="mine")
    document["upstreams"]["app"]["keepalive"] = 0
    weir = Weir(env, document)
    assert RawClient(env, port).ask().status == 200
    wanted = renew(certificates).decode().strip().removeprefix("serial=")
    weir.wait_line("upstream `app`: certificates read again")

    def look():
        assert RawClient(env, port).ask().status == 200
        return origin.seen[-1][1]["serialNumber"] == wanted
    wait_until(look, "the new certificate at the server", 10)


def test_unknown_client_certificate_of_an_upstream_is_an_error(env):
    certificates = Certificates(env)
    document = config({"web": http_listener(8080, [proxy("app")])},
                      {"app": upstream(9, tls={"certificate": "mien"})}, certificates={"mine": certificates.pair()})
    status, text = check(env, document)
    assert status == 78 and "certificate `mien` does not exist" in text and "`mine`" in text, text


# Certificates that are wrong


def test_wrong_certificate_is_refused_at_start_as_by_check(env):
    certificates, port = Certificates(env), env.port()
    document = settings(port, certificates)
    document["tls"]["certificates"]["site"]["key"] = str(env.dir / "ca.key")
    weir = Weir(env, document, wait=False)
    assert weir.wait(20) == 78
    weir.expected_status = 78
    assert re.search(r"weir\.yaml:\d+:\d+", weir.text()) and "does not belong to the certificate" in weir.text()


@cases(("no_response", b"nonsense", "holds no OCSP response in DER form"), ("missing", None, "no such file"))
def test_bad_ocsp_response_is_found_at_its_place(env, content, words):
    certificates, port = Certificates(env), env.port()
    path = env.dir / "ocsp.der"
    if content:
        path.write_bytes(content)
    status, text = check(env, settings(port, certificates, site={"ocsp": str(path)}), "--deep")
    assert status == 78 and words in text and re.search(r"checked\.yaml:\d+:\d+", text), text
    assert text.count("error[") == 1, text


def test_bad_authority_of_clients_is_found(env):
    certificates, port = Certificates(env), env.port()
    empty = env.file("empty.pem", "")
    status, text = check(env, settings(port, certificates, tls={"client_ca": str(empty), "client_auth": "required"}),
                         "--deep")
    assert status == 78 and "holds no certificate in PEM form" in text and re.search(r"checked\.yaml:\d+:\d+", text), text
