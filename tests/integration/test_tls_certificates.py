# SPDX-License-Identifier: Apache-2.0
"""Certificates that change, expire and are wrong; sessions across threads; clients that show who they are."""

import os
import re
import ssl
import threading

from harness import Certificates, RawClient, Weir, config, curl, http_listener, respond, run, wait_until, weir_run


def settings(port, certificates, tls=None, site=None, **sections):
    document = config({"web": http_listener(port, [respond(200, "secure\n")], certificate="site")},
                      certificates={"site": certificates.pair()}, **sections)
    document["tls"]["certificates"]["site"].update(site or {})
    document["listeners"]["web"]["tls"].update(tls or {})
    return document


def serial(path):
    return run(["openssl", "x509", "-noout", "-serial", "-in", path]).stdout


def shown(port, ca):
    """The serial number of the certificate that a new connection gets."""
    context = ssl.create_default_context(cafile=str(ca))
    import socket
    with socket.create_connection(("127.0.0.1", port)) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            pem = ssl.DER_cert_to_PEM_cert(tls.getpeercert(True))
    return run(["openssl", "x509", "-noout", "-serial"], stdin=pem.encode()).stdout


def renew(certificates, days=30, rsa=False):
    """A new leaf and key of the same CA, put in place one after the other, as deploy hooks do."""
    folder = certificates.ca.parent
    kind = ["-newkey", "rsa:2048"] if rsa else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    new_key, new = folder / "new.key", folder / "new.pem"
    for arguments in (["req", *kind, "-nodes",
                       "-keyout", new_key, "-out", folder / "new.csr", "-subj", "/CN=localhost"],
                      ["x509", "-req", "-in", folder / "new.csr", "-CA", certificates.ca, "-CAkey", folder / "ca.key",
                       "-CAcreateserial", "-days", days, "-extfile", folder / "leaf.ext", "-out", new]):
        result = run(["openssl", *map(str, arguments)])
        assert result.returncode == 0, result.stderr
    os.replace(new, certificates.certificate)
    os.replace(new_key, certificates.key)
    return serial(certificates.certificate)


def test_renewed_certificate_is_served_and_nobody_is_dropped(env):
    certificates, port = Certificates(env), env.port()
    weir = Weir(env, settings(port, certificates))
    old = RawClient(env, port, tls=certificates.client())
    assert old.ask().status == 200
    failures, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            got = curl(env, f"https://localhost:{port}/", "--cacert", certificates.ca)
            if (got.returncode, got.status) != (0, 200):
                failures.append(got)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        wanted = renew(certificates, rsa=True)
        wait_until(lambda: shown(port, certificates.ca) == wanted, "the new certificate", 15)
    finally:
        stop.set()
        thread.join()
    assert not failures, failures[0]
    assert old.ask().status == 200
    weir.wait_line(r'level=info logger=weir.tls msg="listener `web`: certificates read again; the first expires 20')


def test_bad_renewal_is_told_and_the_old_goes_on(env):
    certificates, port = Certificates(env), env.port()
    weir = Weir(env, settings(port, certificates))
    before = serial(certificates.certificate)
    mark = weir.mark()
    good = certificates.certificate.read_text()
    certificates.certificate.write_text("nonsense")
    weir.wait_line(r'level=error logger=weir.tls msg="listener `web`: its changed files cannot be used, and the old',
                   since=mark)
    weir.wait_line(r"leaf\.pem holds no certificate in PEM form", since=mark)
    assert shown(port, certificates.ca) == before
    certificates.certificate.write_text(good)
    wanted = renew(certificates)
    wait_until(lambda: shown(port, certificates.ca) == wanted, "the new certificate", 15)


def test_certificate_that_expires_soon_is_told(env):
    certificates, port = Certificates(env), env.port()
    renew(certificates, days=3)
    weir = Weir(env, settings(port, certificates))
    weir.wait_line(r'level=warning logger=weir.tls msg="listener `web`: a certificate expires in [23] days: 20\d\d-')


def test_sessions_are_resumed_across_threads(env):
    certificates, port = Certificates(env), env.port()
    Weir(env, settings(port, certificates, runtime={"threads": 4}))
    session = env.dir / "session.pem"
    base = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-CAfile",
            certificates.ca, "-ign_eof"]
    ask = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for version in ("-tls1_2", "-tls1_3"):
        first = run([*base, version, "-sess_out", session], stdin=ask).stdout.decode("latin-1")
        assert "New, TLSv1" in first and "secure" in first, first
        for _ in range(8):      # a new connection each time, to whichever thread takes it
            text = run([*base, version, "-sess_in", session, "-sess_out", session], stdin=ask).stdout.decode("latin-1")
            assert "Reused, TLSv1" in text and "secure" in text, text
    got = run(["curl", "-sv", "--cacert", certificates.ca, "-H", "Connection: close"] +
              [f"https://localhost:{port}/"] * 5)
    text = got.stderr.decode("latin-1")
    assert got.stdout == b"secure\n" * 5, got
    assert text.count("SSL re-using session ID") + text.count("SSL reusing session") >= 4, text


