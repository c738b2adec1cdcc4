# SPDX-License-Identifier: Apache-2.0
"""An origin that does what a test tells it to, well-behaved or not.

It runs in a process of its own (forked, so a test writes its behaviour as a plain function) with a thread per
connection. What it sees comes back through a pipe as events; `go(name)` lets a handler continue.

    def handler(conn, request):
        conn.send(ok_response(b"hello"))

    origin = ScriptedOrigin(env, handler)
    origin.requests()            # [{"event": "request", "connection": 1, "method": "GET", …}, …]

A handler is called once per request, body unread: `request.body()` reads it. Returning keeps the connection.
"""

import hashlib
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
import traceback

from .env import Failed, scaled


def ok_response(body=b"", *headers, status="200 OK"):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Gone(Exception):
    """The peer ended the connection; the thread ends with it."""


class Request:
    def __init__(self, connection, head):
        lines = head.decode("latin-1").split("\r\n")
        self._connection = connection
        self.line = lines[0]
        self.method, _, rest = lines[0].partition(" ")
        self.target, _, self.version = rest.rpartition(" ")
        self.headers = [tuple(p.strip() for p in line.split(":", 1)) for line in lines[1:] if line]
        self._body = None

    def all(self, name):
        return [h[1] for h in self.headers if h[0].lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return ", ".join(values) if values else default

    def body_parts(self):
        """The body as it comes, decoded from whatever frames it."""
        if "chunked" in (self.get("transfer-encoding") or "").lower():
            while True:
                size = int(self._connection.line().split(b";")[0], 16)
                if size == 0:
                    while self._connection.line():
                        pass
                    return
                yield from self._connection.parts(size)
                if self._connection.line():
                    raise Gone
        else:
            yield from self._connection.parts(int(self.get("content-length") or 0))

    def body(self):
        if self._body is None:
            self._body = b"".join(self.body_parts())
        return self._body

    def body_digest(self):
        """(length, sha256) without keeping the body."""
        digest, length = hashlib.sha256(), 0
        for part in self.body_parts():
            digest.update(part)
            length += len(part)
        self._body = b""
        return length, digest.hexdigest()


class Connection:
    def __init__(self, origin, sock, number):
        self.origin = origin
        self.socket = sock
        self.number = number
        self.count = 0          # requests so far
        self.buffer = b""

    def report(self, event, **facts):
        self.origin.report(event, connection=self.number, **facts)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as gone:
            raise Gone from gone

    def drip(self, data, size=1, pause=0.002):
        """Slowly, in pieces that reach the peer one by one."""
        for start in range(0, len(data), size):
            self.send(data[start:start + size])
            threading.Event().wait(pause)

    def send_until_stuck(self, data, seconds):
        """How much the peer takes before it takes nothing for this long."""
        sent = 0
        self.socket.settimeout(seconds)
        try:
            while sent < len(data):
                sent += self.socket.send(data[sent:sent + 65536])
        except TimeoutError:
            pass
        except OSError as gone:
            raise Gone from gone
        self.socket.settimeout(None)
        return sent

    def fill(self):
        try:
            data = self.socket.recv(262144)
        except OSError as gone:
            raise Gone from gone
        if not data:
            raise Gone
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def parts(self, count):
        while count:
            if not self.buffer:
                self.fill()
            part, self.buffer = self.buffer[:count], self.buffer[count:]
            count -= len(part)
            yield part

    def read_any(self):
        """Whatever comes next; b"" at the end."""
        if self.buffer:
            data, self.buffer = self.buffer, b""
            return data
        try:
            return self.socket.recv(262144)
        except OSError:
            return b""

    def next_request(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        self.count += 1
        return Request(self, head)

    def hang(self):
        """Answer nothing until the peer gives up."""
        while self.read_any():
            pass
        raise Gone

    def close(self):
        """An orderly end. Unread bytes would make it a reset, so they are read first."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
            self.socket.settimeout(2)
            while self.socket.recv(65536):
                pass
        except OSError:
            pass
        raise Gone

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        raise Gone

    def wait_go(self, name):
        self.origin.gate(name).wait()


class _Child:
    """The origin's side of the fork."""

    def __init__(self, listener, handler, on_accept, events, control):
        self.listener, self.handler, self.on_accept = listener, handler, on_accept
        self.events, self.control = events, control
        self.lock = threading.Lock()
        self.gates = {}

    def report(self, event, **facts):
        line = json.dumps({"event": event, **facts}).encode() + b"\n"
        with self.lock:
            os.write(self.events, line)

    def gate(self, name):
        with self.lock:
            return self.gates.setdefault(name, threading.Event())

    def listen_for_orders(self):
        with os.fdopen(self.control) as orders:
            for line in orders:
                if line.startswith("sync "):
                    self.report("sync", number=int(line.split()[1]))
                else:
                    self.gate(line.strip()).set()
        os._exit(0)     # the test has gone

    def serve(self):
        threading.Thread(target=self.listen_for_orders, daemon=True).start()
        number = 0
        while True:
            sock, _ = self.listener.accept()
            number += 1
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.connection, args=(Connection(self, sock, number),), daemon=True).start()

    def connection(self, conn):
        conn.report("accept")
        try:
            if self.on_accept:
                self.on_accept(conn)
            while True:
                request = conn.next_request()
                conn.report("request", method=request.method, target=request.target, version=request.version,
                            headers=request.headers)
                self.handler(conn, request)
        except Gone:
            pass
        except Exception:
            conn.report("error", text=traceback.format_exc())
        conn.report("end")
        conn.socket.close()


class ScriptedOrigin:
    """on_accept(conn) runs before the first request is read; unix: a path to listen on instead of a port."""

    def __init__(self, env, handler=None, on_accept=None, unix=None, port=None, host="127.0.0.1"):
        self.env = env
        self.events = []
        self._news = threading.Condition()
        self._ended = False
        self._synced = 0
        if unix:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(unix))
            self.address = f"unix:{unix}"
            self.port = None
        else:
            self.port = port or env.port()
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, self.port))
            self.address = f"{host}:{self.port}"
        listener.listen(1024)
        from_child, events = os.pipe()
        control, self._control = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._child(listener, handler or answer_hello, on_accept, events, control, from_child)
        for unused in (events, control):
            os.close(unused)
        listener.close()
        self._events_file = os.fdopen(from_child)
        threading.Thread(target=self._read, daemon=True).start()
        env.defer(self.stop)
        env.diagnostics.append(self.excerpt)

    def _child(self, listener, handler, on_accept, events, control, from_child):
        try:
            os.setpgid(0, 0)
            os.close(from_child)
            os.close(self._control)
            _Child(listener, handler, on_accept, events, control).serve()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _read(self):
        for line in self._events_file:
            with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def excerpt(self):
        with self._news:
            shown = [json.dumps(e)[:300] for e in self.events if e["event"] != "sync"][-15:]
        return "\n".join([f"--- origin {self.address}, last {len(shown)} events", *shown])

    def _sync(self):
        """Until all that the origin saw so far is here: an answer may overtake the pipe."""
        if self.pid is None:
            return
        self._synced += 1
        number = self._synced
        os.write(self._control, f"sync {number}\n".encode())
        with self._news:
            self._news.wait_for(lambda: self._ended or {"event": "sync", "number": number} in self.events[-50:],
                                scaled(5))

    def seen(self, event):
        """Every event of this kind so far."""
        self._sync()
        with self._news:
            return [e for e in self.events if e["event"] == event]

    def requests(self, method=None, target=None):
        return [e for e in self.seen("request")
                if method in (None, e["method"]) and target in (None, e["target"])]

    def connections(self):
        return len(self.seen("accept"))

    def wait_event(self, event, count=1, limit=10.0):
        """The count-th event of this kind."""
        deadline = time.monotonic() + scaled(limit)
        with self._news:
            while True:
                found = [e for e in self.events if e["event"] == event]
                if len(found) >= count:
                    return found[count - 1]
                rest = deadline - time.monotonic()
                if rest <= 0 or self._ended:
                    raise Failed(f"origin {self.address}: no {event!r} number {count} within {scaled(limit):g} s")
                self._news.wait(rest)

    def go(self, name):
        """Let the handlers that wait_go(name) continue."""
        os.write(self._control, name.encode() + b"\n")

    def stop(self):
        """End it; its port refuses from now on."""
        if self.pid is None:
            return
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        self.pid = None
        os.close(self._control)
        for failure in self.seen("error"):
            self.env.problem("the origin's handler failed: " + failure["text"])


def answer_hello(conn, request):
    request.body()
    conn.send(ok_response(b"hello\n", "Content-Type: text/plain"))
