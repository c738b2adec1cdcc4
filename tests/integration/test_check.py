# SPDX-License-Identifier: Apache-2.0
"""`weir check`: right files are ok, each mistake is one diagnostic at its place, and the examples say what is missing."""

import re
import shutil

from harness import Failed, cases, config, http_listener, respond, to_yaml, weir_check, weir_run

DATA_FOLDER = "tests/integration/data"


def check(env, text, name="weir.yaml", extra=None):
    return weir_check(env, env.file(name, text), extra)


def test_right_file_ends_with_ok(env):
    status, text = check(env, to_yaml(config({"web": http_listener(8080, [respond(200, "x")])})) + "\n")
    assert status == 0, text
    assert re.search(r"^ok: 1 listener, 1 route\b", text.strip().splitlines()[-1]), text


def expect_error(text, place, *words):
    """An error at weir.yaml:LINE:COLUMN whose text has these words."""
    blocks = re.split(r"(?m)^(?=error)", text)
    for block in blocks:
        if f"weir.yaml:{place}" in block and all(word in block for word in words):
            return block
    raise Failed(f"no error at weir.yaml:{place} with {words} in:\n{text}")


@cases(
    ("unknown_key", "version: 1\nlisteners:\n  web:\n    bind: 8080\n    ruotes:\n      - respond: {}\n", "5:5",
     ["ruotes", "routes"]),
    ("top_level_key", "version: 1\nlistners: {}\n", "2:1", ["listners", "listeners"]),
    ("duration_without_unit", "version: 1\nupstreams:\n  app:\n    servers: [a:80]\n    connect_timeout: 5\n", "5:22", ["5s"]),
    ("bad_duration", "version: 1\nupstreams:\n  app:\n    servers: [a:80]\n    connect_timeout: 10x\n", "5:22", ["10x"]),
    ("unknown_upstream", "version: 1\nupstreams:\n  app: { servers: [a:80] }\nlisteners:\n  web:\n    bind: 8080\n"
     "    routes:\n      - proxy: ap\n", "8:16", ["`ap`", "`app`"]),
    ("server_without_port", "version: 1\nupstreams:\n  app:\n    servers: [10.0.0.1]\n", "4:15", ["port"]),
    ("two_actions", "version: 1\nlisteners:\n  web:\n    bind: 8080\n    routes:\n      - respond: { status: 200 }\n"
     "        redirect: { to: /x }\n", "", []),
    ("duplicate_key", "version: 1\nlisteners: {}\nlisteners: {}\n", "3:1", ["listeners"]),
    ("newer_version", "version: 2\n", "1:10", ["1"]),
    ("missing_version", "listeners: {}\n", "", ["version"]),
    ("tab", "version: 1\nlisteners:\n\tweb: {}\n", "3:1", ["tab"]),
    ("alias_like_host", "version: 1\nlisteners:\n  web:\n    bind: 8080\n    routes:\n      - match: { host: *.example.com }\n"
     "        respond: {}\n", "6:24", ["quotes"]),
    ("unset_variable", "version: 1\nlog: { level: \"${env:WEIR_TEST_UNSET}\" }\n", "2:1", ["WEIR_TEST_UNSET"]),
    ("bad_enum", "version: 1\nlog: { level: loud }\n", "2:15", ["loud"]))
def test_mistake_is_shown_where_it_is(env, text, place, words):
    status, output = check(env, text)
    assert status == 78, f"exit status {status}\n{output}"
    block = expect_error(output, place, *words)
    assert "^" in block, f"no caret:\n{block}"
    assert re.match(r"error\[W\d{4}\]: ", block), block


def test_all_mistakes_are_reported_in_one_run(env):
    status, output = check(env, "version: 1\nlogg: {}\nupstreams:\n  app:\n    servers: [a:80]\n    retris: 2\n"
                                "listeners:\n  web:\n    bind: 8080\n    routes:\n      - proxy: ap\n")
    assert status == 78
    places = [int(line) for line in re.findall(r"--> .*weir\.yaml:(\d+):", output)]
    assert places[:3] == sorted(places[:3]) and {2, 6, 11} <= set(places), output
    assert "3 errors" in output, output


