# SPDX-License-Identifier: Apache-2.0
"""Files: what is served, how conditions and ranges are answered, and that nothing outside the root ever is."""

import email.utils
import os

from harness import RawClient, Weir, cases, config, curl, http_listener, pattern_bytes, request, respond, sha256, static

MIB = 1024 * 1024
SECRET = b"never to be seen"


def serve(env, *more_routes, **settings):
    """A small site in env.dir/site, a secret beside it, weir in front."""
    root = env.dir / "site"
    env.file("site/index.html", "<h1>front</h1>\n")
    env.file("site/page.html", "<p>page</p>\n")
    env.file("site/sub/index.html", "<h1>sub</h1>\n")
    env.file("site/digits.txt", "0123456789")
    env.file("site/.hidden", "hidden\n")
    env.file("site/.git/config", "hidden\n")
    env.file("site/with space & umlaut ä.txt", "odd name\n")
    env.file("secret.txt", SECRET)
    (root / "empty").mkdir()
    port = env.port()
    settings = {"index": "index.html", **settings}
    weir = Weir(env, config({"web": http_listener(port, [*more_routes, static(str(root), **settings)])}))
    return port, root, weir


def get(env, port, target, *headers, method="GET"):
    return RawClient(env, port).ask(method, target, *headers)


@cases(("html", "page.html", "text/html"), ("css", "a.css", "text/css"), ("js", "a.js", "text/javascript"),
       ("json", "a.json", "application/json"), ("png", "a.png", "image/png"), ("svg", "a.svg", "image/svg+xml"),
       ("txt", "a.txt", "text/plain"), ("jpg", "a.jpg", "image/jpeg"), ("wasm", "a.wasm", "application/wasm"),
       ("unknown", "a.qqq", "application/octet-stream"), ("none", "README", "application/octet-stream"))
def test_content_type(env, name, expected):
    port, root, _ = serve(env)
    (root / name).write_bytes(b"x")
    response = get(env, port, "/" + name)
    kind = (response.get("content-type") or "").split(";")[0]
    assert response.status == 200 and kind == expected, response.headers


def test_index_is_served_for_a_folder(env):
    port, _, _ = serve(env)
    assert get(env, port, "/").body == b"<h1>front</h1>\n"
    assert get(env, port, "/sub/").body == b"<h1>sub</h1>\n"
    assert get(env, port, "/?q=1").body == b"<h1>front</h1>\n"


def test_folder_without_its_slash_redirects(env):
    port, _, _ = serve(env)
    response = get(env, port, "/sub")
    assert response.status in (301, 308), response
    assert response.get("location", "").endswith("/sub/"), response.headers


def test_folder_redirect_never_leads_to_another_host(env):
    port, root, _ = serve(env)
    (root / "evil.test").mkdir()
    for target in ("//evil.test", "/%2fevil.test", "/\\evil.test"):
        response = get(env, port, target)
        location = response.get("location", "")
        assert not location.startswith(("//", "/\\", "http")) or "weir.test" in location, location


def test_folder_without_index_is_not_listed(env):
    port, _, _ = serve(env)
    assert get(env, port, "/empty/").status in (403, 404)


def test_missing_file_is_404(env):
    port, _, _ = serve(env)
    client = RawClient(env, port)
    for target in ("/nothing", "/sub/nothing", "/page.html/more", "/digits.txt/"):
        assert client.ask("GET", target).status == 404, target
    assert client.ask("GET", "/page.html").status == 200


def test_head_is_get_without_the_body(env):
    port, _, _ = serve(env)
    client = RawClient(env, port)
    full, head = client.ask("GET", "/digits.txt"), client.ask("HEAD", "/digits.txt")
    assert head.body == b"" and head.get("content-length") == "10", head.headers
    assert head.get("etag") == full.get("etag") and head.get("content-type") == full.get("content-type")


@cases(("POST", "POST"), ("PUT", "PUT"), ("DELETE", "DELETE"))
def test_other_methods_are_405(env, method):
    port, _, _ = serve(env)
    response = get(env, port, "/digits.txt", method=method)
    assert response.status == 405, response
    assert "GET" in response.get("allow", ""), response.headers


def test_escaped_name_is_found(env):
    port, _, _ = serve(env)
    assert get(env, port, "/with%20space%20%26%20umlaut%20%C3%A4.txt").body == b"odd name\n"


