# SPDX-License-Identifier: Apache-2.0
"""The first minute with weir: start it, open the page, start it twice by mistake."""

import re
import socket

from harness import Failed, Weir, app, config, curl, http_listener, respond, run, ScriptedOrigin
from harness.weir import command, variables


def quickstart_text(env):
    """conf/quickstart.yaml as it stands, each fixed port replaced by a free one."""
    source = env.options.source / "conf" / "quickstart.yaml"
    text = source.read_text()
    ports = list(dict.fromkeys(re.findall(r"(?<=[:\s])(?:127\.0\.0\.1:)?(\d{4,5})\b", text)))
    moved = {port: str(env.port()) for port in ports}
    for port, free in moved.items():
        text = re.sub(rf"\b{port}\b", free, text)
    path = env.file("quickstart/quickstart.yaml", text)
    for neighbour in source.parent.iterdir():
        if neighbour != source:
            (path.parent / neighbour.name).symlink_to(neighbour)
    return path.read_text(), [int(p) for p in moved.values()]


def test_curl_gets_the_quickstart_page(env):
    text, ports = quickstart_text(env)
    weir = Weir(env, text, wait=False, name="quickstart/quickstart")
    weir.wait_ports(1)
    pages = [curl(env, f"http://127.0.0.1:{port}/") for port in ports]
    good = [p for p in pages if p.status == 200]
    assert good, f"no listener of the quickstart answered 200: {pages}"
    assert all(b"<html" in page.body.lower() or b"<!doctype" in page.body.lower() for page in good), \
        "the quickstart serves something that is not a page"
    assert any(b"quickstart.yaml" in page.body for page in good), "the page does not say which file to edit"


def test_start_line_names_the_port_that_the_kernel_chose(env):
    weir = Weir(env, config({"web": http_listener("127.0.0.1:0", [respond(200, "here\n")])}), wait=False)
    port, = weir.wait_ports(1)
    page = curl(env, f"http://127.0.0.1:{port}/")
    assert (page.status, page.body) == (200, b"here\n"), page


def test_taken_port_is_a_diagnostic_and_never_another_port(env):
    port = env.port()
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        path = env.file("taken.yaml", one_listener(port))
        result = run(command(env.options, "run", path), env=variables(env.options))
    text = (result.stdout + result.stderr).decode()
    assert result.returncode in (71, 78), f"exit status {result.returncode}\n{text}"
    assert str(port) in text, f"the diagnostic does not name port {port}:\n{text}"
    assert re.search(r"in use|already|taken", text), f"the diagnostic does not say why:\n{text}"
    assert "taken.yaml:" in text, f"the diagnostic does not point into the file:\n{text}"


def one_listener(port):
    return f"version: 1\nlisteners:\n  web:\n    bind: 127.0.0.1:{port}\n    routes:\n      - respond: {{ status: 200 }}\n"


def test_missing_configuration_file_is_exit_66(env):
    result = run(command(env.options, "run", env.dir / "absent.yaml"), env=variables(env.options))
    text = (result.stdout + result.stderr).decode()
    assert result.returncode == 66, f"exit status {result.returncode}\n{text}"
    assert "absent.yaml" in text, text


def test_one_line_proxy_works(env):
    origin = ScriptedOrigin(env)
    port = env.port()
    Weir(env, app(port, origin.port))
    page = curl(env, f"http://127.0.0.1:{port}/a?b=c")
    if page.status != 200 or page.body != b"hello\n":
        raise Failed(f"{page}")
    assert origin.requests()[0]["target"] == "/a?b=c", origin.requests()


def test_version_says_one_line(env):
    result = run([env.options.weir, "version"], env=variables(env.options))
    assert result.returncode == 0 and re.match(rb"weir \d+\.\d+", result.stdout), result
