"""What every analytics store promises (ports/analytics.py), asked of each implementation."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from mediaconvert import events
from mediaconvert.events import JobFacts
from mediaconvert.model import (
    EventBatch,
    JobStatus,
    OutboxEvent,
    PipelineId,
    TriggeredBy,
    UserId,
)
from mediaconvert.ports.analytics import (
    AnalyticsStore,
    JobPercentiles,
    JobStats,
    OperationStats,
    PipelineStats,
    TimelinePoint,
)
from tests.conformance.stores import STORES, Place
from tests.conformance.told import (
    ANN,
    BOB,
    MIDNIGHT_US,
    TABLES,
    batch_of,
    everything,
    facts_of,
    metrics,
)
from tests.conformance.worlds import World, lease, new_object, outcome

HOUR_US = 3_600_000_000


@pytest.fixture(params=STORES)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with STORES[request.param](request, tmp_path) as opened:
        yield opened


@pytest.fixture
def store(place: Place) -> AnalyticsStore:
    return place.store


async def _record(store: AnalyticsStore, *jobs: JobFacts) -> None:
    await store.record(batch_of(*(metrics(number + 1, each) for number, each in enumerate(jobs))))


async def test_reports_of_nothing_are_empty(store: AnalyticsStore) -> None:
    assert await store.job_stats(ANN, 0) == JobStats(0, 0, 0, 0, 0, 0.0, 0.0, 0)
    assert await store.timeline(ANN, 0, "hour") == ()
    assert await store.pipeline_stats(ANN, 0) == ()
    assert await store.job_percentiles(ANN, 0) == JobPercentiles(0, 0, 0, 0, 0)
    assert await store.operation_stats(ANN, 0) == ()
    await store.record(batch_of())
    await store.check()


async def test_job_stats_count_by_status(store: AnalyticsStore) -> None:
    await _record(
        store,
        facts_of(1, JobStatus.COMPLETED, took_ms=1000, input_bytes=100),
        facts_of(2, JobStatus.COMPLETED, took_ms=2000, input_bytes=50),
        facts_of(3, JobStatus.FAILED, took_ms=9000),
        facts_of(4, JobStatus.PENDING),
        facts_of(5, JobStatus.PROCESSING),
        facts_of(6, JobStatus.CANCELED),
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
        metrics(number, facts_of(1, status))
        for number, status in enumerate(
            (JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.COMPLETED), start=1
        )
    ]
    random.Random(3).shuffle(snapshots)
    await store.record(batch_of(snapshots[0]))
    await store.record(batch_of(*snapshots[1:]))
    assert (await store.job_stats(ANN, 0)).completed_jobs == 1
    await store.record(batch_of(metrics(4, facts_of(1, JobStatus.PENDING))))
    assert (await store.job_stats(ANN, 0)).pending_jobs == 1
    assert (await store.job_stats(ANN, 0)).total_jobs == 1


def _ids(place: Place) -> list[int]:
    """Of all tables' rows."""
    return sorted(row[0] for table in TABLES for row in place.tables.rows(table, ["event_id"]))


async def test_what_is_recorded_again_changes_nothing(place: Place) -> None:
    other = batch_of(*everything(4, 2))
    # Of two months: to ClickHouse two blocks.
    batch = batch_of(*everything(1, 1), *everything(7, 3, MIDNIGHT_US - 1))
    await place.store.record(batch)
    before = await place.store.job_stats(ANN, 0)
    await place.store.record(other)
    for _ in range(3):
        await place.store.record(batch)
    assert _ids(place) == list(range(1, 10))
    assert (before.total_jobs, (await place.store.job_stats(ANN, 0)).total_jobs) == (2, 3)


async def test_batches_that_arrive_at_once_are_stored_once(place: Place) -> None:
    batch = batch_of(*(event for n in range(50) for event in everything(1 + n * 3, n)))
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(place.store.record, batch)
    assert _ids(place) == list(range(1, 151))


