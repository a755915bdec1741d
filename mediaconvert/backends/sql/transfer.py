"""Moves the rows of one catalog into another, empty one, whatever the two databases are.

Page by page in the order of the keys; how far it has come is written in the same transaction
as the page, so that an interrupted move goes on where it was. Compares afterwards, row by row.
Called by `moving` alone; the source is only read.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Driver, Param, Row
from mediaconvert.backends.sql.rows import meta_value
from mediaconvert.errors import StartupError
from mediaconvert.model import BlobId, Segment

_PAGE = 500
_STATE = "move"
"""The name in the target's `meta` under which the move's state stands."""
_ABOVE_ALL_IDS = (1 << 63) - 1

Progress = Callable[[str, int], None]
"""Told a table's name and how many of its rows have been dealt with."""


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    key: tuple[str, ...] = ("id",)
    first: tuple[Param, ...] = (-1,)
    """A key below all that exist."""
    gives_ids: bool = True
    """Whether ids are given by the database, and remembered by others."""


TABLES = (
    Table("users"),
    Table("s3_credentials"),
    Table("buckets"),
    Table("pipelines"),
    Table("pipeline_versions"),
    Table("objects"),
    Table("object_segments", ("object_id", "position"), (-1, -1), gives_ids=False),
    Table("uploads", ("id",), ("",), gives_ids=False),
    Table("upload_parts", ("upload_id", "number"), ("", -1), gives_ids=False),
    Table("part_segments", ("upload_id", "number", "position"), ("", -1, -1), gives_ids=False),
    Table("blobs", ("blob_id",), ("",), gives_ids=False),
    Table("jobs"),
    Table("job_history"),
    Table("garbage"),
    Table("outbox"),
    Table("outbox_batch", gives_ids=False),
)
"""Parents before what refers to them. Left out: failed logins, which are forgotten within a day,
and `meta`, of which only this belongs to the rows: the master key's fingerprint, by which the
secrets among them were sealed, and the clock that their deadlines are measured by."""

_MOVED_META = ("master_key_fingerprint", "clock_offset", "clock_seen")


@dataclass(frozen=True, slots=True)
class MoveState:
    """What a target says about a move into it."""

    source: str
    """Digest of the source's catalog: another one is another move."""
    done: bool = False
    reached: dict[str, list[Param]] = field(default_factory=dict)
    """The key that each table has been copied up to."""
    told: tuple[str, ...] = ()
    """The ClickHouse databases that events have been sent to, by this move or one before it."""

    def dumped(self) -> str:
        state = {"source": self.source, "done": self.done, "reached": self.reached}
        return json.dumps(state | {"told": self.told}, sort_keys=True)


