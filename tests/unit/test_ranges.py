"""Ranges of GET and of UploadPartCopy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.api.s3.errors import S3Error
from mediaconvert.api.s3.ranges import ByteRange, parse_copy_range, parse_range


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-9", 0, 9),
        ("bytes=5-", 5, 9),
        ("bytes=9-", 9, 9),
        ("bytes=0-1000", 0, 9),
        ("bytes=-1", 9, 9),
        ("bytes=-10", 0, 9),
        ("bytes=-1000", 0, 9),
        (" bytes = 2 - 3 ", 2, 3),
        ("bytes=007-008", 7, 8),
        ("bytes=" + "0" * 5000 + "2-" + "9" * 5000, 2, 9),
        ("bytes=-" + "9" * 5000, 0, 9),
    ],
)
def test_a_range_is_cut_to_the_object(value, first, last):
    found = parse_range(value, 10)
    assert found == ByteRange(first, last)
    assert found.length == last - first + 1
    assert found.content_range(10) == f"bytes {first}-{last}/10"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=1-2,4-5",
        "items=0-1",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=0-1x",
        "bytes=٣-٤",
        "bytes=1.5-2",
    ],
)
def test_what_is_no_single_range_is_ignored(value):
    assert parse_range(value, 10) is None


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("bytes=10-", 10),
        ("bytes=10-11", 10),
        ("bytes=-0", 10),
        ("bytes=0-", 0),
        ("bytes=-5", 0),
        ("bytes=" + "9" * 5000 + "-", 10),
    ],
)
def test_a_range_behind_the_end_is_not_satisfiable(value, size):
    with pytest.raises(S3Error) as caught:
        parse_range(value, size)
    assert caught.value.status == 416
    assert caught.value.fields == {"RangeRequested": value, "ActualObjectSize": str(size)}
    assert caught.value.headers == (("content-range", f"bytes */{size}"),)


@given(st.binary(min_size=1, max_size=30), st.integers(0, 40), st.integers(0, 40))
def test_a_range_is_what_a_slice_is(data, first, last):
    found = None
    try:
        found = parse_range(f"bytes={first}-{last}", len(data))
    except S3Error:
        assert first >= len(data)
        return
    if first > last:
        assert found is None
    else:
        assert data[found.first : found.last + 1] == data[first : last + 1]
        assert found.length > 0


@given(st.text(max_size=30), st.integers(0, 100))
def test_any_text_is_a_range_within_the_object_or_none(text, size):
    try:
        found = parse_range("bytes=" + text, size)
    except S3Error:
        return
    assert found is None or 0 <= found.first <= found.last < size


def test_a_copy_range_must_be_exactly_right():
    assert parse_copy_range(None, 10) is None
    assert parse_copy_range("bytes=0-9", 10) == ByteRange(0, 9)
    for value in ("bytes=0-10", "bytes=5-4", "bytes=5-", "bytes=-5", "0-9", "bytes=0-1,3-4", ""):
        with pytest.raises(S3Error) as caught:
            parse_copy_range(value, 10)
        assert caught.value.code == "InvalidArgument"
        assert caught.value.fields["ArgumentName"] == "x-amz-copy-source-range"
