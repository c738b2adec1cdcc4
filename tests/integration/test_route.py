# SPDX-License-Identifier: Apache-2.0
"""`weir route`, `weirctl route` and the configuration's `tests`: what they say is what a running weir does."""

import json
import random

from harness import (Certificates, RawClient, ScriptedOrigin, Weir, cases, config, http_listener, ok_response, proxy,
                     redirect, respond, to_yaml, upstream, wait_until, weir_check, weir_run, weirctl)


def route(env, path, *words):
    """Exit status and the answer."""
    code, text = weir_run(env, "route", "-f", str(path), *words, "--json")
    assert code in (0, 1), text
    return code, json.loads(text)


def place(answer):
    return answer["listener"] and answer["listener"]["name"], answer.get("route", {}).get("name")


SITE = """version: 1
upstreams:
  app: { servers: [127.0.0.1:9, 127.0.0.1:10] }
listeners:
  web:
    bind: 127.0.0.1:8080
    routes:
      - match: { path: /assets/* }
        respond: 204
      - name: admin
        match: { path: /admin/*, client_ip: 10.0.0.0/8 }
        proxy: app
      - match: { method: GET }
        proxy: app
"""


def test_route_shows_what_takes_it_and_why_nothing_else_does(env):
    path = env.file("weir.yaml", SITE)
    code, text = weir_run(env, "route", "-f", str(path), "http://example.com:8080/admin/x")
    assert code == 0, text
    for words in (("listener", "web", "weir.yaml:5:3"), ("route", "routes[2]", "weir.yaml:13:9"),
                  ("action", "proxy", "weir.yaml:14:16"), ("upstream", "app", "weir.yaml:3:3"), ("server", "127.0.0.1:10"),
                  ("routes[0]", "path is `/admin/x`, not `/assets/*`", "weir.yaml:8:24"),
                  ("admin", "client_ip is `127.0.0.1`, not `10.0.0.0/8`", "weir.yaml:11:45")):
        assert any(all(word in line for word in words) for line in text.splitlines()), (words, text)


@cases(("admin", ["http://a:8080/admin/"], "10.2.3.4", ("web", "admin"), 0),
       ("method", ["PUT", "http://a:8080/x"], "::1", ("web", None), 1),
       ("port", ["http://a/"], "::1", (None, None), 1), ("tls", ["https://a:8080/"], "::1", (None, None), 1))
def test_route_exit_status_says_whether_anything_takes_it(env, words, client, expected, status):
    code, answer = route(env, env.file("weir.yaml", SITE), *words, "--from", client)
    assert (place(answer), code) == (expected, status), answer


def test_route_of_a_broken_file_is_its_errors_and_78(env):
    path = env.file("weir.yaml", SITE.replace("proxy: app", "proxy: ap"))
    code, text = weir_run(env, "route", "-f", str(path), "http://a/")
    assert code == 78 and "no such upstream" in text, text


def test_route_without_a_url_is_64(env):
    path = env.file("weir.yaml", SITE)
    for words in ([], ["example.com"], ["GET", "http://a:8080/", "HTTP/1.1"], ["http://a:8080/", "--from", "x"]):
        code, text = weir_run(env, "route", "-f", str(path), *words)
        assert code == 64, (words, text)


def random_routes(rng, number):
    """Each says which route it is; hosts, paths, methods, headers and addresses overlap."""
    routes = []
    for i in range(number):
        keys = {}
        if rng.random() < .4:
            keys["host"] = rng.sample(["a.test", "b.test", "*.c.test", "*.test"], rng.randint(1, 2))
        if rng.random() < .6:
            keys["path"] = rng.sample(["/", "/x", "/x/*", "/x/y/*", "/*", "/%7Ea"], rng.randint(1, 2))
        if rng.random() < .3:
            keys["method"] = rng.sample(["GET", "PUT", "DELETE"], 2)
        if rng.random() < .3:
            keys["header"] = {"x-kind": rng.choice(["one", "t*"])}
        if rng.random() < .2:
            keys["query"] = {"q": "1"}
        if rng.random() < .2:
            keys["client_ip"] = rng.choice(["127.0.0.0/8", "10.0.0.0/8"])
        action = {"respond": {"status": 200, "body": f"r{i}"}}
        if rng.random() < .2:
            action = {"routes": [{"match": {"path": "/x/*"}, "respond": {"status": 200, "body": f"r{i}.routes[0]"}},
                                 {"respond": {"status": 200, "body": f"r{i}.routes[1]"}}]}
            routes.append({"match": keys, **action} if keys else action)
            continue
        routes.append({"name": f"r{i}", **({"match": keys} if keys else {}), **action})
    return routes


