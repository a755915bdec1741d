"""What DATABASE_URL may be, and the sentence for what it may not."""

from __future__ import annotations

import inspect
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri
from mediaconvert.errors import StartupError


def test_the_original_programs_form_is_understood() -> None:
    address = parse_postgres_uri(
        "postgres://user:password@localhost:5432/mediaconvert?sslmode=disable"
    )
    assert (address.hosts, address.ports, address.database) == (
        ("localhost",),
        (5432,),
        "mediaconvert",
    )
    assert address.dsn == "postgresql://user:password@/mediaconvert?sslmode=disable"
    assert address.server_settings == {"application_name": "mediaconvert"}
    assert address.connect_seconds is None
    assert address.shown == "localhost:5432/mediaconvert"


@pytest.mark.parametrize(
    ("uri", "hosts", "ports"),
    [
        ("postgresql://h/d", ("h",), (5432,)),
        ("postgresql://", (), ()),
        ("postgres:///d", (), ()),
        ("postgres://:6000/d", ("localhost",), (6000,)),
        ("postgres://u@[::1]:6000/d", ("::1",), (6000,)),
        ("postgres://[fe80::1]/d", ("fe80::1",), (5432,)),
        ("postgres://a:1,b,c:3/d", ("a", "b", "c"), (1, 5432, 3)),
        ("postgres://a,b/d?port=7", ("a", "b"), (7, 7)),
        ("postgres://a,b/d?port=7,8", ("a", "b"), (7, 8)),
        ("postgres://a:1/d?port=7", ("a",), (7,)),
        ("postgres:///d?host=/var/run/postgresql", ("/var/run/postgresql",), (5432,)),
        ("postgres://ignored/d?host=/run&port=7", ("/run",), (7,)),
        ("postgres://%2Fvar%2Frun/d", ("/var/run",), (5432,)),
        ("postgres:///d?hostaddr=10.0.0.1", ("10.0.0.1",), (5432,)),
        ("postgres://localhost:6000/d?host=/cloudsql/films", ("/cloudsql/films",), (6000,)),
        ("postgres://:6000/d?host=/cloudsql/films", ("/cloudsql/films",), (6000,)),
        ("postgres://h:6000/d?hostaddr=10.0.0.1", ("10.0.0.1",), (6000,)),
        ("postgres://h:6000/d?host=a,b", ("a", "b"), (6000, 6000)),
        ("postgres://h:6000,i/d?host=a,b", ("a", "b"), (6000, 5432)),
        ("postgres://h:6000/d?host=a&port=7", ("a",), (7,)),
        ("postgres://h,i/d?host=a", ("a",), (5432,)),
    ],
)
def test_hosts_come_in_many_forms(uri: str, hosts: tuple[str, ...], ports: tuple[int, ...]) -> None:
    address = parse_postgres_uri(uri)
    assert (address.hosts, address.ports) == (hosts, ports)


@pytest.mark.parametrize(
    ("auth", "user", "password"),
    [
        ("u:p%40ss%2F%3F", "u", "p@ss/?"),
        ("u:p@ss", "u", "p@ss"),
        ("u:p#w", "u", "p#w"),
        ("u:p%25", "u", "p%"),
        ("u:a+b:c", "u", "a+b:c"),
        ("%C3%BC", "ü", None),
    ],
)
def test_a_password_may_hold_anything(auth: str, user: str, password: str | None) -> None:
    import asyncpg.connect_utils as theirs  # asyncpg's own reading of what we hand over

    address = parse_postgres_uri(f"postgres://{auth}@h/d?application_name=x")
    names = inspect.signature(theirs._parse_connect_dsn_and_args).parameters
    given = {"dsn": address.dsn, "host": list(address.hosts), "port": list(address.ports)}
    _, params = theirs._parse_connect_dsn_and_args(**(dict.fromkeys(names) | given))
    assert (params.user, params.database) == (user, "d")
    assert password is None or params.password == password


