# SPDX-License-Identifier: Apache-2.0
"""examples/l4.yaml, unchanged: in a network and a /run of its own, where the addresses that it names exist."""

import ctypes
import os
import shutil
import socket
import subprocess

from harness import Certificates, RawClient, ScriptedOrigin, Skip, Weir, ok_response, run, timeout
from test_inspect import SSL_REQUEST, client_hello, collects, got, mirror, raw, tls_says, upgrade

DATA = "tests/integration/data/examples/l4.yaml"
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    if function(*arguments) != 0:
        raise Skip("no networks of one's own: " + os.strerror(ctypes.get_errno()))


def ip(*words):
    result = run(["ip", *words])
    if result.returncode:
        raise Skip("no networks of one's own: ip " + " ".join(words) + ": " + result.stderr.decode().strip())


class World:
    """An empty /run, a network for weir and its clients, and one behind it for the servers: weir has port 443 of all
    its addresses, and a server of the file has it too."""

    def __init__(self, env):
        if os.getuid():
            raise Skip("no networks of one's own: this is not root")
        call(LIBC.unshare, CLONE_NEWNS | CLONE_NEWNET)
        for words in (["mount", "--make-rprivate", "/"], ["mount", "-t", "tmpfs", "tmpfs", "/run"]):
            if run(words).returncode:
                raise Skip("no /run of one's own")
        self.clients = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        keeper = subprocess.Popen(["sleep", "600"])
        env.defer(keeper.wait)
        env.defer(keeper.kill)
        call(LIBC.unshare, CLONE_NEWNET)
        self.servers = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        ip("link", "add", "v1", "type", "veth", "peer", "name", "v0", "netns", str(keeper.pid))
        self.addresses("v1", "10.0.0.2/16", "10.0.1.1/32", "10.0.1.2/32", "10.0.9.9/32")
        self.enter(self.clients)
        self.addresses("v0", "10.0.0.1/16", "10.7.7.7/32", "192.0.2.7/32")

    @staticmethod
    def addresses(device, *addresses):
        ip("link", "set", "lo", "up")
        for address in addresses:
            ip("address", "add", address, "dev", device)
        ip("link", "set", device, "up")

    @staticmethod
    def enter(network):
        call(LIBC.setns, network, CLONE_NEWNET)

    def server(self, *arguments, **settings):
        """An origin in the network behind."""
        self.enter(self.servers)
        try:
            return ScriptedOrigin(*arguments, **settings)
        finally:
            self.enter(self.clients)


def socket_for_systemd():
    """What systemd would have opened."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", 5432))
    listener.listen(100)
    return listener


def client_from(env, source, address):
    client = RawClient.__new__(RawClient)
    client.buffer, client.closed, client.limit = b"", None, 10.0
    client.socket = socket.create_connection(address, 10, (source, 0))
    env.defer(client.close)
    return client


def v2_of(head):
    """The client that a PROXY header of version 2 names."""
    assert head[:16] == b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", head
    return socket.inet_ntoa(head[16:20])


def tells_its_client(certificates):
    """PostgreSQL behind a PROXY header."""
    def behaviour(conn):
        head = b""
        while len(head) < 28:
            head += conn.socket.recv(28 - len(head))
        conn.report("client", ip=v2_of(head))
        tls_says(certificates, b"B", (SSL_REQUEST, b"S"))(conn)
    return raw(behaviour)


def start(env, certificates):
    credentials = env.dir / "credentials"
    credentials.mkdir()
    shutil.copy(certificates.certificate, credentials / "site.crt")
    shutil.copy(certificates.key, credentials / "site.key")
    text = (env.options.source / DATA).read_text()
    listener = socket_for_systemd()
    weir = Weir(env, text, wait=False, extra={"CREDENTIALS_DIRECTORY": str(credentials)},
                sockets={"postgres": listener.fileno()})
    listener.close()
    weir.wait_line("ready")
    return weir


def expect_postgres(env, certificates, a, b):
    """Both ways to ask for TLS, each database by its name, and nobody else's."""
    client = upgrade(ask_for_tls_at(env, "127.0.0.1"), certificates, "a.db.example.com")
    assert client.read(1) == b"A" and a.wait_event("name")["name"] == "a.db.example.com"
    client = upgrade(ask_for_tls_at(env, "10.7.7.7"), certificates, "b.db.example.com")
    assert client.read(1) == b"B" and b.wait_event("client")["ip"] == "10.7.7.7"
    for source, name in (("192.0.2.7", "b.db.example.com"), ("10.7.7.7", "c.db.example.com")):
        client = ask_for_tls_at(env, source)
        client.send(client_hello(name))
        assert client.read_end() == b"", (source, name)


def ask_for_tls_at(env, source):
    client = client_from(env, source, (source, 5432))
    client.send(SSL_REQUEST)
    assert client.read(1) == b"S"
    return client


def expect_mux(env, certificates, vpn, ssh):
    at = ("127.0.0.1", 443)
    hello = client_hello("vpn.example.com")
    client = RawClient(env, at)
    client.send(hello + b"then more")
    client.finish()
    assert client.read_end() == b"thanks" and got(vpn) == hello + b"then more"
    client = RawClient(env, at)
    client.send(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    assert client.read(32) == b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
    answer = RawClient(env, at, tls=certificates.client()).ask()
    assert (answer.status, answer.body) == (200, b"app")
    client = RawClient(env, at)
    client.send(b"a line of text\n")
    assert client.read(21) == b"hello\na line of text\n"


def expect_openssl(env, certificates):
    """Somebody else's TLS, whole."""
    result = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", "localhost", "-CAfile",
                             str(certificates.ca), "-verify_return_error", "-quiet"],
                            input=b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", capture_output=True,
                            timeout=30, check=False)
    assert b"200 OK" in result.stdout, result


@timeout(90)
def test_l4_example_works_unchanged(env):
    world = World(env)
    certificates = Certificates(env)
    a = world.server(env, on_accept=tls_says(certificates, b"A", (SSL_REQUEST, b"S")), host="10.0.1.1", port=5432)
    b = world.server(env, on_accept=tells_its_client(certificates), host="10.0.1.2", port=5432)
    vpn = world.server(env, on_accept=raw(collects), host="10.0.9.9", port=443)
    ssh = ScriptedOrigin(env, on_accept=raw(mirror), port=22)
    ScriptedOrigin(env, lambda conn, _: conn.send(ok_response(b"app")), unix="/run/app.sock")
    weir = start(env, certificates)
    expect_mux(env, certificates, vpn, ssh)
    expect_openssl(env, certificates)
    expect_postgres(env, certificates, a, b)
    weir.expect_outcome("denied")
