# SPDX-License-Identifier: Apache-2.0
"""The HTTP/1.1 vectors beside the checkout, judged by their own probe: every case passes, none is dangerous."""

import json
import sys

from harness import Failed, Skip, Weir, app, cases, run, timeout

# Two shards of about equal length, so that they run side by side.
SHARDS = [("requests", "^(chunk|target|field|line|host|conn)/"), ("framing", "^(resp|cl|te|cl.te|hop)/")]


def probe_folder(env):
    folder = env.options.source.parent / "shared" / "http1-vectors"
    if not (folder / "h1probe.py").exists():
        raise Skip("no ../shared/http1-vectors beside the checkout")
    return folder


@timeout(900)
@cases(*SHARDS)
def test_probe(env, pattern):
    folder = probe_folder(env)
    port, origin = env.port(), env.port()
    Weir(env, app(port, origin))
    result = run([sys.executable, folder / "h1probe.py", "--proxy", f"127.0.0.1:{port}", "--origin",
                  f"127.0.0.1:{origin}", "--vectors", folder / "vectors.json", "--only", pattern,
                  "--json", env.dir / "result.json", "--quiet"], 800)
    if not (env.dir / "result.json").exists():
        raise Failed("the probe did not finish:\n" + (result.stdout + result.stderr).decode())
    outcomes = json.loads((env.dir / "result.json").read_text())["results"]
    bad = [f"{r['verdict']} {r['name']} ({r['outcome']}): {r['why']}" for r in outcomes if r["verdict"] != "pass"]
    if bad or not outcomes:
        raise Failed("\n".join([f"{len(bad)} of {len(outcomes)} vectors do not pass:", *bad]))


def test_shards_cover_every_vector(env):
    import re
    vectors = json.loads((probe_folder(env) / "vectors.json").read_text())["vectors"]
    for vector in vectors:
        hits = [name for name, pattern in SHARDS if re.search(pattern, vector["class"] + "/" + vector["name"])]
        assert len(hits) == 1, f"{vector['class']}/{vector['name']} is in {hits}"
