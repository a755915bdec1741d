"""How S3_ENDPOINT and its companions are read, before any store is asked."""

from __future__ import annotations

import pytest

from mediaconvert.backends.blobs.s3_client import make_store, parse_endpoint
from mediaconvert.errors import StartupError
from mediaconvert.model import BlobId
from mediaconvert.settings import StorageSettings


def settings(endpoint: str = "http://localhost:9000", **more: str) -> StorageSettings:
    keys = {"s3_access_key": "key", "s3_secret_key": "hunter2-secret"} | more
    return StorageSettings(s3_endpoint=endpoint, **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("http://localhost:9000", "http://localhost:9000"),
        ("http://localhost:9000/", "http://localhost:9000"),
        ("localhost:9000", "http://localhost:9000"),
        ("minio", "http://minio"),
        ("store.example.org:443", "https://store.example.org:443"),
        ("https://store.example.org", "https://store.example.org"),
        ("s3.amazonaws.com", "https://s3.amazonaws.com"),
        ("https://s3.eu-west-1.amazonaws.com", "https://s3.eu-west-1.amazonaws.com"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_an_address_is_understood(text: str, means: str) -> None:
    assert str(parse_endpoint(text)) == means


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ftp://store:21", "is not the address of a server"),
        ("http://", "is not the address of a server"),
        ("http://store:port", "has no valid port"),
        ("http://store/bucket", "goes to S3_BUCKET"),
        ("http://store/?x=1", "goes to S3_BUCKET"),
        ("http://sto re", "cannot be"),
    ],
)
def test_what_is_no_address_is_refused_with_what_to_write(text: str, complaint: str) -> None:
    with pytest.raises(StartupError, match=complaint):
        parse_endpoint(text)


def test_keys_in_the_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(StartupError, match="S3_SECRET_KEY") as caught:
        parse_endpoint("http://someone:hunter2@store:9000")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://s3.amazonaws.com", "us-east-1"),
        ("https://s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("https://s3.dualstack.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
        ("http://localhost:9000", "us-east-1"),
    ],
)
def test_the_region_is_the_one_that_an_address_of_aws_names(endpoint: str, region: str) -> None:
    assert make_store(settings(endpoint)).region == region


@pytest.mark.parametrize("missing", ["s3_access_key", "s3_secret_key"])
def test_one_key_without_the_other_is_refused(missing: str) -> None:
    with pytest.raises(StartupError, match=f"{missing.upper()} is not set"):
        make_store(settings(**{missing: ""}))


def test_no_keys_at_all_are_for_aws_only() -> None:
    with pytest.raises(StartupError, match="set S3_ACCESS_KEY and S3_SECRET_KEY"):
        make_store(settings(s3_access_key="", s3_secret_key=""))
    make_store(settings("https://s3.amazonaws.com", s3_access_key="", s3_secret_key=""))


@pytest.mark.parametrize("prefix", ["/x", "a//b", "../", "a/./b", "ü/", "x" * 513])
def test_a_prefix_that_no_key_can_begin_with_is_refused(prefix: str) -> None:
    with pytest.raises(StartupError, match="s3_prefix"):
        make_store(settings(s3_prefix=prefix))


def test_a_region_that_cannot_be_is_refused() -> None:
    with pytest.raises(StartupError, match="S3_REGION"):
        make_store(settings(s3_region="nowhere at all"))


def test_a_missing_file_of_authorities_is_refused() -> None:
    with pytest.raises(StartupError, match=r"none\.pem"):
        make_store(settings(s3_ca_file="/none.pem"))


def test_only_our_own_names_below_the_prefix_are_blobs() -> None:
    store = make_store(settings(s3_prefix="media/"))
    name = BlobId("0a" * 16)
    assert store.blob_id(store.key(name)) == name
    others = (name, f"other/{name}", "media/", "media/trial-" + "0a" * 16, f"media/{name}x")
    assert [store.blob_id(key) for key in others] == [None] * 5


def test_the_secret_key_is_in_nothing_that_is_printed() -> None:
    assert "hunter2" not in repr(make_store(settings())) + repr(settings())