async def test_a_delivery_that_is_cancelled_and_repeated_is_stored_once(place: Place) -> None:
    batch = batch_of(*(event for n in range(50) for event in everything(1 + n * 3, n)))
    for checkpoints in range(12):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place.store.record, batch)
            for _ in range(checkpoints):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    await place.store.record(batch)
    assert _ids(place) == list(range(1, 151))


async def test_every_column_arrives_as_it_was_told(place: Place) -> None:
    facts = replace(
        facts_of(7, JobStatus.FAILED, input_bytes=1 << 53, pipeline=(9, "größe\t'; --")),
        output_bytes=5,
        attempt=3,
        error="the tool said:\tü \U0001f3ac\n\\",
        error_code="tool_crashed",
    )
    change = events.status_change(facts, None, TriggeredBy.USER, "Uploaded.", MIDNIGHT_US + 1)
    steps = events.executed_steps(
        facts,
        [
            {"id": "a", "operation": "resize", "duration_ms": 7, "input_bytes": 8},
            {"id": "b", "operation": "probe", "error": "no", "output_bytes": 9},
        ],
        MIDNIGHT_US + 2,
    )
    told = [
        metrics(1, facts),
        OutboxEvent(2, events.STATUS_HISTORY, change),
        *(OutboxEvent(3 + n, events.PIPELINE_EXECUTION, step) for n, step in enumerate(steps)),
    ]
    await place.store.record(batch_of(*told))
    for table, kind in zip(TABLES, events.COLUMNS, strict=True):
        found = place.tables.rows(table, ["event_id", *events.COLUMNS[kind]])
        assert sorted(found) == [
            (event.id, *(event.payload[column] for column in events.COLUMNS[kind]))
            for event in told
            if event.kind == kind
        ]


async def test_reports_are_of_one_user_and_one_window(store: AnalyticsStore) -> None:
    await _record(
        store,
        facts_of(1, JobStatus.COMPLETED, created_us=MIDNIGHT_US - 1),
        facts_of(2, JobStatus.COMPLETED),
        facts_of(3, JobStatus.COMPLETED, user_id=BOB),
    )
    assert (await store.job_stats(ANN, MIDNIGHT_US)).total_jobs == 1
    assert (await store.job_stats(ANN, MIDNIGHT_US - 1)).total_jobs == 2
    assert sum(point.job_count for point in await store.timeline(ANN, MIDNIGHT_US, "day")) == 1
    assert [each.total_jobs for each in await store.pipeline_stats(BOB, 0)] == [1]


async def test_percentiles_are_of_completed_jobs_and_lie_between_two(store: AnalyticsStore) -> None:
    times = list(range(1000, 2000, 100))
    random.Random(5).shuffle(times)
    jobs = [facts_of(n, JobStatus.COMPLETED, took_ms=ms) for n, ms in enumerate(times, start=1)]
    others = [
        facts_of(20, JobStatus.FAILED, took_ms=90_000),
        facts_of(21, JobStatus.CANCELED, took_ms=90_000),
        facts_of(22, JobStatus.PROCESSING),
        facts_of(23, JobStatus.COMPLETED, took_ms=90_000, user_id=BOB),
        facts_of(24, JobStatus.COMPLETED, took_ms=90_000, created_us=MIDNIGHT_US - 1),
    ]
    await _record(store, *jobs, *others)
    found = await store.job_percentiles(ANN, MIDNIGHT_US)
    assert found.completed_jobs == 10
    assert found.p50_ms == pytest.approx(1450)
    assert found.p90_ms == pytest.approx(1810)
    assert found.p95_ms == pytest.approx(1855)
    assert found.p99_ms == pytest.approx(1891)


async def test_the_percentiles_of_one_job_are_its_time(store: AnalyticsStore) -> None:
    await _record(store, facts_of(1, JobStatus.COMPLETED, took_ms=77))
    assert await store.job_percentiles(ANN, 0) == JobPercentiles(1, 77, 77, 77, 77)


