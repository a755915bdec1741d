"""A worker's surroundings, all real, in one folder: SQLite catalog, blob folder, notices, tools.

Jobs are run one by one in the test's own task, or by a pool that the test starts.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import imageio_ffmpeg
import trio

from mediaconvert.backends.blobs.directory import open_directory_blobs
from mediaconvert.backends.notices.memory import MemoryNotices
from mediaconvert.backends.sql.catalog import open_sqlite_catalog
from mediaconvert.model import (
    BlobId,
    BucketRef,
    ClaimedJob,
    Conditions,
    Job,
    JobId,
    ListQuery,
    NewObject,
    ObjectHeaders,
    Segment,
    UserId,
    VersionId,
)
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.tools import Tools
from mediaconvert.settings import ServerSettings, Settings, ToolSettings, WorkerSettings
from mediaconvert.tools.toolbox import open_toolbox
from mediaconvert.verified_blobs import VerifiedBlobs
from mediaconvert.workers.leases import HeldJob, LeaseKeeper
from mediaconvert.workers.pool import Pool
from mediaconvert.workers.runner import Runner
from mediaconvert.workers.settle import Ending
from tests.program import command_line, descendants

PATIENCE_SECONDS = 240
POLL_SECONDS = 0.02
LEASE_SECONDS = 600.0
"""Unless a test is about leases: where nobody renews them, an attempt is stopped after two
thirds of one, and where somebody does, by whatever holds him up for so long."""


SLOW_PIPELINE = """
name: slow
steps:
  - {operation: transcode, input: "${input}", output: "${output}/video.mp4",
     params: {codec: h265, quality: 20, preset: slow}}
"""


async def until(question: Callable[[], Awaitable[bool]]) -> None:
    """Look at the real state again and again: it announces itself nowhere."""
    with trio.fail_after(PATIENCE_SECONDS):
        while not await question():
            with trio.move_on_after(POLL_SECONDS):
                await trio.sleep_forever()


def running_ffmpegs() -> list[str]:
    """Command lines of our descendants that work on a job's input."""
    lines = [command_line(pid) for pid in descendants(os.getpid())]
    return [line for line in lines if "ffmpeg" in line and "-i input" in line]


