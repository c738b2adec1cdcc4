# SPDX-License-Identifier: Apache-2.0
"""What the lint checks share: which files there are, how results are told, C without its comments.

A check is a script in this folder.  It reads the tree named by WEIR_SRCDIR (default: the one it
lies in) and, where it needs built libraries, WEIR_BUILDDIR; it prints one TAP line per claim, with
the places that break it as comment lines `file:line: what`.
"""
import os
import re
import subprocess
import sys

SRCDIR = os.environ.get("WEIR_SRCDIR") or os.path.abspath(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILDDIR = os.environ.get("WEIR_BUILDDIR", "")
SELFDIR = os.path.dirname(os.path.abspath(__file__))

# made by autoreconf and by builds (_build and _inst by distcheck): not ours to check
GENERATED = ("_build/", "_inst/", "autom4te.cache/", "build-aux/", "build/", "m4/", "aclocal.m4", "config.h.in",
             "configure", "Makefile.in")


def generated(name):
    return name.rstrip("~") in GENERATED or name.startswith(tuple(g for g in GENERATED if g.endswith("/")))


def files():
    """Every file of the tree, relative, sorted: what git knows, or all of a tarball."""
    if os.path.exists(os.path.join(SRCDIR, ".git")):
        out = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
                              "--exclude-standard"], cwd=SRCDIR, stdout=subprocess.PIPE, check=True)
        names = out.stdout.decode().split("\0")
    else:
        names = []
        for folder, folders, here in os.walk(SRCDIR):
            folders[:] = [f for f in folders if f not in (".git", "__pycache__", ".libs", ".deps")
                          and not os.path.exists(os.path.join(folder, f, "config.status"))]
            names += [os.path.relpath(os.path.join(folder, n), SRCDIR) for n in here]
    return sorted({n for n in names if n and not generated(n) and not n.endswith(".pyc")
                   and os.path.isfile(os.path.join(SRCDIR, n))})


def read(name):
    with open(os.path.join(SRCDIR, name), encoding="utf-8", errors="replace") as f:
        return f.read()


def c_files():
    return [n for n in files() if n.endswith((".c", ".h"))]


_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """C text with comments and the inside of strings blanked; lines and columns stay."""
    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[0]
        return re.sub(r"[^\n]", " ", token)
    return _TOKEN.sub(blank, text)


def rules(name, environment):
    """Lines `key : word...` of a .conf file beside the checks; # starts a comment."""
    path = os.environ.get(environment) or os.path.join(SELFDIR, name)
    found = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            line = line.split("#")[0].strip()
            if line:
                key, _, words = line.partition(":")
                found[key.strip()] = words.split()
    return found


class Report:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def claim(self, name, places=()):
        places = list(places)
        self.count += 1
        self.failed += bool(places)
        print(f"{'not ok' if places else 'ok'} {self.count} - {name}")
        for place in places[:60]:
            print(f"# {place}")
        if len(places) > 60:
            print(f"# and {len(places) - 60} more")

    def skip(self, name, reason):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {reason}")

    def end(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)
