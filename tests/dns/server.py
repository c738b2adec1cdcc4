#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A name server that does what it is told, right or wrong; standard library only.

    server = Server()                               # UDP and TCP on a free port of 127.0.0.1
    server.set("app.test", "A", "127.0.0.2", ttl=1)
    server.behave("slow.test", "slow", 0.5)         # seconds
    server.count("app.test", "A")                   # questions so far, retries included
    server.close()

Behaviours of a name: silent, slow, servfail, refused, nxdomain, truncate (the answer comes by TCP only),
stuck (truncated, and TCP is silent), wrong_id, wrong_question, extra (records of other names beside),
garbage (bytes), cut (the end is missing), loop (an alias to itself), chain (N aliases before the answer),
huge (N addresses, by TCP). The last answer wins, so `set` and `behave` may change while questions come.
By hand: server.py PORT NAME=ADDRESS…
"""

import ipaddress
import socket
import struct
import sys
import threading

TYPES = {"A": 1, "CNAME": 5, "SOA": 6, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33}
NAMES = {number: name for name, number in TYPES.items()}
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5


def encode_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def decode_name(message, at):
    labels = []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("latin-1"))
        at += message[at] + 1
    return ".".join(labels).lower(), at + 1


def encode_data(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "SRV":
        priority, weight, port, target = value
        return struct.pack("!HHH", priority, weight, port) + encode_name(target)
    if kind == "TXT":
        return b"".join(bytes([len(part)]) + part for part in (p.encode() for p in value))
    return encode_name(value)


def record(owner, kind, ttl, data):
    return encode_name(owner) + struct.pack("!HHIH", TYPES[kind], 1, ttl, len(data)) + data


def soa(ttl=300, minimum=1):
    data = encode_name("ns.test") + encode_name("admin.test") + struct.pack("!5I", 1, 3600, 600, 86400, minimum)
    return record("test", "SOA", ttl, data)


class Server:
    def __init__(self, host="127.0.0.1", port=0):
        self._lock = threading.Lock()
        self._records, self._behaviours, self._seen = {}, {}, []
        self._closed = False
        self._udp, self._tcp = self._bind(host, port)
        self.port = self._udp.getsockname()[1]
        self.address = f"{host}:{self.port}"
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    @staticmethod
    def _bind(host, port):
        for _ in range(50):     # a port that is free for both
            tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tcp.bind((host, port))
                udp.bind((host, tcp.getsockname()[1]))
                tcp.listen(64)
                return udp, tcp
            except OSError:
                tcp.close()
                udp.close()
        raise OSError("no port is free for UDP and TCP")

    # What the test says

    def set(self, name, kind, *values, ttl=60):
        """These are the records of that name and type; none: it has none."""
        with self._lock:
            self._records[name.lower(), kind] = (ttl, values)

    def behave(self, name, how=None, value=None):
        """how None: in order again. `*` is every name without a behaviour of its own."""
        with self._lock:
            self._behaviours[name.lower()] = (how, value)

    def count(self, name, kind=None):
        with self._lock:
            return sum(seen == name.lower() and (kind is None or k == kind) for seen, k, _ in self._seen)

    def count_tcp(self, name):
        with self._lock:
            return sum(seen == name.lower() and tcp for seen, _, tcp in self._seen)

    def close(self):
        self._closed = True
        for one in (self._udp, self._tcp):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    # What it answers

    def _known(self, name):
        return any(owner == name and values for (owner, _), (_, values) in self._records.items())

    def _answers(self, name, kind, how, value):
        """Records as bytes, and the code."""
        if how == "loop":
            return [record(name, "CNAME", 60, encode_name(name))], 0
        if how == "huge":
            return [record(name, kind, 60, encode_data(kind, f"127.1.{i // 250}.{i % 250 + 1}"))
                    for i in range(value)] if kind == "A" else [], 0
        owner, result = name, []
        for i in range(value if how == "chain" else 0):
            result.append(record(owner, "CNAME", 60, encode_name(f"link{i}.{name}")))
            owner = f"link{i}.{name}"
        ttl, values = self._records.get((name, kind), (0, ()))
        result += [record(owner, kind, ttl, encode_data(kind, v)) for v in values]
        if how == "extra":
            result = [record("victim.test", "A", 60, bytes([127, 6, 6, 6])), *result,
                      record(f"{name}.evil.test", "A", 60, bytes([127, 6, 6, 7]))]
        return result, 0 if result or self._known(name) else NXDOMAIN

    def _reply(self, query, by_tcp):
        """Messages to send, after so many seconds."""
        name, end = decode_name(query, 12)
        kind = NAMES.get(struct.unpack_from("!H", query, end)[0], "?")
        question = query[12:end + 4]
        with self._lock:
            self._seen.append((name, kind, by_tcp))
            how, value = self._behaviours.get(name) or self._behaviours.get("*", (None, None))
            answers, code = self._answers(name, kind, how, value)
        code = {"servfail": SERVFAIL, "refused": REFUSED, "nxdomain": NXDOMAIN}.get(how, code)
        if code:
            answers = []
        truncate = not by_tcp and how in ("truncate", "stuck", "huge")
        flags = 0x8180 | code | (0x0200 if truncate else 0)

        def message(identity=query[:2], asked=question):
            listed = [] if truncate else answers
            authority = [] if listed else [soa()]
            counts = struct.pack("!5H", flags, 1, len(listed), len(authority), 0)
            return identity + counts + asked + b"".join(listed + authority)
        right = message()
        if how == "silent" or (how == "stuck" and by_tcp):
            return [], 0
        if how == "wrong_id":
            return [message(identity=bytes([query[0] ^ 0x55, query[1]])), right], 0
        if how == "wrong_question":
            return [message(asked=encode_name("other.test") + question[-4:])], 0
        if how == "garbage":
            return [query[:2] + b"\x81\x80" + b"\xff" * 40], 0
        if how == "cut":
            return [right[:-3]], 0
        return [right], value if how == "slow" else 0

    # Sockets

    def _serve_udp(self):
        while not self._closed:
            try:
                query, peer = self._udp.recvfrom(4096)
            except OSError:
                return
            if len(query) < 17:     # shut down
                continue
            messages, after = self._reply(query, False)
            if after:
                threading.Timer(after, self._send, (messages, peer)).start()
            else:
                self._send(messages, peer)

    def _send(self, messages, peer):
        for message in messages:
            try:
                self._udp.sendto(message, peer)
            except OSError:
                return

    def _serve_tcp(self):
        while not self._closed:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection):
        with connection, connection.makefile("rb") as stream:
            while True:
                head = stream.read(2)
                if len(head) < 2:
                    return
                messages, after = self._reply(stream.read(struct.unpack("!H", head)[0]), True)
                if after:
                    threading.Event().wait(after)
                for message in messages:
                    try:
                        connection.sendall(struct.pack("!H", len(message)) + message)
                    except OSError:
                        return


def main():
    server = Server(port=int(sys.argv[1]))
    for word in sys.argv[2:]:
        name, _, value = word.partition("=")
        server.set(name, "AAAA" if ":" in value else "A", value)
    print(f"answering on {server.address}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
