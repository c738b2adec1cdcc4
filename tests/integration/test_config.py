# SPDX-License-Identifier: Apache-2.0
"""`weir config` and `weir explain`: what is in force and where it came from, what a change does, what a setting is."""

import json
import os
import re

from harness import Failed, weir_run

SITE = ("version: 1\nlog: { level: debug }\nupstreams:\n  app: { servers: [127.0.0.1:3000] }\n"
        "listeners:\n  web: { bind: 8080, routes: { proxy: app } }\n")


def weir(env, *arguments):
    return weir_run(env, *map(str, arguments))


def line_with(text, words):
    for line in text.splitlines():
        if all(word in line for word in words):
            return line
    raise Failed(f"no line with {words} in:\n{text}")


def test_print_says_where_each_value_came_from(env):
    path = env.file("weir.yaml", SITE)
    status, out = weir(env, "config", "print", "-f", path)
    assert status == 0, out
    line_with(out, ["level: debug", "weir.yaml:2:15"])
    line_with(out, ["retries: 1", "# default"])
    line_with(out, ['bind: ["*:8080"]', "weir.yaml:6:16"])
    line_with(weir(env, "config", "print", "-f", path, "--log-level", "error")[1], ["level: error", "# --log-level"])


def test_print_gives_one_part_or_json(env):
    path = env.file("weir.yaml", SITE)
    status, out = weir(env, "config", "print", "-f", path, "--path", "upstreams.app", "--json")
    assert status == 0 and json.loads(out)["servers"] == [{"address": "127.0.0.1:3000", "weight": 1}], out
    assert weir(env, "config", "print", "-f", path, "--path", "upstreams.none")[0] == 1


def test_secrets_are_not_printed(env):
    secret = env.file("secret", "hunter2:80\n")
    os.chmod(secret, 0o600)
    path = env.file("weir.yaml", f"version: 1\nupstreams: {{ app: {{ servers: '${{file:{secret}}}' }} }}\n")
    status, out = weir(env, "config", "print", "-f", path)
    assert status == 0 and "hunter2" not in out, out
    line_with(out, ["address:", f"<redacted: file:{secret}>"])


def test_diff_tells_what_a_reload_does(env):
    old, new = env.file("old.yaml", SITE), env.file("new.yaml", SITE.replace("8080", "8081").replace("3000", "3001"))
    status, out = weir(env, "config", "diff", old, new)
    assert status == 1, out
    line_with(out, ["~ upstreams.app.servers", "- 127.0.0.1:3000", "+ 127.0.0.1:3001", "hot"])
    line_with(out, ["~ listeners.web.bind", "- *:8080", "+ *:8081", "sockets"])
    assert out.splitlines()[-1] == "2 changes: 1 hot, 1 socket, 0 need restart", out
    assert weir(env, "config", "diff", old, old) == (0, "no difference\n")


def test_init_makes_a_file_that_is_right_and_never_overwrites(env):
    path = os.path.join(os.path.dirname(env.file("x", "")), "begin.yaml")
    status, out = weir(env, "config", "init", path)
    assert status == 0, out
    assert weir(env, "check", "-f", path)[0] == 0
    assert weir(env, "config", "init", path)[0] == 73


def test_schema_knows_settings_of_plugins(env):
    status, out = weir(env, "config", "schema")
    schema = json.loads(out)
    assert status == 0 and schema["$schema"].startswith("http://json-schema.org/draft-07")
    assert "max_header" in out and "proxy" in out


def test_explain_tells_of_settings_and_codes(env):
    status, out = weir(env, "explain", "upstreams.retries")
    assert status == 0 and re.search(r"default +1\b", out), out
    assert weir(env, "explain", "upstreams.retris")[0] == 64
    assert "upstreams.retries" in weir(env, "explain", "upstreams.retris")[1]
    assert weir(env, "explain", "W0103")[1].startswith("W0103")