class CatalogTransfer:
    """From one open database to another; both have the newest schema."""

    def __init__(self, source: Driver, target: Driver) -> None:
        self._source = source
        self._target = target

    async def begin(self, source_digest: str, events_to: str) -> MoveState:
        """What has been done already. Raises StartupError for a target that holds an
        installation of its own. A move of another state of the source begins anew, but not
        where it would send events again: `events_to` names the ClickHouse database, if any."""

        async def body(conn: Connection) -> tuple[MoveState | None, bool]:
            return await _load_state(conn), await conn.fetch_row("any_user") is not None

        state, has_users = await self._target.read(body)
        if state is None and has_users:
            raise StartupError(
                "the target database already holds an installation; a move needs an empty one, "
                "so that nobody's data is mixed with another's"
            )
        if state is not None and state.source == source_digest:
            return state
        if state is not None and state.done:
            raise StartupError(
                "the target database already holds an installation that was moved into it; "
                "to move another state of the source, give an empty database"
            )
        fresh = MoveState(source_digest)
        if state is not None:
            if events_to in state.told:
                raise StartupError(
                    "the source has been changed since an earlier try, which had begun to send "
                    f"its events to ClickHouse ({events_to}), where they would stand twice; "
                    "drop that database and name another one in CLICKHOUSE_DSN"
                )
            await self._clear()
            fresh = replace(fresh, told=state.told)
        await self._save(fresh)
        return fresh

    async def note_told(self, events_to: str) -> None:
        """Before the first event is sent there: from then on it may have some."""

        async def body(conn: Connection) -> None:
            state = await _load_state(conn)
            assert state is not None
            if events_to not in state.told:
                told = (*state.told, events_to)
                await conn.execute("meta_set", _STATE, replace(state, told=told).dumped())

        await self._target.write(body)

    async def first_waiting_event(self) -> int:
        """The least id in the source's outbox; greater than any where it is empty."""

        async def body(conn: Connection) -> Row | None:
            return await conn.fetch_row("outbox_first")

        row = await self._source.read(body)
        return _ABOVE_ALL_IDS if row is None else int(row["id"])

    async def blobs(self) -> AsyncIterator[Segment]:
        """Every blob that the source's rows refer to, whole, with its digest where there is one;
        in order of names."""
        after = ""
        while True:

            async def body(conn: Connection, after: str = after) -> Sequence[Row]:
                return await conn.fetch("blobs_used", after, _PAGE)

            page = await self._source.read(body)
            for row in page:
                digest = rows.blob_digest(row, "blob_size")
                size = int(row["size"]) if digest is None else digest.size
                yield Segment(BlobId(row["blob_id"]), 0, size, digest)
            if len(page) < _PAGE:
                return
            after = page[-1]["blob_id"]

    async def copy_rows(self, state: MoveState, tell: Progress) -> None:
        """All tables, from where `state` says that they are."""
        reached = dict(state.reached)
        for table in TABLES:
            await self._copy_table(table, replace(state, reached=reached), tell)
        await self._continue_ids()

    async def _copy_table(self, table: Table, state: MoveState, tell: Progress) -> None:
        after: Sequence[Param] = state.reached.get(table.name, list(table.first))
        copied = 0
        while page := await _page(self._source, table, after):
            after = _key(table, page[-1])
            state.reached[table.name] = list(after)
            values = [_intact_values(table, row) for row in page]
            dumped = state.dumped()

            async def body(
                conn: Connection, values: list[tuple[Param, ...]] = values, dumped: str = dumped
            ) -> None:
                await conn.execute_many(f"add_{table.name}", values)
                await conn.execute("meta_set", _STATE, dumped)

            await self._target.write(body)
            copied += len(values)
            tell(table.name, copied)

    async def _continue_ids(self) -> None:
        async def asked(conn: Connection) -> tuple[dict[str, int], dict[str, str | None]]:
            given = {row["name"]: int(row["seq"]) for row in await conn.fetch("ids_given")}
            return given, {name: await _meta(conn, name) for name in _MOVED_META}

        highest, values = await self._source.read(asked)

        async def body(conn: Connection) -> None:
            for table in TABLES:
                if table.gives_ids and table.name in highest:
                    await conn.execute("ids_continue", table.name, highest[table.name])
            for name, value in values.items():
                if value is not None:
                    await conn.execute("meta_set", name, value)

        await self._target.write(body)

    async def compare_rows(self, tell: Progress) -> None:
        """Read both sides to their ends. Raises StartupError at the first difference."""
        for table in TABLES:
            after: Sequence[Param] = table.first
            compared = 0
            while True:
                ours = await _page(self._source, table, after)
                theirs = await _page(self._target, table, after)
                if [_values(row) for row in ours] != [_values(row) for row in theirs]:
                    raise StartupError(_difference(table, ours, theirs))
                compared += len(ours)
                tell(table.name, compared)
                if len(ours) < _PAGE:
                    break
                after = _key(table, ours[-1])

    async def finish(self, state: MoveState) -> None:
        """The target is a whole installation from here on."""
        await self._save(MoveState(state.source, done=True))

    async def _save(self, state: MoveState) -> None:
        dumped = state.dumped()

        async def body(conn: Connection) -> None:
            await conn.execute("meta_set", _STATE, dumped)

        await self._target.write(body)

    async def _clear(self) -> None:
        for table in reversed(TABLES):

            async def body(conn: Connection, query: str = f"clear_{table.name}") -> int:
                return await conn.execute(query, _PAGE)

            while await self._target.write(body):
                pass


async def refuse_unfinished_move(driver: Driver) -> None:
    """Raises StartupError where a move into this database was begun and not finished."""
    state = await driver.read(_load_state)
    if state is not None and not state.done:
        raise StartupError(
            "a move into this installation was begun and is not finished; run the same "
            "`mediaconvert move` again, then start"
        )


async def _load_state(conn: Connection) -> MoveState | None:
    text = await _meta(conn, _STATE)
    if not text:
        return None
    found = json.loads(text)
    return MoveState(
        found["source"],
        bool(found["done"]),
        dict(found["reached"]),
        tuple(found.get("told", ())),
    )


async def _meta(conn: Connection, name: str) -> str | None:
    row = await conn.fetch_row("meta_get", name)
    return None if row is None else meta_value(row)


async def _page(driver: Driver, table: Table, after: Sequence[Param]) -> Sequence[Row]:
    async def body(conn: Connection) -> Sequence[Row]:
        return await conn.fetch(f"move_{table.name}", *after, _PAGE)

    return await driver.read(body)


def _values(row: Row) -> tuple[Param, ...]:
    # Both drivers' rows are sequences too, in the order of the query's columns.
    return tuple(cast("Iterable[Param]", row))


def _intact_values(table: Table, row: Row) -> tuple[Param, ...]:
    values = _values(row)
    for value in values:
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                key = ", ".join(f"{column} {row[column]!a}" for column in table.key)
                raise StartupError(
                    f"the row of {table.name} with {key} is damaged (a text is not UTF-8); restore "
                    "the source from a backup or delete the row, then move again"
                ) from None
    return values


def _key(table: Table, row: Row) -> tuple[Param, ...]:
    return tuple(row[column] for column in table.key)


def _difference(table: Table, ours: Sequence[Row], theirs: Sequence[Row]) -> str:
    known = {_key(table, row): _values(row) for row in theirs}
    for row in ours:
        if known.get(_key(table, row)) != _values(row):
            key = ", ".join(f"{c} {v!r}" for c, v in zip(table.key, _key(table, row), strict=True))
            return (
                f"after the copy the row of {table.name} with {key} is not the same in the "
                "target; was a node running on it? Move into an empty database again"
            )
    return (
        f"after the copy the target has rows of {table.name} that the source has not; was a "
        "node running on it? Move into an empty database again"
    )
