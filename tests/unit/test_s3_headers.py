"""Request headers as values, and stored objects as response headers."""

from dataclasses import replace
from email.header import decode_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.api.s3.errors import S3Error
from mediaconvert.api.s3.headers import (
    CopySource,
    http_date,
    iso_date,
    object_headers,
    parse_conditions,
    parse_copy_source,
    parse_directive,
    parse_object_headers,
    response_overrides,
)
from mediaconvert.model import (
    Checksum,
    Conditions,
    JobId,
    JobStatus,
    ObjectHeaders,
    ObjectId,
    PartInfo,
    StoredObject,
)
from mediaconvert.sigv4.canonical import parse_http_date

STORED = StoredObject(
    id=ObjectId(1),
    bucket_id=1,
    key="a",
    size=3,
    etag="abc",
    headers=ObjectHeaders(
        "video/mp4", {"cache-control": "no-store"}, {"pipeline": "x"}, "STANDARD"
    ),
    segments=(),
    checksum=Checksum("CRC32", "sOO8/Q=="),
    parts=(),
    created_at_us=784_111_777_999_999,
)


def test_metadata_and_system_headers_are_taken():
    found = parse_object_headers(
        {
            "content-type": "video/mp4",
            "cache-control": "max-age=1",
            "content-disposition": 'attachment; filename="a.mp4"',
            "content-encoding": "aws-chunked, gzip",
            "content-language": "de",
            "expires": "Thu, 01 Dec 1994 16:00:00 GMT",
            "x-amz-meta-pipeline": " video-complete ",
            "x-amz-meta-empty": "",
            "x-amz-storage-class": "STANDARD_IA",
            "x-amz-date": "ignored",
        }
    )
    assert found == ObjectHeaders(
        content_type="video/mp4",
        system={
            "cache-control": "max-age=1",
            "content-disposition": 'attachment; filename="a.mp4"',
            "content-language": "de",
            "expires": "Thu, 01 Dec 1994 16:00:00 GMT",
            "content-encoding": "gzip",
        },
        user={"pipeline": "video-complete", "empty": ""},
        storage_class="STANDARD_IA",
    )


def test_what_is_not_said_has_its_default():
    assert parse_object_headers({}) == ObjectHeaders()
    assert parse_object_headers({"content-type": " ", "content-encoding": "aws-chunked"}) == (
        ObjectHeaders()
    )


def test_values_are_utf8_where_their_bytes_are():
    utf8 = "Zürich".encode().decode("latin-1")
    found = parse_object_headers({"x-amz-meta-a": utf8, "x-amz-meta-b": "Zürich"})
    assert found.user == {"a": "Zürich", "b": "Zürich"}
    encoded = "=?UTF-8?B?WsO8cmljaA==?="
    assert parse_object_headers({"x-amz-meta-a": encoded}).user == {"a": encoded}


def test_metadata_may_have_two_kibibytes():
    parse_object_headers({"x-amz-meta-ab": "v" * 2046})
    with pytest.raises(S3Error) as caught:
        parse_object_headers({"x-amz-meta-ab": "v" * 2000, "x-amz-meta-cd": "v" * 45})
    assert caught.value.code == "MetadataTooLarge"
    assert caught.value.fields == {"Size": "2049", "MaxSizeAllowed": "2048"}


def test_bad_metadata_names_and_storage_classes_are_refused():
    with pytest.raises(S3Error) as caught:
        parse_object_headers({"x-amz-meta-": "v"})
    assert caught.value.code == "InvalidArgument"
    for storage_class in ("standard", "EXPRESS_ONEZONE", ""):
        with pytest.raises(S3Error) as caught:
            parse_object_headers({"x-amz-storage-class": storage_class})
        assert caught.value.code == "InvalidStorageClass"


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ('"abc"', ("abc",)),
        ("abc", ("abc",)),
        ('"a", "b",W/"c"', ("a", "b", "c")),
        ("*", ("*",)),
        ('"a,b"', ("a,b",)),
        ("a, b", ("a", "b")),
        (" ", None),
        ("", None),
    ],
)
def test_entity_tags_are_read_with_and_without_quotes(value, tags):
    assert parse_conditions({"if-match": value}).if_match == tags
    assert parse_conditions({"if-none-match": value}).if_none_match == tags


@given(st.text(st.characters(max_codepoint=0xFF), max_size=60))
def test_any_text_is_a_list_of_tags(value):
    found = parse_conditions({"if-match": value}).if_match
    assert found is None or all(found)


