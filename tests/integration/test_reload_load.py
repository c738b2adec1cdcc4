# SPDX-License-Identifier: Apache-2.0
"""Reload under load: 1,000 WebSockets that echo a numbered frame every second, keep-alive requests, and what
100 reloads leave behind in memory, descriptors and mappings."""

import collections
import heapq
import json
import mmap
import multiprocessing
import os
import select
import signal
import socket
import struct
import time

from harness import (RawClient, Weir, config, http_listener, needs_full, proxy, request, respond, scaled, timeout,
                     upstream, wait_until, weirctl)
from harness.config import to_yaml

UPGRADE = request("GET", "/ws", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
WARM = 4        # reloads until memory counts
LATE = 5.0      # seconds: an echo that comes later has stalled


def frame(number, stream):
    """A text frame of a client; its mask is zeros, so that the echo is the same bytes."""
    return b"\x81\x8e\0\0\0\0%06d %06d\n" % (number, stream)


FRAME = len(frame(0, 0))


# The origin: one process, one loop.

def websocket_origin(env):
    """(port, how many connections it has accepted)"""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    accepted = mmap.mmap(-1, 8)
    child = os.fork()
    if child == 0:
        try:
            serve_websockets(listener, accepted)
        finally:
            os._exit(0)
    env.defer(lambda: (os.kill(child, signal.SIGKILL), os.waitpid(child, 0)))
    port = listener.getsockname()[1]
    listener.close()
    return port, lambda: struct.unpack("Q", accepted[:8])[0]


def serve_websockets(listener, accepted):
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    conns, begun, count = {}, set(), 0
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                conn, _ = listener.accept()
                count += 1
                accepted[:8] = struct.pack("Q", count)
                conns[conn.fileno()] = conn
                poll.register(conn, select.EPOLLIN)
                continue
            data = conns[fd].recv(65536)
            if not data:
                poll.unregister(fd)
                begun.discard(fd)
                conns.pop(fd).close()
            elif fd in begun:
                conns[fd].sendall(data)
            else:
                begun.add(fd)
                conns[fd].sendall(SWITCHED)


# The clients: one process, one loop, so that nothing of the test holds them up.

class Stream:
    """A WebSocket: one frame a second, its echo awaited."""
    period = 1.0

    def __init__(self, index, sock):
        self.index, self.sock, self.buffer = index, sock, b""
        self.sent, self.echoed, self.when, self.worst = 0, 0, 0.0, 0.0

    def due(self, now):
        if self.echoed < self.sent:
            self.worst = max(self.worst, now - self.when)
            return
        self.when = now
        self.sock.sendall(frame(self.sent, self.index))
        self.sent += 1

    def readable(self, now):
        data = self.sock.recv(4096)
        assert data, f"stream {self.index} was closed after {self.echoed} echoes"
        self.buffer += data
        if len(self.buffer) < FRAME:
            return
        assert self.buffer == frame(self.echoed, self.index), f"stream {self.index}: {self.buffer!r}"
        self.buffer = b""
        self.echoed += 1
        self.worst = max(self.worst, now - self.when)

    def waits(self):
        return self.echoed < self.sent


class KeepAlive(Stream):
    """A connection with a request every 20 ms; bodies never go back to an older configuration."""
    period = 0.02
    last = 0

    def due(self, now):
        if self.waits():
            self.worst = max(self.worst, now - self.when)
            return
        self.when = now
        self.sock.sendall(request("GET", "/x"))
        self.sent += 1

    def readable(self, now):
        data = self.sock.recv(4096)
        assert data, f"a keep-alive connection was closed after {self.echoed} answers"
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found or not body.endswith(b"."):
            return
        assert head.startswith(b"HTTP/1.1 200 ") and body.startswith(b"body "), self.buffer
        self.buffer = b""
        assert int(body[5:-1]) >= self.last, f"{body!r} after {self.last}"
        self.last = int(body[5:-1])
        self.echoed += 1
        self.worst = max(self.worst, now - self.when)


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port), 30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def open_streams(port, n):
    streams = []
    for index in range(n):
        sock = connect(port)
        sock.sendall(UPGRADE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            part = sock.recv(4096)
            assert part, f"stream {index} was not opened: {head!r}"
            head += part
        assert head.startswith(b"HTTP/1.1 101 "), head
        streams.append(Stream(index, sock))
    return streams + [KeepAlive(n + i, connect(port)) for i in range(4)]


def talk(streams, pipe):
    """Until the test says so, and all that was sent is echoed."""
    poll, by_fd = select.epoll(), {one.sock.fileno(): one for one in streams}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    poll.register(pipe.fileno(), select.EPOLLIN)
    begin, ending = time.monotonic(), None
    turns = [(begin + one.period * i / len(streams), one.index) for i, one in enumerate(streams)]
    heapq.heapify(turns)
    while not ending or (any(one.waits() for one in streams) and time.monotonic() < ending):
        now = time.monotonic()
        while turns[0][0] <= now:
            when, index = turns[0]
            heapq.heapreplace(turns, (max(when + streams[index].period, now), index))
            if not ending:
                streams[index].due(now)
        for fd, _ in poll.poll(max(0.0, turns[0][0] - now)):
            if fd in by_fd:
                by_fd[fd].readable(time.monotonic())
            elif not ending:
                pipe.recv()
                ending = time.monotonic() + scaled(2 * LATE)


def clients(port, n, pipe):
    streams = []
    try:
        streams = open_streams(port, n)
        pipe.send("open")
        talk(streams, pipe)
        trouble = None
    except (AssertionError, OSError) as error:
        trouble = f"{type(error).__name__}: {error}"
    pipe.send((trouble, [(one.sent, one.echoed, one.worst) for one in streams]))


class Clients:
    def __init__(self, env, port, n):
        self.n, self.pipe, there = n, *multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=clients, args=(port, n, there), daemon=True)
        self.process.start()
        env.defer(lambda: (self.process.kill(), self.process.join()))
        assert self.pipe.recv() == "open", "the clients did not come to it"

    def trouble(self):
        return self.pipe.recv()[0] if self.pipe.poll() else None

    def end(self):
        """(streams, keep-alive connections) as (sent, echoed, the longest wait)"""
        self.pipe.send("end")
        trouble, all_of_them = self.pipe.recv()
        assert not trouble, trouble
        self.process.join()
        return all_of_them[:self.n], all_of_them[self.n:]


