"""From raw paths to buckets and keys, and the rules of their names."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.api.s3.keys import (
    Address,
    check_bucket_name,
    check_key,
    parse_address,
    percent_decode,
)
from mediaconvert.errors import InvalidBucketName, InvalidKey

KEY = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(KEY)
def test_a_key_comes_out_of_the_path_byte_for_byte(key):
    for safe in ("", "/~", "/"):
        path = b"/bucket/" + quote(key, safe=safe).encode()
        assert parse_address(path, "localhost:8080") == Address("bucket", key)


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        (b"/", "", ""),
        (b"/bucket", "bucket", ""),
        (b"/bucket/", "bucket", ""),
        (b"/bucket//", "bucket", "/"),
        (b"/bucket//a", "bucket", "/a"),
        (b"/bucket/a/../b", "bucket", "a/../b"),
        (b"/bucket/./a", "bucket", "./a"),
        (b"/bucket/%2e%2e/a", "bucket", "../a"),
        (b"/bucket/a+b", "bucket", "a+b"),
        (b"/bucket/a%2Fb", "bucket", "a/b"),
        (b"/bucket/%252e", "bucket", "%2e"),
        (b"/bucket/a\\b", "bucket", "a\\b"),
        (b"/bucket/e%CC%81", "bucket", "e\u0301"),
        (b"/bucket/%C3%A9", "bucket", "\u00e9"),
        (b"/bucket/%0A%01", "bucket", "\n\x01"),
    ],
)
def test_nothing_in_a_path_is_normalised(path, bucket, key):
    assert parse_address(path, "localhost") == Address(bucket, key)


@pytest.mark.parametrize(
    "path", [b"", b"bucket/key", b"/b/%", b"/b/%4", b"/b/%zz", b"/b/%ff", b"/b/%00", b"/b/\xff"]
)
def test_a_path_that_is_no_key_is_refused(path):
    with pytest.raises(InvalidKey):
        parse_address(path, "localhost")


@pytest.mark.parametrize(
    "path",
    [b"//", b"//key", b"//bucket/key", b"/bucket%2Fkey", b"/bucket%2fa/key", b"/%2F", b"/%2Fk"],
)
def test_an_encoded_slash_does_not_end_the_bucket(path):
    with pytest.raises(InvalidBucketName):
        parse_address(path, "localhost")


def test_letters_of_a_bucket_may_be_encoded():
    assert parse_address(b"/%62ucket/%6bey", "localhost") == Address("bucket", "key")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("films.s3.example.org", Address("films", "a/b", True)),
        ("Films.S3.Example.Org:8080", Address("films", "a/b", True)),
        ("a.b.s3.example.org.", Address("a.b", "a/b", True)),
        ("s3.example.org", Address("a", "b")),
        ("xs3.example.org", Address("a", "b")),
        ("films.s3.example.org.evil.test", Address("a", "b")),
        (".s3.example.org", Address("a", "b")),
        ("", Address("a", "b")),
    ],
)
def test_a_host_below_the_domain_names_the_bucket(host, address):
    assert parse_address(b"/a/b", host, domain="s3.example.org") == address


def test_without_a_domain_every_host_is_path_style():
    assert parse_address(b"/a/b", "films.s3.example.org") == Address("a", "b")


def test_a_key_has_at_most_1024_bytes_of_utf8():
    check_key("a" * 1024)
    check_key("é" * 512)
    for key in ("a" * 1025, "é" * 513):
        with pytest.raises(InvalidKey, match="longer than 1024"):
            check_key(key)
    for key in ("", "a\0", "\ud800"):
        with pytest.raises(InvalidKey):
            check_key(key)


@pytest.mark.parametrize(
    "name",
    ["abc", "a" * 63, "user-7-1a2b3c4d", "my.bucket.name", "123", "1.2.3.4.5", "a--b", "a.b-c"],
)
def test_a_good_bucket_name_is_accepted(name):
    check_bucket_name(name, reserved={"api", "auth"})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ab", "3 to 63"),
        ("a" * 64, "3 to 63"),
        ("Films", "lower-case"),
        ("my_films", "lower-case"),
        ("-films", "both ends"),
        ("films-", "both ends"),
        (".films", "both ends"),
        ("films.", "both ends"),
        ("films\n", "lower-case"),
        ("filmé", "lower-case"),
        ("my..films", "side by side"),
        ("192.168.0.1", "IP address"),
        ("xn--films", "begin with 'xn--'"),
        ("sthree-films", "begin with 'sthree-'"),
        ("amzn-s3-demo-films", "begin with 'amzn-s3-demo-'"),
        ("films-s3alias", "end with '-s3alias'"),
        ("films--ol-s3", "end with '--ol-s3'"),
        ("films.mrap", "end with '.mrap'"),
        ("films--x-s3", "end with '--x-s3'"),
        ("films--table-s3", "end with '--table-s3'"),
        ("metrics", "reserved"),
    ],
)
def test_a_bad_bucket_name_is_refused_with_the_reason(name, reason):
    with pytest.raises(InvalidBucketName, match=reason):
        check_bucket_name(name, reserved={"metrics"})


@given(st.binary(max_size=40))
def test_any_bytes_are_decoded_exactly_or_refused(raw):
    try:
        text = percent_decode(raw)
    except InvalidKey:
        return
    assert percent_decode(quote(text, safe="").encode()) == text
