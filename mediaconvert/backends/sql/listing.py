"""Pages of keys: prefix, delimiter and a place to go on from, each at the cost of a page.

Keys are in the order of their UTF-8 bytes, which is also the order of Python's strings and of
SQL's binary collation. A common prefix costs one index seek, however many keys it stands for.
Called by the catalog's objects and uploads, inside one reading transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Param, Row
from mediaconvert.backends.sql.values import readable
from mediaconvert.errors import DamagedRecord
from mediaconvert.model import ListedObject, ListPage, ListQuery, Upload, UploadPage

LAST = "\U0010ffff" * 257
"""Follows every key: keys have at most 1,024 bytes, this has 1,028 of the greatest character.
So `prefix + LAST` is greater than whatever begins with the prefix, and less than what follows,
without the pitfalls of computing a "next string"."""

# Upload ids are hex digits: this is greater than any.
_AFTER_ALL_UPLOADS = "~"
_MOST_TIMES = 16
"""A page full of damaged rows is given up when so many times its rows did not fill it."""


def common_prefix(key: str, query: ListQuery) -> str | None:
    """The key up to and with the first delimiter after the prefix, if it has one."""
    if not query.delimiter:
        return None
    end = key.find(query.delimiter, len(query.prefix))
    return None if end < 0 else key[: end + len(query.delimiter)]


def start_after(query: ListQuery) -> str:
    """Keys greater than this are wanted. A common prefix that is not greater than
    `query.after` is not listed again, so all that it stands for is left out."""
    if query.after.startswith(query.prefix):
        prefix = common_prefix(query.after, query)
        if prefix is not None:
            return prefix + LAST
    return query.after


async def list_objects(conn: Connection, bucket_id: int, query: ListQuery) -> ListPage:
    """One page. `next_after` is the last key or common prefix on it: given as `after` with
    the same delimiter, it leaves out everything below that prefix. A limit of 0 is an empty
    page, and the last one."""
    if query.limit <= 0:
        return ListPage((), (), None)
    found = await _entries(conn, bucket_id, query)
    page = found[: query.limit]
    next_after = None
    if len(found) > query.limit:
        last = page[-1]
        next_after = last if isinstance(last, str) else last.key
    return ListPage(
        tuple(entry for entry in page if isinstance(entry, ListedObject)),
        tuple(entry for entry in page if isinstance(entry, str)),
        next_after,
    )


async def _entries(conn: Connection, bucket_id: int, query: ListQuery) -> list[ListedObject | str]:
    """Objects and common prefixes in order, at least one more than the limit if there are so
    many. Damaged rows are noted and left out, and others asked for in their place."""
    if query.delimiter:
        return await _walk(conn, bucket_id, query)
    wanted = limit = query.limit + 1
    while limit <= wanted * _MOST_TIMES:
        found = await conn.fetch(*_page(bucket_id, query, start_after(query)), limit)
        entries: list[ListedObject | str] = []
        place = start_after(query)
        for row in found:
            try:
                key = rows.listed_key(row)
                if key > place:
                    entries.append(rows.listed_object(row))
                    place = key
            except DamagedRecord as error:
                conn.damage.note(error)
        if len(entries) >= wanted:
            return entries
        if len(found) < limit:
            await _check_end(conn, "list_last", bucket_id, query, place)
            return entries
        limit *= 2
    raise _mostly_damaged(bucket_id)


async def _walk(conn: Connection, bucket_id: int, query: ListQuery) -> list[ListedObject | str]:
    """As `_entries`, with a delimiter: by one index seek for each of them."""
    wanted = query.limit + 1
    entries: list[ListedObject | str] = []
    place = start_after(query)
    for _ in range(_MOST_TIMES):
        missing = wanted - len(entries)
        found = await _walked_rows(conn, bucket_id, query, place, missing)
        is_lost = False
        for row in found:
            try:
                key = rows.listed_key(row)
            except DamagedRecord as error:
                # The walk went on behind the damaged key: begin another one before it.
                conn.damage.note(error)
                is_lost = True
                break
            if key <= place:
                continue
            prefix = common_prefix(key, query)
            place = key if prefix is None else prefix + LAST
            if prefix is None:
                entries += readable(conn, [row], rows.listed_object)
            else:
                entries.append(prefix)
        if len(entries) >= wanted:
            return entries
        if not is_lost and len(found) < missing:
            await _check_end(conn, "list_last", bucket_id, query, place)
            return entries
    raise _mostly_damaged(bucket_id)


def _mostly_damaged(bucket_id: int) -> DamagedRecord:
    return DamagedRecord("objects", f"of bucket {bucket_id}", "most of a page is damaged")


def _page(bucket_id: int, query: ListQuery, after: str) -> tuple[str, int, str, str]:
    """The query for keys behind a place, and its parameters but for the limit."""
    # Told apart here and not in SQL, so that the index is entered at the greater of the two.
    if after >= query.prefix:
        return ("list_after", bucket_id, after, query.prefix + LAST)
    return ("list_from", bucket_id, query.prefix, query.prefix + LAST)


async def _walked_rows(
    conn: Connection, bucket_id: int, query: ListQuery, after: str, wanted: int
) -> Sequence[Row]:
    """One row an object or common prefix (the first key under it)."""
    page = _page(bucket_id, query, after)
    first = await _first_key(conn, *page, after=after)
    if first is None:
        return []
    where = (first, query.prefix + LAST, query.prefix, query.delimiter, LAST)
    return await conn.fetch("list_walk", bucket_id, *where, wanted)


async def _first_key(conn: Connection, page: str, *where: Param, after: str = "") -> str | None:
    """The first key that can be read: a damaged one cannot be handed to the walk."""
    limit = 1
    while True:
        found = await conn.fetch(page, *where, limit)
        # A search that met a damaged key may have begun too early.
        keys = (key for key in readable(conn, found, rows.listed_key) if key > after)
        key = next(keys, None)
        if key is not None or len(found) < limit:
            return key
        limit *= 100


async def _check_end(
    conn: Connection, last: str, bucket_id: int, query: ListQuery, place: str
) -> None:
    """Raises DamagedRecord where a listing has ended at `place` and there are keys behind it: a
    damaged key in an index is greater than all that were asked for, and ended the search."""
    if not conn.reads_raw_indexes:
        return
    key = await _first_key(conn, last, bucket_id, query.prefix + LAST)
    if key is not None and key > max(place, start_after(query), query.prefix):
        raise DamagedRecord("objects", f"of bucket {bucket_id}", "its index hides some keys")


async def list_uploads(
    conn: Connection, bucket_id: int, query: ListQuery, after_upload_id: str
) -> UploadPage:
    """One page of open uploads, by key and creation (S3 API: ListMultipartUploads)."""
    place = (query.prefix, "")
    if query.after and query.after >= query.prefix:
        place = (start_after(query), after_upload_id or _AFTER_ALL_UPLOADS)
    items: list[Upload | str] = []
    limit = query.limit + 1
    while len(items) <= query.limit:
        # A chunk may lie wholly under one common prefix; then the next one starts behind it.
        chunk = await conn.fetch("uploads_page", bucket_id, *place, query.prefix + LAST, limit)
        places = list(readable(conn, chunk, lambda row: _take(row, query, items)))
        if len(chunk) < limit:
            await _check_end(conn, "uploads_last", bucket_id, query, max([place, *places])[0])
            break
        if places:
            place = places[-1]
        else:
            # All of them are damaged: look beyond them.
            limit *= 2
    return _upload_page(items, query.limit)


def _take(row: Row, query: ListQuery, items: list[Upload | str]) -> tuple[str, str]:
    """Add a row to the page, unless its common prefix is there; answers the place after it."""
    key, upload_id = rows.listed_key(row), rows.upload_id(row)
    prefix = common_prefix(key, query)
    if prefix is None:
        items.append(rows.upload(row))
        return (key, upload_id)
    if not items or items[-1] != prefix:
        items.append(prefix)
    return (prefix + LAST, "")


def _upload_page(items: list[Upload | str], limit: int) -> UploadPage:
    page = items[:limit]
    next_key = next_upload_id = None
    if page and len(items) > limit:
        last = page[-1]
        next_key = last if isinstance(last, str) else last.key
        next_upload_id = None if isinstance(last, str) else last.id
    return UploadPage(
        uploads=tuple(item for item in page if isinstance(item, Upload)),
        common_prefixes=tuple(item for item in page if isinstance(item, str)),
        next_key=next_key,
        next_upload_id=next_upload_id,
    )
