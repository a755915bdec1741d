"""From outside text to typed values: bodies, queries and ids of REST requests.

Pure. Everything that is wrong with a request is one InvalidRequest that lists every problem.
Unknown fields are ignored, as the original program did, so that old and new clients agree.
Called by `app.py` before any handler.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from mediaconvert.errors import Detail, InvalidRequest

MAX_BODY_BYTES = 1 << 20
MAX_DEPTH = 32
"""Levels of nesting in a body; what we take needs two."""
MAX_ID = 2**63 - 1
"""Ids are 64-bit in both databases."""
_SHOWN_CHARS = 60

ModelT = TypeVar("ModelT", bound=BaseModel)


class RequestBody(BaseModel):
    """Base of bodies: JSON types exactly, so `"5"` is not a number nor 1 a boolean."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class RequestQuery(BaseModel):
    """Base of query strings, whose values are all text."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _digits_only(value: object) -> object:
    """Refuse what int() would take beyond plain digits: ` 5`, `+5`, `1_000`, `٣`."""
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,15}", value):
        raise ValueError("must be a whole number")
    return value


QueryInt = Annotated[int, BeforeValidator(_digits_only)]


def parse_id(text: str) -> int | None:
    """A path segment as an id; None for what no id can be, which is answered as a missing
    one: `0`, `-1`, `007`, `abc`, 2^63."""
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text):
        return None
    number = int(text)
    return number if number <= MAX_ID else None


def parse_body(raw: bytes, kind: type[ModelT], *, may_be_empty: bool) -> ModelT:
    """A JSON object as `kind`. The content type is not looked at: the original's clients do
    not all send one. Raises InvalidRequest."""
    if not raw.strip():
        if may_be_empty:
            return kind.model_validate({})
        raise InvalidRequest("the body is empty; send a JSON object")
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise InvalidRequest(f"the body is {_kind_of(value)}; send a JSON object")
    return _validate(kind, value)


def parse_query(pairs: Iterable[tuple[str, str]], kind: type[ModelT]) -> ModelT:
    """Raises InvalidRequest, also for a known parameter that is given twice."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in kind.model_fields:
            continue
        if name in values:
            raise InvalidRequest(f"the parameter '{name}' is given more than once")
        values[name] = value
    return _validate(kind, values)


def parse_json(raw: bytes) -> object:
    """RFC 8259, and stricter: UTF-8 only, no NaN or Infinity (in any spelling, `1e999`
    included), no duplicate keys, no half surrogate pairs, at most MAX_DEPTH levels. Raises
    InvalidRequest."""
    try:
        text = raw.decode("utf-8-sig")
        value = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_no_constant,
            parse_float=_finite_float,
        )
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8: byte {error.start} is wrong") from error
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        # int() refuses numbers of more than 4,300 digits.
        raise InvalidRequest("the body holds a number that is too long") from error
    _check_tree(value)
    return value


def _unique_keys(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    result: dict[str, object] = {}
    for name, value in pairs:
        if name in result:
            raise InvalidRequest(f"the body names {_shown(name)} more than once")
        result[name] = value
    return result


def _no_constant(name: str) -> object:
    raise InvalidRequest(f"the body holds {name}, which is not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidRequest(f"the body holds the number {_shown(text)}, which is too large")
    return number


def _check_tree(value: object) -> None:
    """Level by level, so that Python's stack does not matter."""
    level: list[object] = [value]
    depth = 0
    while level:
        nested: list[object] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict | list):
                if depth == MAX_DEPTH:
                    raise _too_deep()
                nested.extend(item)
                if isinstance(item, dict):
                    nested.extend(item.values())
        level, depth = nested, depth + 1


def _check_text(text: str) -> None:
    """JSON can spell half a surrogate pair (`"\\ud800"`), which no encoding can carry."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("the body holds half of a surrogate pair, which is no text") from error


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"the body is nested deeper than {MAX_DEPTH} levels")


def _validate(kind: type[ModelT], values: dict[str, Any]) -> ModelT:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        details = [Detail(_path(p["loc"]), _sentence(p)) for p in problems]
    first = details[0]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    raise InvalidRequest(f"{first.path}: {first.message}{more}", details)


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".") or "body"


def _sentence(problem: Any) -> str:
    """Pydantic's words, without its prefixes, and the value where it is short and no secret."""
    if problem["type"] == "missing":
        return "is missing"
    message: str = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    is_secret = any("password" in str(part) for part in problem["loc"])
    value = problem["input"]
    if is_secret or not isinstance(value, str | int | float | bool | None):
        return message
    return f"{message}; it is {_shown(value)}"


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, list):
        return "a list"
    return "a text" if isinstance(value, str) else "a number"
