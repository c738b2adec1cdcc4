# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping: nothing in flight is lost, nothing is left behind."""

import signal
import socket

from harness import (Failed, Nginx, RawClient, ScriptedOrigin, Weir, app, cases, config, http_listener, ok_response,
                     pattern_bytes, request, respond, run, sha256, timeout, wait_until)
from harness.process import listening_ports


def held(conn, incoming):
    if incoming.target == "/held":
        conn.report("held")
        conn.wait_go("answer")
    conn.send(ok_response(b"finished"))


def in_flight(env):
    origin = ScriptedOrigin(env, held)
    port = env.port()
    weir = Weir(env, app(port, origin.port, response_timeout="30s"))
    client = RawClient(env, port)
    client.send(request("GET", "/held"))
    origin.wait_event("held")
    return origin, port, weir, client


def test_term_lets_an_exchange_finish_and_exits_0(env):
    origin, port, weir, client = in_flight(env)
    weir.send_signal(signal.SIGTERM)
    wait_until(lambda: port not in listening_ports(), "the listener to close")
    assert weir.alive(), "weir left an exchange in flight"
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        pass
    else:
        raise Failed("a stopping weir accepted a connection")
    origin.go("answer")
    response = client.response()
    assert (response.status, response.body, response.ended) == (200, b"finished", "complete"), response
    client.expect_closed()
    assert weir.wait(5) == 0


def test_term_closes_idle_connections_at_once(env):
    origin = ScriptedOrigin(env, held)
    port = env.port()
    weir = Weir(env, app(port, origin.port))
    idle = [RawClient(env, port) for _ in range(3)]
    for client in idle[1:]:
        assert client.ask().status == 200
    assert weir.stop(limit=5) == 0
    for client in idle:
        client.expect_closed()


def test_second_term_ends_what_is_in_flight(env):
    _, port, weir, client = in_flight(env)
    weir.send_signal(signal.SIGTERM)
    wait_until(lambda: port not in listening_ports(), "the listener to close")
    assert weir.alive()
    weir.send_signal(signal.SIGTERM)
    assert weir.wait(5) == 0
    assert client.response() is None or client.closed


def test_shutdown_grace_bounds_the_wait(env):
    origin = ScriptedOrigin(env, held)
    port = env.port()
    weir = Weir(env, app(port, origin.port, response_timeout="30s"), arguments=["--set", "runtime.shutdown_grace=300ms"])
    client = RawClient(env, port)
    client.send(request("GET", "/held"))
    origin.wait_event("held")
    assert weir.stop(limit=5) == 0
    client.read_end()
    assert client.closed


def test_big_download_in_flight_is_finished_after_term(env):
    nginx = Nginx(env)
    content = pattern_bytes(16 * 1024 * 1024, 10)
    (nginx.root / "big").write_bytes(content)
    port = env.port()
    weir = Weir(env, app(port, nginx.port))
    client = RawClient(env, port, receive_buffer=65536)
    client.send(request("GET", "/big"))
    response = client.response(body=False)
    weir.send_signal(signal.SIGTERM)
    wait_until(lambda: port not in listening_ports(), "the listener to close")
    client.read_body(response)
    assert response.ended == "complete" and sha256(response.body) == sha256(content), response
    assert weir.wait(5) == 0


@cases(("INT", signal.SIGINT), ("QUIT", signal.SIGQUIT))
def test_other_stop_signals_are_graceful_too(env, number):
    port = env.port()
    weir = Weir(env, config({"web": http_listener(port, [respond(200, "x")])}))
    assert RawClient(env, port).ask().status == 200
    assert weir.stop(number, limit=5) == 0


def test_restart_on_the_same_port_works_at_once(env):
    port = env.port()
    for turn in range(3):
        weir = Weir(env, config({"web": http_listener(port, [respond(200, str(turn))])}), name=f"weir{turn}")
        client = RawClient(env, port)
        assert client.ask().body == str(turn).encode()
        assert weir.stop() == 0


def test_unix_socket_file_is_gone_after_stop_and_a_stale_one_is_replaced(env):
    path = env.dir / "web.sock"
    for turn in range(2):
        weir = Weir(env, config({"web": http_listener(f"unix:{path}", [respond(200, "x")])}), name=f"weir{turn}")
        assert RawClient(env, str(path)).ask().status == 200
        if turn == 0:
            weir.expected_status = -signal.SIGKILL
            weir.stop(signal.SIGKILL)
        else:
            assert weir.stop() == 0
    assert not path.exists()


@timeout(120)
def test_load_from_wrk_has_no_failure_and_ends_clean(env):
    """Real concurrency; under valgrind or a sanitizer this is the run that must end without a report."""
    origin = Nginx(env)
    (origin.root / "small").write_bytes(b"s" * 100)
    port = env.port()
    weir = Weir(env, app(port, origin.port))
    before = weir.descriptors()
    result = run(["wrk", "-t1", "-c32", "-d2s", "--timeout", "10s", f"http://127.0.0.1:{port}/small"], 60)
    text = result.stdout.decode()
    assert result.returncode == 0 and "requests in" in text, text
    assert "Non-2xx" not in text and "Socket errors" not in text, text
    wait_until(lambda: weir.descriptors() <= before + 70, "wrk's connections to go", 10)
    assert weir.stop() == 0


@timeout(120)
def test_h2load_in_http1_mode_has_no_failure(env):
    origin = Nginx(env)
    (origin.root / "small").write_bytes(b"s" * 100)
    port = env.port()
    Weir(env, app(port, origin.port))
    result = run(["h2load", "--h1", "-n", "3000", "-c", "20", f"http://127.0.0.1:{port}/small"], 60)
    assert b"3000 succeeded, 0 failed, 0 errored" in result.stdout, result.stdout.decode()