def kill_ffmpegs() -> None:
    """As the kernel does when memory runs out: the tool itself, not the sandbox around it."""
    for pid in descendants(os.getpid()):
        line = command_line(pid)
        if "-i input" in line and "bwrap" not in line.partition(" ")[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def ffmpeg_runs() -> bool:
    await trio.lowlevel.checkpoint()
    return bool(running_ffmpegs())


def make_film(path: Path, *arguments: str) -> Path:
    """Run ffmpeg, unconfined, with these arguments and the file's name."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-nostdin", "-v", "error", "-y", *arguments, str(path)]
    subprocess.run(command, check=True, timeout=PATIENCE_SECONDS)
    return path


def long_film(folder: Path) -> bytes:
    """Quick to make, minutes to transcode."""
    film = make_film(
        folder / "long.mp4",
        *("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=30"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-qp", "30"),
    )
    return film.read_bytes()


@dataclass
class Rig:
    settings: Settings
    catalog: Catalog
    blobs: BlobStore
    notices: MemoryNotices
    tools: Tools
    user_id: UserId
    bucket: BucketRef
    keeper: LeaseKeeper
    runner: Runner

    async def pipeline(self, text: str, name: str = "p") -> VersionId:
        stored = await self.catalog.pipelines.create(self.user_id, name, "yaml", text)
        return stored.version_id

    async def upload(self, key: str, data: bytes, version: VersionId | None = None) -> JobId | None:
        segments: tuple[Segment, ...] = ()
        if data:
            async with self.blobs.stage() as writer:
                await writer.write(data)
                await writer.seal()
            segments = (Segment(writer.blob_id, 0, len(data)),)
        etag = hashlib.md5(data).hexdigest()
        new = NewObject(key, len(data), etag, ObjectHeaders(), segments)
        done = await self.catalog.objects.put(self.bucket, new, Conditions(), version)
        return done.job_id

    async def submit(self, data: bytes, text: str, key: str = "input") -> JobId:
        name = f"p{await self._count_pipelines()}"
        job_id = await self.upload(key, data, await self.pipeline(text, name))
        assert job_id is not None
        return job_id

    async def _count_pipelines(self) -> int:
        return len(await self.catalog.pipelines.list(self.user_id))

    async def claim(self) -> ClaimedJob:
        (job,) = await self.catalog.queue.claim("w", 1, self.settings.workers.lease_seconds)
        return job

    async def run(self, job: ClaimedJob) -> Ending:
        with self.keeper.hold(job, trio.current_time()) as held:
            return await self.runner.run(held)

    @asynccontextmanager
    async def running(self, job: ClaimedJob) -> AsyncIterator[tuple[HeldJob, list[Ending]]]:
        """The job runs beside the body, and has ended when this is left."""
        endings: list[Ending] = []
        with self.keeper.hold(job, trio.current_time()) as held:

            async def work() -> None:
                endings.append(await self.runner.run(held))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(work)
                yield held, endings

    async def run_next(self) -> Ending:
        return await self.run(await self.claim())

    async def job(self, job_id: JobId) -> Job:
        return await self.catalog.jobs.get(self.user_id, job_id)

    async def has_progress(self, job_id: JobId) -> bool:
        return (await self.job(job_id)).progress > 0

    async def read(self, key: str) -> bytes:
        found = await self.catalog.objects.get(self.bucket, key)
        async with self.blobs.open(found.segments) as pieces:
            return b"".join([piece async for piece in pieces])

    async def keys(self) -> list[str]:
        page = await self.catalog.objects.list(self.bucket, ListQuery())
        return [found.key for found in page.objects]

    async def stored_blobs(self) -> set[BlobId]:
        return {blob async for batch in self.blobs.older_than(-60) for blob in batch}

    def pool(self, *, embedded: bool = False, suspect_wait_seconds: float = 120.0) -> Pool:
        return Pool(
            self.catalog,
            self.blobs,
            self.notices,
            self.tools,
            self.settings,
            embedded=embedded,
            suspect_wait_seconds=suspect_wait_seconds,
        )

    def workspaces(self) -> list[str]:
        work = self.settings.server.data_dir / "work"
        return sorted(f.name for f in work.iterdir()) if work.is_dir() else []


def settings_for(folder: Path, *, drain_seconds: float = 20.0, **workers: float) -> Settings:
    return Settings(
        server=ServerSettings(data_dir=folder, drain_jobs_seconds=drain_seconds),
        workers=WorkerSettings(**({"slots": 2, "lease_seconds": LEASE_SECONDS} | workers)),  # type: ignore[arg-type]
        tools=ToolSettings(),
    )


@asynccontextmanager
async def open_rig(
    settings: Settings, *, with_tools: bool = True, catalog_seconds: float = 60.0
) -> AsyncIterator[Rig]:
    """Without tools (they take a second to start and stop) no job may be run. The catalog
    gives up after `catalog_seconds`."""
    folder = settings.server.data_dir
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        catalog = await enter(
            open_sqlite_catalog(folder / "catalog.db", deadline_seconds=catalog_seconds)
        )
        stored = await enter(open_directory_blobs(folder / "blobs", min_free_bytes=0))
        blobs = VerifiedBlobs(stored, catalog)
        tools = cast(Tools, None)
        if with_tools:
            tools = await enter(open_toolbox(settings.tools, slots=2))
        notices = MemoryNotices()
        user = await catalog.users.register("u@example.com", "hash")
        bucket = BucketRef(user.id, "films")
        await catalog.buckets.create(bucket, "us-east-1", limit=10)
        yield Rig(
            settings=settings,
            catalog=catalog,
            blobs=blobs,
            notices=notices,
            tools=tools,
            user_id=user.id,
            bucket=bucket,
            keeper=LeaseKeeper(catalog.queue, "w", settings.workers),
            runner=Runner(catalog, blobs, notices, tools, settings),
        )
