# SPDX-License-Identifier: Apache-2.0
"""What a test of the installed weir needs, standard library only.

A test is a function `test_claim(env)` in a module `test_*.py`. Everything it starts hangs on `env` and is
stopped in reverse order when the test ends; nothing in here waits for time to pass, only for events.
"""

from .config import (app, chain, config, echo_listener, http_listener, proxy, redirect, respond, static,
                     tcp_listener, to_yaml, upstream)
from .env import Env, Failed, Skip, cases, needs_full, scaled, timeout
from .http1 import RawClient, Response, request
from .origin import ScriptedOrigin, ok_response
from .peers import Certificates, Nginx, curl, pattern_bytes, sha256
from .process import Process, run, wait_until
from .weir import Weir, weir_check, weir_run, weirctl

__all__ = [
    "app", "chain", "config", "echo_listener", "http_listener", "proxy", "redirect", "respond", "static",
    "tcp_listener", "to_yaml", "upstream", "Env", "Failed", "Skip", "cases", "needs_full", "scaled", "timeout",
    "RawClient", "Response", "request", "ScriptedOrigin", "ok_response", "Certificates", "Nginx", "curl",
    "pattern_bytes", "sha256", "Process", "run", "wait_until", "Weir", "weir_check", "weir_run", "weirctl",
]
