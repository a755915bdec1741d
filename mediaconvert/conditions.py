"""Conditional requests decided: ETags and times against what is stored. Pure.

RFC 9110 §13.2.2 with S3's reading of it (S3 API: GetObject, CopyObject, PutObject). The catalog
calls this inside its transactions, the S3 verbs for GET and HEAD. ETags come without quotes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mediaconvert.errors import PreconditionFailed
from mediaconvert.model import Conditions


class Verdict(Enum):
    """What a conditional read comes to."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not_modified"
    """304 for GET and HEAD; a failed precondition for a copy."""
    FAILED = "failed"
    """412; `failed_condition` names which."""


def _matches(wanted: tuple[str, ...], etag: str) -> bool:
    return "*" in wanted or etag in wanted


def check_read(conditions: Conditions, etag: str, modified_seconds: int) -> Verdict:
    """Decide a read of an existing object, last modified at that second.

    In the order of RFC 9110 §13.2.2: If-Match, or in its absence If-Unmodified-Since; then
    If-None-Match, or in its absence If-Modified-Since."""
    if conditions.if_match is not None:
        if not _matches(conditions.if_match, etag):
            return Verdict.FAILED
    elif (
        conditions.if_unmodified_since is not None
        and modified_seconds > conditions.if_unmodified_since
    ):
        return Verdict.FAILED
    if conditions.if_none_match is not None:
        if _matches(conditions.if_none_match, etag):
            return Verdict.NOT_MODIFIED
    elif (
        conditions.if_modified_since is not None
        and modified_seconds <= conditions.if_modified_since
    ):
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def failed_condition(conditions: Conditions, verdict: Verdict) -> str:
    """The header that a FAILED or NOT_MODIFIED verdict came from, for the error's text."""
    if verdict is Verdict.FAILED:
        return "If-Match" if conditions.if_match is not None else "If-Unmodified-Since"
    return "If-None-Match" if conditions.if_none_match is not None else "If-Modified-Since"


def check_copy_source(conditions: Conditions, etag: str, modified_seconds: int) -> None:
    """Raises PreconditionFailed for a source that is not to be copied: a copy has no 304
    (S3 API: CopyObject, `x-amz-copy-source-if-*`)."""
    verdict = check_read(conditions, etag, modified_seconds)
    if verdict is not Verdict.PROCEED:
        raise PreconditionFailed(f"x-amz-copy-source-{failed_condition(conditions, verdict)}")


@dataclass(frozen=True, slots=True)
class Current:
    """What a conditional write or delete is compared with: the key's current object."""

    etag: str
    size: int
    modified_us: int


def check_write(conditions: Conditions, current: Current | None) -> None:
    """Raises PreconditionFailed if a key must not be written or deleted now.

    `current` is None for a missing key: every If-Match fails, all other conditions hold.
    If-Modified-Since counts here as well, unlike in RFC 9110 §13.1.3: a condition that is
    skipped loses data."""
    if current is None:
        if conditions.if_match is not None:
            raise PreconditionFailed("If-Match")
        return
    verdict = check_read(conditions, current.etag, current.modified_us // 1_000_000)
    if verdict is not Verdict.PROCEED:
        raise PreconditionFailed(failed_condition(conditions, verdict))
    if conditions.if_match_size not in (None, current.size):
        raise PreconditionFailed("x-amz-if-match-size")
    if conditions.if_match_modified_us is not None and not is_same_time(
        conditions.if_match_modified_us, current.modified_us
    ):
        raise PreconditionFailed("x-amz-if-match-last-modified-time")


def is_same_time(given_us: int, stored_us: int) -> bool:
    """Whether a client's time is the stored one as the client has seen it: HEAD shows whole
    seconds, lists show milliseconds."""
    return given_us in (
        stored_us,
        stored_us // 1000 * 1000,
        stored_us // 1_000_000 * 1_000_000,
    )