def test_random_requests_are_served_as_route_says(env):
    rng = random.Random(20261121)
    port = env.port()
    routes = random_routes(rng, 40)
    weir = Weir(env, config({"web": http_listener(port, routes)}))
    wait_until(weir.control.exists, "the control socket")
    seen = set()
    for _ in range(60):
        method = rng.choice(["GET", "PUT", "DELETE", "POST"])
        host = rng.choice(["a.test", "B.test", "x.c.test", "c.test", "other"])
        path = rng.choice(["/", "/x", "/x/", "/x/y/z", "/x/../x", "/~a", "/%2e/x", "/q?q=1", "/x?q=2&q=1"])
        fields = rng.choice([[], ["X-Kind: one"], ["X-Kind: two"], ["X-Kind: two", "Other: a"]])
        response = RawClient(env, port).ask(method, path, *fields, host=f"{host}:{port}")
        words = [method, f"http://{host}:{port}{path}", "--from", "127.0.0.1"] + [w for f in fields for w in ("-H", f)]
        code, out, err = weirctl(env, weir, "route", *words, "--json")
        answer = json.loads(out)
        taken = answer.get("route", {}).get("name")
        if response.status == 404:
            assert (code, taken) == (1, None), (words, answer)
            continue
        body = response.body.decode()
        index, _, inner = body.partition(".")
        expected = f"routes[{index[1:]}].{inner}" if inner else body
        assert (code, taken) == (0, expected), (words, body, answer, err)
        seen.add(taken)
        assert route(env, env.dir / "weir.yaml", *words)[1]["route"] == answer["route"]
    assert len(seen) > 4, seen


def test_the_upstream_that_route_names_is_the_one_that_is_asked(env):
    def named(name):
        return lambda conn, incoming: conn.send(ok_response(name))
    a, b = ScriptedOrigin(env, named(b"a")), ScriptedOrigin(env, named(b"b"))
    port = env.port()
    weir = Weir(env, config({"web": http_listener(port, [proxy("a", path="/a/*"), proxy(f"http://127.0.0.1:{b.port}")])},
                            {"a": upstream(a.port)}))
    wait_until(weir.control.exists, "the control socket")
    for path, body, name, server in (("/a/x", b"a", "a", a.port), ("/x", b"b", f"127.0.0.1:{b.port}", b.port)):
        assert RawClient(env, port).ask("GET", path).body == body
        answer = json.loads(weirctl(env, weir, "route", f"http://weir.test:{port}{path}", "--json")[1])
        assert answer["upstream"]["name"] == name and answer["upstream"]["servers"] == [f"127.0.0.1:{server}"], answer


def test_port_zero_is_known_by_the_weir_that_runs(env):
    weir = Weir(env, config({"web": http_listener("127.0.0.1:0", [respond(200, "x")])}))
    wait_until(weir.control.exists, "the control socket")
    address = json.loads(weirctl(env, weir, "listeners", "--json")[1])["listeners"][0]["addresses"][0]
    assert weirctl(env, weir, "route", f"http://{address}/")[0] == 0
    assert weirctl(env, weir, "route", "http://127.0.0.1:1/")[0] == 1


# tests: in the configuration

def checked(env, tests, routes, **listener):
    text = to_yaml({**config({"web": http_listener(8080, routes, **listener)}), "tests": tests})
    return weir_check(env, env.file("weir.yaml", text + "\n"))


ROUTES = [redirect("https://new.test${uri}", host="old.test"), respond(403, "no", path="/no"), respond(200, "x", method="GET")]


def test_tests_that_hold_are_ok(env):
    status, text = checked(env, [
        {"request": "http://old.test:8080/a?b=c", "expect": {"status": 308, "header": {"Location": "https://new.test/a?b=c"}}},
        {"request": "POST http://a:8080/no", "from": "2001:db8::1", "expect": {"listener": "web", "status": 403}},
        {"request": "GET http://a:8080/", "header": {"x-kind": "one"},
         "expect": {"route": "routes[2]", "header": {"content-type": "text/plain; charset=utf-8"}}},
        {"request": "DELETE http://a:8080/", "expect": {"status": 404}}], ROUTES)
    assert status == 0 and "ok: 1 listener" in text, text


@cases(("status", {"status": 404}, "is answered with status 403, not `404`"),
       ("header", {"header": {"X-A": "b"}}, "is answered without a field `X-A`, not `b`"),
       ("value", {"header": {"content-length": "3"}}, "is answered with `content-length: 2`, not `3`"),
       ("route", {"route": "routes[2]"}, "is taken by route `routes[1]`, not `routes[2]`"),
       ("upstream", {"upstream": "app"}, "goes to no upstream, not `app`"))
