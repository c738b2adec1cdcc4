# SPDX-License-Identifier: Apache-2.0
"""What a reload leaves as it is: keys of sessions, pooled connections, code that runs; and what goes with it."""

import os
import shlex
import socket
import ssl

from harness import (Certificates, Failed, RawClient, ScriptedOrigin, chain, config, cases, echo_listener,
                     http_listener, ok_response, proxy, respond, run, timeout, upstream, wait_until, weirctl)
from test_plugin_build import pkg_config
from test_reload import reload, rewrite, start, status
from test_reload_load import check_growth, control, slowed, steady


def ask(env, port, target="/"):
    """On a connection of its own, which pins nothing afterwards."""
    client = RawClient(env, port)
    answer = client.ask("GET", target)
    client.close()
    return answer


# Sessions of TLS.

@cases(("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3))
def test_session_made_before_a_reload_resumes_after_it(env, version):
    certificates = Certificates(env)
    port, other = env.port(), env.port()
    context = certificates.client()
    context.minimum_version = context.maximum_version = version

    def layout(body, **more):
        return config({"web": http_listener(port, [respond(200, body)], certificate="site"), **more},
                      certificates={"site": certificates.pair()})

    def resumes(session):
        with socket.create_connection(("127.0.0.1", port)) as plain:
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as secure:
                return secure.session_reused

    weir = start(env, layout("old"))
    client = RawClient(env, port, tls=context)
    assert client.ask().body == b"old"
    session = client.socket.session
    reload(env, weir, layout("new"))
    assert resumes(session), "the listener changed"
    changed = layout("newer", extra=http_listener(other, [respond(200, "x")]))
    changed["tls"]["profile"] = "modern" if version == ssl.TLSVersion.TLSv1_3 else "intermediate"
    reload(env, weir, changed)
    assert resumes(session), "its context was made anew"
    assert weirctl(env, weir, "rollback")[0] == 0
    assert resumes(session), "after the rollback"


# Connections to servers.

def test_pooled_connection_survives_reloads(env):
    origin = ScriptedOrigin(env, lambda conn, incoming: conn.send(ok_response(b"1")))
    port = env.port()

    def layout(i, **settings):
        routes = [respond(200, f"body {i}", path="/x"), proxy("app")]
        return config({"web": http_listener(port, routes)}, {"app": upstream(origin.port, **settings)})

    weir = start(env, layout(0), arguments=["--set", "runtime.threads=1"])
    assert ask(env, port).body == b"1"
    for i, settings in enumerate([{}, {"retries": 3}, {"balance": "random"}, {}]):
        reload(env, weir, layout(i + 1, **settings))
        assert ask(env, port, "/x").body == b"body %d" % (i + 1)
        assert ask(env, port).body == b"1"
    assert weirctl(env, weir, "rollback")[0] == 0
    assert ask(env, port).body == b"1"
    assert origin.connections() == 1, "a connection was made again"
    # Nobody has the server: what was kept for it goes.
    for body in ("gone", "gone for good"):
        reload(env, weir, config({"web": http_listener(port, [respond(200, body)])}))
    wait_until(lambda: status(env, weir)["durable_states"] == 1, "the server to go")
    reload(env, weir, layout(9))
    assert ask(env, port).body == b"1"
    assert origin.connections() == 2


@timeout(120)
def test_servers_whose_names_change_with_every_reload_leave_nothing(env):
    port = env.port()

    def layout(i):
        servers = {f"app{k}": upstream(*(f"127.{k + 1}.{i // 250}.{i % 250}:{n + 1}" for n in range(4))) for k in range(5)}
        routes = [proxy(name, path=f"/{name}/*") for name in servers]
        return config({"web": http_listener(port, [*routes, respond(200, str(i))])}, servers)

    weir = start(env, layout(0), arguments=["--set", "runtime.threads=1"])
    tell = control(weir)

    def load(i):
        rewrite(weir, layout(i))
        assert tell("reload")["exit"] == 0

    def settle():
        for _ in range(100):    # io_uring takes its buffers in turns
            assert ask(env, port).status == 200
        return steady(weir.pid)

    for i in range(20):
        load(i)
    # An override is of a server in the file; it goes with its line.
    assert weirctl(env, weir, "drain", "app0/127.1.0.19:1")[0] == 0
    before = settle()
    for i in range(20, 320):
        load(i)
    wait_until(lambda: tell("status")["durable_states"] <= 2 * 20 + 1, "servers that left to go")
    assert "overrides" not in weirctl(env, weir, "status")[1]
    check_growth(before, settle())


def test_server_of_a_rejected_or_dry_load_goes_at_once(env):
    port = env.port()

    def layout(name):
        return config({"web": http_listener(port, [proxy("app")])}, {"app": upstream(f"{name}.example.com:80")})

    weir = start(env, layout("a"))
    before = status(env, weir)["durable_states"]
    reload(env, weir, layout("b"), "--dry-run")
    broken = layout("c")
    broken["listeners"]["web"]["routes"].append({"match": {"path": "/x"}, "proxy": "nobody"})
    reload(env, weir, broken, expect=78)
    wait_until(lambda: status(env, weir)["durable_states"] == before, "servers of nobody to go")


# Code of plugins.

def build_echo(env, word, output):
    """The echo plugin, which says this word before each line. It takes the file's place in one step, as make install."""
    source = (env.options.source / "plugins" / "echo" / "echo.c").read_text()
    changed = source.replace('"%.*s\\n", (int)n, line', f'"{word} %.*s\\n", (int)n, line')
    assert changed != source
    path = env.file(f"echo-{word}.c", changed)
    made = env.dir / "new.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    result = run([*compiler, "-std=gnu11", "-fPIC", "-shared", path, "-o", made, *pkg_config(env, "--cflags", "--libs")], 60)
    if result.returncode:
        raise Failed("the plugin does not build:\n" + result.stderr.decode())
    os.replace(made, output)


def says(client, text):
    client.send(text + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        answer += client.read(1)
    return answer[:-1]


@timeout(120)
def test_changed_plugin_is_loaded_beside_the_old(env):
    port = env.port()

    def library(word):
        # Sanitizers open plugins where they lie, and a file that is known by its name once only.
        return env.dir / (f"my-{word}.so" if slowed() else "my.so")

    def layout(word):
        return chain(config({"echo": echo_listener(port)}), plugins={"echo": {"path": str(library(word))}})

    build_echo(env, "one", library("one"))
    weir = start(env, layout("one"))
    old = RawClient(env, port)
    assert says(old, b"a") == b"one a"
    build_echo(env, "two", library("two"))
    reload(env, weir, layout("two"))
    new = RawClient(env, port)
    assert (says(old, b"b"), says(new, b"b")) == (b"one b", b"two b")
    for words in ((b"one", b"old"), (b"two", b"newer")):
        assert weirctl(env, weir, "rollback")[0] == 0
        assert says(RawClient(env, port), b"c") == words[0] + b" c"
        assert (says(old, b"d"), says(new, b"d")) == (b"one d", b"two d")


@timeout(120)
def test_ninth_build_of_a_plugin_is_refused_and_the_eighth_goes_on(env):
    port = env.port()
    first = env.dir / "my.so"
    build_echo(env, "one", first)
    contents = first.read_bytes()

    def layout(i):
        file = env.dir / f"build{i}.so"
        if not file.exists():   # sanitizers run it where it lies
            file.write_bytes(contents + b"x" * i)   # another build, as far as anybody can tell
        return chain(config({"echo": echo_listener(port)}), plugins={"echo": {"path": str(file)}})

    weir = start(env, layout(0))
    for i in range(1, 8):
        reload(env, weir, layout(i))
    screen = reload(env, weir, layout(8), expect=78)
    assert "8 builds of it are loaded already" in screen and "restart weir to load it" in screen, screen
    assert "still serving generation 8" in screen, screen
    assert says(RawClient(env, port), b"a") == b"one a"
    reload(env, weir, layout(3))    # is there
    assert says(RawClient(env, port), b"b") == b"one b"
