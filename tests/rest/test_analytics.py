"""The five reports: exact fields, one's own jobs only, and bounds on what is asked."""

from __future__ import annotations

import pytest

from mediaconvert.model import FailureKind, JobFailure, Lease
from tests.rest.service import Person, Service, submit_job
from tests.rest.test_jobs import complete, fail

STATS = "/api/analytics/jobs/stats"
TIMELINE = "/api/analytics/jobs/timeline"
PIPELINES = "/api/analytics/pipelines/stats"
PERCENTILES = "/api/analytics/jobs/percentiles"
OPERATIONS = "/api/analytics/operations/stats"
REPORTS = [STATS, PERCENTILES, TIMELINE, PIPELINES, OPERATIONS]


async def some_jobs(service: Service, person: Person) -> None:
    """Three completed, one failed, one pending."""
    for n in range(5):
        await submit_job(service, person, f"{n}.mp4")
    for _ in range(3):
        await complete(service)
    await fail(service)
    await service.flush()


async def test_without_jobs_everything_is_zero_or_empty(person: Person) -> None:
    assert (await person.http.get(STATS)).json() == {
        "total_jobs": 0, "completed_jobs": 0, "failed_jobs": 0, "pending_jobs": 0,
        "processing_jobs": 0, "success_rate": 0, "avg_processing_time_ms": 0,
        "total_data_processed_bytes": 0,
    }  # fmt: skip
    assert (await person.http.get(TIMELINE)).json() == []
    assert (await person.http.get(PIPELINES)).json() == []
    assert (await person.http.get(OPERATIONS)).json() == []
    assert (await person.http.get(PERCENTILES)).json() == {
        "completed_jobs": 0, "p50_ms": 0, "p90_ms": 0, "p95_ms": 0, "p99_ms": 0,
    }  # fmt: skip


async def test_stats_count_ones_own_jobs(
    service: Service, person: Person, stranger: Person
) -> None:
    await some_jobs(service, person)
    stats = (await person.http.get(STATS, params={"days": 1})).json()
    assert stats.pop("avg_processing_time_ms") >= 0
    assert stats == {
        "total_jobs": 5, "completed_jobs": 3, "failed_jobs": 1, "pending_jobs": 1,
        "processing_jobs": 0, "success_rate": 75, "total_data_processed_bytes": 3000,
    }  # fmt: skip
    assert (await stranger.http.get(STATS)).json()["total_jobs"] == 0


async def test_the_timeline_sums_up_to_the_stats(service: Service, person: Person) -> None:
    await some_jobs(service, person)
    for interval, zeros in (("hour", ":00:00.000000Z"), ("day", "T00:00:00.000000Z")):
        points = (await person.http.get(TIMELINE, params={"interval": interval})).json()
        assert sum(point["job_count"] for point in points) == 5
        for point in points:
            assert set(point) == {"time", "job_count", "avg_processing_time_ms", "success_rate"}
            assert point["time"].endswith(zeros)


async def test_pipelines_with_jobs_are_reported(service: Service, person: Person) -> None:
    await some_jobs(service, person)
    [row] = (await person.http.get(PIPELINES)).json()
    assert row.pop("avg_processing_time_ms") >= 0
    [pipeline] = (await person.http.get("/api/pipelines")).json()["pipelines"]
    assert row == {
        "pipeline_id": pipeline["id"], "pipeline_name": "look", "total_jobs": 5,
        "successful_jobs": 3, "failed_jobs": 1, "success_rate": 75,
    }  # fmt: skip


async def test_percentiles_are_of_ones_own_completed_jobs(
    service: Service, person: Person, stranger: Person
) -> None:
    await some_jobs(service, person)
    found = (await person.http.get(PERCENTILES)).json()
    assert found.pop("completed_jobs") == 3
    assert list(found) == ["p50_ms", "p90_ms", "p95_ms", "p99_ms"]
    assert 0 <= found["p50_ms"] <= found["p90_ms"] <= found["p95_ms"] <= found["p99_ms"]
    assert (await stranger.http.get(PERCENTILES)).json()["completed_jobs"] == 0


async def test_operations_that_ran_are_reported(
    service: Service, person: Person, stranger: Person
) -> None:
    await submit_job(service, person)
    (job,) = await service.catalog.queue.claim("worker", 1, 60)
    steps = (
        {"id": "a", "operation": "resize", "status": "completed", "duration_ms": 8,
         "input_bytes": 100, "output_bytes": 10},
        {"id": "b", "operation": "probe", "status": "failed", "duration_ms": 3, "error": "no"},
        {"id": "c", "operation": "convert", "status": "pending"},
    )  # fmt: skip
    failure = JobFailure(FailureKind.INPUT, "corrupt", "No frame was found.", (), steps)
    assert await service.catalog.queue.fail(Lease(job.id, job.token), failure, None)
    await service.flush()
    assert (await person.http.get(OPERATIONS)).json() == [
        {"operation": "probe", "runs": 1, "successes": 0, "failures": 1, "success_rate": 0,
         "avg_duration_ms": 0, "p95_duration_ms": 0, "input_bytes": 0, "output_bytes": 0},
        {"operation": "resize", "runs": 1, "successes": 1, "failures": 0, "success_rate": 100,
         "avg_duration_ms": 8, "p95_duration_ms": 8, "input_bytes": 100, "output_bytes": 10},
    ]  # fmt: skip
    assert (await stranger.http.get(OPERATIONS)).json() == []


@pytest.mark.parametrize("path", REPORTS)
@pytest.mark.parametrize("days", ["0", "366", "-1", "x", "", "1.5", "7 ", "9" * 20])
async def test_days_are_1_to_365(person: Person, path: str, days: str) -> None:
    answer = await person.http.get(path, params={"days": days})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["details"][0]["path"] == "days"


@pytest.mark.parametrize("path", REPORTS)
async def test_the_bounds_of_days_are_taken(person: Person, path: str) -> None:
    for days in ("1", "365"):
        assert (await person.http.get(path, params={"days": days})).status_code == 200


@pytest.mark.parametrize("interval", ["minute", "HOUR", "", "week"])
async def test_intervals_are_hour_and_day(person: Person, interval: str) -> None:
    answer = await person.http.get(TIMELINE, params={"interval": interval})
    assert (answer.status_code, answer.json()["details"][0]["path"]) == (400, "interval")
