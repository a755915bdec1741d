"""What every analytics store promises (ports/analytics.py), asked of each implementation."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from mediaconvert import events
from mediaconvert.backends.analytics.sqlite import open_sqlite_analytics
from mediaconvert.events import JobFacts
from mediaconvert.model import (
    JobId,
    JobStatus,
    OutboxEvent,
    PipelineId,
    TriggeredBy,
    UserId,
)
from mediaconvert.ports.analytics import AnalyticsStore, JobStats, PipelineStats, TimelinePoint
from tests.conformance.worlds import World, lease, new_object, outcome


def _sqlite(folder: Path) -> AbstractAsyncContextManager[AnalyticsStore]:
    return open_sqlite_analytics(folder / "analytics.sqlite")


STORES: Mapping[str, Callable[[Path], AbstractAsyncContextManager[AnalyticsStore]]] = {
    "sqlite": _sqlite,
}

ANN, BOB = UserId(1), UserId(2)
HOUR_US = 3_600_000_000
# 2024-01-01T00:00:00Z, the start of an hour and of a day.
MIDNIGHT_US = 1_704_067_200_000_000


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnalyticsStore]:
    async with STORES[request.param](tmp_path) as opened:
        yield opened


def _facts(
    job_id: int,
    status: JobStatus,
    *,
    user_id: UserId = ANN,
    created_us: int = MIDNIGHT_US,
    took_ms: int = 1000,
    input_bytes: int = 100,
    pipeline: tuple[int, str] = (1, "small"),
) -> JobFacts:
    started = None if status is JobStatus.PENDING else created_us + 500
    return JobFacts(
        job_id=JobId(job_id),
        user_id=user_id,
        pipeline_id=PipelineId(pipeline[0]),
        pipeline_name=pipeline[1],
        content_type="video/mp4",
        input_bytes=input_bytes,
        output_bytes=0,
        status=status,
        attempt=1,
        error=None,
        error_code=None,
        created_at_us=created_us,
        started_at_us=started,
        finished_at_us=created_us + 500 + took_ms * 1000 if status.has_ended else None,
    )


def _metrics(event_id: int, facts: JobFacts) -> OutboxEvent:
    return OutboxEvent(event_id, events.JOB_METRICS, events.job_metrics(facts))


async def _record(store: AnalyticsStore, *facts: JobFacts) -> None:
    await store.record([_metrics(number + 1, each) for number, each in enumerate(facts)])


async def test_reports_of_nothing_are_empty(store: AnalyticsStore) -> None:
    assert await store.job_stats(ANN, 0) == JobStats(0, 0, 0, 0, 0, 0.0, 0.0, 0)
    assert await store.timeline(ANN, 0, "hour") == ()
    assert await store.pipeline_stats(ANN, 0) == ()
    await store.record([])
    await store.check()


async def test_job_stats_count_by_status(store: AnalyticsStore) -> None:
    await _record(
        store,
        _facts(1, JobStatus.COMPLETED, took_ms=1000, input_bytes=100),
        _facts(2, JobStatus.COMPLETED, took_ms=2000, input_bytes=50),
        _facts(3, JobStatus.FAILED, took_ms=9000),
        _facts(4, JobStatus.PENDING),
        _facts(5, JobStatus.PROCESSING),
        _facts(6, JobStatus.CANCELED),
    )
    stats = await store.job_stats(ANN, 0)
    assert (stats.total_jobs, stats.completed_jobs, stats.failed_jobs) == (6, 2, 1)
    assert (stats.pending_jobs, stats.processing_jobs) == (1, 1)
    assert stats.success_rate == pytest.approx(100 * 2 / 3)
    assert stats.avg_processing_time_ms == pytest.approx(1500)
    assert stats.total_data_processed_bytes == 150


async def test_the_newest_snapshot_of_a_job_counts_whatever_the_order(
    store: AnalyticsStore,
) -> None:
    snapshots = [
        _metrics(number, _facts(1, status))
        for number, status in enumerate(
            (JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.COMPLETED), start=1
        )
    ]
    random.Random(3).shuffle(snapshots)
    await store.record([snapshots[0]])
    await store.record(snapshots[1:])
    assert (await store.job_stats(ANN, 0)).completed_jobs == 1
    await store.record([_metrics(4, _facts(1, JobStatus.PENDING)), *snapshots])
    assert (await store.job_stats(ANN, 0)).pending_jobs == 1
    assert (await store.job_stats(ANN, 0)).total_jobs == 1


async def test_what_is_recorded_again_changes_nothing(store: AnalyticsStore) -> None:
    batch = [
        _metrics(1, _facts(1, JobStatus.COMPLETED)),
        OutboxEvent(
            2,
            events.STATUS_HISTORY,
            events.status_change(
                _facts(1, JobStatus.COMPLETED),
                JobStatus.PROCESSING,
                TriggeredBy.WORKER,
                "Done.",
                MIDNIGHT_US,
            ),
        ),
        *(
            OutboxEvent(3, events.PIPELINE_EXECUTION, step)
            for step in events.executed_steps(
                _facts(1, JobStatus.COMPLETED), [{"id": "a", "operation": "resize"}], MIDNIGHT_US
            )
        ),
    ]
    await store.record(batch)
    before = await store.job_stats(ANN, 0)
    for _ in range(3):
        await store.record([*batch, *batch])
    assert await store.job_stats(ANN, 0) == before
    assert before.total_jobs == 1


async def test_reports_are_of_one_user_and_one_window(store: AnalyticsStore) -> None:
    await _record(
        store,
        _facts(1, JobStatus.COMPLETED, created_us=MIDNIGHT_US - 1),
        _facts(2, JobStatus.COMPLETED),
        _facts(3, JobStatus.COMPLETED, user_id=BOB),
    )
    assert (await store.job_stats(ANN, MIDNIGHT_US)).total_jobs == 1
    assert (await store.job_stats(ANN, MIDNIGHT_US - 1)).total_jobs == 2
    assert sum(point.job_count for point in await store.timeline(ANN, MIDNIGHT_US, "day")) == 1
    assert [each.total_jobs for each in await store.pipeline_stats(BOB, 0)] == [1]


async def test_the_timeline_groups_by_hour_or_day_and_leaves_out_empty_ones(
    store: AnalyticsStore,
) -> None:
    await _record(
        store,
        _facts(1, JobStatus.COMPLETED, took_ms=100),
        _facts(2, JobStatus.FAILED, created_us=MIDNIGHT_US + HOUR_US - 1),
        _facts(3, JobStatus.COMPLETED, took_ms=300, created_us=MIDNIGHT_US + 5 * HOUR_US),
        _facts(4, JobStatus.PENDING, created_us=MIDNIGHT_US + 24 * HOUR_US),
    )
    assert await store.timeline(ANN, 0, "hour") == (
        TimelinePoint(MIDNIGHT_US, 2, 100.0, 50.0),
        TimelinePoint(MIDNIGHT_US + 5 * HOUR_US, 1, 300.0, 100.0),
        TimelinePoint(MIDNIGHT_US + 24 * HOUR_US, 1, 0.0, 0.0),
    )
    assert await store.timeline(ANN, 0, "day") == (
        TimelinePoint(MIDNIGHT_US, 3, 200.0, 100.0 * 2 / 3),
        TimelinePoint(MIDNIGHT_US + 24 * HOUR_US, 1, 0.0, 0.0),
    )


async def test_pipelines_come_by_number_of_jobs_with_their_newest_name(
    store: AnalyticsStore,
) -> None:
    await _record(
        store,
        _facts(1, JobStatus.COMPLETED, pipeline=(3, "old name"), took_ms=10),
        _facts(2, JobStatus.FAILED, pipeline=(3, "new name")),
        _facts(3, JobStatus.COMPLETED, pipeline=(7, "b")),
        _facts(4, JobStatus.PENDING, pipeline=(5, "a")),
    )
    assert await store.pipeline_stats(ANN, 0) == (
        PipelineStats(PipelineId(3), "new name", 2, 1, 1, 50.0, 10.0),
        PipelineStats(PipelineId(5), "a", 1, 0, 0, 0.0, 0.0),
        PipelineStats(PipelineId(7), "b", 1, 1, 0, 100.0, 1000.0),
    )


async def test_an_event_of_an_unknown_kind_is_left_out(store: AnalyticsStore) -> None:
    known = _metrics(2, _facts(1, JobStatus.COMPLETED))
    await store.record([replace(known, id=1, kind="from_the_future"), known])
    assert (await store.job_stats(ANN, 0)).total_jobs == 1


async def test_what_the_catalog_tells_agrees_with_the_catalog(
    store: AnalyticsStore, world: World
) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    for number in range(5):
        await world.submit(ref, pipeline, f"{number}")
    steps = ({"id": "a", "operation": "resize", "duration_ms": 3},)
    for _ in range(2):
        done = outcome(new_object("results/x"), steps=steps)
        await world.catalog.queue.finish(lease(await world.claim()), done)
    await world.claim()
    housekeeping = world.catalog.housekeeping
    while told := await housekeeping.take_events(4):
        await store.record(told)
        await housekeeping.acknowledge_events([event.id for event in told])
    stats = await store.job_stats(ref.user_id, 0)
    assert (stats.total_jobs, stats.completed_jobs) == (5, 2)
    assert (stats.pending_jobs, stats.processing_jobs) == (2, 1)
    assert stats.total_data_processed_bytes == 20
    (row,) = await store.pipeline_stats(ref.user_id, 0)
    assert (row.pipeline_name, row.total_jobs, row.successful_jobs) == ("small", 5, 2)