def test_what_libpq_knows_and_asyncpg_does_not_reaches_nobody() -> None:
    address = parse_postgres_uri(
        "postgres://h/d?keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3"
        "&tcp_user_timeout=1000&gssencmode=disable&channel_binding=prefer&sslsni=1"
        "&client_encoding=LATIN1&load_balance_hosts=random&require_auth=scram-sha-256"
    )
    assert urlsplit(address.dsn).query == ""
    assert address.server_settings == {"application_name": "mediaconvert"}


def test_what_the_server_takes_reaches_it_and_the_rest_is_asyncpgs() -> None:
    address = parse_postgres_uri(
        "postgres://h/d?application_name=one%20two&options=-c%20search_path%3Dmedia"
        "&connect_timeout=3&target_session_attrs=read-write&sslmode=require&dbname=e"
    )
    assert address.server_settings == {
        "application_name": "one two",
        "options": "-c search_path=media",
    }
    assert address.connect_seconds == 3.0
    assert address.database == "e"
    assert parse_qs(urlsplit(address.dsn).query) == {
        "target_session_attrs": ["read-write"],
        "sslmode": ["require"],
    }


def test_words_of_other_programs_are_understood() -> None:
    assert "sslmode=require" in parse_postgres_uri("postgres://h/d?ssl=true").dsn
    assert "sslmode=require" in parse_postgres_uri("postgres://h/d?requiressl=1").dsn
    assert parse_postgres_uri("postgres://h/d?pgbouncer=false").dsn == "postgresql:///d"
    assert parse_postgres_uri("postgres://h?database=x").database == "x"
    assert parse_postgres_uri("postgres://h/d?sslmode=verify-full&sslrootcert=system").trusts_system
    named = parse_postgres_uri("postgres://h/d?fallback_application_name=x")
    assert named.server_settings == {"application_name": "x"}


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("localhost:5432", "begin with postgres://"),
        ("", "begin with postgres://"),
        ("postgres://u:hunter2@db..internal/d", "'db..internal' cannot be the name of a host"),
        (f"postgres://h/d?host={'x' * 64}", f"'{'x' * 64}' cannot be the name of a host"),
        ("mysql://u:hunter2@h/d", "'mysql://' where postgres:// belongs"),
        ("postgres://u:hunter2/x@h/d", "written %2F or %3F"),
        ("postgres://u:hunter2%zz@h/d", "the user or the password holds a '%'"),
        ("postgres://u:hunter2%00@h/d", "holds %00"),
        ("postgres://h:port/d", "the port 'port'"),
        ("postgres://h:70000/d", "the port '70000'"),
        ("postgres://::1/d", r"'::1' should stand in \[ and \]"),
        ("postgres://[::1/d", r"should stand in \[ and \]"),
        ("postgres://a,b/d?port=1,2,3", "2 hosts and 3 ports"),
        ("postgres://a,b/d?hostaddr=10.0.0.1", r"hosts \(2\) and hostaddr \(1\)"),
        ("postgres://a:1,b:2/d?host=c", "1 host and 2 ports"),
        ("postgres://h/d?sslmode=required", "did you mean 'require'"),
        ("postgres://h/d?target_session_attrs=master", "may be any, read-write"),
        ("postgres://h/d?aplication_name=x", "did you mean 'application_name'"),
        ("postgres://h/d?connect_timeout=soon", "whole number of seconds"),
        ("postgres://h/d?password", "name=value"),
        ("postgres://h/d?sslrootcert=/none/root.crt", "/none/root.crt cannot be read"),
    ],
)
def test_a_wrong_uri_is_one_sentence_without_the_password(uri: str, sentence: str) -> None:
    with pytest.raises(StartupError, match=sentence) as caught:
        parse_postgres_uri(uri)
    text = str(caught.value)
    assert "\n" not in text
    assert "hunter2" not in text


def test_the_password_is_in_no_repr(tmp_path: Path) -> None:
    assert "hunter2" not in repr(parse_postgres_uri("postgres://u:hunter2@h/d?password=hunter2"))


def test_pgbouncers_transaction_mode_is_refused_with_what_to_use() -> None:
    with pytest.raises(StartupError, match="session mode"):
        parse_postgres_uri("postgres://h/d?pgbouncer=true")
