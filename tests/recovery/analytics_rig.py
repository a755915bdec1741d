"""Jobs that end one after another, and what the analytics are told of it meanwhile."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from mediaconvert.model import (
    BlobId,
    BucketRef,
    Conditions,
    FailureKind,
    JobFailure,
    JobOutcome,
    Lease,
    NewObject,
    ObjectHeaders,
    Segment,
    UserId,
    VersionId,
)
from mediaconvert.ports.catalog import Catalog

PATIENCE_SECONDS = 180.0
"""Many times what healing takes: a wait for an answer and a backoff of 10 s each."""
_STEPS = (
    {"id": "a", "operation": "probe", "status": "completed", "duration_ms": 3},
    {"id": "b", "operation": "resize", "status": "completed", "duration_ms": 5},
)
_FAILED = (_STEPS[0], {"id": "b", "operation": "resize", "status": "failed", "error": "no"})


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask a state that no event announces until it holds."""
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            if await condition():
                return
            await trio.sleep(0.05)


def _object(key: str) -> NewObject:
    name = BlobId(secrets.token_hex(16))
    return NewObject(key, 10, "e1", ObjectHeaders("video/mp4"), (Segment(name, 0, 10),))


@dataclass
class Work:
    """A user's jobs on a catalog. Made by `begin`."""

    catalog: Catalog
    bucket: BucketRef
    pipeline: VersionId
    _count: int = field(default=0)

    @property
    def user_id(self) -> UserId:
        return self.bucket.user_id

    async def jobs(self, count: int) -> None:
        """So many are submitted, tried and ended: completed, failed, or completed at the
        second try. Each makes seven events or more."""
        for _ in range(count):
            self._count += 1
            await self.catalog.objects.put(
                self.bucket, _object(f"in/{self._count}"), Conditions(), self.pipeline
            )
            if self._count % 3 == 0:
                await self._end("retried")
            await self._end("failed" if self._count % 3 == 1 else "completed")

    async def _end(self, how: str) -> None:
        (job,) = await self.catalog.queue.claim("worker", 1, 600.0)
        lease = Lease(job.id, job.token)
        if how == "completed":
            output = _object(f"out/{self._count}")
            done = JobOutcome((output,), {"output_files": [output.key]}, _STEPS, output.size)
            assert await self.catalog.queue.finish(lease, done)
        else:
            failure = JobFailure(FailureKind.CRASH, "tool_crashed", "It died.", (), _FAILED)
            retry = 0.0 if how == "retried" else None
            assert await self.catalog.queue.fail(lease, failure, retry)

    async def waiting(self) -> int:
        """Events in the outbox."""
        return (await self.catalog.housekeeping.gauges()).outbox_events

    async def all_told(self) -> None:
        async def is_empty() -> bool:
            return await self.waiting() == 0

        await until(is_empty)


async def begin(catalog: Catalog) -> Work:
    user = await catalog.users.register(f"{secrets.token_hex(4)}@example.org", "hash")
    bucket = BucketRef(user.id, f"films-{user.id}")
    await catalog.buckets.create(bucket, "us-east-1", limit=10)
    stored = await catalog.pipelines.create(user.id, "small", "yaml", "name: small")
    return Work(catalog, bucket, stored.version_id)