def test_conditions_are_read_for_object_and_source():
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    found = parse_conditions({"if-unmodified-since": date, "if-modified-since": "x"})
    assert found == Conditions(if_unmodified_since=784_111_777)
    headers = {"x-amz-copy-source-if-modified-since": date, "if-match": "a"}
    assert parse_conditions(headers, "x-amz-copy-source-") == Conditions(
        if_modified_since=784_111_777
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
        ("Sun Nov  6 08:49:37 1994", 784_111_777),
        ("Sun, 06 Nov 1994 09:49:37 +0100", 784_111_777),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
        ("Fri, 31 Dec 9999 23:00:00 -2300", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_are_read_in_all_three_forms(value, seconds):
    assert parse_http_date(value) == seconds


@given(st.integers(0, 253_402_300_799))
def test_a_written_date_is_read_again(seconds):
    assert parse_http_date(http_date(seconds * 1_000_000 + 999_999)) == seconds


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_none(value):
    found = parse_http_date(value)
    assert found is None or isinstance(found, int)


def test_dates_of_documents_have_milliseconds():
    assert iso_date(784_111_777_012_999) == "1994-11-06T08:49:37.012Z"


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("bucket/key", CopySource("bucket", "key")),
        ("/bucket/key", CopySource("bucket", "key")),
        ("/bucket//key", CopySource("bucket", "/key")),
        ("bucket/a%20b/%C3%A9+", CopySource("bucket", "a b/é+")),
        ("bucket/a b", CopySource("bucket", "a b")),
        ("bucket%2Fkey", CopySource("bucket", "key")),
        ("bucket/k%3FversionId=1", CopySource("bucket", "k?versionId=1")),
        ("bucket/k?versionId=abc", CopySource("bucket", "k", "abc")),
        ("bucket/k?versionId=null", CopySource("bucket", "k", "null")),
        ("bucket/k?x", CopySource("bucket", "k?x")),
        ("bucket/Ã©", CopySource("bucket", "é")),
    ],
)
def test_a_copy_source_is_read(value, source):
    assert parse_copy_source({"x-amz-copy-source": value}) == source


@pytest.mark.parametrize(
    "value", ["", "/", "bucket", "bucket/", "//key", "b/%zz", "b/%ff", "b/%00", "b/" + "a" * 1025]
)
def test_a_bad_copy_source_is_refused(value):
    with pytest.raises(S3Error) as caught:
        parse_copy_source({"x-amz-copy-source": value})
    assert caught.value.code == "InvalidArgument"
    assert caught.value.fields["ArgumentName"] == "x-amz-copy-source"
    assert parse_copy_source({}) is None


def test_a_directive_is_copy_or_replace():
    name = "x-amz-metadata-directive"
    assert parse_directive({}, name) == "COPY"
    assert parse_directive({name: "REPLACE"}, name) == "REPLACE"
    with pytest.raises(S3Error, match="COPY or REPLACE"):
        parse_directive({name: "MERGE"}, name)


def test_overrides_replace_the_objects_own_headers():
    query = {"response-content-type": "text/plain", "response-expires": "0", "prefix": "x"}
    assert response_overrides(query) == {"content-type": "text/plain", "expires": "0"}
    found = object_headers(STORED, overrides=response_overrides(query))
    assert (found["content-type"], found["cache-control"]) == ("text/plain", "no-store")


@pytest.mark.parametrize("value", ["a\r\nset-cookie: x", "a\0", "a\x7f", "\x1b"])
def test_an_override_cannot_smuggle_a_header(value):
    with pytest.raises(S3Error) as caught:
        response_overrides({"response-content-disposition": value})
    assert caught.value.code == "InvalidArgument"


def test_an_object_is_told_in_headers():
    assert object_headers(STORED) == {
        "etag": '"abc"',
        "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT",
        "accept-ranges": "bytes",
        "content-type": "video/mp4",
        "cache-control": "no-store",
        "x-amz-meta-pipeline": "x",
    }


def test_more_is_told_where_it_applies():
    stored = replace(
        STORED,
        headers=replace(STORED.headers, storage_class="GLACIER_IR"),
        parts=(PartInfo(1, 2), PartInfo(2, 1)),
        job_id=JobId(7),
        job_status=JobStatus.PROCESSING,
        job_progress=41.26,
    )
    found = object_headers(stored, with_checksum=True, with_parts_count=True)
    extra = {name: value for name, value in found.items() if name.startswith("x-")}
    assert extra == {
        "x-amz-meta-pipeline": "x",
        "x-amz-storage-class": "GLACIER_IR",
        "x-amz-checksum-crc32": "sOO8/Q==",
        "x-amz-checksum-type": "FULL_OBJECT",
        "x-amz-mp-parts-count": "2",
        "x-mediaconvert-job-id": "7",
        "x-mediaconvert-job-status": "processing",
        "x-mediaconvert-job-progress": "41.3",
    }
    assert "x-amz-mp-parts-count" not in object_headers(STORED, with_parts_count=True)
    assert "x-amz-checksum-type" not in object_headers(
        replace(STORED, checksum=None), with_checksum=True
    )


@given(st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"]), max_size=40))
def test_every_metadata_value_can_be_sent_and_read(value):
    stored = replace(STORED, headers=ObjectHeaders(user={"a": value}, system={"expires": value}))
    found = object_headers(stored)
    assert found["expires"].encode("latin-1").decode("utf-8") == value
    sent = found["x-amz-meta-a"]
    assert sent.isascii()
    if not value.isascii():
        ((raw, charset),) = decode_header(sent)
        assert raw.decode(charset) == value
