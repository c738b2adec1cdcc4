# SPDX-License-Identifier: Apache-2.0
"""Datagrams through weir: who asked gets the answer, from the address that was asked; sessions, their limit and their
end; servers that die."""

import json
import os
import socket
import threading

from harness import Weir, config, to_yaml, upstream, wait_until, weir_check, weirctl


class Server:
    """Answers each datagram with its name, the port it heard from, and the bytes."""

    def __init__(self, env, name, port=0):
        self.name = name
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.heard = []
        self.news = threading.Condition()
        self.closed = False
        threading.Thread(target=self.serve, daemon=True).start()
        env.defer(self.close)

    def serve(self):
        while not self.closed:
            try:
                data, peer = self.socket.recvfrom(70000)
            except OSError:
                return
            with self.news:
                self.heard.append((data, peer))
                self.news.notify_all()
            if not self.closed:
                try:
                    self.socket.sendto(f"{self.name} ".encode() + data, peer)
                except OSError:
                    pass

    def close(self):
        if not self.closed:
            self.closed = True
            # recvfrom() keeps the socket open while it waits.
            waker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            waker.sendto(b"", ("127.0.0.1", self.port))
            waker.close()
            self.socket.close()


class Client:
    """Hears from the one address that it asks."""

    def __init__(self, env, port, host="127.0.0.1", source=None):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(10)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect((host, port))
        env.defer(self.socket.close)

    def ask(self, data, patience=10):
        """The answer; None when there is none in time."""
        self.socket.settimeout(patience)
        try:
            self.socket.send(data)
            return self.socket.recv(70000)
        except (TimeoutError, ConnectionRefusedError):
            return None


def free_port(env):
    """Of UDP; env.port() knows of TCP only."""
    while True:
        port = env.port()
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            probe.bind(("0.0.0.0", port))
            return port
        except OSError:
            continue
        finally:
            probe.close()


def udp(port, target, bind="127.0.0.1:{}", **settings):
    return {"bind": bind.format(port), "protocol": "udp", **settings, "routes": [{"proxy": target}]}


def start(env, listener, upstreams=None, **more):
    weir = Weir(env, to_yaml(config({"dns": listener}, upstreams, **more)) + "\n")
    weir.wait_line("ready")
    return weir


def status(env, weir):
    return json.loads(weirctl(env, weir, "listeners", "--json")[1])["listeners"][0]


def test_answers_come_back_to_who_asked(env):
    server, port = Server(env, "a"), free_port(env)
    start(env, udp(port, f"127.0.0.1:{server.port}"))
    clients = [Client(env, port) for _ in range(20)]
    for turn in range(3):
        for number, client in enumerate(clients):
            client.socket.send(b"%d of %d" % (turn, number))
        for number, client in enumerate(clients):
            assert client.socket.recv(100) == b"a %d of %d" % (turn, number)
    # One socket to the server for each client, kept.
    assert len({peer for _, peer in server.heard}) == 20


def test_datagrams_stay_whole(env):
    server, port = Server(env, "a"), free_port(env)
    start(env, udp(port, f"127.0.0.1:{server.port}"))
    client = Client(env, port)
    for size in (0, 1, 1472, 9000, 60000):
        data = os.urandom(size)
        assert client.ask(data) == b"a " + data


def test_answers_leave_from_the_address_that_was_asked(env):
    """Also where the socket has all addresses: a client that is connected hears no other."""
    server, port = Server(env, "a"), free_port(env)
    start(env, udp(port, f"127.0.0.1:{server.port}", "{}"))
    for host in ("127.0.0.1", "127.0.0.9", "::1"):
        assert Client(env, port, host).ask(b"x") == b"a x", host


def test_one_client_that_asks_two_addresses_has_two_sessions(env):
    server, port = Server(env, "a"), free_port(env)
    weir = start(env, udp(port, f"127.0.0.1:{server.port}", "0.0.0.0:{}"))
    both = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    env.defer(both.close)
    both.settimeout(10)
    for host in ("127.0.0.1", "127.0.0.2"):
        both.sendto(b"x", (host, port))
        assert both.recvfrom(100) == (b"a x", (host, port))
    assert status(env, weir)["connections"] == 2


def test_sessions_end_when_nothing_moves(env):
    server, port = Server(env, "a"), free_port(env)
    weir = start(env, udp(port, f"127.0.0.1:{server.port}", udp={"idle_timeout": "300ms"}))
    client = Client(env, port)
    assert client.ask(b"one") == b"a one"
    assert status(env, weir)["connections"] == 1
    wait_until(lambda: status(env, weir)["connections"] == 0, "the session to end")
    assert client.ask(b"two") == b"a two"
    assert len({peer for _, peer in server.heard}) == 2


