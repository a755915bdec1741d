"""Where the database's password is looked up that DATABASE_URL does not have, and for whom.
(What a line means is tried against psql, in tests/conformance/test_postgres_opening.py.)"""

from __future__ import annotations

import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.backends.sql.postgres_passfile import find_password
from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri
from mediaconvert.errors import StartupError


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def looked_up(uri: str) -> tuple[Path, tuple[tuple[str, str], ...], str, str]:
    found = parse_postgres_uri(uri).password_file
    assert found is not None
    return found.path, found.places, found.database, found.user


def test_it_is_looked_up_for_what_the_uri_says(tmp_path: Path) -> None:
    assert looked_up("postgres://u@a:1,b/d") == (
        tmp_path / ".pgpass",
        (("a", "1"), ("b", "5432")),
        "d",
        "u",
    )
    assert looked_up("postgres://u@h/d?user=v&dbname=e&passfile=/x") == (
        Path("/x"),
        (("h", "5432"),),
        "e",
        "v",
    )


@pytest.mark.parametrize(
    ("uri", "hosts"),
    [
        ("postgres://u@h:9/d?hostaddr=127.0.0.1", ["h"]),
        ("postgres://u@h,i/d?hostaddr=127.0.0.1,127.0.0.2", ["h", "i"]),
        ("postgres://u@h/d?host=i&hostaddr=127.0.0.1", ["i"]),
        ("postgres://u@h,i/d?host=,j&hostaddr=127.0.0.1,127.0.0.2", ["127.0.0.1", "j"]),
        ("postgres://u@/d?hostaddr=127.0.0.1", ["127.0.0.1"]),
        ("postgres://u@:9/d?hostaddr=127.0.0.1", ["127.0.0.1"]),
    ],
)
def test_it_is_looked_up_by_the_host_where_an_address_is_given_too(
    uri: str, hosts: list[str]
) -> None:
    assert [host for host, _ in looked_up(uri)[1]] == hosts


def test_what_the_uri_does_not_say_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        *(("PGUSER", "u"), ("PGDATABASE", "d"), ("PGPASSFILE", "/x")),
        *(("PGHOST", "a,b"), ("PGPORT", "7")),
    ):
        monkeypatch.setenv(name, value)
    assert looked_up("postgres://") == (Path("/x"), (("a", "7"), ("b", "7")), "d", "u")
    monkeypatch.delenv("PGDATABASE")
    assert looked_up("postgres://h")[1:] == ((("h", "5432"),), "u", "u")


def test_what_neither_says_a_named_service_does(tmp_path: Path) -> None:
    services = tmp_path / ".pg_service.conf"
    services.write_text("[films]\nhost=h\nport=7\nuser=u\ndbname=d\n[other]\npassword=hunter2\n")
    home = tmp_path / ".pgpass"
    assert looked_up("postgres://?service=films") == (home, (("h", "7"),), "d", "u")
    assert looked_up("postgres://v@/e?service=films")[2:] == ("e", "v")
    assert parse_postgres_uri("postgres://u@h/d?service=other").password_file is None
    services.write_text("password=hunter2\n")
    with pytest.raises(StartupError, match="is not understood") as told:
        parse_postgres_uri("postgres://?service=films")
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("uri", ["postgres://u:p@h/d", "postgres://u@h/d?password=p"])
def test_a_password_that_is_given_is_not_looked_up(uri: str) -> None:
    assert parse_postgres_uri(uri).password_file is None


def test_a_password_of_the_environment_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "p")
    assert parse_postgres_uri("postgres://u@h/d").password_file is None


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("", "localhost"),
        ("/tmp", "localhost"),
        ("/var/run/postgresql", "localhost"),
        ("/srv/postgresql", "/srv/postgresql"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_a_socket_at_its_usual_place_is_called_localhost_too(host: str, named: str) -> None:
    assert find_password(f"{named}:5432:d:u:word", host, "5432", "d", "u") == "word"
    other = "h" if named == "localhost" else "localhost"
    assert find_password(f"{other}:5432:d:u:word", host, "5432", "d", "u") is None


@pytest.mark.parametrize("folder", ["/tmp", "/var/run/postgresql"])
def test_a_socket_at_its_usual_place_may_be_named_by_its_folder(folder: str) -> None:
    # Which of them is the usual place, and so called localhost alone, differs among libpqs.
    assert find_password(f"{folder}:5432:d:u:word", folder, "5432", "d", "u") == "word"
    assert find_password(f"{folder}:5432:d:u:word", "", "5432", "d", "u") is None


# As libpq 18 answers (PQpass).
@pytest.mark.parametrize(
    ("line", "host", "database", "word"),
    [
        ("::1:9:d:u:six", "::1", "d", "six"),
        (r"\:\:1:9:d:u:six", "::1", "d", "six"),
        (r":\:1:9:d:u:six", "::1", "d", "six"),
        ("::1:9:d:u:six", ":", "d", None),
        ("*:9:d:u:six", "::1", "d", "six"),
        ("h:9:a:b:u:word", "h", "a:b", "word"),
        ("h:9:a:b:u:word", "h", "a", None),
        (r"h:9:d\:u:word", "h", "d", None),
        (r"h:9:d\\b:u:word", "h", r"d\b", "word"),
        (r"h:9:d\b:u:word", "h", r"d\b", None),
        (r"h:9:d\b:u:word", "h", "db", "word"),
        (r"h:9:\*:u:word", "h", "*", "word"),
        (r"h:9:\*:u:word", "h", "d", None),
        ("**:9:d:u:word", "h", "d", None),
        ("h:9:d:u", "h", "d", None),
        ("h:9:d:u:", "h", "d", ""),
        ("h:9:d:u:wo:rd", "h", "d", "wo"),
        ("h:9:d:u:w\\:o\\\\r\\d\\", "h", "d", "w:o\\rd\\"),
    ],
)
def test_a_line_is_read_by_what_is_looked_for(
    line: str, host: str, database: str, word: str | None
) -> None:
    assert find_password(line, host, "9", database, "u") == word


@given(
    st.lists(st.text(string.printable.replace("\n", "").replace("\r", "")), min_size=5, max_size=5)
)
def test_whatever_is_escaped_is_found(fields: list[str]) -> None:
    line = ":".join(f.replace("\\", "\\\\").replace(":", "\\:") for f in fields)
    if line.startswith("#") or not fields[0]:
        return
    assert find_password(f"{line}\n", *fields[:4]) == fields[4]


@given(st.text(":\\*ab\n#\r", max_size=60))
def test_no_file_is_too_strange(text: str) -> None:
    find_password(text, "a", "b", "a", "b")


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "below a file"])
def test_a_file_that_is_none_has_no_password(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "passwords"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "below a file":
            path.touch()
            path /= "passwords"
    found = parse_postgres_uri(f"postgres://u@h/d?passfile={path}").password_file
    assert found is not None
    assert (found.password(), found.password()) == ("", "")
    # What is not there at all is nothing to complain of.
    said = [record.getMessage() for record in caplog.records]
    strange = [f"the password file {path} is not used: it is not a plain file"]
    assert said == (strange if kind in ("folder", "pipe") else [])