def test_test_that_fails_is_78_at_its_expectation(env, expect, what):
    status, text = checked(env, [{"request": "http://a:8080/no", "expect": expect}], ROUTES)
    assert status == 78 and what in text and "expected here" in text, text
    assert "error[W0304]" in text and text.count("error[") == 1, text


def test_start_with_a_test_that_fails_serves_nothing(env):
    port = env.port()
    settings = config({"web": http_listener(port, [respond(200, "x")])})
    settings["tests"] = [{"request": f"http://127.0.0.1:{port}/", "expect": {"status": 204}}]
    weir = Weir(env, settings, wait=False)
    weir.expected_status = 78
    weir.wait()
    text = weir.text()
    assert "status: 204" in text and "error[W" in text and "nothing was changed" in text, text
    assert "listener web: http on" not in text and "ready" not in text, text
    settings["tests"][0]["expect"]["status"] = 200
    Weir(env, settings)
    assert RawClient(env, port).ask().body == b"x"


def test_tests_of_several_files_are_joined(env):
    (env.dir / "conf.d").mkdir()
    (env.dir / "conf.d" / "more.yaml").write_text("tests: [{ request: 'http://a:8080/b', expect: { status: 201 } }]\n")
    status, text = weir_check(env, env.file("weir.yaml", to_yaml({
        **config({"web": http_listener(8080, [respond(200, "x")])}), "include": ["conf.d/*.yaml"],
        "tests": [{"request": "http://a:8080/", "expect": {"status": 204}}]}) + "\n"))
    assert status == 78 and text.count("error[W0304]") == 2 and "more.yaml:1:57" in text, text


def test_status_of_a_proxied_request_is_refused(env):
    status, text = checked(env, [{"request": "http://a:8080/", "expect": {"status": 200}}], [proxy("http://127.0.0.1:9")])
    assert status == 78 and "is answered by upstream `127.0.0.1:9`" in text, text


def test_static_files_can_be_expected(env):
    root = env.dir / "www"
    root.mkdir()
    (root / "a.txt").write_text("hello")
    routes = [{"static": {"root": str(root)}}]
    status, text = checked(env, [
        {"request": "http://a:8080/a.txt", "expect": {"status": 200, "header": {"Content-Length": "5"}}},
        {"request": "http://a:8080/b.txt", "expect": {"status": 404}}], routes)
    assert status == 0, text


def test_a_listener_with_tls_is_asked_over_tls_where_its_certificate_is_read(env):
    settings = config({"web": http_listener(env.port(), [redirect("${scheme}://b.test/")], certificate="site")},
                      certificates={"site": Certificates(env).pair()})
    port = settings["listeners"]["web"]["bind"].split(":")[1]
    settings["tests"] = [{"request": f"https://a.test:{port}/", "expect": {"status": 308, "header": {"Location": "https://b.test/"}}}]
    path = env.file("weir.yaml", to_yaml(settings) + "\n")
    code, text = weir_run(env, "check", "--deep", "-f", str(path))
    assert code == 0, text


@cases(("unknown_key", "{ request: 'http://a/', expect: { rout: web } }", "rout", "did you mean `route`"),
       ("unknown_test_key", "{ url: 'http://a/', expect: { status: 200 } }", "url", "unknown key `url`"),
       ("range", "{ request: 'http://a/', expect: { status: 99 } }", "99", "100 to 599"))
def test_mistake_in_a_test_is_shown_where_it_is(env, test, place, what):
    text = f"version: 1\nlisteners: {{ web: {{ bind: 8080, routes: {{ respond: 200 }} }} }}\ntests:\n  - {test}\n"
    status, output = weir_check(env, env.file("weir.yaml", text))
    column = text.splitlines()[3].index(place) + 1
    assert status == 78 and what in output and f"weir.yaml:4:{column}\n" in output, output


def test_port_that_is_redirected_from_is_answered_by_the_listener_itself(env):
    settings = config({"web": http_listener(443, [respond(200, "x")], certificate="site", redirect_from=80)},
                      certificates={"site": Certificates(env).pair()})
    settings["tests"] = [{"request": "http://a.test/b?c", "expect": {"listener": "web", "status": 308,
                                                                     "header": {"Location": "https://a.test/b?c"}}}]
    path = env.file("weir.yaml", to_yaml(settings) + "\n")
    assert weir_check(env, path)[0] == 0, weir_check(env, path)
    code, answer = route(env, path, "http://a.test/")
    assert (code, place(answer), answer["redirected"]) == (0, ("web", None), True), answer
