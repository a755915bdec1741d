"""The REST side served for a test: the real SQLite catalog and a real loopback socket."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import trio

from mediaconvert.api.rest.app import RestApp, make_rest_app
from mediaconvert.api.rest.readiness import Readiness, service_checks
from mediaconvert.api.server import serve
from mediaconvert.backends.analytics.sql import SqlAnalytics
from mediaconvert.backends.analytics.sqlite import open_analytics_driver
from mediaconvert.backends.blobs.directory import open_directory_blobs
from mediaconvert.backends.notices.memory import MemoryNotices
from mediaconvert.backends.sql.catalog import open_sqlite_catalog
from mediaconvert.jobs import JobService
from mediaconvert.metrics import Metrics
from mediaconvert.model import (
    BlobId,
    BucketRef,
    Conditions,
    JobId,
    NewObject,
    ObjectHeaders,
    Segment,
    UserId,
)
from mediaconvert.ports.analytics import AnalyticsStore
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notices
from mediaconvert.settings import AuthSettings, ServerSettings, Settings
from mediaconvert.vault import Keys, Vault
from tests.program import WAIT_SECONDS

PASSWORD = "correct horse"
METRICS_TOKEN = "metrics-token-of-the-tests"


@dataclass(frozen=True)
class Person:
    """A registered user and a client that sends their token."""

    id: UserId
    email: str
    token: str = field(repr=False)
    http: httpx.AsyncClient


@dataclass(frozen=True)
class Service:
    url: str
    settings: Settings
    catalog: Catalog
    notices: Notices
    analytics: AnalyticsStore
    blobs: BlobStore
    keys: Keys
    jobs: JobService
    app: RestApp
    readiness: Readiness
    metrics: Metrics
    http: httpx.AsyncClient
    """Without a token."""

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=WAIT_SECONDS, trust_env=False
        )

    async def get(self, path: str, token: str | None) -> httpx.Response:
        async with self.client(token) as client:
            return await client.get(path)

    async def flush(self) -> None:
        """Send the waiting events to the analytics store, as the flusher would."""
        while batch := await self.catalog.outbox.open_batch("tests", 1000, 60.0):
            await self.analytics.record(batch)
            await self.catalog.outbox.acknowledge(batch.token)

    async def person(self, email: str | None = None) -> Person:
        email = email or f"{secrets.token_hex(6)}@example.com"
        answer = await self.http.post("/auth/register", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        token = answer.json()["token"]
        user = answer.json()["user"]
        return Person(UserId(user["id"]), user["email"], token, self.client(token))


YAML = """\
name: {name}
steps:
  - operation: probe
    input: ${{input}}
    output: ${{output}}/probe.json
"""


async def save_pipeline(person: Person, name: str = "look") -> int:
    """A small pipeline of the person's; answers its id."""
    text = YAML.format(name=name)
    body = {"name": name, "format": "yaml", "content": text}
    answer = await person.http.post("/api/pipelines", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def submit_job(service: Service, person: Person, key: str = "in/film.mp4") -> JobId:
    """What an upload with pipeline metadata commits, without the upload."""
    stored = await service.catalog.pipelines.list(person.id)
    if not stored:
        await save_pipeline(person)
        stored = await service.catalog.pipelines.list(person.id)
    ref = BucketRef(person.id, f"bucket-{person.id}")
    if not await service.catalog.buckets.exists(ref.name):
        await service.catalog.buckets.create(ref, "us-east-1", limit=10)
    blob = BlobId(secrets.token_hex(16))
    new = NewObject(
        key=key,
        size=1000,
        etag="d41d8cd98f00b204e9800998ecf8427e",
        headers=ObjectHeaders(content_type="video/mp4"),
        segments=(Segment(blob, 0, 1000),),
    )
    version = stored[-1].version_id
    committed = await service.catalog.objects.put(ref, new, Conditions(), version)
    assert committed.job_id is not None
    return committed.job_id


def settings_for(folder: Path, **auth: object) -> Settings:
    return Settings(
        server=ServerSettings(data_dir=folder, port=0, metrics_token=METRICS_TOKEN),
        auth=AuthSettings(**auth),  # type: ignore[arg-type]
    )


@asynccontextmanager
async def rest_service(folder: Path, **auth: object) -> AsyncIterator[Service]:
    """`auth` overrides settings of that section."""
    settings = settings_for(folder, **auth)
    notices = MemoryNotices()
    keys = Keys(secrets.token_bytes(32), Vault(secrets.token_bytes(32)))
    async with (
        open_sqlite_catalog(folder / "catalog.sqlite", deadline_seconds=WAIT_SECONDS) as catalog,
        open_analytics_driver(folder / "analytics.sqlite") as analytics_driver,
        open_directory_blobs(folder / "blobs", min_free_bytes=1) as blobs,
        trio.open_nursery() as nursery,
    ):
        analytics_driver._deadline_seconds = WAIT_SECONDS
        analytics = SqlAnalytics(analytics_driver)
        metrics = Metrics()
        checks = service_checks(
            catalog=catalog,
            blobs=blobs,
            notices=notices,
            analytics=analytics,
            tools=None,
            settings=settings,
        )
        readiness = Readiness(checks, deadline_seconds=WAIT_SECONDS, fresh_seconds=0)
        jobs = JobService(catalog, notices)
        app = make_rest_app(
            catalog=catalog,
            notices=notices,
            analytics=analytics,
            jobs=jobs,
            keys=keys,
            settings=settings,
            readiness=readiness,
            metrics=metrics,
        )
        await nursery.start(app.run)
        await nursery.start(jobs.run)
        run = partial(serve, app, settings=settings.server, shutdown=trio.Event())
        [(host, port)] = await nursery.start(run)
        url = f"http://{host}:{port}"
        async with httpx.AsyncClient(base_url=url, timeout=WAIT_SECONDS, trust_env=False) as http:
            yield Service(
                url,
                settings,
                catalog,
                notices,
                analytics,
                blobs,
                keys,
                jobs,
                app,
                readiness,
                metrics,
                http,
            )
        nursery.cancel_scope.cancel()
