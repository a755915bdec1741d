"""Pages of keys: prefix, delimiter and a place to go on from, each at the cost of a page.

Keys are in the order of their UTF-8 bytes, which is also the order of Python's strings and of
SQL's binary collation. A common prefix costs one index seek, however many keys it stands for.
Called by the catalog's objects and uploads, inside one reading transaction.
"""

from __future__ import annotations

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Row
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
    wanted = limit = query.limit + 1
    while True:
        found = await _page_of_rows(conn, bucket_id, query, limit)
        entries: list[ListedObject | str] = []
        place = ""
        for row in found:
            try:
                key = rows.listed_key(row, after=place)
                prefix = common_prefix(key, query)
                entries.append(rows.listed_object(row) if prefix is None else prefix)
                place = key
            except DamagedRecord as error:
                conn.damage.note(error)
        if len(entries) >= wanted or len(found) < limit:
            return entries
        limit *= 2
        if limit > wanted * _MOST_TIMES:
            raise DamagedRecord("objects", f"of bucket {bucket_id}", "most of a page is damaged")


async def _page_of_rows(
    conn: Connection, bucket_id: int, query: ListQuery, wanted: int
) -> list[Row]:
    """One row an object or common prefix (the first key under it)."""
    after, end = start_after(query), query.prefix + LAST
    # Told apart here and not in SQL, so that the index is entered at the greater of the two.
    page, start = ("list_after", after) if after >= query.prefix else ("list_from", query.prefix)
    if not query.delimiter:
        return list(await conn.fetch(page, bucket_id, start, end, wanted))
    first = await _first_key(conn, page, bucket_id, start, end)
    if first is None:
        return []
    return list(
        await conn.fetch(
            "list_walk",
            bucket_id,
            first,
            end,
            query.prefix,
            query.delimiter,
            LAST,
            wanted,
        )
    )


async def _first_key(
    conn: Connection, page: str, bucket_id: int, start: str, end: str
) -> str | None:
    """The first key that can be read: a damaged one cannot be handed to the walk."""
    limit = 1
    while True:
        found = await conn.fetch(page, bucket_id, start, end, limit)
        key = next(readable(conn, found, rows.listed_key), None)
        if key is not None or len(found) < limit:
            return key
        limit *= 100


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
