# SPDX-License-Identifier: Apache-2.0
"""Who does the I/O: what runtime.backend takes, what is said about it, and where io_uring is forbidden."""

import errno
import sys
from pathlib import Path

from harness import RawClient, Weir, cases, config, http_listener, request, respond

FORBID = Path(__file__).resolve().parent / "data" / "forbid-io-uring"


def serve_one(env, weir, port):
    client = RawClient(env, port)
    client.send(request("GET", "/"))
    assert client.response().status == 200
    client.close()


def answering(env, backend):
    env.options.backend = ""
    port = env.port()
    return {**config({"web": http_listener(port, [respond(200, "hello")])}), "runtime": {"backend": backend}}, port


@cases(("auto", "auto"), ("epoll", "epoll"))
def test_one_line_says_which_backend_and_why(env, backend):
    configuration, port = answering(env, backend)
    weir = Weir(env, configuration)
    weir.wait_line(r"runtime\.backend: epoll \(auto\)" if backend == "auto"
                   else r"runtime\.backend: epoll \(as asked for\)")
    serve_one(env, weir, port)
    assert weir.text().count("runtime.backend") == 1


@cases(("filter", errno.EPERM), ("old kernel", errno.ENOSYS), ("memory", errno.ENOMEM))
def test_where_io_uring_is_forbidden_nobody_has_to_act(env, code):
    configuration, port = answering(env, "auto")
    env.options.wrap = [sys.executable, FORBID, code, *env.options.wrap]
    weir = Weir(env, configuration)
    weir.wait_line(r"runtime\.backend: epoll \(auto\)")
    serve_one(env, weir, port)
    assert "warning" not in weir.text().lower()


def test_io_uring_by_name_is_refused_in_words_where_it_is_forbidden(env):
    configuration, _ = answering(env, "io_uring")
    env.options.wrap = [sys.executable, FORBID, errno.EPERM, *env.options.wrap]
    weir = Weir(env, configuration, wait=False)
    weir.expected_status = 71
    assert weir.wait(15) == 71
    weir.wait_line(r"io_uring does not work here: operation not permitted")
    weir.wait_line(r'use \\?"auto')
