"""Counters of this process for Prometheus, in a registry of their own.

Holds numbers only: never a name, an address or a key of anybody. Fed by the doors and the
worker pool, read by `/metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.process_collector import ProcessCollector

from mediaconvert import __version__
from mediaconvert.ports.catalog import CatalogGauges

CONTENT_TYPE = CONTENT_TYPE_LATEST

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})
# Seconds. Requests range from a small GET to an upload of gigabytes, jobs from a picture to a
# film: each step is about a factor of three, so that a series has a dozen numbers.
_REQUEST_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_JOB_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)


class SlotHolder(Protocol):
    """What is told of a worker pool."""

    @property
    def slots(self) -> int: ...

    @property
    def slots_busy(self) -> int: ...


class _LostLines:
    """A collector: the count is the log's own."""

    def __init__(self, lost_lines: Callable[[], int]) -> None:
        self._lost_lines = lost_lines

    def collect(self) -> Iterable[CounterMetricFamily]:
        text = "Log lines that could not be written."
        yield CounterMetricFamily("mediaconvert_log_lines_lost", text, self._lost_lines())


class Metrics:
    """All counters of one process. Every method is cheap, never raises and never waits."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Gauge(
            "mediaconvert_build_info", "Always 1; the version.", ["version"], registry=registry
        ).labels(__version__).set(1)
        self._requests = Histogram(
            "mediaconvert_request_seconds",
            "Requests, from their head to the end of the answer.",
            ["door", "method", "status"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._received = Counter(
            "mediaconvert_received_bytes", "Bytes of request bodies.", ["door"], registry=registry
        )
        self._sent = Counter(
            "mediaconvert_sent_bytes", "Bytes of response bodies.", ["door"], registry=registry
        )
        self._jobs = Histogram(
            "mediaconvert_job_seconds",
            "Attempts at jobs on this process, from claim to end.",
            ["status"],
            buckets=_JOB_SECONDS,
            registry=registry,
        )
        self._dropped = Counter(
            "mediaconvert_analytics_events_dropped",
            "Analytics events that this process dropped because too many waited.",
            registry=registry,
        )
        self._slots = Gauge("mediaconvert_slots", "Worker slots.", registry=registry)
        self._busy = Gauge("mediaconvert_slots_busy", "Worker slots with a job.", registry=registry)
        self._init_damage(registry)
        self._init_catalog_gauges(registry)

    def _init_damage(self, registry: CollectorRegistry) -> None:
        self._damage = Counter(
            "mediaconvert_blob_damage_found",
            "Reads by this process that met a stored blob which is damaged or missing.",
            registry=registry,
        )
        self._scrubbed = Counter(
            "mediaconvert_scrubbed_bytes",
            "Bytes of stored blobs that this process has read to verify them.",
            registry=registry,
        )
        self._damaged = Counter(
            "mediaconvert_catalog_damage",
            "Damage that this process found in the catalog: records, and its file.",
            ["kind"],
            registry=registry,
        )
        for kind in ("record", "file"):
            self._damaged.labels(kind)

    def _init_catalog_gauges(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, help: str) -> Gauge:
            return Gauge(f"mediaconvert_{name}", help, registry=registry)

        self._catalog_up = gauge("catalog_up", "1 when the catalog answered this scrape.")
        self._pending = gauge("jobs_pending", "Jobs that wait.")
        self._processing = gauge("jobs_processing", "Jobs that run, on any process.")
        self._oldest = gauge("oldest_pending_seconds", "Age of the oldest job that waits.")
        self._outbox = gauge("outbox_events", "Analytics events not yet stored.")
        self._damaged_blobs = gauge("damaged_blobs", "Stored blobs known to be damaged or missing.")
        self._garbage = gauge("garbage_blobs", "Blobs that wait to be deleted.")

    def request(self, door: str, method: str, status: int, seconds: float) -> None:
        """`door` is `rest` or `s3`. Unknown methods count as OTHER: a client must not be able
        to make series."""
        method = method if method in _METHODS else "OTHER"
        self._requests.labels(door, method, str(status)).observe(seconds)

    def bytes_received(self, door: str, size: int) -> None:
        self._received.labels(door).inc(size)

    def bytes_sent(self, door: str, size: int) -> None:
        self._sent.labels(door).inc(size)

    def job_ended(self, status: str, seconds: float) -> None:
        """`status` is how the attempt ended: completed, failed, canceled, retried, lost."""
        self._jobs.labels(status).observe(seconds)

    def events_dropped(self, count: int) -> None:
        self._dropped.inc(count)

    def damage_found(self) -> None:
        self._damage.inc()

    def bytes_scrubbed(self, size: int) -> None:
        self._scrubbed.inc(size)

    def catalog_damaged(self, kind: str) -> None:
        """`kind` is `record` or `file`. Called in any thread."""
        self._damaged.labels(kind).inc()

    def watch_pool(self, pool: SlotHolder) -> None:
        """Tell the pool's slots, as they are at each scrape. Once a process."""
        self._slots.set_function(lambda: pool.slots)
        self._busy.set_function(lambda: pool.slots_busy)

    def watch_log(self, lost_lines: Callable[[], int]) -> None:
        """Tell how many log lines were lost, as it is at each scrape. Once a process."""
        self.registry.register(_LostLines(lost_lines))

    def render(self, gauges: CatalogGauges | None) -> bytes:
        """The text of a scrape; without gauges the catalog is said to be down."""
        self._catalog_up.set(0 if gauges is None else 1)
        self._pending.set(math.nan if gauges is None else gauges.jobs_pending)
        self._processing.set(math.nan if gauges is None else gauges.jobs_processing)
        self._oldest.set(math.nan if gauges is None else gauges.oldest_pending_seconds)
        self._outbox.set(math.nan if gauges is None else gauges.outbox_events)
        self._damaged_blobs.set(math.nan if gauges is None else gauges.damaged_blobs)
        self._garbage.set(math.nan if gauges is None else gauges.garbage_blobs)
        return generate_latest(self.registry)
