# SPDX-License-Identifier: Apache-2.0
"""Finds the tests, runs each in a process of its own, says how it went in TAP."""

import argparse
import fnmatch
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .env import Env, Skip, scaled

HOME = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("WEIR_TEST_FOLDER", HOME))     # selftest has tests of its own
DEFAULT_TIMEOUT = 60


def load(path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def discover():
    """{"module.test[case]": (path, function name, case)} in the order of the files."""
    found = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        module = load(path)
        functions = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f)]
        for name, function in functions:
            rows = getattr(function, "cases", None)
            limit, full = getattr(function, "timeout", DEFAULT_TIMEOUT), getattr(function, "full", False)
            stem = path.stem.removeprefix("test_") + "." + name.removeprefix("test_")
            for row in rows or [None]:
                title = stem if row is None else f"{stem}[{row[0]}]"
                if title in found:
                    raise SystemExit(f"two tests are called {title}")
                found[title] = (path, name, row, limit, full)
    return found


def run_one(title):
    """In the child: run one test, tell the parent through a pipe what came of it."""
    path, name, row, _, _ = discover()[title]
    env = Env(title)
    verdict, text = "ok", ""
    try:
        function = getattr(load(path), name)
        function(env, *(row[1:] if row else ()))
    except Skip as why:
        verdict, text = "skip", str(why)
    except AssertionError as why:      # Failed is one
        where = traceback.extract_tb(why.__traceback__)
        site = next((f for f in reversed(where) if f.filename == str(path)), where[-1])
        verdict, text = "fail", f"{str(why) or 'it does not hold'}\nat {Path(site.filename).name}:{site.lineno}: {site.line}"
    except BaseException:
        verdict, text = "fail", traceback.format_exc()
    env.close()
    if env.problems:
        verdict, text = "fail", "\n".join(filter(None, [text, *env.problems]))
    if verdict == "fail":
        text = "\n".join([text, *(show() for show in env.diagnostics)])
    # A pipe holds 64 KiB, and the parent reads after we ended.
    os.write(int(os.environ["WEIR_RESULT_FD"]), json.dumps([verdict, text[:20000]]).encode())
    os._exit(0)     # no thread of a peer may hold us


def descendants(session):
    """Processes whose session is this one: what a test started, whoever their parent is by now."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="latin-1") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry))
    return found


def spawn(title, limit):
    """Run one test in its own session; whatever is left of the session afterwards is ended and reported."""
    results, writer = os.pipe()
    argv = [sys.executable, str(HOME / "run"), "--one", title]
    child = subprocess.Popen(argv, start_new_session=True, pass_fds=(writer,), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env={**os.environ, "WEIR_RESULT_FD": str(writer)})
    os.close(writer)
    chatter = []
    reader = threading.Thread(target=lambda: chatter.append(child.stdout.read()), daemon=True)
    reader.start()
    late = False
    try:
        child.wait(scaled(limit))
    except subprocess.TimeoutExpired:
        late = True
    left = [p for p in descendants(child.pid) if p != child.pid]
    for pid in left + ([child.pid] if late else []):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    child.wait()
    reader.join(5)
    with os.fdopen(results, "rb") as pipe:
        answer = pipe.read()
    said = b"".join(chatter).decode("utf-8", "replace")
    if late:
        return "fail", f"not done within {scaled(limit):g} s\n{said}"
    if not answer:
        return "fail", f"the test's process died with status {child.returncode}\n{said}"
    verdict, text = json.loads(answer)
    if left and verdict == "ok":
        verdict, text = "fail", f"processes left behind: {left}"
    return verdict, text if verdict == "skip" else "\n".join(filter(None, [text, said]))


def allowed_skips():
    lines = (HOME / "allowed-skips").read_text().splitlines()
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def report(number, title, verdict, text, seconds):
    if verdict == "skip":
        print(f"ok {number} - {title} # SKIP {text.splitlines()[0] if text else ''}")
    else:
        print(f"{'ok' if verdict == 'ok' else 'not ok'} {number} - {title} ({seconds:.2f} s)")
        for line in text.splitlines():
            if verdict == "fail" or line.startswith("figure: "):
                print("  # " + line)
    sys.stdout.flush()


def parse(arguments):
    parser = argparse.ArgumentParser(prog="run", description="weir's integration tests: the installed binary "
                                     "with real peers. TAP on stdout; exit status 1 when a test failed.")
    parser.add_argument("names", nargs="*", help="patterns (shell style, or a part of a name); default: all")
    parser.add_argument("--prefix", help="installed tree: DESTDIR/usr/local")
    parser.add_argument("--destdir", help="what --prefix was installed under, for pkg-config")
    parser.add_argument("--libdir", help="default PREFIX/lib")
    parser.add_argument("--plugin-dir", help="default LIBDIR/weir/plugins")
    parser.add_argument("--backend", help="epoll or io_uring; default: weir's own choice")
    parser.add_argument("--wrap", help="a command in front of weir, such as 'valgrind -q'")
    parser.add_argument("--scale", type=float, help="stretch every limit (sanitizers, valgrind)")
    parser.add_argument("--full", action="store_true", help="the long tests too")
    parser.add_argument("--strict-skips", action="store_true", help="fail on a skip that allowed-skips does not list")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("-l", "--list", action="store_true", help="print the names and stop")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def export(options):
    values = {"WEIR_PREFIX": options.prefix and os.path.abspath(options.prefix), "WEIR_LIBDIR": options.libdir,
              "WEIR_DESTDIR": options.destdir, "WEIR_PLUGIN_DIR": options.plugin_dir,
              "WEIR_BACKEND": options.backend, "WEIR_WRAP": options.wrap,
              "WEIR_TEST_SCALE": options.scale, "WEIR_FULL": "1" if options.full else None}
    os.environ.update({key: str(value) for key, value in values.items() if value is not None})


def wanted(title, names):
    return not names or any(name in title or fnmatch.fnmatch(title, name) for name in names)


def main(arguments=None):
    options = parse(arguments)
    if options.one:
        return run_one(options.one)
    export(options)
    chosen = {t: test for t, test in discover().items() if wanted(t, options.names)}
    if options.list:
        print("\n".join(chosen))
        return 0
    if not chosen:
        print("Bail out! no test has such a name")
        return 2
    print(f"TAP version 13\n1..{len(chosen)}")
    counts, lock, listed = {"ok": 0, "fail": 0, "skip": 0}, threading.Lock(), allowed_skips()

    def one(numbered):
        number, (title, (_, _, _, limit, full)) = numbered
        start = time.monotonic()
        if full and not options.full:
            verdict, text = "skip", "only with --full"
        else:
            verdict, text = spawn(title, limit)
        if verdict == "skip" and options.strict_skips and not any(fnmatch.fnmatch(title, p) for p in listed):
            verdict, text = "fail", f"skipped, but not on the list of allowed skips: {text}"
        with lock:
            counts[verdict] += 1
            report(number, title, verdict, text, time.monotonic() - start)
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, enumerate(chosen.items(), 1)))
    print(f"# {counts['ok']} passed, {counts['fail']} failed, {counts['skip']} skipped")
    return 1 if counts["fail"] else 0
