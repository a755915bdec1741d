"""A catalog to try things on, with short words for what most tests begin with.

One entry of CATALOGS an implementation; every test of the suite runs on each.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from mediaconvert.backends.sql.catalog import (
    open_postgres_driver,
    open_sqlite_catalog,
    sql_catalog,
)
from mediaconvert.model import (
    BlobId,
    BucketRef,
    ClaimedJob,
    Committed,
    Conditions,
    JobId,
    JobOutcome,
    Lease,
    NewObject,
    ObjectHeaders,
    OutboxEvent,
    Segment,
    UserId,
    VersionId,
)
from mediaconvert.ports.catalog import Catalog
from tests.servers.postgres import Databases

ANY = Conditions()
PATIENCE_SECONDS = 60.0
"""The deadline of the tests' transactions, far beyond what a pause of the machine takes: what
happens at a deadline is asked elsewhere, with deadlines of its own."""


def blob() -> BlobId:
    return BlobId(uuid.uuid4().hex)


def new_object(key: str, *blobs: BlobId, size: int = 10, etag: str = "e1") -> NewObject:
    """An object of equal runs of whole blobs; of one fresh blob unless told."""
    names = blobs or (blob(),)
    segments = tuple(Segment(name, 0, size) for name in names)
    return NewObject(key, size * len(names), etag, ObjectHeaders("video/mp4"), segments)


def lease(job: ClaimedJob) -> Lease:
    return Lease(job.id, job.token)


def outcome(*outputs: NewObject, steps: tuple[Mapping[str, object], ...] = ()) -> JobOutcome:
    keys = [output.key for output in outputs]
    size = sum(output.size for output in outputs)
    return JobOutcome(outputs, {"output_files": keys}, steps, size)


@dataclass
class World:
    catalog: Catalog
    execute: Callable[[str], list[str]]
    """One SQL statement past the catalog, to put a clock or a count where it has to be, or to
    look for what no call tells; the first column of what it answers."""

    async def user(self, name: str = "ann") -> UserId:
        return (await self.catalog.users.register(f"{name}@example.org", "hash")).id

    async def bucket(self, user_id: UserId, name: str = "films") -> BucketRef:
        ref = BucketRef(user_id, name)
        await self.catalog.buckets.create(ref, "us-east-1", limit=1000)
        return ref

    async def owner(self, name: str = "ann") -> BucketRef:
        """A user with a bucket of that name and a `-films`."""
        return await self.bucket(await self.user(name), f"{name}-films")

    async def pipeline(self, user_id: UserId, name: str = "small") -> VersionId:
        stored = await self.catalog.pipelines.create(user_id, name, "yaml", f"name: {name}")
        return stored.version_id

    async def put(
        self,
        ref: BucketRef,
        key: str,
        *blobs: BlobId,
        pipeline: VersionId | None = None,
        conditions: Conditions = ANY,
        etag: str = "e1",
    ) -> Committed:
        new = new_object(key, *blobs, etag=etag)
        return await self.catalog.objects.put(ref, new, conditions, pipeline)

    async def submit(self, ref: BucketRef, pipeline: VersionId, key: str = "film.mp4") -> JobId:
        job_id = (await self.put(ref, key, pipeline=pipeline)).job_id
        assert job_id is not None
        return job_id

    async def claim(self) -> ClaimedJob:
        (job,) = await self.catalog.queue.claim("worker", 1, 15.0)
        return job

    async def told(self) -> list[OutboxEvent]:
        """All events that wait, which are gone from the outbox then."""
        events: list[OutboxEvent] = []
        while batch := await self.catalog.outbox.open_batch("tests", 100, 60.0):
            events += batch.events
            await self.catalog.outbox.acknowledge(batch.token)
        return events

    async def garbage(self) -> set[BlobId]:
        return set(await self.catalog.housekeeping.garbage(10_000))

    async def delete(self, ref: BucketRef, key: str) -> None:
        assert await self.catalog.objects.delete(ref, [(key, ANY)]) == (True,)


@asynccontextmanager
async def _sqlite(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[World]:
    path = folder / "catalog.sqlite"

    def execute(statement: str) -> list[str]:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return [str(row[0]) for row in connection.execute(statement)]

    async with open_sqlite_catalog(path, deadline_seconds=PATIENCE_SECONDS) as catalog:
        yield World(catalog, execute)


@asynccontextmanager
async def _postgres(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[World]:
    server: Databases = request.getfixturevalue("databases")
    template: str = request.getfixturevalue("catalog_template")
    with server.database(template) as url:

        def execute(statement: str) -> list[str]:
            return server.execute(url, statement).splitlines()

        async with open_postgres_driver(url, deadline_seconds=PATIENCE_SECONDS) as driver:
            yield World(sql_catalog(driver), execute)


CATALOGS: Mapping[
    str, Callable[[pytest.FixtureRequest, Path], AbstractAsyncContextManager[World]]
] = {"sqlite": _sqlite, "postgres": _postgres}
