"""The queue alone, on PostgreSQL with fsync on: jobs that do nothing, from claim to finish.

Beside procrastinate with its defaults, in turn, on the same server; and again with many more
jobs in the tables, and with several worker processes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import trio

from mediaconvert.backends.sql.catalog import open_postgres_driver, sql_catalog
from mediaconvert.model import (
    BucketRef,
    ClaimedJob,
    Conditions,
    JobOutcome,
    Lease,
    NewObject,
    ObjectHeaders,
)
from mediaconvert.ports.catalog import Catalog
from tests.bench.measure import Figure
from tests.program import ROOT, clean_environment
from tests.servers.postgres import Postgres

JOBS = 1000
CONCURRENCY = (2, 10, 30)
TRIES = 3
_PEERS = ROOT / ".venv-bench/bin/python"
_HEADERS = ObjectHeaders("video/mp4")


def run() -> list[Figure]:
    with _server() as server:
        figures = _against_procrastinate(server)
        figures += _growth(server)
        figures += _several_workers(server)
    return figures


@contextmanager
def _server() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        server = Postgres(Path(name) / "postgres", fsync=True)
        server.process.start()
        try:
            yield server
        finally:
            server.process.stop()


def _against_procrastinate(server: Postgres) -> list[Figure]:
    """Each at every concurrency in turn; the concurrency that suits it best counts."""
    ours: dict[int, list[float]] = {n: [] for n in CONCURRENCY}
    theirs: dict[int, list[float]] = {n: [] for n in CONCURRENCY}
    for _ in range(TRIES):
        for concurrency in CONCURRENCY:
            with server.database() as url:
                trio.run(_submit, url, JOBS)
                ours[concurrency].append(JOBS / sum(_work(url, concurrency, 1)))
            with server.database() as url:
                seconds = _output(
                    [_PEERS, "-m", "tests.bench.peers.procrastinate_queue"], url, JOBS, concurrency
                )
                theirs[concurrency].append(JOBS / seconds)
    return [
        *(Figure(f"queue, {n} at once", "jobs/s", ours[n]) for n in CONCURRENCY),
        *(Figure(f"procrastinate, {n} at once", "jobs/s", theirs[n]) for n in CONCURRENCY),
    ]


def _growth(server: Postgres) -> list[Figure]:
    """Claim and finish of 500 jobs while so many wait, and as many have ended."""
    figures = []
    with server.database() as url:
        name = url.rpartition("/")[2]
        # The one whose copies fill the table; they keep its source from being purged.
        trio.run(_submit, url, 1)
        for total in (1_000, 10_000, 100_000):
            values = []
            for _ in range(TRIES):
                for status in ("pending", "completed"):
                    present = f"select count(*) from jobs where status = '{status}'"
                    missing = total - int(server.execute(name, present))
                    server.execute(name, _MANY.format(status=status, count=max(missing, 0)))
                server.execute(name, "analyze")
                values.append(500 / _output_of_worker(url, 10, 500))
            what = f"queue with {total:,} waiting, {total:,} ended"
            figures.append(Figure(what, "jobs/s", values))
    return figures


_MANY = """
insert into jobs (user_id, bucket_id, bucket_name, source_id, source_key, source_size,
  source_content_type, pipeline_id, version_id, status, available_at, created_at)
select j.user_id, j.bucket_id, j.bucket_name, j.source_id, j.source_key, j.source_size,
  j.source_content_type, j.pipeline_id, j.version_id, '{status}', j.available_at + n, j.created_at
from (select * from jobs order by id limit 1) j, generate_series(1, {count}) n
"""


def _several_workers(server: Postgres) -> list[Figure]:
    """The same 2,000 jobs with one, two and four worker processes of 4 slots."""
    figures = []
    for workers in (1, 2, 4):
        values = []
        for _ in range(TRIES):
            with server.database() as url:
                trio.run(_submit, url, 2000)
                values.append(2000 / max(_work(url, 4, workers)))
        figures.append(Figure(f"queue, {workers} worker processes", "jobs/s", values))
    return figures


def _work(url: str, concurrency: int, workers: int) -> list[float]:
    """Empties the queue; the seconds of each worker process."""
    running = [
        subprocess.Popen(
            _command([sys.executable, "-m", "tests.bench.queue"], url, 0, concurrency),
            cwd=ROOT,
            env=clean_environment(PYTHONPATH=str(ROOT)),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(workers)
    ]
    return [float(process.communicate(timeout=300)[0]) for process in running]


def _output_of_worker(url: str, concurrency: int, count: int) -> float:
    return _output([sys.executable, "-m", "tests.bench.queue"], url, count, concurrency)


def _output(program: list[str | Path], url: str, count: int, concurrency: int) -> float:
    done = subprocess.run(
        _command(program, url, count, concurrency),
        cwd=ROOT,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=300,
        check=True,
    )
    return float(done.stdout)


def _command(program: list[str | Path], url: str, count: int, concurrency: int) -> list[str]:
    return [*map(str, program), url, str(count), str(concurrency)]


async def _submit(url: str, count: int) -> None:
    """One user's jobs, as uploads make them."""
    async with open_postgres_driver(url) as driver:
        catalog = sql_catalog(driver)
        user = await catalog.users.by_email("bench@example.org")
        if user is None:
            user = await catalog.users.register("bench@example.org", "hash")
            await catalog.buckets.create(BucketRef(user.id, "bench"), "us-east-1", limit=10)
            await catalog.pipelines.create(user.id, "nothing", "yaml", "name: nothing")
        ref = BucketRef(user.id, "bench")
        pipeline = await catalog.pipelines.by_name(user.id, "nothing")
        for number in range(count):
            new = NewObject(f"{number}", 0, "etag", _HEADERS, ())
            await catalog.objects.put(ref, new, Conditions(), pipeline.version_id)


async def _empty(url: str, count: int, concurrency: int) -> float:
    """The worker process: `count` jobs, or all, as the pool does it: claims what it has slots
    for, finishes each by itself. Answers the seconds."""
    async with open_postgres_driver(url) as driver:
        queue = sql_catalog(driver).queue
        # Connected, prepared and warm, as a worker is.
        await queue.next_due_seconds()
        began = trio.current_time()
        await _Slots(sql_catalog(driver), concurrency, count or sys.maxsize).run()
        return trio.current_time() - began


class _Slots:
    """A pool of slots that do nothing."""

    def __init__(self, catalog: Catalog, slots: int, count: int) -> None:
        self._queue = catalog.queue
        self._slots = slots
        self._left = count
        self._busy = 0
        self._freed = trio.Event()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            while self._left:
                free = min(self._slots - self._busy, self._left)
                claimed = await self._queue.claim("bench", free, 60.0) if free else ()
                if free and not claimed and not self._busy:
                    return
                for job in claimed:
                    self._busy += 1
                    self._left -= 1
                    nursery.start_soon(self._finish, job)
                if not self._left:
                    return
                if self._busy == self._slots or not claimed:
                    await self._freed.wait()
                self._freed = trio.Event()

    async def _finish(self, job: ClaimedJob) -> None:
        assert await self._queue.finish(Lease(job.id, job.token), JobOutcome((), {}, (), 0))
        self._busy -= 1
        self._freed.set()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    parser.add_argument("concurrency", type=int)
    given = parser.parse_args()
    print(trio.run(partial(_empty, given.url, given.count, given.concurrency)))
