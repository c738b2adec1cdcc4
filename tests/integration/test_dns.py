# SPDX-License-Identifier: Apache-2.0
"""Upstreams by name: against a scripted name server that lies, and against dnsmasq."""

import importlib.util
import shutil
import time
from pathlib import Path

from harness import (Failed, Process, RawClient, ScriptedOrigin, Weir, app, cases, ok_response, wait_until, weir_check,
                     weirctl)

_spec = importlib.util.spec_from_file_location("dns_server", Path(__file__).resolve().parents[1] / "dns" / "server.py")
dns_server = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(dns_server)

ONE_LOOP = ["--set", "runtime.threads=1"]


def name_server(env):
    server = dns_server.Server()
    env.defer(server.close)
    return server


def named(name):
    def handler(conn, incoming):
        incoming.body()
        conn.send(ok_response(name.encode()))
    return handler


def origins(env, *hosts):
    """One for each address, all on one port; each answers with its address."""
    port = env.port()
    return port, [ScriptedOrigin(env, named(host), port=port, host=host) for host in hosts]


def by_name(env, name, origin_port, server, cache=None, **resolver):
    """weir with upstream `name`, one loop; the port that it listens on."""
    port = env.port()
    settings = {"servers": [server if isinstance(server, str) else server.address], "timeout": "200ms", "tries": 2,
                "cache": {"min_ttl": "10ms", "negative_ttl": "50ms", **(cache or {})}, **resolver}
    weir = Weir(env, {**app(port, f"{name}:{origin_port}"), "resolver": settings}, ONE_LOOP)
    return weir, port


def ask(env, port):
    return RawClient(env, port).ask()


def wait_body(env, port, body, limit=20):
    def look():
        response = ask(env, port)
        return response.status == 200 and response.body == body
    wait_until(look, f"an answer {body!r}", limit)


def test_upstream_is_found_by_name_and_the_answer_is_kept(env):
    server = name_server(env)
    server.set("app.test", "A", "127.0.0.2")
    origin_port, _ = origins(env, "127.0.0.2")
    _, port = by_name(env, "app.test", origin_port, server)
    for _ in range(5):
        assert ask(env, port).body == b"127.0.0.2"
    assert server.count("app.test", "A") == 1, server.count("app.test", "A")


def test_start_with_an_unresolvable_name_heals_without_reload(env):
    server = name_server(env)
    origin_port, _ = origins(env, "127.0.0.2")
    weir, port = by_name(env, "app.test", origin_port, server)
    assert ask(env, port).status in (502, 503)
    weir.wait_line(r"app\.test.*looks again")
    server.set("app.test", "A", "127.0.0.2")
    wait_body(env, port, b"127.0.0.2")
    weir.wait_line(r"server app\.test:\d+ is 127\.0\.0\.2", 0, 10)


def test_start_while_the_name_server_is_silent_heals_without_reload(env):
    server = name_server(env)
    server.behave("*", "silent")
    server.set("app.test", "A", "127.0.0.2")
    origin_port, _ = origins(env, "127.0.0.2")
    _, port = by_name(env, "app.test", origin_port, server)
    assert ask(env, port).status in (502, 503, 504)
    server.behave("*")
    wait_body(env, port, b"127.0.0.2")


def test_connection_to_an_address_that_left_the_name_is_not_used_again(env):
    server = name_server(env)
    server.set("app.test", "A", "127.0.0.2", ttl=1)
    origin_port, (first, _) = origins(env, "127.0.0.2", "127.0.0.3")
    weir, port = by_name(env, "app.test", origin_port, server)
    client = RawClient(env, port)
    assert client.ask().body == b"127.0.0.2"
    server.set("app.test", "A", "127.0.0.3", ttl=1)
    weir.wait_line(r"server app\.test:\d+ is 127\.0\.0\.3", 0, 10)
    first.wait_event("end")     # the idle connection ended, though the client is still there
    for _ in range(3):
        assert client.ask().body == b"127.0.0.3"


def test_resolve_interval_goes_before_the_ttl(env):
    server = name_server(env)
    server.set("app.test", "A", "127.0.0.2", ttl=3600)
    origin_port, _ = origins(env, "127.0.0.2", "127.0.0.3")
    port = env.port()
    text = {**app(port, f"app.test:{origin_port}", resolve_interval="100ms"), "resolver": {"servers": [server.address]}}
    Weir(env, text, ONE_LOOP)
    assert ask(env, port).body == b"127.0.0.2"
    server.set("app.test", "A", "127.0.0.3", ttl=3600)
    wait_body(env, port, b"127.0.0.3")


def test_last_addresses_hold_while_the_name_servers_fail(env):
    server = name_server(env)
    server.set("app.test", "A", "127.0.0.2", ttl=1)
    origin_port, _ = origins(env, "127.0.0.2")
    _, port = by_name(env, "app.test", origin_port, server)
    assert ask(env, port).body == b"127.0.0.2"
    server.behave("*", "servfail")
    seen = server.count("app.test")
    wait_until(lambda: server.count("app.test") > seen, "weir to look again", 10)
    for _ in range(3):
        response = RawClient(env, port).ask()
        assert response.body == b"127.0.0.2", response


@cases(("slow", "slow", 0.1), ("truncated", "truncate", None), ("wrong_id", "wrong_id", None),
       ("extra_records", "extra", None), ("chain_of_aliases", "chain", 8))