# What is measured.

Facts = collections.namedtuple("Facts", "descriptors mappings pss resident")


def slowed():
    """Under a sanitizer or valgrind, which keep what was freed: memory says nothing there."""
    return scaled(1) > 1


def facts(pid):
    """Descriptors, mappings, KiB in proportion (PSS), KiB resident.

    The share of library pages in PSS rises as other processes that map them end; what is resident is weir's own
    doing. So growth is that of what is resident, all of it counted as weir's, measured against PSS: never less than
    what PSS grows by while the other processes stay as they are."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as text:
        sizes = {line.split()[0]: int(line.split()[1]) for line in text if line.endswith(" kB\n")}
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        return Facts(len(os.listdir(f"/proc/{pid}/fd")), sum(1 for _ in maps), sizes["Pss:"], sizes["Rss:"])


def steady(pid):
    """The facts once memory has stood still for a second."""
    found = [facts(pid)]

    def stands():
        select.select([], [], [], 0.1)
        found.append(facts(pid))
        last = [one.resident for one in found[-10:]]
        return len(last) == 10 and max(last) - min(last) <= max(last) // 200
    wait_until(stands, "memory to stand still", 30)
    return found[-1]


def check_growth(before, after):
    assert after.descriptors <= before.descriptors, (before, after)
    assert after.mappings <= before.mappings + 4 or slowed(), (before, after)
    assert after.resident - before.resident < before.pss / 10 or slowed(), (before, after)


def control(weir):
    conn = socket.socket(socket.AF_UNIX)
    conn.connect(str(weir.control))
    conn.settimeout(60)
    reader = conn.makefile("r")
    reader.readline()

    def ask(method, **params):
        conn.sendall(json.dumps({"id": 1, "method": method, "params": params}).encode() + b"\n")
        answer = json.loads(reader.readline())
        return answer.get("result") or answer
    return ask


def start(env, configuration):
    weir = Weir(env, configuration)
    wait_until(weir.control.exists, "the control socket")
    return weir, control(weir)


def hold_streams(env, n, reloads, pause):
    origin_port, accepted = websocket_origin(env)
    port = env.port()

    def layout(i):
        routes = [proxy("app", path="/ws"), respond(200, f"body {i + 1}.")]
        return config({"web": http_listener(port, routes)}, {"app": upstream(origin_port)})

    def reload(i):
        weir.path.write_text(to_yaml(layout(i)) + "\n")
        answer = ask("reload")
        assert answer["exit"] == 0, answer
        assert not load.trouble()

    weir, ask = start(env, layout(-1))
    load = Clients(env, port, n)
    for i in range(WARM):   # weir keeps the load before, and the first, which the streams pin
        reload(i)
    select.select([], [], [], 2.5)  # every stream has had its frames
    before = steady(weir.pid)
    for i in range(WARM, reloads):
        reload(i)
        select.select([], [], [], pause)
    after = steady(weir.pid)
    screen = weirctl(env, weir, "status")[1]
    streams, keepalive = load.end()
    assert all(sent == echoed for sent, echoed, _ in streams + keepalive), "a frame or an answer is missing"
    assert min(sent for sent, _, _ in streams) >= 0.8 * reloads * pause, "a stream was asked too seldom"
    assert max(worst for _, _, worst in streams + keepalive) <= scaled(LATE), "a stream stalled"
    assert accepted() == n, "a stream was opened again"
    check_growth(before, after)
    assert "generations   3 live: " in screen and f"1 drains (web: {n} connections)" in screen, screen
    wait_until(lambda: len(ask("status")["generations"]) == 2, "the first generation to be let go")


def alternate(env, count):
    """Good and bad reloads in turns; a listener comes and goes with every other good one."""
    port, other = env.port(), env.port()

    def layout(i):
        extra = {"extra": http_listener(other, [respond(200, "x")])} if i % 4 == 0 else {}
        return to_yaml(config({"web": http_listener(port, [respond(200, str(i))]), **extra})) + "\n"

    def settle():
        for _ in range(4):      # the same number of sockets and of former loads each time
            weir.path.write_text(layout(2))
            assert ask("reload")["exit"] == 0
        for _ in range(100):    # io_uring takes its buffers in turns
            assert client.ask().body == b"2"
        return steady(weir.pid)

    weir, ask = start(env, config({"web": http_listener(port, [respond(200, "0")])}))
    client = RawClient(env, port)
    for i in range(count):
        good = i % 2 == 0
        weir.path.write_text(layout(i) if good else "version: 1\nbad: 1\n")
        answer = ask("reload")
        assert answer["exit"] == (0 if good else 78), answer
        if good:
            assert client.ask().body == str(i).encode()
        if i == 2 * WARM:
            before = settle()
    check_growth(before, settle())


@timeout(120)
def test_alternating_good_and_bad_reloads_leak_nothing(env):
    alternate(env, 100)


@needs_full
@timeout(600)
def test_1000_alternating_good_and_bad_reloads_leak_nothing(env):
    alternate(env, 1000)


@timeout(180)
def test_websockets_echo_every_second_through_reloads(env):
    hold_streams(env, 50, 20, 0.2)


@needs_full
@timeout(900)
def test_1000_websockets_echo_every_second_through_100_reloads(env):
    hold_streams(env, 1000, 100, 0.6)
