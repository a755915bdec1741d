"""Conditional requests, decided as RFC 9110 §13.2.2 and S3 say."""

from __future__ import annotations

import pytest

from mediaconvert.conditions import (
    Current,
    Verdict,
    check_copy_source,
    check_read,
    check_write,
    failed_condition,
)
from mediaconvert.errors import PreconditionFailed
from mediaconvert.model import Conditions

MODIFIED = 1_000
CURRENT = Current("a", 5, 1_000_123_456)

READS = [
    (Conditions(), Verdict.PROCEED),
    (Conditions(if_match=("a",)), Verdict.PROCEED),
    (Conditions(if_match=("b", "a")), Verdict.PROCEED),
    (Conditions(if_match=("*",)), Verdict.PROCEED),
    (Conditions(if_match=("b",)), Verdict.FAILED),
    (Conditions(if_none_match=("a",)), Verdict.NOT_MODIFIED),
    (Conditions(if_none_match=("*",)), Verdict.NOT_MODIFIED),
    (Conditions(if_none_match=("b",)), Verdict.PROCEED),
    (Conditions(if_modified_since=999), Verdict.PROCEED),
    (Conditions(if_modified_since=1_000), Verdict.NOT_MODIFIED),
    (Conditions(if_unmodified_since=1_000), Verdict.PROCEED),
    (Conditions(if_unmodified_since=999), Verdict.FAILED),
    # If-Match decides where both are given, and so does If-None-Match.
    (Conditions(if_match=("a",), if_unmodified_since=1), Verdict.PROCEED),
    (Conditions(if_match=("b",), if_unmodified_since=5_000), Verdict.FAILED),
    (Conditions(if_none_match=("a",), if_modified_since=1), Verdict.NOT_MODIFIED),
    (Conditions(if_none_match=("b",), if_modified_since=5_000), Verdict.PROCEED),
    # What fails comes before what has not been modified.
    (Conditions(if_match=("b",), if_none_match=("a",)), Verdict.FAILED),
    (Conditions(if_match=("a",), if_none_match=("a",)), Verdict.NOT_MODIFIED),
]


@pytest.mark.parametrize(("conditions", "verdict"), READS)
def test_a_read_proceeds_is_not_modified_or_fails(conditions: Conditions, verdict: Verdict) -> None:
    assert check_read(conditions, "a", MODIFIED) is verdict


@pytest.mark.parametrize(("conditions", "verdict"), READS)
def test_a_copy_has_no_not_modified(conditions: Conditions, verdict: Verdict) -> None:
    if verdict is Verdict.PROCEED:
        check_copy_source(conditions, "a", MODIFIED)
    else:
        with pytest.raises(PreconditionFailed, match="x-amz-copy-source-If-"):
            check_copy_source(conditions, "a", MODIFIED)


def test_the_failed_condition_is_named() -> None:
    assert failed_condition(Conditions(if_match=("b",)), Verdict.FAILED) == "If-Match"
    assert failed_condition(Conditions(if_unmodified_since=1), Verdict.FAILED) == (
        "If-Unmodified-Since"
    )
    assert failed_condition(Conditions(if_none_match=("a",)), Verdict.NOT_MODIFIED) == (
        "If-None-Match"
    )
    assert failed_condition(Conditions(if_modified_since=1), Verdict.NOT_MODIFIED) == (
        "If-Modified-Since"
    )


WRITES_ALLOWED = [
    (Conditions(), None),
    (Conditions(if_modified_since=999), "a"),
    (Conditions(if_modified_since=5_000), None),
    (Conditions(if_match_size=5), "a"),
    (Conditions(if_match_size=5), None),
    (Conditions(if_match_modified_us=1_000_000_000), "a"),
    (Conditions(if_match_modified_us=1_000_123_000), "a"),
    (Conditions(if_match_modified_us=1_000_123_456), "a"),
    (Conditions(if_match_modified_us=1), None),
    (Conditions(("a",), if_match_size=5, if_match_modified_us=1_000_000_000), "a"),
    (Conditions(), "a"),
    (Conditions(if_none_match=("*",)), None),
    (Conditions(if_none_match=("b",)), "a"),
    (Conditions(if_match=("a",)), "a"),
    (Conditions(if_match=("*",)), "a"),
    (Conditions(if_unmodified_since=1_000), "a"),
    (Conditions(if_unmodified_since=999), None),
    (Conditions(if_match=("a",), if_unmodified_since=999), "a"),
]

WRITES_REFUSED = [
    (Conditions(if_none_match=("*",)), "a", "If-None-Match"),
    (Conditions(if_none_match=("b", "a")), "a", "If-None-Match"),
    (Conditions(if_match=("b",)), "a", "If-Match"),
    (Conditions(if_match=("a",)), None, "If-Match"),
    (Conditions(if_match=("*",)), None, "If-Match"),
    (Conditions(if_unmodified_since=999), "a", "If-Unmodified-Since"),
    (Conditions(if_modified_since=1_000), "a", "If-Modified-Since"),
    (Conditions(if_match_size=6), "a", "x-amz-if-match-size"),
    (Conditions(if_match_size=0), "a", "x-amz-if-match-size"),
    (Conditions(("a",), if_match_size=6), "a", "x-amz-if-match-size"),
    (Conditions(if_match_modified_us=999_000_000), "a", "x-amz-if-match-last-modified-time"),
    (Conditions(if_match_modified_us=1_000_124_000), "a", "x-amz-if-match-last-modified-time"),
]


@pytest.mark.parametrize(("conditions", "current"), WRITES_ALLOWED)
def test_a_write_whose_conditions_hold_is_allowed(
    conditions: Conditions, current: str | None
) -> None:
    check_write(conditions, None if current is None else CURRENT)


@pytest.mark.parametrize(("conditions", "current", "named"), WRITES_REFUSED)
def test_a_write_whose_conditions_do_not_hold_is_refused(
    conditions: Conditions, current: str | None, named: str
) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        check_write(conditions, None if current is None else CURRENT)
    assert refused.value.condition == named
