"""One column of a row as a value that the program can rely on, or `Unreadable`.

A bit that flipped on a disk gets past the database: SQLite checks neither UTF-8 nor types when it
reads, and no database checks what stands in our JSON. So every value that leaves a table for the
model is checked here. Pure. Called by `rows.py` and by the subjects of the catalog.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any, Concatenate, ParamSpec, TypeVar

from mediaconvert.backends.sql.driver import Connection, Row
from mediaconvert.errors import DamagedRecord

T = TypeVar("T")
F = TypeVar("F")
E = TypeVar("E", bound=StrEnum)
P = ParamSpec("P")

# 9999-12-31T23:59:59.999999Z, the last moment that Python's and S3's dates can hold.
LAST_MOMENT_US = 253_402_300_799_999_999


class Unreadable(Exception):
    """A column has a value that it cannot have. The text names the column, never the value:
    it may be a user's."""


def record(
    table: str, id_column: str = "id"
) -> Callable[[Callable[Concatenate[Row, P], T]], Callable[Concatenate[Row, P], T]]:
    """Have a mapper of rows raise DamagedRecord, with the table and the row's id, where it finds
    something Unreadable."""

    def decorate(read: Callable[Concatenate[Row, P], T]) -> Callable[Concatenate[Row, P], T]:
        @functools.wraps(read)
        def checked(row: Row, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return read(row, *args, **kwargs)
            except Unreadable as error:
                raise damaged(table, row[id_column], str(error)) from error

        return checked

    return decorate


def damaged(table: str, record_id: object, why: str) -> DamagedRecord:
    """Ids that cannot be printed are shown escaped."""
    shown = record_id if isinstance(record_id, int) else ascii(record_id)
    return DamagedRecord(table, str(shown), why)


def readable(conn: Connection, found: Iterable[F], read: Callable[[F], T]) -> Iterator[T]:
    """What can be read; damaged rows are noted and left out."""
    for row in found:
        try:
            yield read(row)
        except DamagedRecord as error:
            conn.damage.note(error)


def text(row: Row, column: str) -> str:
    return _text(row[column], column)


def optional_text(row: Row, column: str) -> str | None:
    value = row[column]
    return None if value is None else _text(value, column)


def header(row: Row, column: str) -> str:
    """A text that is sent as the value of an HTTP header."""
    return _header(text(row, column), column)


def data(row: Row, column: str) -> bytes:
    value = row[column]
    if not isinstance(value, bytes):
        raise Unreadable(f"{column} is not binary")
    return value


def whole(row: Row, column: str) -> int:
    """A number that is not negative: an id, a size, a count."""
    value = row[column]
    if type(value) is not int or value < 0:
        raise Unreadable(f"{column} is not a whole number that is not negative")
    return value


def integer(row: Row, column: str) -> int:
    """A whole number of either sign."""
    value = row[column]
    if type(value) is not int:
        raise Unreadable(f"{column} is not a whole number")
    return value


def optional_whole(row: Row, column: str) -> int | None:
    return None if row[column] is None else whole(row, column)


def flag(row: Row, column: str) -> bool:
    return whole(row, column) != 0


def moment(row: Row, column: str) -> int:
    """Microseconds since 1970, before the year 10000."""
    value = row[column]
    if type(value) is not int or not 0 <= value <= LAST_MOMENT_US:
        raise Unreadable(f"{column} is not a time between 1970 and 9999")
    return value


def optional_moment(row: Row, column: str) -> int | None:
    return None if row[column] is None else moment(row, column)


def number(row: Row, column: str) -> float:
    value = row[column]
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise Unreadable(f"{column} is not a number that is not negative")
    return float(value)


def optional_number(row: Row, column: str) -> float | None:
    return None if row[column] is None else number(row, column)


def choice(row: Row, column: str, kind: type[E]) -> E:
    try:
        return kind(row[column])
    except ValueError:
        raise Unreadable(f"{column} is not one of {', '.join(kind)}") from None


def parsed(row: Row, column: str) -> Any:
    """JSON of any form, all of its texts valid Unicode."""
    try:
        value = json.loads(text(row, column))
    except (ValueError, RecursionError):
        raise Unreadable(f"{column} is not JSON") from None
    _check_texts(value, column)
    return value


def json_object(row: Row, column: str) -> dict[str, Any]:
    value = parsed(row, column)
    if not isinstance(value, dict):
        raise Unreadable(f"{column} is not a JSON object")
    return value


def json_objects(row: Row, column: str) -> tuple[dict[str, Any], ...]:
    value = parsed(row, column)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Unreadable(f"{column} is not a JSON array of objects")
    return tuple(value)


def json_headers(row: Row, column: str) -> dict[str, str]:
    """Names and values of HTTP headers."""
    value = json_object(row, column)
    for each in (item for pair in value.items() for item in pair):
        if not isinstance(each, str):
            raise Unreadable(f"{column} holds something other than texts")
        _header(each, column)
    return value


def _text(value: object, column: str) -> str:
    if not isinstance(value, str):
        raise Unreadable(f"{column} is not text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unreadable(f"{column} is not valid UTF-8") from None
    return value


def _header(value: str, column: str) -> str:
    if not value.isprintable() and any((c < " " and c != "\t") or c == "\x7f" for c in value):
        raise Unreadable(f"{column} holds a control character")
    return value


def _check_texts(value: object, column: str) -> None:
    if isinstance(value, str):
        _text(value, column)
    elif isinstance(value, list):
        for each in value:
            _check_texts(each, column)
    elif isinstance(value, dict):
        for key, each in value.items():
            _text(key, column)
            _check_texts(each, column)
    elif isinstance(value, float) and not math.isfinite(value):
        raise Unreadable(f"{column} holds a number that is not finite")
