# SPDX-License-Identifier: Apache-2.0
"""The admin listener: every metric changes when the test makes happen what it counts, and by that much.

The exposition is read by a parser that takes nothing but what the format says (text format 0.0.4), so that a scrape
which Prometheus would refuse, or would read as something else, fails here.
"""

import json
import re
import signal
import threading

from harness import (Certificates, RawClient, ScriptedOrigin, Weir, cases, config, http_listener, ok_response,
                     proxy, request, respond, tcp_listener, upstream, wait_until, weirctl)

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (NaN|[+-]Inf|-?[0-9.]+(?:e[+-]?[0-9]+)?)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


def labels_of(text):
    found, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"not labels: {text!r}"
        assert match[1] not in found, f"{match[1]} twice: {text}"
        found[match[1]] = match[2].replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
        at = match.end()
    return tuple(sorted(found.items()))


def parse(text):
    """{name: {labels: value}}, and {family: type}; what is not the format fails."""
    assert text.endswith("\n"), "the last line has no end"
    samples, types, helps, family, ended = {}, {}, set(), None, set()
    for line in text[:-1].split("\n"):
        assert line == line.strip() and line, f"an empty line or spaces: {line!r}"
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in helps and name not in types, f"{name} is described twice"
            assert not re.search(r"\\[^\\n]", line), f"an escape that is none: {line}"
            helps.add(name)
            ended.add(family)
            family = name
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and kind in SUFFIXES and name not in types, line
            types[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"not a sample: {line!r}"
            assert any(match[1] == family + s for s in SUFFIXES[types[family]]), f"{line} stands in {family}"
            labels = labels_of(match[2] or "")
            series = samples.setdefault(match[1], {})
            assert labels not in series, f"twice: {line}"
            series[labels] = float(match[3])
            assert types[family] != "counter" or (series[labels] >= 0 and match[1].endswith("_total")), line
    for name, kind in types.items():
        if kind == "histogram":
            check_histogram(name, samples)
    return samples, types


def check_histogram(name, samples):
    for labels, count in samples.get(name + "_count", {}).items():
        buckets = {}
        for key, value in samples[name + "_bucket"].items():
            bound = dict(key)["le"]
            if tuple(p for p in key if p[0] != "le") == labels:
                buckets[float(bound)] = value
        values = [buckets[bound] for bound in sorted(buckets)]
        assert values == sorted(values) and buckets[float("inf")] == count, (name, labels, buckets)
        assert len(buckets) == 15, f"{name} has {len(buckets)} buckets"
        assert labels in samples[name + "_sum"]


class Metrics:
    def __init__(self, env, port):
        self.env, self.port = env, port

    def scrape(self):
        response = RawClient(self.env, self.port).ask("GET", "/metrics", host="localhost")
        assert response.status == 200 and response.get("content-type") == "text/plain; version=0.0.4; charset=utf-8"
        return parse(response.body.decode())

    def value(self, name, **labels):
        return self.scrape()[0].get(name, {}).get(tuple(sorted(labels.items())), 0)

    def expect(self, name, value, **labels):
        wait_until(lambda: self.value(name, **labels) == value,
                   f"{name} {labels} to be {value}; it is {self.value(name, **labels)}")

    def sum(self, name):
        return sum(self.scrape()[0].get(name, {}).values())


def start(env, listeners, upstreams=None, **sections):
    admin = env.port()
    control = env.dir / "control"
    weir = Weir(env, config(listeners, upstreams,
                            admin={"control": {"socket": str(control)}, "http": {"bind": f"127.0.0.1:{admin}"}},
                            **sections))
    weir.control = control
    wait_until(lambda: control.exists(), "the control socket")
    return weir, Metrics(env, admin)


def test_reloads(env):
    port = env.port()
    weir, metrics = start(env, {"web": http_listener(port, [respond(200, "x")])})
    text = weir.path.read_text()
    assert metrics.value("weir_config_generation") == 1 == metrics.value("weir_config_last_reload_successful")
    RawClient(env, port).ask()
    began = metrics.value("weir_config_last_reload_success_timestamp_seconds")
    weir.path.write_text(text.replace("body: x", "bodi: x"))
    assert weirctl(env, weir, "reload")[0] == 78
    metrics.expect("weir_config_last_reload_successful", 0)
    assert metrics.value("weir_config_generation") == 1
    weir.path.write_text(text.replace("body: x", "body: y"))
    assert weirctl(env, weir, "reload")[0] == 0
    metrics.expect("weir_config_last_reload_successful", 1)
    metrics.expect("weir_config_generation", 2)
    assert metrics.value("weir_config_last_reload_success_timestamp_seconds") > began
    assert RawClient(env, port).ask().body == b"y"
    metrics.expect("weir_http_requests_total", 2, listener="web", route="routes[0]", method="GET", code="200")


def test_exposition_is_what_prometheus_reads(env):
    port = env.port()
    _, metrics = start(env, {"web": http_listener(port, [respond(200, "x")])})
    RawClient(env, port).ask()
    samples, types = metrics.scrape()
    assert len(types) > 30 and samples["weir_build_info"], types
    assert all(name.startswith(("weir_", "process_")) for name in types), types
    assert samples["process_start_time_seconds"][()] > 1e9 and samples["process_open_fds"][()] > 3


def test_requests_count_by_route_method_and_code(env):
    port = env.port()
    _, metrics = start(env, {"web": http_listener(port, [respond(204, path="/a"), respond(404, "x", path="/b")])})
    client = RawClient(env, port)
    for _ in range(3):
        client.ask("GET", "/a")
    client.ask("POST", "/b", body=b"x")
    client.ask("BREW", "/a")
    client.ask("GET", "/nowhere")
    count = "weir_http_requests_total"
    metrics.expect(count, 3, listener="web", route="routes[0]", method="GET", code="204")
    metrics.expect(count, 1, listener="web", route="routes[1]", method="POST", code="404")
    metrics.expect(count, 1, listener="web", route="routes[0]", method="_OTHER", code="204")
    metrics.expect(count, 1, listener="web", route="", method="GET", code="404")
    metrics.expect("weir_http_request_duration_seconds_count", 4, listener="web", route="routes[0]")
    metrics.expect("weir_outcomes_total", 5, listener="web", outcome="ok")
    metrics.expect("weir_outcomes_total", 1, listener="web", outcome="route.none")
    RawClient(env, port).send(b"nonsense\r\n\r\n")
    metrics.expect("weir_outcomes_total", 1, listener="web", outcome="client.bad_request")


def test_durations_are_in_their_bucket(env):
    def slow(conn, incoming):
        conn.wait_go("answer")
        conn.send(ok_response(b"x"))
    origin, port = ScriptedOrigin(env, slow), env.port()
    _, metrics = start(env, {"web": http_listener(port, [proxy("app")])}, {"app": upstream(origin.port)})
    client = RawClient(env, port)
    client.send(request("GET", "/"))
    metrics.expect("weir_http_requests_in_flight", 1, listener="web")
    metrics.expect("weir_upstream_connections", 1, upstream="app", state="active")
    threading.Event().wait(0.3)  # how long it takes is what is measured
    origin.go("answer")
    assert client.response().status == 200
    metrics.expect("weir_http_requests_in_flight", 0, listener="web")
    metrics.expect("weir_upstream_connections", 1, upstream="app", state="idle")
    name, labels = "weir_http_request_duration_seconds", {"listener": "web", "route": "routes[0]"}
    assert metrics.value(name + "_bucket", le="0.25", **labels) == 0
    assert metrics.value(name + "_bucket", le="+Inf", **labels) == 1
    assert metrics.value(name + "_sum", **labels) >= 0.3
    server = {"upstream": "app", "server": f"127.0.0.1:{origin.port}"}
    for phase, least in (("first_byte", 0.3), ("total", 0.3), ("connect", 0)):
        assert metrics.value("weir_upstream_request_duration_seconds_count", phase=phase, **server) == 1, phase
        assert metrics.value("weir_upstream_request_duration_seconds_sum", phase=phase, **server) > least, phase


def test_connections_and_bytes(env):
    port = env.port()
    _, metrics = start(env, {"web": http_listener(port, [respond(200, "x" * 1000)])})
    clients = [RawClient(env, port) for _ in range(3)]
    for client in clients:
        assert client.ask().status == 200
    metrics.expect("weir_listener_connections", 3, listener="web")
    metrics.expect("weir_listener_accepted_total", 3, listener="web")
    for client in clients:
        client.close()
    metrics.expect("weir_listener_connections", 0, listener="web")
    wait_until(lambda: metrics.value("weir_listener_sent_bytes_total", listener="web") > 3000, "bytes to be counted")
    assert metrics.value("weir_listener_received_bytes_total", listener="web") > 90


def test_connections_beyond_the_limit(env):
    port = env.port()
    _, metrics = start(env, {"web": http_listener(port, [respond(200, "x")], max_connections=1)})
    first = RawClient(env, port)
    assert first.ask().status == 200
    assert RawClient(env, port).read_end() == b""
    metrics.expect("weir_listener_rejected_total", 1, listener="web")
    metrics.expect("weir_outcomes_total", 1, listener="web", outcome="limit.connections")


def test_servers_that_answer_fail_and_come_back(env):
    def handler(conn, incoming):
        conn.send(ok_response(b"x", status="503 No"))
    origin, dead, port = ScriptedOrigin(env, handler), env.port(), env.port()
    weir, metrics = start(env, {"web": http_listener(port, [proxy("app")])},
                          {"app": upstream(origin.port, dead, retries=1)})
    good, bad = f"127.0.0.1:{origin.port}", f"127.0.0.1:{dead}"
    assert metrics.value("weir_upstream_server_up", upstream="app", server=bad) == 1
    client = RawClient(env, port)
    for _ in range(4):
        assert client.ask().status == 503
    metrics.expect("weir_upstream_requests_total", 4, upstream="app", server=good, code="503")
    metrics.expect("weir_upstream_server_up", 0, upstream="app", server=bad)
    metrics.expect("weir_upstream_server_up", 1, upstream="app", server=good)
    assert metrics.value("weir_upstream_retries_total", upstream="app") == 1
    assert weirctl(env, weir, "disable", f"app/{good}")[0] == 0
    metrics.expect("weir_upstream_server_up", 0, upstream="app", server=good)


def test_server_that_gives_no_answer_counts_as_none(env):
    dead, port = env.port(), env.port()
    _, metrics = start(env, {"web": http_listener(port, [proxy("app")])}, {"app": upstream(dead, retries=0)})
    assert RawClient(env, port).ask().status == 502
    metrics.expect("weir_upstream_requests_total", 1, upstream="app", server=f"127.0.0.1:{dead}", code="none")
    metrics.expect("weir_http_requests_total", 1, listener="web", route="routes[0]", method="GET", code="502")


def test_health_checks(env):
    def handler(conn, incoming):
        conn.send(ok_response(b"x"))
    origin, dead, port = ScriptedOrigin(env, handler), env.port(), env.port()
    check = {"path": "/healthz", "interval": "50ms", "timeout": "2s"}
    _, metrics = start(env, {"web": http_listener(port, [proxy("app")])},
                       {"app": upstream(origin.port, dead, health_check=check)})
    count = "weir_upstream_health_checks_total"
    wait_until(lambda: metrics.value(count, upstream="app", server=f"127.0.0.1:{origin.port}", result="passed") > 1
               and metrics.value(count, upstream="app", server=f"127.0.0.1:{dead}", result="failed") > 1, "checks")
    metrics.expect("weir_upstream_server_up", 0, upstream="app", server=f"127.0.0.1:{dead}")


def test_tls(env):
    certificates, port = Certificates(env), env.port()
    _, metrics = start(env, {"web": http_listener(port, [respond(200, "x")], certificate="site")},
                       certificates={"site": certificates.pair()})
    before = metrics.sum("weir_tls_handshakes_total")
    assert RawClient(env, port, tls=certificates.client()).ask().status == 200
    metrics.expect("weir_tls_handshakes_total", 1, listener="web", version="1.3", resumed="false", result="done")
    plain = RawClient(env, port)
    plain.send(b"GET / HTTP/1.1\r\n\r\n")
    plain.read_end()
    wait_until(lambda: metrics.sum("weir_tls_handshakes_total") == before + 2, "the failed handshake")
    assert metrics.value("weir_tls_certificate_not_after_timestamp_seconds", listener="web") > 1.7e9


def test_loops_tasks_and_processor_time(env):
    port, echo = env.port(), env.port()
    _, metrics = start(env, {"web": http_listener(port, [respond(200, "x")]),
                             "echo": {"bind": f"127.0.0.1:{echo}", "protocol": "echo"}}, runtime={"threads": 1})
    names = {dict(labels)["loop"] for labels in metrics.scrape()[0]["weir_loop_busy_seconds_total"]}
    assert names == {"control", "traffic-0"}, names
    before = {name: metrics.value(name, loop="traffic-0")
              for name in ("weir_loop_busy_seconds_total", "weir_loop_iterations_total")}
    client = RawClient(env, port)
    for _ in range(200):
        client.ask()
    for name, value in before.items():
        assert metrics.value(name, loop="traffic-0") > value, name
    talker = RawClient(env, echo)
    talker.send(b"x\n")
    assert talker.read(2) == b"x\n"
    metrics.expect("weir_tasks", 1, loop="traffic-0")
    talker.close()
    metrics.expect("weir_tasks", 0, loop="traffic-0")
    assert metrics.value("process_cpu_seconds_total") > 0


def test_timers_that_ran_are_in_the_lag(env):
    port = env.port()
    _, metrics = start(env, {"web": http_listener(port, [respond(200)], timeouts={"header": "50ms"})},
                       runtime={"threads": 1})
    assert metrics.value("weir_loop_lag_seconds_count", loop="traffic-0") == 0
    slow = RawClient(env, port)
    slow.send(b"GET ")
    slow.read_end()
    wait_until(lambda: metrics.value("weir_loop_lag_seconds_count", loop="traffic-0") > 0, "a timer")
    assert metrics.value("weir_loop_lag_seconds_sum", loop="traffic-0") > 0


def test_names_that_are_looked_up(env):
    port = env.port()
    _, metrics = start(env, {"web": http_listener(port, [proxy("app")])},
                       {"app": {"servers": ["no-such-name.invalid:80"], "retries": 0}},
                       resolver={"servers": [f"127.0.0.1:{env.port()}"], "timeout": "50ms", "tries": 1},
                       runtime={"threads": 1})
    RawClient(env, port).ask()
    wait_until(lambda: metrics.sum("weir_dns_queries_total") > 0, "a question")
    assert metrics.value("weir_dns_queries_total", result="ok") == 0


def test_access_log_counts_what_it_has_taken(env):
    port = env.port()
    _, metrics = start(env, {"web": http_listener(port, [respond(200)])},
                       log={"access": {"output": str(env.dir / "a.log"), "exclude": ["listener=admin.http"]}})
    for _ in range(5):
        RawClient(env, port).ask()
    metrics.expect("weir_access_records_total", 5)
    metrics.expect("weir_access_dropped_total", 0)
    metrics.expect("weir_log_dropped_total", 0)


def test_tunnels_have_outcomes_and_no_requests(env):
    dead, port = env.port(), env.port()
    _, metrics = start(env, {"raw": tcp_listener(port, "app")}, {"app": upstream(dead, retries=0)})
    RawClient(env, port).read_end()
    metrics.expect("weir_outcomes_total", 1, listener="raw", outcome="upstream.connect.refused")
    assert not any(dict(labels)["listener"] == "raw" for labels in metrics.scrape()[0]["weir_http_requests_total"])


# The rest of the admin listener.

def test_nothing_is_open_without_admin_http(env):
    port = env.port()
    weir = Weir(env, config({"web": http_listener(port, [respond(200)])}))
    assert "admin" not in weir.text()
    assert RawClient(env, port).ask("GET", "/metrics").body == b""


@cases(("localhost", "localhost:1", 200), ("address", "127.0.0.1:1", 200), ("v6", "[::1]:1", 200),
       ("configured", "Weir.Example", 200), ("other", "evil.example", 403), ("number_like", "1.evil.example", 403))
def test_host_must_be_ours(env, host, status):
    admin = env.port()
    Weir(env, config({"web": http_listener(env.port(), [respond(200)])},
                     admin={"control": {"socket": str(env.dir / "c")},
                            "http": {"bind": f"127.0.0.1:{admin}", "hosts": ["weir.example"]}}))
    assert RawClient(env, admin).ask("GET", "/metrics", host=host).status == status


@cases(("own", "http://localhost:1", 200), ("other_site", "http://evil.example", 403), ("null", "null", 403),
       ("other_port", "http://localhost:2", 403))
def test_origin_must_be_ours(env, origin, status):
    _, metrics = start(env, {"web": http_listener(env.port(), [respond(200)])})
    client = RawClient(env, metrics.port)
    assert client.ask("GET", "/health", f"Origin: {origin}", host="localhost:1").status == status


@cases(("post", "POST", "/metrics", 405), ("unknown", "GET", "/nothing", 404), ("health", "GET", "/health", 200),
       ("ready", "GET", "/ready", 200), ("mutation", "GET", "/api/v1/drain", 403),
       ("unknown_api", "GET", "/api/v1/nothing", 404), ("head", "HEAD", "/metrics", 200))
def test_page(env, method, path, status):
    _, metrics = start(env, {"web": http_listener(env.port(), [respond(200)])})
    assert RawClient(env, metrics.port).ask(method, path, host="localhost").status == status


@cases(*[(name, name) for name in ("status", "listeners", "routes", "upstreams", "conns", "loops", "executors", "dns",
                                   "plugins")])
def test_api_says_what_weirctl_says(env, name):
    port = env.port()
    weir, metrics = start(env, {"web": http_listener(port, [respond(200)])})
    client = RawClient(env, metrics.port)
    response = client.ask("GET", f"/api/v1/{name}", host="localhost")
    assert response.status == 200 and response.get("content-type") == "application/json"
    answer = json.loads(response.body)
    code, out, _ = weirctl(env, weir, name, "--json")
    assert set(answer) <= set(json.loads(out)) and answer, (set(answer), out)


def test_ready_ends_when_weir_drains(env):
    origin, port = ScriptedOrigin(env, lambda conn, incoming: conn.hang()), env.port()
    weir, metrics = start(env, {"web": http_listener(port, [proxy("app")])},
                          {"app": upstream(origin.port, response_timeout="30s")})
    busy = RawClient(env, port)
    busy.send(request("GET", "/"))
    origin.wait_event("request")
    watcher = RawClient(env, metrics.port)
    watcher.send(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n")  # half a request keeps the connection
    wait_until(lambda: metrics.value("weir_listener_connections", listener="admin.http") >= 2, "the connection")
    weir.send_signal(signal.SIGTERM)
    weir.wait_line("draining")
    watcher.send(b"\r\n")
    response = watcher.response()
    assert response is None or (response.status == 503 and response.body == b"draining\n"), response
    busy.reset()  # an end alone leaves the request in flight: its client may still read


def test_family_is_in_the_manual(env):
    page = (env.options.source / "docs" / "weir-metrics.7").read_text().replace("\\-", "-")
    _, metrics = start(env, {"web": http_listener(env.port(), [respond(200)])})
    types = metrics.scrape()[1]
    described = set(re.findall(r"^\.It Va (\w+)", page, re.M))
    assert described == set(types), (described - set(types), set(types) - described)
    for name, kind in types.items():
        assert re.search(rf"^\.It Va {name} {kind}\b", page, re.M) or kind in page, name
