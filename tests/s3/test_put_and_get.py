from __future__ import annotations

from typing import Any


def test_an_object_comes_back_byte_for_byte(s3: Any, bucket: str) -> None:
    data = bytes(range(256)) * 10_000
    put = s3.put_object(Bucket=bucket, Key="a/b c.bin", Body=data)
    got = s3.get_object(Bucket=bucket, Key="a/b c.bin")
    assert got["Body"].read() == data
    assert got["ETag"] == put["ETag"]