@cases(("first", "bytes=0-0", 206, b"0"), ("middle", "bytes=3-5", 206, b"345"), ("open", "bytes=7-", 206, b"789"),
       ("suffix", "bytes=-2", 206, b"89"), ("beyond_end", "bytes=8-100", 206, b"89"),
       ("suffix_too_long", "bytes=-100", 206, b"0123456789"), ("outside", "bytes=10-", 416, None),
       ("suffix_zero", "bytes=-0", 416, None), ("backwards", "bytes=5-3", 200, b"0123456789"),
       ("other_unit", "lines=0-1", 200, b"0123456789"), ("garbage", "bytes=x", 200, b"0123456789"),
       ("overflow", "bytes=99999999999999999999-", 416, None))
def test_range(env, value, status, expected):
    port, _, _ = serve(env)
    response = get(env, port, "/digits.txt", "Range: " + value)
    # A range that is not one is ignored; refusing it is allowed as well.
    assert response.status == status or (status == 200 and response.status in (400, 416)), response
    if response.status == status and expected is not None:
        assert response.body == expected, response.body
    if response.status == 206:
        start = b"0123456789".index(expected)
        assert response.get("content-range") == f"bytes {start}-{start + len(expected) - 1}/10", response.headers
    if status == 416 and response.status == 416:
        assert response.get("content-range") == "bytes */10", response.headers


def test_several_ranges_are_multipart_or_the_whole(env):
    port, _, _ = serve(env)
    response = get(env, port, "/digits.txt", "Range: bytes=0-1,4-5")
    if response.status == 206:
        assert response.get("content-type", "").startswith("multipart/byteranges"), response.headers
        assert b"\r\n\r\n01\r\n" in response.body and b"\r\n\r\n45\r\n" in response.body, response.body
    else:
        assert (response.status, response.body) == (200, b"0123456789"), response


def test_etag_conditions(env):
    port, root, _ = serve(env)
    client = RawClient(env, port)
    first = client.ask("GET", "/digits.txt")
    tag = first.get("etag")
    assert tag and tag.endswith('"'), first.headers
    same = client.ask("GET", "/digits.txt", "If-None-Match: " + tag)
    assert same.status == 304 and same.body == b"" and same.get("etag") == tag, same.headers
    assert client.ask("GET", "/digits.txt", f'If-None-Match: "x", {tag}').status == 304
    assert client.ask("GET", "/digits.txt", "If-None-Match: *").status == 304
    assert client.ask("GET", "/digits.txt", 'If-None-Match: "other"').status == 200
    assert client.ask("GET", "/digits.txt", "Range: bytes=0-1", "If-Range: " + tag).status == (200 if tag.startswith("W/") else 206)
    assert client.ask("GET", "/digits.txt", "Range: bytes=0-1", 'If-Range: "other"').status == 200
    (root / "digits.txt").write_bytes(b"9876543210!")
    changed = client.ask("GET", "/digits.txt", "If-None-Match: " + tag)
    assert changed.status == 200 and changed.body == b"9876543210!" and changed.get("etag") != tag, changed.headers
    assert client.ask("GET", "/digits.txt", 'If-Match: "other"').status == 412


def test_date_conditions(env):
    port, root, _ = serve(env)
    stamp = 1600000000
    os.utime(root / "digits.txt", (stamp, stamp))
    client = RawClient(env, port)
    assert client.ask("GET", "/digits.txt").get("last-modified") == email.utils.formatdate(stamp, usegmt=True)
    for offset, expected in ((-10, 200), (0, 304), (10, 304)):
        when = email.utils.formatdate(stamp + offset, usegmt=True)
        assert client.ask("GET", "/digits.txt", "If-Modified-Since: " + when).status == expected, offset
    assert client.ask("GET", "/digits.txt", "If-Modified-Since: not a date").status == 200
    # An entity tag outranks a date.
    now = email.utils.formatdate(stamp + 10, usegmt=True)
    assert client.ask("GET", "/digits.txt", "If-Modified-Since: " + now, 'If-None-Match: "other"').status == 200


TRAVERSALS = ["/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt", "/%2e%2e%2fsecret.txt",
              "/..%2fsecret.txt", "/sub/..%2f..%2fsecret.txt", "/.%2e/secret.txt", "/%252e%252e/secret.txt",
              "/..\\secret.txt", "/..%5csecret.txt", "//../secret.txt", "/./../secret.txt", "/..;/secret.txt",
              "/%c0%ae%c0%ae/secret.txt", "/sub/.../...//secret.txt", "/%2e%2e%00/secret.txt", "/secret.txt%00.html",
              "/../../../../../../etc/passwd", "/%2fetc%2fpasswd", "//etc/passwd", "/link-out", "/link-abs",
              "/dir-out/secret.txt", "/sub/link-up/secret.txt"]


