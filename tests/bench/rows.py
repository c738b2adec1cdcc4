# SPDX-License-Identifier: Apache-2.0
"""The rows of the bench: what each contender has to do, beside which bare forwarder, and what is aimed at."""

from dataclasses import dataclass, field

BROWSER = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.7,de;q=0.3", "Accept-Encoding: gzip, deflate, br",
    "Referer: http://bench.test/some/page?with=query&and=more",
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes; _ga=GA1.1.1234567890.1700000000; "
    "_gid=GA1.1.987654321.1700000000; preferences=" + "x7Qz" * 24 + "; csrf=" + "0f1e2d3c" * 8,
    "Upgrade-Insecure-Requests: 1", "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin", "Sec-Fetch-User: ?1", "Priority: u=1", "Cache-Control: max-age=0",
    "If-None-Match: \"5f2b-60a1c7d5e4f00\"", "If-Modified-Since: Fri, 20 Nov 2026 17:31:04 GMT",
    "DNT: 1", "Sec-GPC: 1", "X-Trace: " + "c0ffee00" * 32,
]
MIB = 1 << 20
GIB = 1 << 30
# What the plain requests of the load generator begin and end with.
REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass
class Row:
    title: str
    serve: str                      # what contenders are configured for: http, https, tcp, udp or websocket
    load: list                      # arguments of the load generator
    origin: list                    # program and arguments behind its port
    bare: list                      # forwarders of ours; the first is what ratios are to
    targets: dict = field(default_factory=dict)
    connections: int = 0            # 0: as many as the options say
    headers: list = field(default_factory=list)
    unit: str = "request"
    unit_bytes: int = 0             # units are so many bytes, not what the load generator counts

    def request_bytes(self):
        """What a request has at least when it arrives at the origin; 0: it is no request."""
        return len(REQUEST) + sum(len(h) + 2 for h in self.headers) if self.origin[0] == "origin" else 0


def http_row(title, body, targets, kind="plain", serve="http", bare=("epoll", "uring"), **more):
    fields = ["fields=15"] if kind == "browser" else []
    return Row(title, serve, ["http", f"body={body}", *fields], ["origin", body, kind], list(bare), targets, **more)


def both(epoll, uring=None):
    return {"weir": epoll, "weir-uring": epoll if uring is None else uring}


ROWS = {
    "keepalive": http_row("keep-alive requests, 100-byte answers", 100, both(1.10, 1.05)),
    "browser": http_row("browser-like headers (1.2 KiB, 15 fields back)", 100, both(1.30), kind="browser",
                        headers=BROWSER),
    "chunked": http_row("chunked answers of 1 KiB", 1024, both(1.30), kind="chunked"),
    "10k": http_row("answers of 10 KiB", 10240, both(1.20)),
    "1m": http_row("answers of 1 MiB", MIB, {}, connections=16),
    "10m": http_row("answers of 10 MiB", 10 * MIB, {}, connections=8),
    "tls": http_row("keep-alive requests over TLS", 100, both(1.15), serve="https", bare=["openssl"]),
    "10m-tls": http_row("answers of 10 MiB over TLS", 10 * MIB, {}, serve="https", bare=["openssl"], connections=8),
    "handshake": Row("TLS handshakes, full", "https", ["handshake"], ["origin", 100], ["openssl"], both(1.05),
                     unit="handshake"),
    "resumption": Row("TLS handshakes, resumed", "https", ["resumption"], ["origin", 100], ["openssl"], both(1.00),
                      unit="handshake"),
    "udp": Row("UDP echo of 64 bytes", "udp", ["datagrams"], ["origin-bytes", "datagrams"], ["udp"], both(1.20),
               unit="echo"),
    "bulk": Row("bulk bytes through a TCP proxy", "tcp", ["stream", f"body={256 * MIB}"],
                ["origin-bytes", "stream", 256 * MIB], ["splice", "epoll", "uring"], both(1.05), connections=2,
                unit="GiB", unit_bytes=GIB),
    "websocket": Row("WebSocket echo of 64 bytes", "websocket", ["websocket"], ["origin", 100], ["epoll", "uring"],
                     unit="echo"),
}

# Rows that are not about time: bytes per idle connection, and how connections spread over loops.
IDLE = {
    "idle": ("bytes per idle keep-alive connection", ROWS["keepalive"], {"weir": 600, "weir-uring": 600}),
    # above what the bare forwarder on OpenSSL holds
    "idle-tls": ("bytes per idle keep-alive connection over TLS", ROWS["tls"], {"weir": 1024, "weir-uring": 1024}),
}
BALANCE = "balance"
BALANCE_TARGET = 1.25
BALANCE_LOOPS = 4
