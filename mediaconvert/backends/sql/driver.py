"""What a transaction is, whatever the database: one `async def body(connection)`.

The body awaits only its connection and has no other effect, for it may run again. Statements
are called by name; their texts stand in `*.sql` files, and no module here holds or builds SQL.
Called by the subjects of the catalog and by the SQL analytics; implemented by `sqlite.py` and
`postgres.py`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from enum import Enum, auto
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mediaconvert.backends.sql.damage import DamageLog
from mediaconvert.errors import DamagedRecord, MediaConvertError, Unavailable

if TYPE_CHECKING:
    from mediaconvert.backends.sql.clock import CatalogClock

T = TypeVar("T")

Param = str | int | float | bytes | None


class Row(Protocol):
    """A row of an answer. The one place where SQL's values enter untyped: `rows.py` and its
    like give them their types."""

    def __getitem__(self, column: str, /) -> Any: ...


class Connection(Protocol):
    """The database inside one transaction."""

    @property
    def damage(self) -> DamageLog:
        """Where a body notes the damaged rows that it leaves out. One that is raised as
        DamagedRecord is noted by the driver."""

    @property
    def reads_raw_indexes(self) -> bool:
        """An index is read without its table: where the two differ, a search in it may end too
        early (SQLite)."""

    def fetch(self, query: str, *params: Param) -> Awaitable[Sequence[Row]]:
        """All rows of a named query."""

    def fetch_first(self, query: str, *params: Param) -> Awaitable[Sequence[Row]]:
        """As `fetch`, of a plain SELECT and in no order. Where it is the first thing that a
        writing transaction asks, `now_us` and `steady_us` cost no trip of their own afterwards.
        A text may say `instant()` or `steady()` for either clock, as its statement began."""

    def fetch_row(self, query: str, *params: Param) -> Awaitable[Row | None]:
        """Its first row, if any."""

    def fetch_one(self, query: str, *params: Param) -> Awaitable[Row]:
        """The row of a query that always answers one (an aggregate, `insert … returning`).
        Raises DamagedRecord where it does not, which only records can cause that contradict
        each other."""

    def execute(self, query: str, *params: Param) -> Awaitable[int]:
        """Run it for its effect; answers how many rows it changed."""

    def execute_many(self, query: str, rows: Iterable[Sequence[Param]]) -> Awaitable[None]:
        """Run it once a row of parameters. It answers nothing (no `returning`)."""

    def now_us(self) -> Awaitable[int]:
        """The database's wall clock, microseconds since 1970 UTC; one instant a transaction.
        For dates that are shown."""

    def steady_us(self) -> Awaitable[int]:
        """The same instant by the catalog's steady clock (see `clock.py`), which cannot be set.
        For everything that is due or expires. The schema is the catalog's."""


Body = Callable[[Connection], Coroutine[Any, Any, T]]


class Isolation(Enum):
    """What a writing transaction may see of others that run at once."""

    SERIALIZABLE = auto()
    """As if it ran alone; it is run again where that cannot be kept up."""
    STATEMENT = auto()
    """Each statement sees what is committed by then. For bodies that lock the rows which they
    go by before they look further, and whose writes carry their guards in their WHERE clauses:
    what is busy (uploads, claims, the ends of jobs). As serializable ones they would disturb
    each other for no reason but that their rows share a page of an index: measured, with ten
    jobs finishing at once the greater part of the attempts was for nothing. SQLite makes no
    difference."""


class Driver(Protocol):
    """One database."""

    @property
    def damage(self) -> DamageLog:
        """What has been found damaged in it."""

    async def check_file(self) -> None:
        """As Housekeeping.check_file."""

    @property
    def version(self) -> str:
        """The database and its version, as `/ready` says it: `PostgreSQL 18.1`."""

    @property
    def clock(self) -> CatalogClock:
        """What this process knows of the catalog's clock."""

    async def write(self, body: Body[T], *, isolation: Isolation = Isolation.SERIALIZABLE) -> T:
        """Run a transaction, shielded and with a deadline once it has begun. What the body
        raises rolls it back and comes out. Raises Unavailable, StorageFull."""

    async def read(self, body: Body[T]) -> T:
        """Run a transaction that only reads, on one snapshot, without waiting for writers."""

    async def settle(self) -> None:
        """Return when no earlier write of this driver, given up while its commit was under
        way, can be done any more: what is read from now on stays true. Raises Unavailable."""


def no_row(query: str) -> DamagedRecord:
    """For implementations of `fetch_one`."""
    return DamagedRecord("query", query, "it found no row where there is always one")