def test_without_tickets_tls_1_2_resumes_by_id(env):
    certificates, port = Certificates(env), env.port()
    document = settings(port, certificates, runtime={"threads": 4})
    document["tls"]["session_tickets"] = False
    Weir(env, document)
    result = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-CAfile",
                  certificates.ca, "-tls1_2", "-reconnect"], stdin=b"")
    text = result.stdout.decode("latin-1")
    assert text.count("Reused, TLSv1.2") == 5 and "TLS session ticket:" not in text, text


def test_client_certificates(env):
    certificates, port, other = Certificates(env), env.port(), env.port()
    document = settings(port, certificates, tls={"client_ca": str(certificates.ca), "client_auth": "required"})
    document["listeners"]["open"] = {**document["listeners"]["web"], "bind": f"127.0.0.1:{other}",
                                     "tls": {"certificates": ["site"], "client_ca": str(certificates.ca),
                                             "client_auth": "optional"}}
    weir = Weir(env, document)
    mine = ["--cert", certificates.certificate, "--key", certificates.key]
    for at, extra, wanted in ((port, mine, 0), (other, mine, 0), (other, [], 0), (port, [], 56)):
        got = curl(env, f"https://localhost:{at}/", "--cacert", certificates.ca, *extra)
        assert got.returncode == wanted, (at, extra, got)
    weir.wait_line("peer did not return a certificate")
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3",
         "-keyout", env.dir / "x.key", "-out", env.dir / "x.pem", "-subj", "/CN=stranger"])
    got = curl(env, f"https://localhost:{other}/", "--cacert", certificates.ca, "--cert", env.dir / "x.pem", "--key",
               env.dir / "x.key")
    assert got.returncode != 0, got
    weir.wait_line(r"certificate verify failed: self-signed certificate \(certificate CN=stranger, issued by "
                   r"CN=stranger, depth 0; CA file \S+/ca\.pem\)")


def test_alpn_is_agreed_on(env):
    certificates, port = Certificates(env), env.port()
    Weir(env, settings(port, certificates, tls={"alpn": ["http/1.1"]}))
    context = certificates.client()
    context.set_alpn_protocols(["h2", "http/1.1"])
    assert RawClient(env, port, tls=context).socket.selected_alpn_protocol() == "http/1.1"


FILE = """version: 1
tls:
  certificates:
    site:
      certificate: {certificate}
      key: {key}
listeners:
  web:
    bind: 127.0.0.1:0
    tls: {{ certificates: [site] }}
    routes:
      - respond: {{ status: 200 }}
"""


def deep(env, certificate, key):
    path = env.file("weir.yaml", FILE.format(certificate=certificate, key=key))
    return weir_run(env, "check", "--deep", "-f", path)


def test_deep_check_finds_what_is_wrong_with_certificates(env):
    certificates = Certificates(env)
    crt, key = certificates.pair()
    folder = certificates.ca.parent
    run(["openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:x", "-out", folder / "secret.key"])
    cases = [
        (folder / "absent.pem", key, 5, "cannot read the certificate .*absent.pem: no such file or directory"),
        (key, key, 5, "holds no certificate in PEM form"),
        (crt, folder / "absent.key", 6, "cannot read the private key .*absent.key: no such file or directory"),
        (crt, crt, 6, "holds no private key in PEM form"),
        (crt, folder / "secret.key", 6, "is encrypted, and no password was given"),
        (crt, folder / "ca.key", 6, "private key .* does not belong to the certificate"),
    ]
    for certificate, private, line, words in cases:
        status, output = deep(env, certificate, private)
        assert status == 78 and re.search(rf"weir\.yaml:{line}:\d+", output) and re.search(words, output), output
        assert output.count("error[") == 1, output
    status, output = deep(env, crt, key)
    assert status == 0, output
    renewed = run(["openssl", "x509", "-req", "-in", folder / "leaf.csr", "-CA", certificates.ca, "-CAkey",
                   folder / "ca.key", "-CAcreateserial", "-days", "-1", "-out", folder / "old.pem"])
    assert renewed.returncode == 0, renewed.stderr
    status, output = deep(env, folder / "old.pem", key)
    assert status == 0 and re.search(r"warning.*certificate `site`: it expired \d+ days ago", output), output
    assert re.search(r"weir\.yaml:5:\d+", output), output
