# SPDX-License-Identifier: Apache-2.0
"""What `runtime` says of the process: user, group, pid file, processors, memory."""

import os
import pwd
import re
import socket

from harness import Weir, config, echo_listener, wait_until, weir_run

LOW_PORTS = range(600, 1000)


def runtime(port, **settings):
    return config({"talk": echo_listener(port)}, runtime=settings)


def status(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return re.search(rf"^{key}:\s*(.*)$", file.read(), re.M)[1].split()


def threads(pid, prefix):
    """{name: processors} of the threads with names like this."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
            text = file.read()
        name = re.search(r"^Name:\s*(.*)$", text, re.M)[1]
        if name.startswith(prefix):
            found[name] = re.search(r"^Cpus_allowed_list:\s*(.*)$", text, re.M)[1]
    return found


def talk(port):
    with socket.create_connection(("127.0.0.1", port), 5) as conn:
        conn.settimeout(5)
        conn.sendall(b"hello\n")
        return conn.recv(100)


def low_port():
    for port in LOW_PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no low port is free")


def test_root_becomes_the_user_and_keeps_low_ports_only(env):
    if os.geteuid() != 0:
        env.skip("only root may become somebody else")
    nobody = pwd.getpwnam("nobody")
    os.chown(env.dir, nobody.pw_uid, nobody.pw_gid)
    port = low_port()
    weir = Weir(env, runtime(port, user="nobody"))
    weir.wait_line(r"running as nobody")
    pid = weir.popen.pid
    assert status(pid, "Uid") == [str(nobody.pw_uid)] * 4, status(pid, "Uid")
    assert status(pid, "Gid") == [str(nobody.pw_gid)] * 4, status(pid, "Gid")
    assert int(status(pid, "CapEff")[0], 16) == 1 << 10, status(pid, "CapEff")  # CAP_NET_BIND_SERVICE
    assert set(status(pid, "Groups")) == {str(g) for g in os.getgrouplist("nobody", nobody.pw_gid)}
    assert talk(port) == b"hello\n"


def test_unknown_user_is_said_where_it_is_written(env):
    path = env.file("weir.yaml", "version: 1\nruntime:\n  user: nosuchuser\nlisteners:\n  talk:\n"
                                 "    bind: 127.0.0.1:0\n    protocol: echo\n")
    code, text = weir_run(env, "check", "--deep", "--format", "gcc", "-f", path)
    assert code == 78 and "weir.yaml:3:9: error: there is no user `nosuchuser`" in text, (code, text)


def test_pid_file_has_the_number_and_goes_with_the_process(env):
    path = env.dir / "weir.pid"
    weir = Weir(env, runtime(env.port(), pid_file=str(path)))
    assert path.read_text() == f"{weir.popen.pid}\n"
    weir.finish()
    assert not path.exists()


def test_pid_file_of_somebody_else_stays(env):
    path = env.dir / "weir.pid"
    weir = Weir(env, runtime(env.port(), pid_file=str(path)))
    path.write_text("1\n")
    weir.finish()
    assert path.read_text() == "1\n"


def test_traffic_loops_stay_on_their_processors(env):
    usable = sorted(os.sched_getaffinity(0))
    weir = Weir(env, runtime(env.port(), threads=2, cpu_affinity="auto"))
    found = threads(weir.popen.pid, "traffic-")
    assert found == {"traffic-0": str(usable[0]), "traffic-1": str(usable[1 % len(usable)])}, found
    last = Weir(env, runtime(env.port(), threads=2, cpu_affinity=str(usable[-1])), name="last")
    found = threads(last.popen.pid, "traffic-")
    assert found == {"traffic-0": str(usable[-1]), "traffic-1": str(usable[-1])}, found


def test_processor_that_is_not_there_is_told_once_and_weir_serves(env):
    port = env.port()
    weir = Weir(env, runtime(port, threads=2, cpu_affinity="4000"))
    weir.wait_line(r"cannot be bound to processor 4000: invalid argument")
    assert talk(port) == b"hello\n"
    assert len(re.findall("cannot be bound", weir.text())) == 1


def test_full_memory_refuses_connections_until_there_is_room(env):
    port = env.port()
    weir = Weir(env, runtime(port, limits={"memory": "64KiB"}))
    weir.wait_line(r"connections are refused: weir holds \d+ MiB, runtime\.limits\.memory is 0 MiB")

    def refused():
        try:
            return talk(port) == b""
        except ConnectionError:
            return True
    wait_until(refused, "a connection to be refused")
    roomy = env.port()
    Weir(env, runtime(roomy, limits={"memory": "1GiB"}), name="roomy")
    assert talk(roomy) == b"hello\n"


def test_wrong_processors_are_said_with_what_is_right(env):
    for wrong in ("maybe", "3-1", "0,,2", "0-", "99999"):
        path = env.file("weir.yaml", f"version: 1\nruntime:\n  cpu_affinity: \"{wrong}\"\nlisteners:\n  talk:\n"
                                     "    bind: 127.0.0.1:0\n    protocol: echo\n")
        code, text = weir_run(env, "check", "--format", "gcc", "-f", path)
        assert code == 78 and 'weir.yaml:3:17: error: `cpu_affinity` is off, auto or the processors to use, as in ' \
            '"0-3,8"' in text, (wrong, code, text)
