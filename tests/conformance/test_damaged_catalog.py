"""Single bytes of a SQLite catalog flipped: refused at the start in one sentence, or served but for
what the byte belonged to. Never a traceback."""

from __future__ import annotations

import random
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from mediaconvert.backends.sql.catalog import open_sqlite_catalog, open_sqlite_driver, sql_catalog
from mediaconvert.backends.sql.sqlite_check import quick_check
from mediaconvert.errors import (
    CatalogDamaged,
    DamagedRecord,
    MediaConvertError,
    StartupError,
)
from mediaconvert.model import ListQuery
from mediaconvert.ports.catalog import Catalog
from tests.conformance.damaged_catalogs import OBJECTS, Filled, fill, reads, writes

FLIPS = 60
SENTENCE = r"^the database \S+ (is damaged|cannot be opened|has schema version) .+$"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Filled]:
    """A catalog's bytes, and what is in it."""
    path = tmp_path_factory.mktemp("sound") / "catalog.db"
    filled = trio.run(fill, path)
    return path.read_bytes(), filled


def _flipped(data: bytes, position: int, bit: int) -> bytes:
    return data[:position] + bytes([data[position] ^ (1 << bit)]) + data[position + 1 :]


@pytest.mark.parametrize("seed", range(FLIPS))
async def test_a_flipped_bit_anywhere_is_never_a_traceback(
    tmp_path: Path, sound: tuple[bytes, Filled], seed: int
) -> None:
    data, filled = sound
    chance = random.Random(seed)
    # Free space is zeros; a flip in it changes nothing.
    position = chance.choice([at for at, byte in enumerate(data) if byte])
    path = tmp_path / "catalog.db"
    path.write_bytes(_flipped(data, position, chance.randrange(8)))
    try:
        driver = open_sqlite_driver(path)
        opened = await driver.__aenter__()
    except StartupError as error:
        assert re.match(SENTENCE, str(error))
        return
    try:
        await _use(sql_catalog(opened), filled)
    finally:
        await driver.__aexit__(None, None, None)


async def _use(catalog: Catalog, filled: Filled) -> None:
    for calls in (reads(catalog, filled), writes(catalog, filled)):
        for call in calls.values():
            try:
                await call()
            except MediaConvertError as error:
                assert str(error)


async def test_a_flipped_bit_in_one_row_costs_no_other_row(
    tmp_path: Path, sound: tuple[bytes, Filled]
) -> None:
    """Every byte of one object's values, one after another."""
    data, filled = sound
    others = [f"folder/object-{number:02}.mp4" for number in range(OBJECTS) if number != 5]
    # In the table's row only the key has its further columns behind it.
    start = data.index(b"folder/object-05.mp4\x0ae1video/mp4")
    errors = 0
    for position in range(start, start + 54):
        path = tmp_path / f"{position}.db"
        path.write_bytes(_flipped(data, position, 7))
        async with open_sqlite_catalog(path, readers=1) as catalog:
            page = await catalog.objects.list(filled.ref, ListQuery(prefix="folder/"))
            assert {each.key for each in page.objects} >= set(others)
            for key in others:
                assert (await catalog.objects.get(filled.ref, key)).etag == "e1"
            try:
                await catalog.objects.get(filled.ref, "folder/object-05.mp4")
            except DamagedRecord:
                errors += 1
    # The key is read from the index, and some flips make the time another valid one.
    assert errors >= 25


def _exchange(path: Path, data: bytes, old: bytes, new: bytes) -> None:
    """Write the file with known bytes exchanged in it, wherever they are."""
    assert old in data and len(old) == len(new)
    path.write_bytes(data.replace(old, new))


async def test_bytes_that_are_not_utf_8_are_found_row_by_row(
    tmp_path: Path, sound: tuple[bytes, Filled]
) -> None:
    data, filled = sound
    path = tmp_path / "catalog.db"
    _exchange(path, data, b"object-03.mp4", b"object-03.mp\xb4")
    async with open_sqlite_catalog(path) as catalog:
        for query in (ListQuery("folder/"), ListQuery("folder/obj", "/"), ListQuery(limit=1000)):
            page = await catalog.objects.list(filled.ref, query)
            keys = [each.key for each in page.objects if each.key.startswith("folder/")]
            assert keys == [f"folder/object-{n:02}.mp4" for n in range(OBJECTS) if n != 3]
        assert catalog.housekeeping.damage.report().records == 1


async def test_a_listing_by_delimiter_goes_on_past_a_damaged_first_key(
    tmp_path: Path, sound: tuple[bytes, Filled]
) -> None:
    data, filled = sound
    path = tmp_path / "catalog.db"
    _exchange(path, data, b"object-00.mp4", b"object-00.mp\xb4")
    async with open_sqlite_catalog(path) as catalog:
        query = ListQuery("folder/object-", "/")
        page = await catalog.objects.list(filled.ref, query)
        assert len(page.objects) == OBJECTS - 1


IN_THE_TABLE = b"\x0ae1video/mp4"
"""What follows the key there: the size, the ETag and the type."""


def _exchange_in_index(path: Path, data: bytes, old: bytes, new: bytes) -> None:
    """The index of objects has another key than the table, in the same place."""
    assert len(old) == len(new)
    found = [each.start() for each in re.finditer(re.escape(old), data)]
    where = [at for at in found if not data[at + len(old) :].startswith(IN_THE_TABLE)]
    assert 1 <= len(where) < len(found)
    for at in where:
        data = data[:at] + new + data[at + len(new) :]
    path.write_bytes(data)


