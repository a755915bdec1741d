"""What an S3 store's absence leaves behind: in the store, and in the log of who asked it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from mediaconvert.backends.blobs.s3 import S3Blobs
from mediaconvert.errors import Unavailable
from tests.servers.proxy import Proxy, open_proxy
from tests.servers.seaweedfs import SeaweedFS
from tests.servers.stores import connect, s3_blobs

PATIENCE_SECONDS = 240.0


@pytest.fixture
def proxy(seaweedfs: SeaweedFS) -> Iterator[Proxy]:
    with open_proxy(seaweedfs.port) as proxy:
        yield proxy


def address(proxy: Proxy) -> str:
    return f"http://127.0.0.1:{proxy.port}"


async def until_it_answers(blobs: S3Blobs) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            try:
                await blobs.check()
            except Unavailable:
                await trio.sleep(0.1)
            else:
                return


def keys_of(blobs: S3Blobs, store: SeaweedFS) -> list[str]:
    with connect(store.endpoint) as other:
        found = other.list_objects_v2(Bucket="blobs", Prefix=blobs.prefix)
        return [each["Key"].removeprefix(blobs.prefix) for each in found.get("Contents", [])]


async def test_a_trial_object_that_could_not_be_deleted_is_deleted_by_the_next_trial(
    seaweedfs: SeaweedFS, proxy: Proxy
) -> None:
    async with s3_blobs(address(proxy)) as blobs:
        # The store takes it, and we never hear of it.
        proxy.cut_after(0)
        with pytest.raises(Unavailable):
            await blobs.check()
        (left,) = keys_of(blobs, seaweedfs)
        assert left.startswith("trial-")
        await until_it_answers(blobs)
        assert keys_of(blobs, seaweedfs) == []
