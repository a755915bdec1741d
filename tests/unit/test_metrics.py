"""What a scrape says: numbers, under names that do not change, and nothing of anybody."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from mediaconvert.metrics import Metrics
from mediaconvert.ports.catalog import CatalogGauges

GAUGES = CatalogGauges(
    jobs_pending=3,
    jobs_processing=2,
    oldest_pending_seconds=1.5,
    outbox_events=4,
    garbage_blobs=5,
    damaged_blobs=6,
)


@dataclass
class TwoSlots:
    slots: int = 2
    slots_busy: int = 0


def samples(metrics: Metrics, gauges: CatalogGauges | None = GAUGES) -> dict[str, float]:
    """`name{label=value,…}` → number."""
    found = {}
    for family in text_string_to_metric_families(metrics.render(gauges).decode()):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_requests_are_counted_by_door_method_and_status() -> None:
    metrics = Metrics()
    metrics.request("rest", "GET", 200, 0.002)
    metrics.request("rest", "GET", 200, 2.0)
    metrics.request("s3", "PUT", 503, 0.2)
    found = samples(metrics)
    assert found["mediaconvert_request_seconds_count{door=rest,method=GET,status=200}"] == 2
    assert found["mediaconvert_request_seconds_sum{door=rest,method=GET,status=200}"] == 2.002
    assert found["mediaconvert_request_seconds_count{door=s3,method=PUT,status=503}"] == 1


def test_a_client_cannot_make_series_with_methods_of_its_own() -> None:
    metrics = Metrics()
    for n in range(50):
        metrics.request("s3", f"X{n}", 405, 0.1)
    found = samples(metrics)
    assert found["mediaconvert_request_seconds_count{door=s3,method=OTHER,status=405}"] == 50


def test_bytes_jobs_and_slots_are_told() -> None:
    metrics = Metrics()
    pool = TwoSlots()
    metrics.watch_pool(pool)
    metrics.bytes_received("s3", 10)
    metrics.bytes_sent("s3", 20)
    metrics.job_ended("completed", 4.0)
    pool.slots_busy = 1
    found = samples(metrics)
    assert found["mediaconvert_received_bytes_total{door=s3}"] == 10
    assert found["mediaconvert_sent_bytes_total{door=s3}"] == 20
    assert found["mediaconvert_job_seconds_count{status=completed}"] == 1
    assert (found["mediaconvert_slots"], found["mediaconvert_slots_busy"]) == (2, 1)


def test_the_catalog_is_told_as_it_is_at_the_scrape() -> None:
    metrics = Metrics()
    found = samples(metrics)
    assert found["mediaconvert_catalog_up"] == 1
    assert found["mediaconvert_jobs_pending"] == 3
    assert found["mediaconvert_garbage_blobs"] == 5
    without = samples(metrics, None)
    assert without["mediaconvert_catalog_up"] == 0
    assert without["mediaconvert_jobs_pending"] != without["mediaconvert_jobs_pending"]  # NaN


def test_two_processes_in_one_do_not_share_numbers() -> None:
    one, other = Metrics(), Metrics()
    one.request("rest", "GET", 200, 0.1)
    assert not any("request_seconds_count" in name for name in samples(other))


def test_lost_log_lines_are_counted_as_of_the_scrape() -> None:
    metrics, lost = Metrics(), [0]
    metrics.watch_log(lambda: lost[0])
    assert samples(metrics)["mediaconvert_log_lines_lost_total"] == 0
    lost[0] = 7
    assert samples(metrics)["mediaconvert_log_lines_lost_total"] == 7
