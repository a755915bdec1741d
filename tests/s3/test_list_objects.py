from __future__ import annotations

import random
from typing import Any

import pytest

from tests.s3.errors import refused
from tests.serving import Person, Served

ALPHABET = ["a", "b", "/", "//", "é", "\U0001f3ac", "\uffee", " ", "+", "%", "z", "A", ".", "-"]


def some_keys(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    keys = {"".join(rng.choices(ALPHABET, k=rng.randint(1, 6))) for _ in range(count)}
    return sorted(keys, key=str.encode)


@pytest.fixture(scope="module")
def keys() -> list[str]:
    return some_keys(1, 150)


@pytest.fixture(scope="module")
def owner(served: Served) -> Person:
    return served.person()


@pytest.fixture(scope="module")
def client(served: Served, owner: Person) -> Any:
    return served.client(owner)


@pytest.fixture(scope="module")
def filled(client: Any, keys: list[str]) -> str:
    bucket = "listing-tests"
    client.create_bucket(Bucket=bucket)
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=b"")
    return bucket


def model(keys: list[str], prefix: str, delimiter: str, after: str) -> list[tuple[str, str]]:
    """Every entry of a listing, in order: ("key", k) and ("prefix", p)."""
    entries: dict[tuple[str, str], None] = {}
    for key in keys:
        if not key.startswith(prefix):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = ("key", key) if at < 0 else ("prefix", key[: at + len(delimiter)])
        if entry[1].encode() > after.encode():
            entries[entry] = None
    return list(entries)


def entries(page: dict[str, Any]) -> list[tuple[str, str]]:
    found = [("key", o["Key"]) for o in page.get("Contents", [])]
    found += [("prefix", p["Prefix"]) for p in page.get("CommonPrefixes", [])]
    return sorted(found, key=lambda entry: entry[1].encode())


@pytest.mark.parametrize("seed", range(12))
def test_pages_are_the_model_cut_in_pieces(
    client: Any, filled: str, keys: list[str], seed: int
) -> None:
    rng = random.Random(seed)
    prefix = rng.choice(["", "", "a", "/", "é", "a/", "nothing"])
    delimiter = rng.choice(["", "/", "/", "//", "b", "\U0001f3ac"])
    after = rng.choice(["", "", "a", "b/", "\uffee"])
    size = rng.choice([1, 2, 7, 1000])
    wanted: dict[str, Any] = {"Bucket": filled, "Prefix": prefix, "Delimiter": delimiter}
    expected = model(keys, prefix, delimiter, after)

    version_2 = client.get_paginator("list_objects_v2").paginate(
        **wanted, StartAfter=after, PaginationConfig={"PageSize": size}
    )
    pages = list(version_2)
    assert [e for page in pages for e in entries(page)] == expected
    assert all(len(entries(page)) == page["KeyCount"] <= size for page in pages)
    assert [page["IsTruncated"] for page in pages] == [True] * (len(pages) - 1) + [False]

    version_1 = client.get_paginator("list_objects").paginate(
        **wanted, Marker=after, PaginationConfig={"PageSize": size}
    )
    assert [e for page in version_1 for e in entries(page)] == expected


def test_a_listed_object_tells_what_it_is(
    client: Any, filled: str, owner: Person, keys: list[str]
) -> None:
    plain = client.list_objects_v2(Bucket=filled, MaxKeys=1)["Contents"][0]
    assert (plain["Key"], plain["Size"], plain["StorageClass"]) == (keys[0], 0, "STANDARD")
    assert plain["ETag"] == '"d41d8cd98f00b204e9800998ecf8427e"'
    assert "Owner" not in plain
    mine = {"ID": str(owner.user_id), "DisplayName": owner.email}
    fetched = client.list_objects_v2(Bucket=filled, MaxKeys=1, FetchOwner=True)["Contents"][0]
    assert fetched["Owner"] == mine
    assert client.list_objects(Bucket=filled, MaxKeys=1)["Contents"][0]["Owner"] == mine


def test_url_encoding_covers_every_name_in_the_answer(served: Served, s3: Any, bucket: str) -> None:
    key, prefix = "é +%\n<x>/sub/key", "é +%\n<x>/"
    s3.put_object(Bucket=bucket, Key=key, Body=b"")
    # boto3 asks for url encoding by itself and decodes what it gets.
    page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/", StartAfter=" ")
    assert (page["Prefix"], page["Delimiter"], page["StartAfter"]) == (prefix, "/", " ")
    assert page["CommonPrefixes"] == [{"Prefix": "é +%\n<x>/sub/"}]
    raw = s3.list_objects_v2(Bucket=bucket, EncodingType="url")
    assert raw["Contents"][0]["Key"] == "%C3%A9+%2B%25%0A%3Cx%3E/sub/key"
    assert raw["EncodingType"] == "url"


def test_how_many_may_be_asked_for(client: Any, filled: str, keys: list[str]) -> None:
    none = client.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert (none["KeyCount"], none["IsTruncated"], none["MaxKeys"]) == (0, False, 0)
    many = client.list_objects_v2(Bucket=filled, MaxKeys=5000)
    assert (many["MaxKeys"], many["KeyCount"]) == (1000, len(keys))
    assert refused(client.list_objects_v2, Bucket=filled, MaxKeys=-1) == (400, "InvalidArgument")


def test_tokens_are_opaque_and_checked(client: Any, filled: str, keys: list[str]) -> None:
    first = client.list_objects_v2(Bucket=filled, MaxKeys=3)
    token = first["NextContinuationToken"]
    assert keys[2] not in token
    # The token wins over start-after, and both are told again.
    second = client.list_objects_v2(
        Bucket=filled, MaxKeys=2, ContinuationToken=token, StartAfter=keys[9]
    )
    assert [o["Key"] for o in second["Contents"]] == keys[3:5]
    assert (second["ContinuationToken"], second["StartAfter"]) == (token, keys[9])
    for bad in ("", "nonsense", "!!"):
        assert refused(client.list_objects_v2, Bucket=filled, ContinuationToken=bad) == (
            400,
            "InvalidArgument",
        )
    assert refused(client.list_objects_v2, Bucket=filled, EncodingType="base64") == (
        400,
        "InvalidArgument",
    )
