# SPDX-License-Identifier: Apache-2.0
"""Mistakes made in the examples that load: a key misspelt, doubled, deleted, moved a level. Each is exactly one error,
at the place where it was made; the places are computed before `weir check` runs."""

import re
import shutil

from harness import Certificates, Failed, cases, weir_check, timeout

KEY = re.compile(r"^(?P<indent> *)(?:- )?(?P<key>[a-z_]+):(?= |$)")
# Keys that are settings; names of upstreams, listeners, … are anybody's.
SETTINGS = ("bind", "protocol", "inspect", "inspect_timeout", "routes", "match", "proxy", "handoff", "respond", "servers",
            "body", "type", "connect_timeout", "health_check", "certificates", "upstreams", "listeners", "plugins", "tls")
REQUIRED = {"servers": "servers", "routes": "routes"}


def example(env, name):
    """The lines of an example, with the files that it names."""
    options = env.options
    source = options.source / ("conf" if name == "quickstart.yaml" else "tests/integration/data/examples") / name
    credentials = env.dir / "credentials"
    credentials.mkdir()
    made = Certificates(env)
    shutil.copy(made.certificate, credentials / "site.crt")
    shutil.copy(made.key, credentials / "site.key")
    env.credentials = {"CREDENTIALS_DIRECTORY": str(credentials)}
    lines = source.read_text().splitlines()
    status, text = checked(env, lines)
    assert status == 0, f"{name} does not load:\n{text}"
    # What stands in a text block is no YAML.
    end = next((i for i, line in enumerate(lines) if line.endswith("|")), len(lines))
    return lines, end


def checked(env, lines):
    return weir_check(env, env.file("weir.yaml", "\n".join(lines) + "\n"), env.credentials)


def misspelt(lines, end):
    """Two letters of a key are exchanged: one error under it, with the right word as help."""
    for i in range(end):
        found = KEY.match(lines[i])
        if not found or found["key"] not in SETTINGS or len(found["key"]) < 4:
            continue
        key, at = found["key"], found.start("key")
        wrong = key[:1] + key[2] + key[1] + key[3:]
        if wrong == key:
            continue
        changed = [*lines[:i], lines[i][:at] + wrong + lines[i][at + len(key):], *lines[i + 1:]]
        yield f"`{key}` misspelt in line {i + 1}", changed, (i + 1, at + 1), f"did you mean `{key}`"


def doubled(lines, end):
    """A setting with its value twice: one error at the second."""
    for i in range(end):
        found = KEY.match(lines[i])
        if not found or lines[i].lstrip().startswith("- ") or lines[i].split("#")[0].rstrip().endswith((":", "|")) or i == 0:
            continue
        if lines[i].count("{") != lines[i].count("}"):
            continue
        yield f"`{found['key']}` doubled in line {i + 1}", [*lines[:i + 1], lines[i], *lines[i + 1:]], (i + 2, found.start("key") + 1), \
            "stands twice"


def deleted(lines, end):
    """What is needed is missing: one error at the part that needs it."""
    for i in range(end):
        found = re.search(r"(?<=\W)servers: [^}#]*?(?=[ ,]*[}#]|$)", lines[i])
        if not found:
            continue
        changed = [*lines[:i], (lines[i][:found.start()] + lines[i][found.end():]).rstrip(), *lines[i + 1:]]
        line, column = i, len(lines[i]) - len(lines[i].lstrip()) + 1
        if not lines[i].lstrip().startswith(("pg", "app")):
            line = i - 1
            column = len(lines[line]) - len(lines[line].lstrip()) + 1
            changed[i] = ""
        yield f"`servers` deleted in line {i + 1}", changed, (line + 1, column), "servers"


def moved(lines, end):
    """A setting moved out to the names of the parts: one error where the rest of its part begins, which shows both columns;
    one moved in, below a setting that has a value: one error there."""
    for i in range(1, end - 1):
        found = re.match(r"^    (bind|inspect_timeout|protocol): \S", lines[i])
        if not found:
            continue
        text = re.sub(r"\s+#.*", "", lines[i])
        if lines[i + 1].startswith("    ") and lines[i + 1][4] != " ":
            yield f"`{found[1]}` moved out in line {i + 1}", [*lines[:i], text[2:], *lines[i + 1:]], (i + 2, 5), f"{i + 1} |   "
        if re.match(r"^    \w+: \S", lines[i - 1]):
            yield f"`{found[1]}` moved in in line {i + 1}", [*lines[:i], "  " + text, *lines[i + 1:]], (i + 1, 7), ""


@timeout(300)
@cases(("quickstart", "quickstart.yaml", 14), ("l4", "l4.yaml", 30))
def test_each_mutation_of_an_example_is_one_error_where_it_was_made(env, name, least):
    lines, end = example(env, name)
    count, wrong = 0, []
    for make in (misspelt, doubled, deleted, moved):
        for what, changed, (line, column), words in make(lines, end):
            count += 1
            status, text = checked(env, changed)
            places = re.findall(r"--> \S*weir\.yaml:(\d+):(\d+)", text)
            if status != 78 or text.count("error[") != 1 or places[0] != (str(line), str(column)) or words not in text:
                wrong.append(f"{what}: wanted one error at {line}:{column} with `{words}`:\n{text}")
    if wrong:
        raise Failed(f"{len(wrong)} of {count}:\n" + "\n".join(wrong))
    assert count >= least, count
