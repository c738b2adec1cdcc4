# SPDX-License-Identifier: Apache-2.0
"""Which route takes a request, and the actions that answer by themselves."""

from harness import RawClient, ScriptedOrigin, Weir, cases, chain, config, curl, http_listener, ok_response, proxy, redirect, respond


def serve(env, routes, **more):
    port = env.port()
    weir = Weir(env, config({"web": http_listener(port, routes)}, **more))
    return port, weir


def body(env, port, target="/", host="weir.test", method="GET"):
    return RawClient(env, port).ask(method, target, host=host).body


PATHS = [respond(200, "exact", path="/exact"), respond(200, "tree", path="/tree/*"), respond(200, "rest")]


@cases(("exact", "/exact", b"exact"), ("exact_query", "/exact?a=b", b"exact"), ("below_exact", "/exact/x", b"rest"),
       ("longer_name", "/exactly", b"rest"), ("tree", "/tree/a/b", b"tree"), ("tree_slash", "/tree/", b"tree"),
       ("other", "/", b"rest"), ("escaped", "/%65xact", b"exact"), ("dots", "/tree/../exact", b"exact"),
       ("case", "/EXACT", b"rest"))
def test_path_routes(env, target, expected):
    port, _ = serve(env, PATHS)
    assert body(env, port, target) == expected, body(env, port, target)


HOSTS = [respond(200, "one", host="one.test"), respond(200, "sub", host="*.sub.test"), respond(200, "rest")]


@cases(("exact", "one.test", b"one"), ("case", "ONE.Test", b"one"), ("port", "one.test:8080", b"one"),
       ("sub", "a.sub.test", b"sub"), ("sub_itself", "sub.test", b"rest"), ("other", "two.test", b"rest"),
       ("suffix_only", "evil-one.test", b"rest"))
def test_host_routes(env, host, expected):
    port, _ = serve(env, HOSTS)
    assert body(env, port, "/", host) == expected


def test_first_match_wins(env):
    port, _ = serve(env, [respond(200, "first", path="/a/*"), respond(200, "second", path="/a/b"), respond(200, "rest")])
    assert body(env, port, "/a/b") == b"first"


def test_no_route_is_404_and_said(env):
    port, weir = serve(env, [respond(200, "a", path="/a")])
    assert RawClient(env, port).ask("GET", "/b").status == 404
    weir.expect_outcome("route.none")


def test_each_route_has_its_own_upstream(env):
    def named(name):
        return lambda conn, incoming: conn.send(ok_response(name))
    a, b = ScriptedOrigin(env, named(b"a")), ScriptedOrigin(env, named(b"b"))
    port, _ = serve(env, [proxy(f"http://127.0.0.1:{a.port}", path="/a/*"), proxy(f"http://127.0.0.1:{b.port}")])
    client = RawClient(env, port)
    assert [client.ask("GET", t).body for t in ("/a/1", "/b", "/a/2", "/")] == [b"a", b"b", b"a", b"b"]


def test_respond_gives_status_body_and_type(env):
    port, _ = serve(env, [respond(418, "short and stout\n", type="text/x-teapot")])
    client = RawClient(env, port)
    for method in ("GET", "POST", "HEAD"):
        response = client.ask(method, "/", body=b"x" if method == "POST" else b"")
        assert response.status == 418 and response.get("content-type") == "text/x-teapot", response.headers
        assert response.get("content-length") == "16", response.headers
        assert response.body == (b"" if method == "HEAD" else b"short and stout\n"), response.body


def test_respond_reads_the_request_body_first(env):
    """An unread body must not be taken for the next request."""
    port, _ = serve(env, [respond(200, "ok")])
    client = RawClient(env, port)
    smuggled = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
    first = client.ask("POST", "/", body=smuggled)
    assert first.body == b"ok"
    if first.get("connection", "").lower() != "close":
        assert client.quiet(0.1), "the body was answered as a request"
        assert client.ask().body == b"ok"


@cases(("default", None), ("301", 301), ("302", 302), ("307", 307), ("308", 308))
def test_redirect(env, status):
    port, _ = serve(env, [redirect("https://new.test/place", status)])
    response = RawClient(env, port).ask("GET", "/old?q=1")
    assert response.status == (status or 308), response
    assert response.get("location") == "https://new.test/place", response.headers


def test_two_listeners_are_apart(env):
    one, two = env.port(), env.port()
    Weir(env, config({"one": http_listener(one, [respond(200, "one")]), "two": http_listener(two, [respond(200, "two")])}))
    assert (body(env, one), body(env, two)) == (b"one", b"two")


def test_listener_with_several_addresses(env):
    one, two = env.port(), env.port()
    listener = chain(http_listener(one, [respond(200, "same")]), bind=[f"127.0.0.1:{one}", f"127.0.0.1:{two}"])
    Weir(env, config({"web": listener}))
    assert body(env, one) == body(env, two) == b"same"


def test_unix_socket_listener(env):
    path = env.dir / "web.sock"
    Weir(env, config({"web": http_listener(f"unix:{path}", [respond(200, "by unix")])}))
    got = curl(env, "http://localhost/", "--unix-socket", path)
    assert (got.status, got.body) == (200, b"by unix"), got


def test_server_field_has_no_version(env):
    port, _ = serve(env, [respond(200, "x")])
    assert RawClient(env, port).ask().get("server") in (None, "weir")


def test_date_is_there_and_right(env):
    import email.utils
    import time
    port, _ = serve(env, [respond(200, "x")])
    date = RawClient(env, port).ask().get("date")
    assert date and abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time()) < 5, date
