# SPDX-License-Identifier: Apache-2.0
"""The command line: what people type who know other servers, exit statuses, completion."""

import shutil

from harness import Skip, Weir, cases, config, http_listener, respond, run, to_yaml, wait_until, weir_run
from harness.weir import variables


def site(env, **more):
    return env.file("weir.yaml", to_yaml({**config({"web": http_listener(8080, [respond(200, "x")])}), **more}) + "\n")


@cases(("t", ["-t", "-f"], 0, "ok: 1 listener"), ("c_t", ["-t", "-c"], 0, "ok: 1 listener"),
       ("T", ["-T", "-f"], 0, "listeners:"), ("check", ["check", "-f"], 0, "ok: 1 listener"))
def test_what_nginx_and_haproxy_call_it_works(env, words, status, says):
    code, text = weir_run(env, *words, str(site(env)))
    assert code == status and says in text, text


@cases(("validate", "validate", "weir check"), ("adapt", "adapt", "weir config print"), ("reload", "reload", "weirctl reload"),
       ("status", "status", "weirctl status"), ("chek", "chek", "weir check"), ("rout", "rout", "weir route"),
       ("start", "start", "weir run"))
def test_word_that_is_no_command_names_the_one_that_is(env, word, meant):
    code, text = weir_run(env, word)
    assert code == 64 and f"did you mean `{meant}`?" in text, text


def test_signal_flag_is_weirctl_and_says_so(env):
    weir = Weir(env, config({"web": http_listener(env.port(), [respond(200, "x")])}))
    wait_until(weir.control.exists, "the control socket")
    path = env.file("named.yaml", f"version: 1\nadmin: {{ control: {{ socket: {weir.control} }} }}\n")
    code, text = weir_run(env, "-c", str(path), "-s", "reopen")
    assert code == 0 and "`-s reopen` is `weirctl reopen`" in text and "open again" in text, text
    code, text = weir_run(env, "-s", "restart")
    assert code == 64 and "reload, reopen, quit or stop" in text, text
    code, text = weir_run(env, "-c", str(path), "-s", "quit")
    assert code == 0 and "`-s quit` is `weirctl stop`" in text, text
    assert weir.wait(10) == 0


@cases(("version", ["version"], False), ("version_v", ["version", "-v"], True), ("V", ["-V"], True),
       ("long", ["--version"], False), ("v", ["-v"], True))
def test_version_says_what_it_is_made_of(env, words, all_of_it):
    code, text = weir_run(env, *words)
    assert code == 0 and text.startswith("weir "), text
    assert ("OpenSSL" in text and "c-ares" in text and "libyaml" in text and "plugin ABI" in text) == all_of_it, text


@cases(("nothing", [], 64), ("flag", ["--nope"], 64), ("missing", ["check", "-f", "/nonexistent.yaml"], 66),
       ("help", ["help"], 0), ("no_daemon", ["ctl", "--socket", "/nonexistent", "status"], 69))
def test_exit_status_is_that_of_sysexits(env, words, status):
    code, text = weir_run(env, *words)
    assert code == status, (code, text)


@cases(("commands", ["weir"], ["check", "route", "ctl"]), ("flags", ["weir", "check"], ["--deep", "--config"]),
       ("format", ["weir", "check", "--format"], ["gcc"]), ("config", ["weir", "config"], ["print", "schema"]),
       ("verbs", ["weirctl"], ["status", "drain", "help"]), ("ctl", ["weir", "ctl"], ["status", "drain"]),
       ("log", ["weirctl", "log"], ["level"]), ("conns", ["weirctl", "conns"], ["--top", "--json"]),
       ("help", ["weir", "help"], ["route", "run"]))
def test_completion_knows_what_may_come(env, words, expected):
    code, text = weir_run(env, "complete", "--", *words)
    assert code == 0 and set(expected) <= set(text.split()), text


def test_completion_in_bash(env):
    bash, script = shutil.which("bash"), env.options.prefix / "share" / "bash-completion" / "completions" / "weir"
    if not bash:
        raise Skip("bash is not installed")
    text = f"""source {script}; PATH={env.options.weir.parent}:$PATH
    COMP_WORDS=(weirctl lo); COMP_CWORD=1; _weir; echo "${{COMPREPLY[*]}}"
    COMP_WORDS=(weir che); COMP_CWORD=1; _weir; echo "${{COMPREPLY[*]}}" """
    result = run([bash, "--norc", "-c", text], env=variables(env.options))
    words = result.stdout.decode().split("\n")
    assert set(words[0].split()) >= {"log", "logs", "loops"} and words[1] == "check", (result.stdout, result.stderr)
