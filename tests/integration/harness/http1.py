# SPDX-License-Identifier: Apache-2.0
"""A client that sends exactly the bytes it is told to and reads strictly: what an HTTP library would hide, a test sees."""

import socket
import ssl
import struct

from .env import Failed, scaled


def request(method, target, *headers, body=b"", host="weir.test", version="HTTP/1.1"):
    """Bytes of a request; a Content-Length is added for a body unless a header frames it."""
    lines = [f"{method} {target} {version}"]
    names = {h.split(":")[0].lower() for h in headers}
    if host is not None and "host" not in names:
        lines.append(f"Host: {host}")
    lines += headers
    if body and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Response:
    """ended: complete | truncated (the connection ended inside) | open (not read to its end)."""

    def __init__(self):
        self.status = None
        self.reason = ""
        self.version = ""
        self.headers = []
        self.interim = []
        self.body = b""
        self.trailers = []
        self.framing = None
        self.ended = "open"

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return ", ".join(values) if values else default

    def __repr__(self):
        return f"<{self.status} {self.framing} {len(self.body)} bytes {self.ended}>"


class RawClient:
    """One connection. `closed` is None, "eof" or "reset" once the peer ended it."""

    def __init__(self, env, address, tls=None, server_name="localhost", limit=10.0, receive_buffer=None):
        self.buffer = b""
        self.closed = None
        self.limit = scaled(limit)
        if isinstance(address, int):
            address = ("127.0.0.1", address)
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(self.limit)
        self.socket.connect(address)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=server_name)
        env.defer(self.close)

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def finish(self):
        """Half-close: nothing more from us."""
        self.socket.shutdown(socket.SHUT_WR)

    def send(self, data):
        """Send everything; False when the peer has gone, which many tests allow."""
        try:
            self.socket.sendall(data)
            return True
        except (ConnectionResetError, BrokenPipeError):
            return False

    def _fill(self, size=65536):
        """More bytes into the buffer; False at the connection's end."""
        if self.closed:
            return False
        try:
            data = self.socket.recv(size)
        except (ConnectionResetError, BrokenPipeError):
            self.closed = "reset"
            return False
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self.closed = "eof"
            return False
        except TimeoutError as late:
            raise Failed(f"nothing from the peer for {self.limit:g} s; unread: {self.buffer[:200]!r}") from late
        if not data:
            self.closed = "eof"
            return False
        self.buffer += data
        return True

    def read(self, count):
        """Exactly count bytes, fewer at the end."""
        parts, have = [], 0
        while have < count:
            if not self.buffer and not self._fill():
                break
            part, self.buffer = self.buffer[:count - have], self.buffer[count - have:]
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def read_line(self):
        """One line without its CRLF; None when the connection ends first."""
        while b"\n" not in self.buffer:
            if len(self.buffer) > 1 << 20:
                raise Failed("a line of more than 1 MiB")
            if not self._fill():
                return None
        line, _, self.buffer = self.buffer.partition(b"\n")
        if not line.endswith(b"\r"):
            raise Failed(f"a line ends without CR: {line!r}")
        return line[:-1]

    def read_end(self):
        """Everything up to the connection's end."""
        pieces, self.buffer = [self.buffer], b""
        while self._fill():
            pieces.append(self.buffer)
            self.buffer = b""
        return b"".join(pieces)

    def expect_closed(self):
        rest = self.read_end()
        if rest:
            raise Failed(f"bytes where the connection should have ended: {rest[:200]!r}")

    def quiet(self, seconds=0.2):
        """True when nothing arrives for this long: for claims that something does not happen."""
        if self.buffer or self.closed:
            return False
        self.socket.settimeout(seconds)
        try:
            self.buffer = self.socket.recv(65536)
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(self.limit)

    def _head(self, response):
        line = self.read_line()
        if line is None:
            return False
        parts = line.decode("latin-1").split(" ", 2)
        if len(parts) < 3 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
            raise Failed(f"not a status line: {line!r}")
        response.version, response.status, response.reason = parts[0], int(parts[1]), parts[2]
        response.headers = self._fields(response)
        return response.headers is not None

    def _fields(self, response):
        fields = []
        while True:
            line = self.read_line()
            if line is None:
                response.ended = "truncated"
                return None
            if not line:
                return fields
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name or name != name.strip():
                raise Failed(f"not a header field: {line!r}")
            fields.append((name, value.strip()))

    def response(self, method="GET", body=True):
        """The next final response; interim ones are kept in .interim. None: the connection ended before it."""
        interim = []
        while True:
            response = Response()
            if not self._head(response):
                return response if response.status else None
            if response.status >= 200 or response.status == 101:
                break
            interim.append((response.status, response.headers))
        response.interim = interim
        self._framing(response, method)
        return self.read_body(response) if body else response

    def _framing(self, response, method):
        lengths, codings = response.all("content-length"), response.all("transfer-encoding")
        if codings and lengths:
            raise Failed("a response with both Content-Length and Transfer-Encoding")
        if len(lengths) > 1:
            raise Failed(f"several Content-Lengths: {lengths}")
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            response.framing = "none"
        elif codings:
            if [c.lower() for c in codings] != ["chunked"]:
                raise Failed(f"Transfer-Encoding: {codings}")
            response.framing = "chunked"
        elif lengths:
            response.framing = int(lengths[0])
        else:
            response.framing = "close"

    def read_body(self, response):
        if response.framing == "none":
            response.ended = "complete"
        elif response.framing == "chunked":
            self._chunked(response)
        elif response.framing == "close":
            response.body = self.read_end()
            response.ended = "complete" if self.closed == "eof" else "truncated"
        else:
            response.body = self.read(response.framing)
            response.ended = "complete" if len(response.body) == response.framing else "truncated"
        return response

    def _chunked(self, response):
        parts = []
        while True:
            line = self.read_line()
            if line is None:
                break
            size = int(line.split(b";")[0], 16)
            if size == 0:
                response.trailers = self._fields(response)
                if response.trailers is not None:
                    response.ended = "complete"
                break
            data = self.read(size)
            parts.append(data)
            if len(data) < size:
                break
            if self.read(2) != b"\r\n":
                if self.closed:
                    break
                raise Failed("a chunk does not end with CRLF")
        response.body = b"".join(parts)
        if response.ended != "complete":
            response.ended = "truncated"

    def ask(self, method="GET", target="/", *headers, body=b"", host="weir.test"):
        """One whole exchange on this connection."""
        self.send(request(method, target, *headers, body=body, host=host))
        response = self.response(method)
        if response is None:
            raise Failed(f"no response to {method} {target}: the connection ended ({self.closed})")
        return response
