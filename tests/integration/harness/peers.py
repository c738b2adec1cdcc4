# SPDX-License-Identifier: Apache-2.0
"""Debian's programs at the other ends: nginx as origin, curl and openssl as clients, and a test CA."""

import hashlib
import ssl
from dataclasses import dataclass

from .env import Failed
from .process import Process, run

NGINX = """\
daemon off;
user root;
worker_processes 1;
error_log stderr warn;
pid {dir}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path {dir}/ngx-body; proxy_temp_path {dir}/ngx-proxy;
    fastcgi_temp_path {dir}/ngx-f; uwsgi_temp_path {dir}/ngx-u; scgi_temp_path {dir}/ngx-s;
    client_max_body_size 0;
    keepalive_requests 1000000;
    server {{
        listen {listen};
        root {root};
        {server}
    }}
}}
"""


class Nginx(Process):
    """nginx as an origin: files under `root`; PUT below /put/ stores; /chunked/ sends the same files chunked."""

    SERVER = """
        location /put/ { dav_methods PUT; create_full_put_path on; }
        location /chunked/ { ssi on; ssi_types *; alias %s/; }
    """

    def __init__(self, env, server=None):
        self.port = env.port()
        self.root = env.dir / "nginx-root"
        (self.root / "put").mkdir(parents=True)
        text = NGINX.format(dir=env.dir, listen=f"127.0.0.1:{self.port}", root=self.root,
                            server=server if server is not None else self.SERVER % self.root)
        path = env.file("nginx.conf", text)
        super().__init__(env, ["nginx", "-c", path, "-e", "stderr"], "nginx origin")
        self.wait_listening(self.port)


@dataclass
class CurlResult:
    returncode: int
    status: int
    body: bytes
    stderr: str


def curl(env, url, *arguments, limit=30.0, stdin=None):
    """curl's own view: its exit status, the final status code, the body."""
    output = env.dir / "curl.out"
    output.unlink(missing_ok=True)
    result = run(["curl", "-sS", "--noproxy", "*", "-o", output, "-w", "%{http_code}", "--max-time", str(limit),
                  *arguments, url], limit + 5, stdin)
    body = output.read_bytes() if output.exists() else b""
    return CurlResult(result.returncode, int(result.stdout or b"0"), body, result.stderr.decode())


def pattern_bytes(size, seed=1):
    """Bytes without a short period, the same on every run, made fast."""
    block = b"".join(hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in range(2048))
    copies = -(-size // (len(block) + 1)) if size else 0
    return b"".join(block + bytes([i & 0x7f]) for i in range(copies))[:size]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Certificates:
    """A test CA and a leaf for localhost and 127.0.0.1."""

    def __init__(self, env):
        self.ca, self.certificate, self.key = (env.dir / n for n in ("ca.pem", "leaf.pem", "leaf.key"))
        ca_key = env.dir / "ca.key"
        extensions = env.file("leaf.ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        self._openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", self.ca, "-subj", "/CN=weir test CA")
        self._openssl("req", *new_key, "-keyout", self.key, "-out", env.dir / "leaf.csr", "-subj", "/CN=localhost")
        self._openssl("x509", "-req", "-in", env.dir / "leaf.csr", "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial",
                      "-days", "30", "-extfile", extensions, "-out", self.certificate)

    @staticmethod
    def _openssl(*arguments):
        result = run(["openssl", *arguments])
        if result.returncode:
            raise Failed("openssl " + " ".join(map(str, arguments)) + ": " + result.stderr.decode())

    def pair(self):
        return str(self.certificate), str(self.key)

    def client(self):
        return ssl.create_default_context(cafile=str(self.ca))