class UniqueViolation(MediaConvertError):
    """A row with that unique value exists. Bodies turn it into their refusal; the
    transaction is lost by then."""


def nothing_changed(message: str, retry_after_seconds: int = 1, *, reason: str = "") -> Unavailable:
    """Why a transaction was not done, for whoever asked for it; who only wants to know how the
    database is (`/ready`) is told the reason alone."""
    return Unavailable(
        f"{message}; nothing was changed", retry_after_seconds, reason=reason or message
    )


class QueryError(MediaConvertError):
    """The files of named queries are wrong: a mistake of the program, found at load."""


_NAME = re.compile(r"-- name: (?P<name>[a-z0-9_]+)(?: \[(?P<dialect>[a-z]+)\])?\s*$")
# Outside of quotes, which our statements use for literals without any $ in them.
_PARAM = re.compile(r"\$(\d+)")
_IDS = re.compile(r"\bids_in\((\$\d+)\)")
_IDS_IN = {
    "sqlite": r"(select value from json_each(\1))",
    "postgres": r"(select cast(value as bigint) from json_array_elements_text(cast(\1 as json)))",
}
_INSTANT = re.compile(r"\binstant\(\)")
_INSTANTS = {
    # What the index can be searched for: one value a statement.
    "postgres": "cast(extract(epoch from statement_timestamp()) * 1000000 as bigint)",
    # It knows milliseconds; rounding takes out what the day's fraction adds to them.
    "sqlite": "(select cast(round((julianday('now') - 2440587.5) * 86400000.0) as integer) * 1000)",
}
_STEADY = re.compile(r"\bsteady\(\)")
_OFFSET = "select cast(value as bigint) from meta where name = 'clock_offset'"
_JSON_ROWS = re.compile(r"\bjson_rows\(([^()]*)\)")
_JSON_ROWS_OF = {
    "postgres": r"json_agg(json_build_array(\1))",
    "sqlite": r"json_group_array(json_array(\1))",
}
_ROW_LOCK = re.compile(
    r"\s+for (?:no key update|update|share|key share)(?: of \w+)?(?: skip locked)?\b"
)


def load_queries(folder: Traversable, dialect: str) -> Mapping[str, str]:
    """The named queries of `*.sql` in a folder, as that dialect runs them.

    A block begins with `-- name: some_query`; `-- name: some_query [sqlite]` is that
    dialect's override of it and wins. Raises QueryError for a name given twice."""
    plain: dict[str, str] = {}
    overrides: dict[str, str] = {}
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".sql"):
            continue
        for name, only, text in _blocks(file.name, file.read_text(encoding="utf-8")):
            if only not in (None, dialect):
                continue
            target = plain if only is None else overrides
            if name in target:
                raise QueryError(f"{file.name}: the query '{name}' exists already; rename one")
            target[name] = text
    return {name: _translate(text, dialect) for name, text in (plain | overrides).items()}


def _blocks(file_name: str, text: str) -> Iterable[tuple[str, str | None, str]]:
    name: str | None = None
    dialect: str | None = None
    lines: list[str] = []
    for line in text.splitlines():
        found = _NAME.match(line)
        if found is None:
            if name is not None:
                lines.append(line)
            elif line.strip() and not line.startswith("--"):
                raise QueryError(f"{file_name}: SQL before the first '-- name:' line: {line!r}")
            continue
        if name is not None:
            yield name, dialect, "\n".join(lines).strip()
        name, dialect, lines = found["name"], found["dialect"], []
    if name is not None:
        yield name, dialect, "\n".join(lines).strip()


def _translate(text: str, dialect: str) -> str:
    # `in ids_in($1)`: the numbers of a JSON array.
    text = _IDS.sub(_IDS_IN.get(dialect, r"\g<0>"), text)
    # `json_rows(a, b)`: all rows of a subquery as one JSON array of arrays; of none, null or empty.
    text = _JSON_ROWS.sub(_JSON_ROWS_OF.get(dialect, r"\g<0>"), text)
    # One value a statement, as `instant()` is.
    text = _STEADY.sub(f"(select instant() - coalesce(({_OFFSET}), 0))", text)
    text = _INSTANT.sub(_INSTANTS.get(dialect, r"\g<0>"), text)
    # To SQLite `$1` is a parameter *named* $1, numbered by its first appearance: it would
    # bind in the wrong order. `?1` is the one that is numbered as written.
    # Row locks mean nothing to it: a transaction that writes is alone.
    return _PARAM.sub(r"?\1", _ROW_LOCK.sub("", text)) if dialect == "sqlite" else text
