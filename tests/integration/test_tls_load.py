# SPDX-License-Identifier: Apache-2.0
"""As many TLS connections as descriptors allow, while their certificate changes."""

import json
import resource
import subprocess
import sys
from pathlib import Path

from harness import Certificates, Weir, config, http_listener, respond, scaled, timeout, wait_until, weirctl
from test_tls_certificates import renew, shown

HOLD = Path(__file__).resolve().parents[1] / "tls" / "hold.py"
# Without --full: enough to be under way while the certificate changes.
FEW = 300


class Holder:
    """Connections of a process of its own."""

    def __init__(self, env, port, ca):
        self.process = subprocess.Popen([sys.executable, HOLD, str(port), ca], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        env.defer(self.close)

    def begin(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        assert line, "the clients' process has ended"
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(scaled(60))
        self.process.stdout.close()


@timeout(400)
def test_no_connection_is_lost_while_certificates_change(env):
    """weir counts two descriptors for each connection; a fifth of them is left for what else there is."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = descriptors * 2 // 5 if env.options.full else min(FEW, descriptors // 4)
    certificates, port = Certificates(env), env.port()
    weir = Weir(env, config({"web": http_listener(port, [respond(200, "secure\n")], certificate="site",
                                                  timeouts={"idle": "10m"})},
                            certificates={"site": certificates.pair()}, runtime={"threads": 2}))
    clients = Holder(env, port, certificates.ca)
    seen = [shown(port, certificates.ca)]
    for share in range(4):              # a part of them, while the next certificate is put in place
        clients.begin(f"open {count // 4}")
        wanted = renew(certificates, rsa=share == 2)
        wait_until(lambda w=wanted: shown(port, certificates.ca) == w, "the new certificate", 60)
        opened = clients.answer()
        assert opened["n_lost"] == 0, opened
        seen.append(wanted)
    held = count // 4 * 4
    assert opened["held"] == held, opened
    clients.begin("ask")                # and once more while another one comes
    wanted = renew(certificates)
    wait_until(lambda: shown(port, certificates.ca) == wanted, "the new certificate", 60)
    asked = clients.answer()
    assert (asked["held"], asked["n_lost"]) == (held, 0), asked
    status, out, err = weirctl(env, weir, "tls", "--json")
    counted = json.loads(out)["handshakes"][0]
    assert status == 0 and counted["done"] >= held and counted["failed"] == 0, (out, err)
    assert len(asked["serials"]) >= 2, asked
    clients.begin("close")
    print(f"figure: {descriptors} descriptors, {held} TLS connections held, {len(seen)} certificates, 0 lost")
