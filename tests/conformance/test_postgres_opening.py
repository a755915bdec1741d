"""DATABASE_URL against real servers: every way of reaching one, TLS with a real handshake, and
one sentence for each way in which it cannot be."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import asyncpg
import pytest
import trio
import trustme

from mediaconvert.backends.asyncio_loop import open_asyncio_loop
from mediaconvert.backends.sql.driver import Connection
from mediaconvert.backends.sql.migrations import Migration
from mediaconvert.backends.sql.postgres import open_postgres
from mediaconvert.backends.sql.postgres_schema import OLDEST, refuse_shared, refuse_unfit
from mediaconvert.backends.sql.postgres_session import open_session
from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri
from mediaconvert.errors import StartupError
from tests.conformance.worlds import PATIENCE_SECONDS
from tests.servers.postgres import USER, Postgres
from tests.servers.process import free_port
from tests.servers.proxy import open_proxy
from tests.servers.tls import TlsProxy, open_tls_proxy

QUERIES = {"who": "select current_user as who, current_setting('application_name') as name"}
SCHEMA = [Migration(1, "t", ("create table t (k text primary key)",))]


async def _who(url: str) -> tuple[str, str]:
    async def body(conn: Connection) -> tuple[str, str]:
        row = await conn.fetch_one("who")
        return (row["who"], row["name"])

    async with open_postgres(
        parse_postgres_uri(url), QUERIES, SCHEMA, pool_size=2, deadline_seconds=PATIENCE_SECONDS
    ) as driver:
        return await driver.read(body)


async def _refusal(url: str) -> str:
    """The one sentence with which the opening fails."""
    with pytest.raises(StartupError) as caught:
        await _who(url)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    name = postgres.create_database()
    yield name
    postgres.drop_database(name)


# --- ways in ---------------------------------------------------------------------------------


async def test_a_server_is_reached_in_every_way_that_a_uri_can_say(
    postgres: Postgres, database: str
) -> None:
    port, folder = postgres.port, postgres.socket_folder
    for url in (
        f"postgres://{USER}:ignored@localhost:{port}/{database}?sslmode=disable",
        f"postgresql://{USER}@127.0.0.1:{port}/{database}?sslmode=prefer&keepalives=1",
        f"postgres:///{database}?host={folder}&port={port}&user={USER}",
        f"postgres://{USER}@127.0.0.1:{free_port()},127.0.0.1:{port}/{database}",
        f"postgres://{USER}@127.0.0.1:{port}/{database}?target_session_attrs=read-write",
        f"postgres://{USER}@127.0.0.1:{port}/{database}?connect_timeout=60&gssencmode=disable",
    ):
        assert await _who(url) == (USER, "mediaconvert")
    named = f"postgres://{USER}@127.0.0.1:{port}/{database}?application_name=one%20two"
    assert await _who(named) == (USER, "one two")


async def test_a_server_that_is_not_there_is_one_sentence(database: str) -> None:
    port = free_port()
    sentence = await _refusal(f"postgres://u:hunter2@127.0.0.1:{port}/{database}")
    assert sentence == (
        f"the database 127.0.0.1:{port}/{database} cannot be reached: Connection refused; start "
        "the server, or correct DATABASE_URL"
    )


async def test_a_server_that_does_not_answer_is_one_sentence(postgres: Postgres) -> None:
    with open_proxy(postgres.port) as proxy:
        proxy.silence()
        url = f"postgres://{USER}:hunter2@127.0.0.1:{proxy.port}/x?connect_timeout=1"
        sentence = await _refusal(url)
        proxy.open()
    assert "does not answer" in sentence and "hunter2" not in sentence


async def test_a_host_that_does_not_exist_is_said_to_have_an_unknown_name() -> None:
    sentence = await _refusal("postgres://u:hunter2@no-such-host.invalid/d")
    # The system's own words stand between: they say whether asking again may help.
    assert sentence.startswith(
        "the database no-such-host.invalid:5432/d cannot be reached: the name of its host could "
        "not be resolved ("
    )
    assert sentence.endswith("); correct it in DATABASE_URL")
    assert "Unknown error" not in sentence


@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
async def test_a_port_whose_owner_hangs_up_is_one_sentence(mode: str) -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        # What was read is no longer under way: the connection ends without a reset.
        await stream.receive_some()
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            partial(trio.serve_tcp, hang_up, port=0, host="127.0.0.1")
        )
        port = listener.socket.getsockname()[1]
        sentence = await _refusal(f"postgres://u:hunter2@127.0.0.1:{port}/d?sslmode={mode}")
        nursery.cancel_scope.cancel()
    assert sentence == (
        f"the database 127.0.0.1:{port}/d cannot be reached: it closed the connection; see that "
        "PostgreSQL is what listens there, or correct DATABASE_URL"
    )


async def test_a_folder_without_a_socket_is_one_sentence(tmp_path: Path) -> None:
    sentence = await _refusal(f"postgres:///d?host={tmp_path}")
    assert "cannot be reached: No such file or directory" in sentence


async def test_a_database_that_does_not_exist_is_one_sentence(postgres: Postgres) -> None:
    sentence = await _refusal(f"postgres://{USER}@127.0.0.1:{postgres.port}/none")
    assert "does not exist" in sentence and "createdb" in sentence


async def test_a_database_of_another_encoding_is_refused(postgres: Postgres) -> None:
    postgres.execute(
        "postgres",
        "create database latin encoding 'LATIN1' locale 'C' template template0",
    )
    try:
        sentence = await _refusal(f"postgres://{USER}@127.0.0.1:{postgres.port}/latin")
        assert "stores text as LATIN1" in sentence and "--encoding=UTF8" in sentence
    finally:
        postgres.drop_database("latin")


def test_a_server_that_is_too_old_is_refused() -> None:
    with pytest.raises(StartupError, match=r"the database h/d is PostgreSQL 14.9; 15 or newer"):
        refuse_unfit("the database h/d", OLDEST - 1, "PostgreSQL 14.9", "UTF8")
    refuse_unfit("the database h/d", OLDEST, "PostgreSQL 15.0", "UTF8")


async def test_no_server_of_the_wanted_kind_is_one_sentence(postgres: Postgres) -> None:
    url = f"postgres://{USER}@127.0.0.1:{postgres.port}/postgres?target_session_attrs=standby"
    assert "target_session_attrs" in await _refusal(url)


async def test_a_user_who_may_not_make_tables_is_one_sentence(
    postgres: Postgres, database: str
) -> None:
    role = f"guest_{database}"
    postgres.execute("postgres", f"create role {role} login")
    try:
        sentence = await _refusal(f"postgres://{role}@127.0.0.1:{postgres.port}/{database}")
        assert "does not let this user change its tables" in sentence
        assert "mediaconvert migrate" in sentence
        # Who finds them made needs to make none.
        await _who(postgres.url(database))
        postgres.execute(database, f"grant select on all tables in schema public to {role}")
        url = f"postgres://{role}@127.0.0.1:{postgres.port}/{database}"
        assert (await _who(url))[0] == role
    finally:
        postgres.execute(database, f"drop owned by {role}")
        postgres.execute("postgres", f"drop role {role}")


# --- passwords -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(servers_folder: Path) -> Iterator[Postgres]:
    """A server that wants a password over TCP, of a user `secretive` whose password is hard."""
    server = Postgres(servers_folder / "postgres-guarded")
    server.process.start()
    try:
        server.execute("postgres", "create role secretive login password 'p@ss/w?rd#%'")
        server.execute("postgres", f"create role bearer login superuser password '{HARD}'")
        server.execute("postgres", "create database secret owner secretive")
        rules = server.socket_folder / "data" / "pg_hba.conf"
        rules.write_text("local all all trust\nhost all secretive,bearer all scram-sha-256\n")
        # Told to read them again, it would do so when it comes to it.
        server.process.restart()
        yield server
    finally:
        server.process.stop()


async def test_a_password_in_the_uri_is_used(guarded: Postgres) -> None:
    password = "p%40ss%2Fw%3Frd%23%25"
    url = f"postgres://secretive:{password}@127.0.0.1:{guarded.port}/secret"
    assert (await _who(url))[0] == "secretive"


async def test_a_wrong_or_missing_password_is_one_sentence(guarded: Postgres) -> None:
    for auth in ("secretive:hunter2", "secretive"):
        sentence = await _refusal(f"postgres://{auth}@127.0.0.1:{guarded.port}/secret")
        assert "refused the user or the password" in sentence
        assert "hunter2" not in sentence


async def test_a_user_who_is_not_let_in_is_one_sentence(guarded: Postgres) -> None:
    sentence = await _refusal(f"postgres://stranger:hunter2@127.0.0.1:{guarded.port}/secret")
    assert "pg_hba.conf" in sentence and "hunter2" not in sentence


HARD = "a-pass:w@rd/#1\\é"
ESCAPED = HARD.replace("\\", "\\\\").replace(":", "\\:")
"""As it is written in a password file."""


@pytest.mark.parametrize(
    "lines",
    [
        "HOST:PORT:secret:bearer:WORD",
        "*:*:*:*:WORD",
        "HOST:PORT:*:bearer:WORD:and more",
        "# bearer's\n\nHOST:1:*:*:other\nHOST:PORT:*:bearer:WORD\n*:*:*:*:other",
        "HOST:PORT:*:be\\arer:WORD\r\n",
        "HOST:PORT:*:bearer:other\n*:*:*:*:WORD",
        "HOST:PORT:*:bearer:PLAIN",
        " HOST:PORT:*:bearer:WORD",
        "localhost:PORT:*:bearer:WORD",
        "HOST:PORT:\\*:bearer:WORD",
        "HOST:PORT:*:bearer",
        "HOST:PORT:*:bearer:",
        "",
    ],
)
async def test_a_password_file_lets_in_whom_psql_lets_in(
    guarded: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    file = tmp_path / "passwords"
    for name, value in (
        *(("HOST", "127.0.0.1"), ("PORT", str(guarded.port))),
        *(("WORD", ESCAPED), ("PLAIN", HARD)),
    ):
        lines = lines.replace(name, value)
    file.write_text(lines, newline="")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    url = f"postgres://bearer@127.0.0.1:{guarded.port}/secret"
    if guarded.lets_in(url):
        assert (await _who(url))[0] == "bearer"
    else:
        assert "refused the user or the password" in await _refusal(url)


async def test_a_password_file_is_found_at_each_of_its_places(
    guarded: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = tmp_path / ".pgpass", tmp_path / "wrong"
    right.write_text(f"*:*:*:bearer:{ESCAPED}\n")
    wrong.write_text("*:*:*:*:hunter2\n")
    for file in (right, wrong):
        file.chmod(0o600)
    url = f"postgres://bearer@127.0.0.1:{guarded.port}/secret"
    monkeypatch.delenv("PGPASSFILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (await _who(url))[0] == "bearer"
    monkeypatch.setenv("PGPASSFILE", str(wrong))
    await _refusal(url)
    assert (await _who(f"{url}?passfile={right}"))[0] == "bearer"
    # A password that is given wins over all of them.
    assert (await _who(url.replace("bearer@", f"bearer:{quote(HARD, safe='')}@")))[0] == "bearer"
    monkeypatch.setenv("PGPASSWORD", HARD)
    assert (await _who(url))[0] == "bearer"


async def test_a_password_file_that_others_may_read_is_not_used_which_is_said_once(
    guarded: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "passwords"
    file.write_text(f"*:*:*:bearer:{ESCAPED}\n")
    file.chmod(0o640)
    monkeypatch.setenv("PGPASSFILE", str(file))
    url = f"postgres://bearer@127.0.0.1:{guarded.port}/secret"
    assert "refused the user or the password" in await _refusal(url)
    assert [record.getMessage() for record in caplog.records] == [
        f"the password file {file} is not used: others than its owner may read or change it; run "
        f"chmod 600 {file}"
    ]


async def test_a_password_file_is_read_again_for_each_connection(
    guarded: Postgres, tmp_path: Path
) -> None:
    file = tmp_path / "passwords"
    file.write_text("*:*:*:*:hunter2\n")
    file.chmod(0o600)
    address = parse_postgres_uri(
        f"postgres://bearer@127.0.0.1:{guarded.port}/secret?passfile={file}"
    )
    async with open_asyncio_loop() as loop:

        async def connect() -> None:
            with pytest.raises(asyncpg.InvalidPasswordError):
                await open_session(address, PATIENCE_SECONDS)
            file.write_text(f"*:*:*:bearer:{ESCAPED}\n")
            session = await open_session(address, PATIENCE_SECONDS)
            await session.close(1)

        await loop.run_aio_coroutine(connect())


# --- TLS -------------------------------------------------------------------------------------


class Tls(NamedTuple):
    proxy: TlsProxy
    url: str
    root: Path
    authority: trustme.CA


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(
    request: pytest.FixtureRequest,
    postgres: Postgres,
    database: str,
    authority: trustme.CA,
    tmp_path: Path,
) -> Iterator[Tls]:
    """A database behind TLS; the parameter is what its certificate is for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(getattr(request, "param", "localhost")).configure_cert(context)
    root = tmp_path / "root.crt"
    authority.cert_pem.write_to_path(str(root))
    with open_tls_proxy(postgres.port, context) as proxy:
        url = f"postgres://{USER}@localhost:{proxy.port}/{database}"
        yield Tls(proxy, url, root, authority)


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
async def test_each_tls_mode_shakes_hands(tls: Tls, mode: str) -> None:
    root = f"&sslrootcert={tls.root}" if mode.startswith("verify") else ""
    assert (await _who(f"{tls.url}?sslmode={mode}{root}"))[0] == USER
    assert tls.proxy.handshakes >= 1


