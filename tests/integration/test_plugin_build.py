# SPDX-License-Identifier: Apache-2.0
"""A plugin author's day: the echo plugin, copied out of the tree, builds against the installed files alone."""

import os
import shlex
import shutil

from harness import Failed, RawClient, Weir, chain, config, echo_listener, run


def pkg_config(env, *arguments):
    """pkg-config as an author has it after `make install`; under DESTDIR the paths get that prefix."""
    options = env.options
    variables = {**os.environ, "PKG_CONFIG_PATH": str(options.libdir / "pkgconfig")}
    if options.destdir:
        variables["PKG_CONFIG_SYSROOT_DIR"] = options.destdir
    result = run(["pkg-config", *arguments, "weir-plugin"], env=variables)
    if result.returncode:
        raise Failed("pkg-config weir-plugin: " + result.stderr.decode())
    return shlex.split(result.stdout.decode())


def build(env, output):
    source = env.options.source / "plugins" / "echo"
    copy = env.dir / "outside"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*.mk", "*.am"))
    files = sorted(str(path) for path in copy.glob("*.c"))
    if not files:
        raise Failed(f"no C file in {source}")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    result = run([*compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-Wl,-z,defs", *files,
                  "-o", output, *pkg_config(env, "--cflags", "--libs")], 60)
    if result.returncode:
        raise Failed("the copied plugin does not build:\n" + result.stderr.decode())


def test_echo_copied_outside_the_tree_builds_and_is_served(env):
    library = env.dir / "my-echo.so"
    build(env, library)
    port = env.port()
    Weir(env, chain(config({"echo": echo_listener(port)}), plugins={"echo": {"path": str(library)}}))
    client = RawClient(env, port)
    client.send(b"from outside\n")
    assert client.read(13) == b"from outside\n"


def test_plugin_uses_only_installed_headers(env):
    """The copy includes <weir/…> and the C library, nothing of the tree."""
    for path in (env.options.source / "plugins" / "echo").glob("*.[ch]"):
        for line in path.read_text().splitlines():
            if line.startswith("#include \""):
                name = line.split('"')[1]
                assert (path.parent / name).exists(), f"{path.name} includes {name}"


def test_pkg_config_knows_the_plugin_directory(env):
    folder, = pkg_config(env, "--variable=plugindir")
    assert folder.endswith("/weir/plugins"), folder