def test_clients_past_the_limit_are_not_answered(env):
    server, port = Server(env, "a"), free_port(env)
    weir = start(env, udp(port, f"127.0.0.1:{server.port}", max_connections=3, udp={"idle_timeout": "1s"}))
    clients = [Client(env, port) for _ in range(4)]
    for client in clients[:3]:
        assert client.ask(b"x") == b"a x"
    assert clients[3].ask(b"x", 0.2) is None
    assert clients[0].ask(b"y") == b"a y"
    now = status(env, weir)
    assert now["connections"] == 3 and now["refused"] >= 1, now
    assert "all 3 of max_connections are open" in weir.text()
    wait_until(lambda: clients[3].ask(b"z", 0.2), "room for another one")


def test_dead_server_is_left_for_another(env):
    servers = [Server(env, "a"), Server(env, "b")]
    port = free_port(env)
    weir = start(env, udp(port, "app"), {"app": upstream(*(s.port for s in servers))})
    client = Client(env, port)
    first = client.ask(b"x")
    dead = servers[first.startswith(b"b")]
    dead.close()
    alive = servers[dead.name == "a"]
    # The datagram that finds nobody is lost, as datagrams are; who asks again gets the other server.
    wait_until(lambda: client.ask(b"x", 0.3) == alive.name.encode() + b" x", "an answer of the other server")
    weir.expect_outcome("upstream.connect.refused")
    for _ in range(10):
        assert Client(env, port).ask(b"x") == alive.name.encode() + b" x"


def test_servers_take_turns(env):
    servers = [Server(env, "a"), Server(env, "b")]
    port = free_port(env)
    start(env, udp(port, "app"), {"app": upstream(*(s.port for s in servers))}, runtime={"threads": 1})
    answers = [Client(env, port).ask(b"x") for _ in range(10)]
    assert answers.count(b"a x") == answers.count(b"b x") == 5, answers


def test_server_may_be_a_name(env):
    server, port = Server(env, "a"), free_port(env)
    start(env, udp(port, "app"), {"app": {"servers": [f"localhost:{server.port}"]}})
    wait_until(lambda: Client(env, port).ask(b"x", 0.3) == b"a x", "an answer")


def test_routes_by_client_address(env):
    server, port = Server(env, "a"), free_port(env)
    weir = start(env, {"bind": f"*:{port}", "protocol": "udp", "routes": [
        {"match": {"client_ip": ["127.0.0.2", "127.0.0.8/30"]}, "reject": {}},
        {"match": {"client_ip": "127.0.0.0/8"}, "proxy": f"127.0.0.1:{server.port}"}]})
    assert Client(env, port, source="127.0.0.2").ask(b"x", 0.2) is None
    assert Client(env, port, source="127.0.0.9").ask(b"x", 0.2) is None
    assert Client(env, port, source="127.0.0.3").ask(b"x") == b"a x"
    assert Client(env, port, host="::1").ask(b"x", 0.2) is None
    weir.expect_outcome("denied")
    weir.expect_outcome("route.none")


def test_taken_address_is_refused_at_start(env):
    """Also one of somebody who would share it."""
    port = free_port(env)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    env.defer(other.close)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    other.bind(("127.0.0.1", port))
    path = env.file("weir.yaml", to_yaml(config({"dns": udp(port, "127.0.0.1:9")})) + "\n")
    code, output = weir_check(env, path)
    assert code == 0, output
    from harness import weir_run
    code, output = weir_run(env, "check", "--deep", "-f", path)
    assert code == 71 and "another process holds this address" in output, output


def test_what_datagrams_cannot_have_is_told(env):
    path = env.file("weir.yaml", "version: 1\nlisteners:\n  dns:\n    bind: 5353\n    protocol: udp\n"
                                 "    inspect: tls\n    routes: { handoff: dns }\n")
    code, output = weir_check(env, path)
    assert code == 78 and "datagrams are not inspected" in output and "`handoff`" in output, output


def test_tcp_and_udp_share_a_port(env):
    from harness import RawClient, echo_listener
    server, port = Server(env, "a"), free_port(env)
    Weir(env, config({"tcp": echo_listener(port), "udp": udp(port, f"127.0.0.1:{server.port}")}))
    assert Client(env, port).ask(b"x") == b"a x"
    client = RawClient(env, port)
    client.send(b"x\n")
    assert client.read(2) == b"x\n"
