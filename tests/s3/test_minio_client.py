"""The minio SDK, unmodified: the client of `make demo`."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
from minio import Minio
from minio.commonconfig import ComposeSource, CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from tests.program import WAIT_SECONDS
from tests.serving import Person, Served

MIB = 1 << 20


@pytest.fixture
def minio(served: Served, person: Person) -> Iterator[Minio]:
    client = Minio(
        f"{served.host}:{served.port}",
        access_key=person.access_key,
        secret_key=person.secret_key,
        secure=False,
    )
    yield client
    client._http.clear()


def read(client: Minio, bucket: str, key: str, **options: int) -> bytes:
    answer = client.get_object(bucket, key, **options)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


def test_objects_go_up_and_come_down(minio: Minio, bucket: str) -> None:
    small, large = os.urandom(1000), os.urandom(11 * MIB)
    minio.put_object(bucket, "ü/small +.bin", io.BytesIO(small), len(small), metadata={"a": "b"})
    minio.put_object(bucket, "large", io.BytesIO(large), -1, part_size=5 * MIB)
    assert read(minio, bucket, "ü/small +.bin") == small
    assert read(minio, bucket, "large") == large
    assert read(minio, bucket, "large", offset=5 * MIB - 3, length=9) == large[5 * MIB - 3 :][:9]
    stat = minio.stat_object(bucket, "ü/small +.bin")
    assert (stat.size, stat.metadata["x-amz-meta-a"]) == (1000, "b")
    found = {o.object_name for o in minio.list_objects(bucket, recursive=True)}
    assert found == {"ü/small +.bin", "large"}
    assert {o.object_name for o in minio.list_objects(bucket)} == {"ü/", "large"}


def test_copies_and_compositions(minio: Minio, bucket: str) -> None:
    data = os.urandom(5 * MIB)
    minio.put_object(bucket, "one", io.BytesIO(data), len(data))
    minio.copy_object(bucket, "copy", CopySource(bucket, "one"))
    minio.compose_object(
        bucket, "both", [ComposeSource(bucket, "one"), ComposeSource(bucket, "copy")]
    )
    assert read(minio, bucket, "both") == data * 2


def test_deletions_and_presigned_urls(minio: Minio, bucket: str) -> None:
    minio.put_object(bucket, "k", io.BytesIO(b"x"), 1)
    url = minio.presigned_get_object(bucket, "k", expires=timedelta(minutes=5))
    assert requests.get(url, timeout=WAIT_SECONDS).content == b"x"
    minio.put_object(bucket, "l", io.BytesIO(b"x"), 1)
    assert list(minio.remove_objects(bucket, [DeleteObject("k"), DeleteObject("l")])) == []
    with pytest.raises(S3Error) as caught:
        minio.stat_object(bucket, "k")
    assert caught.value.code == "NoSuchKey"
    minio.remove_bucket(bucket)
    assert not minio.bucket_exists(bucket)
