"""Conditions on writes, copies and deletes: headers and XML elements as `model.Conditions`.

A read may ignore a condition that it cannot parse (RFC 9110 §13.1). A write must not, for the
client relies on it: what is malformed is refused with InvalidArgument. Pure; called by the verbs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from mediaconvert.api.s3.errors import invalid_argument
from mediaconvert.api.s3.headers import parse_conditions, parse_http_date
from mediaconvert.api.s3.numbers import MAX_SIZE, whole_number
from mediaconvert.model import Conditions

IF_MATCH_SIZE = "x-amz-if-match-size"
IF_MATCH_LAST_MODIFIED = "x-amz-if-match-last-modified-time"
IF_MATCH_INITIATED = "x-amz-if-match-initiated-time"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_conditions(headers: Mapping[str, str], prefix: str = "") -> Conditions:
    """The four conditional headers (RFC 9110 §13.1) of a write; with `prefix`
    `x-amz-copy-source-` those on a copy's source. Raises S3Error InvalidArgument."""
    found = parse_conditions(headers, prefix)
    values = {
        "if-match": found.if_match,
        "if-none-match": found.if_none_match,
        "if-modified-since": found.if_modified_since,
        "if-unmodified-since": found.if_unmodified_since,
    }
    for name, value in values.items():
        text = headers.get(prefix + name)
        # A list without any ETag would match nothing. A date may be 0.
        if text is not None and value in (None, ()):
            wanted = "an ETag or *" if name.endswith("match") else "a date as in HTTP headers"
            raise invalid_argument(
                prefix + name, text, f"{prefix}{name} is {text!r}; it must be {wanted}"
            )
    return found


def delete_conditions(headers: Mapping[str, str]) -> Conditions:
    """The conditions of DeleteObject: those of a write, size and modification time. All of
    them must hold (S3 API: DeleteObject). Raises S3Error InvalidArgument."""
    found = write_conditions(headers)
    return Conditions(
        found.if_match,
        found.if_none_match,
        found.if_modified_since,
        found.if_unmodified_since,
        parse_size(IF_MATCH_SIZE, headers.get(IF_MATCH_SIZE)),
        parse_time(IF_MATCH_LAST_MODIFIED, headers.get(IF_MATCH_LAST_MODIFIED)),
    )


def parse_size(name: str, text: str | None) -> int | None:
    """A size in bytes; None without one. Raises S3Error InvalidArgument."""
    if text is None:
        return None
    size = whole_number(text.strip())
    if size is None:
        raise invalid_argument(
            name, text, f"{name} is {text[:40]!r}; it must be a size in bytes, 0 to {MAX_SIZE}"
        )
    return size


def parse_time(name: str, text: str | None) -> int | None:
    """A time in microseconds since 1970; None without one. The model of the S3 API writes
    these times like HTTP dates; ISO 8601 is accepted as well, for lists show it. Raises
    S3Error InvalidArgument."""
    if text is None:
        return None
    seconds = parse_http_date(text.strip())
    time_us = _iso_microseconds(text.strip()) if seconds is None else seconds * 1_000_000
    if time_us is None:
        raise invalid_argument(
            name,
            text,
            f"{name} is {text[:40]!r}; it must be a time such as 'Wed, 21 Oct 2015 07:28:00 GMT' "
            "or '2015-10-21T07:28:00.000Z'",
        )
    return time_us


def _iso_microseconds(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None