WRONG_KEYS = {
    "greater": b"folder/pbject-03.mp4",
    "greater at its end": b"folder/object-13.mp4",
    "greater than what has its prefix": b"golder/object-03.mp4",
    "greater than every key": b"\xe6older/object-03.mp4",
    "without the delimiter": b"folder\xafobject-03.mp4",
}


@pytest.mark.parametrize("what", WRONG_KEYS)
@pytest.mark.parametrize("limit", [1, 3, 1000])
@pytest.mark.parametrize("prefix", ["", "folder/object-"])
@pytest.mark.parametrize("delimiter", ["", "/", "."])
async def test_a_wrong_key_in_the_index_hides_no_other(
    tmp_path: Path,
    sound: tuple[bytes, Filled],
    what: str,
    limit: int,
    prefix: str,
    delimiter: str,
) -> None:
    """All others are listed; where the index hides them, the request fails."""
    data, filled = sound
    (tmp_path / "sound.db").write_bytes(data)
    expected = await _listed(tmp_path / "sound.db", filled, prefix, delimiter, limit)
    expected.discard("folder/object-03.mp4")
    path = tmp_path / "catalog.db"
    _exchange_in_index(path, data, b"folder/object-03.mp4", WRONG_KEYS[what])
    try:
        found = await _listed(path, filled, prefix, delimiter, limit)
    except DamagedRecord:
        # A search that meets the wrong key goes astray, which the end of the listing shows.
        assert (prefix, delimiter, what) != ("", "", "greater")
    else:
        assert found >= expected - {"folder/object-03."}


async def _listed(path: Path, filled: Filled, prefix: str, delimiter: str, limit: int) -> set[str]:
    found: set[str] = set()
    async with open_sqlite_catalog(path, readers=1) as catalog:
        after: str | None = ""
        while after is not None:
            query = ListQuery(prefix, delimiter, after, limit)
            page = await catalog.objects.list(filled.ref, query)
            found |= {each.key for each in page.objects} | set(page.common_prefixes)
            assert page.next_after is None or page.next_after > after
            after = page.next_after
    return found


async def test_a_page_that_breaks_while_the_service_runs_is_said_and_counted(
    tmp_path: Path, sound: tuple[bytes, Filled]
) -> None:
    data, filled = sound
    path = tmp_path / "catalog.db"
    path.write_bytes(data)
    told: list[str] = []
    async with open_sqlite_catalog(path, readers=1) as catalog:
        catalog.housekeeping.damage.observe(told.append)
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw:
            query = "select rootpage from sqlite_master where name = 'objects'"
            (page,) = raw.execute(query).fetchone()
            size = raw.execute("pragma page_size").fetchone()[0]
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff" * 12)
        with pytest.raises(CatalogDamaged, match="its operator has to restore it"):
            await catalog.objects.get(filled.ref, "folder/object-05.mp4")
        report = catalog.housekeeping.damage.report()
        assert f"the database {path} is damaged" in report.file
        assert "restore catalog.db from a backup" in report.file
        assert told == ["file"]
        # What is in other pages is served.
        assert (await catalog.buckets.get(filled.ref)).name == filled.ref.name


@pytest.mark.parametrize("limit", [("START_SECONDS", -1.0), ("START_BYTES", 1)])
async def test_a_check_that_had_no_time_at_the_start_is_finished_later(
    tmp_path: Path,
    sound: tuple[bytes, Filled],
    monkeypatch: pytest.MonkeyPatch,
    limit: tuple[str, float],
) -> None:
    data, _ = sound
    path = tmp_path / "catalog.db"
    # A NULL where none may be: the record's header says so, in one byte.
    path.write_bytes(data)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("pragma writable_schema = on")
        raw.execute(
            "update sqlite_master set sql = replace(sql, 'region text not null', 'region text')"
            " where name = 'buckets'"
        )
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("update buckets set region = null")
        raw.execute("pragma writable_schema = on")
        raw.execute(
            "update sqlite_master set sql = replace(sql, 'region text', 'region text not null')"
            " where name = 'buckets'"
        )
    monkeypatch.setattr(f"mediaconvert.backends.sql.sqlite.{limit[0]}", limit[1])
    async with open_sqlite_catalog(path) as catalog:
        damage = catalog.housekeeping.damage
        assert damage.report().records == 0
        await catalog.housekeeping.check_file()
        assert damage.report().shown == ("buckets unknown",)
    monkeypatch.undo()
    async with open_sqlite_catalog(path) as catalog:
        assert catalog.housekeeping.damage.report().shown == ("buckets unknown",)


def test_a_check_in_time_and_one_out_of_time(tmp_path: Path, sound: tuple[bytes, Filled]) -> None:
    data, _ = sound
    path = tmp_path / "catalog.db"
    path.write_bytes(data)
    assert quick_check(path, seconds=60).is_complete
    assert not quick_check(path, seconds=-1).is_complete
    assert [file.name for file in tmp_path.iterdir()] == ["catalog.db"], "nothing is made"


def test_a_gentle_check_goes_table_by_table(tmp_path: Path, sound: tuple[bytes, Filled]) -> None:
    data, _ = sound
    path = tmp_path / "catalog.db"
    path.write_bytes(data)
    assert quick_check(path, seconds=60, is_gentle=True).is_complete
    assert not quick_check(path, seconds=-1, is_gentle=True).is_complete
    asked = 0

    def is_stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    assert not quick_check(path, seconds=60, is_gentle=True, is_stopped=is_stopped).is_complete
    with closing(sqlite3.connect(path)) as raw:
        query = "select rootpage from sqlite_master where name = 'job_history'"
        (page,) = raw.execute(query).fetchone()
        size = raw.execute("pragma page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 12)
    assert quick_check(path, seconds=60, is_gentle=True).file is not None