@cases(*((t.replace("/", "_"), t) for t in TRAVERSALS))
def test_nothing_outside_the_root_is_served(env, target):
    port, root, _ = serve(env)
    (root / "link-out").symlink_to("../secret.txt")
    (root / "link-abs").symlink_to(env.dir / "secret.txt")
    (root / "dir-out").symlink_to("..")
    (root / "sub" / "link-up").symlink_to("../..")
    client = RawClient(env, port)
    client.send(request("GET", target))
    response = client.response()
    assert response is not None and response.status in (301, 308, 400, 403, 404), response
    assert SECRET not in response.body and b"root:" not in response.body, response.body
    assert get(env, port, "/page.html").status == 200


def test_link_within_the_root_is_followed(env):
    port, root, _ = serve(env)
    (root / "alias.html").symlink_to("page.html")
    assert get(env, port, "/alias.html").body == b"<p>page</p>\n"


@cases(("file", "/.hidden"), ("folder", "/.git/config"), ("escaped", "/%2ehidden"))
def test_dotfiles_are_not_served(env, target):
    port, _, _ = serve(env)
    assert get(env, port, target).status in (403, 404)


@cases(("fifo", "fifo"), ("socket", "socket"))
def test_special_files_are_refused_without_hanging(env, kind):
    import socket
    port, root, _ = serve(env)
    if kind == "fifo":
        os.mkfifo(root / "fifo")
    else:
        holder = socket.socket(socket.AF_UNIX)
        holder.bind(str(root / "socket"))
        env.defer(holder.close)
    assert get(env, port, "/" + kind).status in (403, 404)
    assert get(env, port, "/page.html").status == 200


def test_unreadable_file_is_403_or_404(env):
    port, root, _ = serve(env)
    (root / "loop").symlink_to("loop")
    assert get(env, port, "/loop").status in (403, 404)


@cases(("64K", 65536), ("1M", MIB), ("16M", 16 * MIB))
def test_big_file_arrives_whole(env, size):
    port, root, _ = serve(env)
    content = pattern_bytes(size, 8)
    (root / "big.bin").write_bytes(content)
    for _ in range(2):
        got = curl(env, f"http://127.0.0.1:{port}/big.bin")
        assert got.status == 200 and sha256(got.body) == sha256(content), len(got.body)
    part = get(env, port, "/big.bin", f"Range: bytes={size - 1000}-")
    assert part.status == 206 and part.body == content[-1000:], part


def test_empty_file_is_an_empty_answer(env):
    port, root, _ = serve(env)
    (root / "zero").write_bytes(b"")
    response = get(env, port, "/zero")
    assert response.status == 200 and response.get("content-length") == "0", response.headers


def test_file_that_shrinks_while_it_is_sent_never_looks_whole(env):
    port, root, _ = serve(env)
    size = 32 * MIB
    (root / "shrinks.bin").write_bytes(b"s" * size)
    client = RawClient(env, port, receive_buffer=65536)
    client.send(request("GET", "/shrinks.bin"))
    response = client.response(body=False)
    assert response.status == 200 and client.read(65536) == b"s" * 65536
    os.truncate(root / "shrinks.bin", 65536)
    client.read_body(response)
    # Either weir had it all in hand already, or the cut shows.
    assert response.ended == "truncated" or len(response.body) == size, response
    assert get(env, port, "/page.html").status == 200


def test_files_below_a_path_route(env):
    """`path: /assets/*` with `root: ./public` serves ./public/assets/… (the route narrows, it does not strip)."""
    root = env.dir / "public"
    env.file("public/assets/a.txt", "asset")
    port = env.port()
    Weir(env, config({"web": http_listener(port, [static(str(root), path="/assets/*"), respond(404, "rest")])}))
    client = RawClient(env, port)
    assert client.ask("GET", "/assets/a.txt").body in (b"asset",), "the route's path is part of the file's"
    assert client.ask("GET", "/a.txt").body == b"rest"


def test_relative_root_counts_from_the_configuration_file(env):
    env.file("conf/public/index.html", "relative")
    port = env.port()
    Weir(env, config({"web": http_listener(port, [static("./public", index="index.html")])}), name="conf/weir")
    assert get(env, port, "/").body == b"relative"
