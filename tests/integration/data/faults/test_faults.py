# SPDX-License-Identifier: Apache-2.0
"""Tests that are wrong on purpose, one per thing that the harness must report. Run by selftest."""

import os
import subprocess
import threading

from harness import Process, RawClient, ScriptedOrigin, Skip, Weir, config, ok_response, timeout


def test_right(env):
    origin = ScriptedOrigin(env)
    client = RawClient(env, origin.port)
    assert client.ask().body == b"hello\n" and len(origin.requests()) == 1


def test_claim_that_does_not_hold(env):
    assert 1 + 1 == 3, "arithmetic is broken"


def test_exception(env):
    raise ValueError("unforeseen")


@timeout(1)
def test_hang(env):
    threading.Event().wait()


def test_sudden_death(env):
    os._exit(0)


def test_process_left_behind(env):
    subprocess.Popen(["sleep", "1000"], process_group=0)


def test_handler_that_fails(env):
    def handler(conn, incoming):
        raise RuntimeError("the handler broke")
    origin = ScriptedOrigin(env, handler)
    RawClient(env, origin.port).send(b"GET / HTTP/1.1\r\n\r\n")
    origin.wait_event("error")


def test_clean_up_that_fails(env):
    env.defer(lambda: 1 / 0)


def test_skip_that_is_not_listed(env):
    raise Skip("just so")


def test_cut_chunked_body_counts_as_whole(env):
    def handler(conn, incoming):
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        conn.close()
    response = RawClient(env, ScriptedOrigin(env, handler).port).ask()
    assert response.ended == "complete"


def test_short_body_counts_as_whole(env):
    def handler(conn, incoming):
        conn.send(ok_response(b"hello").replace(b": 5", b": 6"))
        conn.reset()
    response = RawClient(env, ScriptedOrigin(env, handler).port).ask()
    assert response.ended == "complete"


class Impostor(Weir):
    """A shell script in weir's place, judged as weir is."""

    def __init__(self, env, script):
        self.expected_status = 0
        Process.__init__(self, env, ["sh", "-c", script], "impostor")
        env.defer(self.finish)
        self.wait_line("ready")


def test_daemon_that_fails_at_exit(env):
    Impostor(env, "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")


def test_daemon_that_ignores_term(env):
    os.environ["WEIR_TEST_SCALE"] = "0.05"
    Impostor(env, "trap '' TERM; echo ready; while :; do sleep 0.01; done")


def test_sanitizer_report_in_the_log(env):
    Impostor(env, "trap 'exit 0' TERM; echo '==1==ERROR: AddressSanitizer: heap-use-after-free'; echo ready; "
                  "while :; do sleep 0.01; done")


def test_missing_log_line(env):
    daemon = Impostor(env, "trap 'exit 0' TERM; echo ready; echo upstream.reset.not_this; while :; do sleep 0.01; done")
    os.environ["WEIR_TEST_SCALE"] = "0.05"
    daemon.expect_outcome("upstream.reset")


def test_no_weir_at_the_prefix(env):
    os.environ["WEIR_PREFIX"] = str(env.dir)
    env.options.prefix = env.dir
    Weir(env, config({}))