async def test_operations_come_by_number_of_runs_with_what_their_successes_took(
    store: AnalyticsStore,
) -> None:
    def steps(first_id: int, user_id: UserId, at_us: int, *told: dict[str, object]) -> EventBatch:
        facts = facts_of(first_id, JobStatus.COMPLETED, user_id=user_id)
        payloads = events.executed_steps(facts, told, at_us)
        return batch_of(
            *(
                OutboxEvent(first_id + n, events.PIPELINE_EXECUTION, each)
                for n, each in enumerate(payloads)
            )
        )

    def step(operation: str, ms: int, **more: object) -> dict[str, object]:
        sizes = {"input_bytes": 100, "output_bytes": 10}
        return {"id": "s", "operation": operation, "duration_ms": ms, **sizes, **more}

    resized = [step("resize", ms) for ms in (10, 20, 30, 40, 50)]
    crop, probe = step("crop", 9, error="no"), step("probe", 3)
    await store.record(steps(1, ANN, MIDNIGHT_US, *resized, crop, probe))
    await store.record(steps(20, ANN, MIDNIGHT_US, step("resize", 999, status="failed")))
    await store.record(steps(30, ANN, MIDNIGHT_US - 1, probe))
    await store.record(steps(40, BOB, MIDNIGHT_US, probe))
    resize, *rest = await store.operation_stats(ANN, MIDNIGHT_US)
    assert (resize.operation, resize.runs, resize.successes, resize.failures) == ("resize", 6, 5, 1)
    assert resize.success_rate == pytest.approx(100 * 5 / 6)
    assert (resize.avg_duration_ms, resize.p95_duration_ms) == (30, pytest.approx(48))
    assert (resize.input_bytes, resize.output_bytes) == (500, 50)
    assert rest == [
        OperationStats("crop", 1, 0, 1, 0.0, 0.0, 0.0, 0, 0),
        OperationStats("probe", 1, 1, 0, 100.0, 3.0, 3.0, 100, 10),
    ]


async def test_the_timeline_groups_by_hour_or_day_and_leaves_out_empty_ones(
    store: AnalyticsStore,
) -> None:
    await _record(
        store,
        facts_of(1, JobStatus.COMPLETED, took_ms=100),
        facts_of(2, JobStatus.FAILED, created_us=MIDNIGHT_US + HOUR_US - 1),
        facts_of(3, JobStatus.COMPLETED, took_ms=300, created_us=MIDNIGHT_US + 5 * HOUR_US),
        facts_of(4, JobStatus.PENDING, created_us=MIDNIGHT_US + 24 * HOUR_US),
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
        facts_of(1, JobStatus.COMPLETED, pipeline=(3, "old name"), took_ms=10),
        facts_of(2, JobStatus.FAILED, pipeline=(3, "new name")),
        facts_of(3, JobStatus.COMPLETED, pipeline=(7, "b")),
        facts_of(4, JobStatus.PENDING, pipeline=(5, "a")),
    )
    assert await store.pipeline_stats(ANN, 0) == (
        PipelineStats(PipelineId(3), "new name", 2, 1, 1, 50.0, 10.0),
        PipelineStats(PipelineId(5), "a", 1, 0, 0, 0.0, 0.0),
        PipelineStats(PipelineId(7), "b", 1, 1, 0, 100.0, 1000.0),
    )


async def test_an_event_of_an_unknown_kind_is_left_out(store: AnalyticsStore) -> None:
    known = metrics(2, facts_of(1, JobStatus.COMPLETED))
    await store.record(batch_of(replace(known, id=1, kind="from_the_future"), known))
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
    while batch := await world.catalog.outbox.open_batch("tests", 4, 60.0):
        await store.record(batch)
        await world.catalog.outbox.acknowledge(batch.token)
    stats = await store.job_stats(ref.user_id, 0)
    assert (stats.total_jobs, stats.completed_jobs) == (5, 2)
    assert (stats.pending_jobs, stats.processing_jobs) == (2, 1)
    assert stats.total_data_processed_bytes == 20
    (row,) = await store.pipeline_stats(ref.user_id, 0)
    assert (row.pipeline_name, row.total_jobs, row.successful_jobs) == ("small", 5, 2)