def test_missing_file_is_66(env):
    status, output = weir_check(env, env.dir / "absent.yaml")
    assert status == 66 and "absent.yaml" in output, output


def not_built(output):
    """The keys that check calls not built yet, as FILE:LINE KEY."""
    found = []
    for block in re.split(r"(?m)^(?=(?:error|warning|weir:))", output):
        head = block.splitlines()[0] if block else ""
        if not head.startswith("error"):
            continue
        place = re.search(r"--> (\S+?):(\d+):\d+", block)
        where = f"{place.group(1).rpartition('/')[2]}:{place.group(2)}" if place else "?"
        key = re.search(r"`([^`]+)`", head)
        word = key.group(1) if key else head
        found.append(f"{where} {word}" if "not built yet" in head else f"{where} other error: {head}")
    return found


@cases(("quickstart", "quickstart.yaml"), ("site", "site.yaml"), ("l4", "l4.yaml"))
def test_examples_say_exactly_what_is_not_built(env, name):
    """data/not-built.txt holds the list; it only shrinks."""
    data = env.options.source / DATA_FOLDER
    shutil.copytree(data / "examples", env.dir / "examples")
    credentials = env.dir / "credentials"
    credentials.mkdir()
    from harness import Certificates
    certificates = Certificates(env)
    shutil.copy(certificates.certificate, credentials / "site.crt")
    shutil.copy(certificates.key, credentials / "site.key")
    path = env.dir / "examples" / name
    text = path.read_text()
    # The files that the examples name, made here: root is not ours to write to.
    for word, file in {"/etc/letsencrypt/live/example.com/fullchain.pem": certificates.certificate,
                       "/etc/letsencrypt/live/example.com/privkey.pem": certificates.key,
                       "/var/log/weir/access.log": env.dir / "access.log",
                       "/srv/www": env.dir / "www", "/etc/weir/admin.htpasswd": env.dir / "htpasswd"}.items():
        text = text.replace(word, str(file))
    path.write_text(text)
    (env.dir / "www").mkdir()
    (env.dir / "examples" / "public").mkdir()
    env.file("htpasswd", "")
    lines = (data / "not-built.txt").read_text().splitlines()
    expected = sorted(line for line in lines if line.startswith(name + ":"))
    status, output = weir_check(env, path, {"CREDENTIALS_DIRECTORY": str(credentials)})
    found = sorted(not_built(output))
    assert found == expected, "\n".join(["expected:", *expected, "found:", *found, output])
    assert status == (78 if expected else 0), f"exit status {status}\n{output}"


def test_explain_knows_each_code_that_check_prints(env):
    path = env.file("weir.yaml", "version: 1\nlisteners:\n  web: { bnd: 8080, routes: { respond: 200 } }\n")
    status, output = weir_check(env, path)
    code = re.search(r"error\[(W\d{4})\]", output).group(1)
    status, explained = weir_run(env, "explain", code)
    assert status == 0 and "No setting of that name" in explained, explained
    status, unknown = weir_run(env, "explain", "W9999")
    assert status == 64 and "W9999" in unknown, unknown


def test_what_an_action_checks_is_told_beside_other_mistakes(env):
    path = env.file("weir.yaml", "version: 1\nlog: { levl: debug }\nlisteners:\n  web:\n    bind: 8080\n"
                                 "    routes: { static: { root: ., index: a/b } }\n")
    status, output = weir_check(env, path)
    assert status == 78 and "`levl`" in output and "weir.yaml:6:41" in output, output
    assert "2 errors" in output, output


def test_a_folder_that_is_not_there_is_told_at_start(env):
    path = env.file("weir.yaml", "version: 1\nlisteners:\n  web:\n    bind: 127.0.0.1:0\n"
                                 "    routes: { static: { root: ./absent } }\n")
    status, output = weir_run(env, "check", "--deep", "-f", path)
    assert status == 78 and "weir.yaml:5" in output and "absent" in output, output
