#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many TLS connections of one process, held open; standard library only.

    hold.py PORT CA        then one word per line on stdin, one line of JSON on stdout for each:

    open N     makes N more, each with a request and its answer
    ask        a request on each that is held
    close      ends

`lost` lists the first few connections that failed, and why; `serials` are the certificates seen.
"""

import json
import resource
import socket
import ssl
import sys

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Holder:
    def __init__(self, port, ca):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        self.port, self.held, self.serials = port, [], set()
        self.context = ssl.create_default_context(cafile=ca)

    @staticmethod
    def ask(connection):
        connection.sendall(REQUEST)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"secure\n"):
            more = connection.recv(4096)
            if not more:
                raise OSError("the server ended the connection")
            answer += more
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise OSError(answer.decode("latin-1"))

    def one(self):
        plain = socket.create_connection(("127.0.0.1", self.port), 60)
        connection = self.context.wrap_socket(plain, server_hostname="localhost")
        self.ask(connection)
        self.serials.add(connection.getpeercert()["serialNumber"])
        self.held.append(connection)

    def run(self, what, items):
        lost = []
        for item in items:
            try:
                what(*item)
            except (OSError, ssl.SSLError) as error:
                lost.append(f"{type(error).__name__}: {error}")
        return {"held": len(self.held), "n_lost": len(lost), "lost": lost[:5], "serials": sorted(self.serials)}


def main():
    holder = Holder(int(sys.argv[1]), sys.argv[2])
    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        if word == "close":
            return
        if word == "open":
            answer = holder.run(holder.one, ((),) * int(number))
        else:
            answer = holder.run(holder.ask, ((c,) for c in holder.held))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
