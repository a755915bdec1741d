"""Conditions on writes and deletes: what is malformed is refused, for the client relies on it."""

from __future__ import annotations

import pytest

from mediaconvert.api.s3.documents import read_delete
from mediaconvert.api.s3.errors import S3Error
from mediaconvert.api.s3.write_conditions import (
    IF_MATCH_LAST_MODIFIED,
    IF_MATCH_SIZE,
    delete_conditions,
    parse_time,
    write_conditions,
)
from mediaconvert.model import Conditions

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
SECONDS = 1_445_412_480


def test_the_conditions_of_a_delete() -> None:
    headers = {
        "if-match": '"e1"',
        "if-none-match": "e2",
        "if-modified-since": DATE,
        "if-unmodified-since": DATE,
        IF_MATCH_SIZE: " 12 ",
        IF_MATCH_LAST_MODIFIED: DATE,
    }
    assert delete_conditions(headers) == Conditions(
        ("e1",), ("e2",), SECONDS, SECONDS, 12, SECONDS * 1_000_000
    )
    assert delete_conditions({}) == Conditions()


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        (DATE, 0),
        ("Wed, 21 Oct 2015 09:28:00 +0200", 0),
        ("2015-10-21T07:28:00Z", 0),
        ("2015-10-21T07:28:00.123Z", 123_000),
        ("2015-10-21T07:28:00.123456Z", 123_456),
        ("2015-10-21T09:28:00.5+02:00", 500_000),
        ("2015-10-21T07:28:00", 0),
    ],
)
def test_a_time_may_have_any_form_that_the_api_shows(text: str, microseconds: int) -> None:
    assert parse_time("n", text) == SECONDS * 1_000_000 + microseconds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("if-match", ""),
        ("if-none-match", " "),
        ("if-none-match", ","),
        ("if-none-match", '""'),
        ("if-none-match", 'W/""'),
        ("if-match", '"", ,'),
        ("if-modified-since", "yesterday"),
        ("if-unmodified-since", ""),
        (IF_MATCH_SIZE, ""),
        (IF_MATCH_SIZE, "-1"),
        (IF_MATCH_SIZE, "1.0"),
        (IF_MATCH_SIZE, "²"),
        (IF_MATCH_SIZE, str(2**63)),
        (IF_MATCH_SIZE, "9" * 5000),
        (IF_MATCH_LAST_MODIFIED, ""),
        (IF_MATCH_LAST_MODIFIED, "yesterday"),
        (IF_MATCH_LAST_MODIFIED, "2015-13-41T07:28:00Z"),
        (IF_MATCH_LAST_MODIFIED, "0001-01-01T00:00:00+23:59x"),
    ],
)
def test_a_malformed_condition_is_refused(name: str, value: str) -> None:
    with pytest.raises(S3Error) as refused:
        delete_conditions({name: value})
    assert refused.value.code == "InvalidArgument"
    assert name in refused.value.message


@pytest.mark.parametrize(
    ("condition", "value"),
    [("if-unmodified-since", "soon"), ("if-none-match", ","), ("if-match", '""')],
)
def test_a_malformed_condition_on_a_copys_source_is_refused(condition: str, value: str) -> None:
    name = f"x-amz-copy-source-{condition}"
    with pytest.raises(S3Error, match=name):
        write_conditions({name: value}, "x-amz-copy-source-")


def test_the_first_second_of_1970_is_a_date() -> None:
    found = write_conditions({"if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT"})
    assert found == Conditions(if_unmodified_since=0)


def test_every_condition_of_a_delete_entry_is_read() -> None:
    (entry,) = read_delete(
        b"<Delete><Object><Key>k</Key><ETag>&quot;e1&quot;</ETag><Size>3</Size>"
        b"<LastModifiedTime>2015-10-21T07:28:00.5Z</LastModifiedTime></Object></Delete>"
    ).entries
    assert entry.conditions == Conditions(
        if_match=("e1",), if_match_size=3, if_match_modified_us=SECONDS * 1_000_000 + 500_000
    )