@pytest.mark.parametrize("tls", ["another.example"], indirect=True)
async def test_a_certificate_for_another_host_does_for_all_but_verify_full(tls: Tls) -> None:
    root = f"sslrootcert={tls.root}"
    assert (await _who(f"{tls.url}?sslmode=verify-ca&{root}"))[0] == USER
    sentence = await _refusal(f"{tls.url}?sslmode=verify-full&{root}")
    assert "cannot be reached over TLS" in sentence and "sslrootcert" in sentence


async def test_a_certificate_of_a_stranger_is_refused(tls: Tls, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    trustme.CA().cert_pem.write_to_path(str(other))
    for root in (str(other), "system"):
        sentence = await _refusal(f"{tls.url}?sslmode=verify-full&sslrootcert={root}")
        assert "cannot be reached over TLS" in sentence


async def test_a_server_that_asks_for_our_certificate_gets_it(
    postgres: Postgres, database: str, authority: trustme.CA, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ours = authority.issue_cert("mediaconvert@example.org")
    certificate, key = tmp_path / "ours.crt", tmp_path / "ours.key"
    ours.cert_chain_pems[0].write_to_path(str(certificate))
    ours.private_key_pem.write_to_path(str(key))
    with open_tls_proxy(postgres.port, context) as proxy:
        url = f"postgres://{USER}@localhost:{proxy.port}/{database}?sslmode=require"
        assert (await _who(f"{url}&sslcert={certificate}&sslkey={key}"))[0] == USER
        await _refusal(url)


async def test_tls_that_the_server_does_not_offer_is_one_sentence(
    postgres: Postgres, database: str
) -> None:
    url = f"postgres://{USER}@127.0.0.1:{postgres.port}/{database}"
    sentence = await _refusal(f"{url}?sslmode=require")
    assert "does not offer TLS" in sentence and "sslmode=disable" in sentence
    for mode in ("disable", "allow", "prefer"):
        assert (await _who(f"{url}?sslmode={mode}"))[0] == USER


async def test_a_tls_connection_that_is_cut_is_replaced(tls: Tls, postgres: Postgres) -> None:
    async def body(conn: Connection) -> str:
        return str((await conn.fetch_one("who"))["who"])

    address = parse_postgres_uri(f"{tls.url}?sslmode=verify-full&sslrootcert={tls.root}")
    async with open_postgres(
        address, QUERIES, SCHEMA, pool_size=3, deadline_seconds=PATIENCE_SECONDS
    ) as driver:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(driver.read, body)
        name = postgres.execute(address.database, "select current_database()")
        postgres.execute(
            "postgres",
            f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'",
        )
        assert await driver.read(body) == USER


async def test_connections_that_share_a_server_process_are_those_of_a_pooler_and_refused(
    postgres: Postgres, database: str
) -> None:
    address = parse_postgres_uri(postgres.url(database))
    async with open_asyncio_loop() as loop:

        async def compare() -> None:
            one, other = await open_session(address, 10), await open_session(address, 10)
            try:
                await refuse_shared(one, other, "films")
                with pytest.raises(StartupError, match="films is behind a pooler in transaction"):
                    await refuse_shared(one, one, "films")
            finally:
                await one.close(1)
                await other.close(1)

        await loop.run_aio_coroutine(compare())
