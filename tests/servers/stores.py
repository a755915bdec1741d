"""An S3 blob store on one of the servers, and what a test wants to know of the other side."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from mediaconvert.backends.blobs.s3 import S3Blobs, open_s3_blobs
from mediaconvert.settings import StorageSettings
from tests.servers import seaweedfs

BUCKET = "blobs"


def s3_settings(endpoint: str, **more: object) -> StorageSettings:
    """On SeaweedFS, with parts as small as they may be and a prefix of its own."""
    values: dict[str, object] = {
        "s3_endpoint": endpoint,
        "s3_access_key": seaweedfs.ACCESS_KEY,
        "s3_secret_key": seaweedfs.SECRET_KEY,
        "s3_bucket": BUCKET,
        "s3_prefix": f"test-{secrets.token_hex(8)}/",
        "s3_part_bytes": 5 << 20,
    }
    return StorageSettings(**(values | more))  # type: ignore[arg-type]


def s3_environment(endpoint: str, **more: str) -> dict[str, str]:
    """The same for a program, in its environment."""
    return {
        "S3_ENDPOINT": endpoint,
        "S3_ACCESS_KEY": seaweedfs.ACCESS_KEY,
        "S3_SECRET_KEY": seaweedfs.SECRET_KEY,
        "S3_BUCKET": BUCKET,
        "MEDIACONVERT_STORAGE__S3_PREFIX": f"test-{secrets.token_hex(8)}/",
        **more,
    }


@asynccontextmanager
async def s3_blobs(endpoint: str, **more: object) -> AsyncIterator[S3Blobs]:
    async with open_s3_blobs(s3_settings(endpoint, **more), transfers=32) as blobs:
        yield blobs


@contextmanager
def connect(
    endpoint: str, access_key: str = seaweedfs.ACCESS_KEY, secret_key: str = seaweedfs.SECRET_KEY
) -> Iterator[Any]:
    """Another client of the same store."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
    )
    try:
        yield client
    finally:
        client.close()


def torn_uploads(client: Any, bucket: str = BUCKET) -> list[str]:
    """Keys of uploads in parts that nobody completed or aborted."""
    return [each["Key"] for each in client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def connections_to(port: int, process: int | str = "self") -> int:
    """TCP connections of this very process, or of another one, to a local port."""
    ours = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        try:
            ours.add(str(descriptor.readlink()))
        except OSError:
            continue
    count = 0
    for line in Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        is_there = int(fields[2].rpartition(":")[2], 16) == port
        count += is_there and f"socket:[{fields[9]}]" in ours
    return count