def test_right_address_is_found_in_spite_of(env, how, value):
    server = name_server(env)
    server.set("app.test", "A", "127.0.0.2")
    server.behave("app.test", how, value)
    origin_port, _ = origins(env, "127.0.0.2")
    _, port = by_name(env, "app.test", origin_port, server)
    assert ask(env, port).body == b"127.0.0.2"
    if how == "truncate":
        assert server.count_tcp("app.test") >= 1


@cases(("silent", "silent", None), ("servfail", "servfail", None), ("refused", "refused", None),
       ("nxdomain", "nxdomain", None), ("wrong_question", "wrong_question", None), ("garbage", "garbage", None),
       ("cut", "cut", None), ("loop_of_aliases", "loop", None), ("endless_chain", "chain", 40),
       ("tcp_is_stuck", "stuck", None))
def test_request_ends_in_time_and_weir_heals_after(env, how, value):
    server = name_server(env)
    server.set("app.test", "A", "127.0.0.2")
    server.behave("app.test", how, value)
    origin_port, _ = origins(env, "127.0.0.2")
    _, port = by_name(env, "app.test", origin_port, server)
    start = time.monotonic()
    response = ask(env, port)
    assert response.status in (502, 503, 504), response
    assert time.monotonic() - start < 8, "the limit of connecting is 2 s"
    server.behave("app.test")
    wait_body(env, port, b"127.0.0.2")


def test_huge_answer_is_bounded_and_useful(env):
    server = name_server(env)
    server.behave("app.test", "huge", 500)
    origin_port, _ = origins(env, "127.1.0.1")
    _, port = by_name(env, "app.test", origin_port, server)
    assert ask(env, port).body == b"127.1.0.1"


def test_dead_address_costs_no_more_than_the_next_attempt(env):
    server = name_server(env)
    server.set("app.test", "A", "127.0.0.9", "127.0.0.2")
    origin_port, _ = origins(env, "127.0.0.2")
    _, port = by_name(env, "app.test", origin_port, server)
    assert ask(env, port).body == b"127.0.0.2"


def test_missing_second_family_does_not_hold_up_the_first(env):
    """IPv6 answers never come; IPv4 ones wait 50 ms for them and no more."""
    server = name_server(env)
    server.set("app.test", "A", "127.0.0.2")
    origin_port, _ = origins(env, "127.0.0.2")
    reply = server._reply
    server._reply = lambda query, tcp: ([], 0) if query[-3] == 28 else reply(query, tcp)
    _, port = by_name(env, "app.test", origin_port, server, timeout="5s")
    start = time.monotonic()
    assert ask(env, port).body == b"127.0.0.2"
    assert time.monotonic() - start < 3


def dnsmasq(env, *lines):
    """Debian's dnsmasq on a port of its own; answers what `lines` say, and nothing of the world."""
    program = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")
    if not program:
        raise Failed("dnsmasq is missing: tools/install-packages check")
    port = env.port()
    hosts = env.file("dnsmasq.hosts", "")
    path = env.file("dnsmasq.conf", "\n".join([
        "keep-in-foreground", "log-facility=-", "no-resolv", "no-hosts", f"port={port}", "listen-address=127.0.0.1",
        "bind-interfaces", "user=root", f"addn-hosts={hosts}", "local=/test/", "local-ttl=1", "neg-ttl=1", *lines]) + "\n")
    process = Process(env, [program, "-C", path], "dnsmasq")
    process.wait_listening(port)
    return process, f"127.0.0.1:{port}", hosts


def test_dnsmasq_is_understood(env):
    _, address, _ = dnsmasq(env, "address=/app.test/127.0.0.2", "cname=alias.test,app.test")
    origin_port, _ = origins(env, "127.0.0.2")
    _, port = by_name(env, "app.test", origin_port, address)
    assert ask(env, port).body == b"127.0.0.2"


def test_dnsmasq_that_learns_a_name_heals_weir(env):
    process, address, hosts = dnsmasq(env)
    origin_port, _ = origins(env, "127.0.0.2")
    _, port = by_name(env, "app.test", origin_port, address)
    assert ask(env, port).status in (502, 503)
    hosts.write_text("127.0.0.2 app.test\n", encoding="ascii")
    process.send_signal(1)
    wait_body(env, port, b"127.0.0.2")


def test_check_says_what_cannot_be_preferred(env):
    path = env.file("bad.yaml", "version: 1\nresolver:\n  prefer: ipv5\n")
    status, text = weir_check(env, path)
    assert status == 78 and "ipv5" in text, text


def test_check_says_which_name_server_is_no_address(env):
    path = env.file("bad.yaml", "version: 1\nresolver:\n  servers: [10.0.0.1, dns.example.org]\n")
    status, text = weir_check(env, path)
    assert status == 78 and "bad.yaml:3:23" in text and "`dns.example.org` is no address of a name server" in text, text
    assert "^^^^" in text and "10.0.0.1:5353" in text, text


def test_other_name_servers_are_asked_after_a_reload(env):
    silent, good = name_server(env), name_server(env)
    silent.behave("*", "silent")
    good.set("app.test", "A", "127.0.0.2")
    origin_port, _ = origins(env, "127.0.0.2")
    weir, port = by_name(env, "app.test", origin_port, silent)
    assert ask(env, port).status in (502, 503, 504)
    text = weir.path.read_text()
    assert silent.address in text
    weir.path.write_text(text.replace(silent.address, good.address))
    status, out, err = weirctl(env, weir, "reload")
    assert status == 0, (out, err)
    wait_body(env, port, b"127.0.0.2")
