"""/health, /ready, /metrics, /openapi.json, and what is no call at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from mediaconvert import SOURCE_URL, __version__
from mediaconvert.api.rest.app import make_status_app
from mediaconvert.api.rest.models import DependencyRow
from mediaconvert.api.rest.readiness import Check, Finding, Readiness, service_checks
from mediaconvert.errors import Unavailable
from mediaconvert.settings import DatabaseSettings, Settings
from mediaconvert.tools.toolbox import open_toolbox
from tests.program import WAIT_SECONDS
from tests.rest.service import METRICS_TOKEN, Person, Service


async def test_health_says_version_and_source(service: Service) -> None:
    answer = await service.http.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "version": __version__, "source": SOURCE_URL}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]


async def test_ready_has_a_row_for_every_dependency(service: Service) -> None:
    answer = await service.http.get("/ready")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "ready"
    assert [row["name"] for row in body["checks"]] == [
        "database", "catalog records", "storage", "stored data", "queue", "analytics", "disk space",
    ]  # fmt: skip
    assert all(row["status"] == "ok" and row["latency_ms"] >= 0 for row in body["checks"])


async def test_a_draining_process_is_not_ready(service: Service) -> None:
    service.readiness.drain()
    answer = await service.http.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert (await service.http.get("/health")).status_code == 200


async def test_metrics_open_only_to_their_token(service: Service, person: Person) -> None:
    for token in (None, person.token, "wrong"):
        answer = await service.get("/metrics", token)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    answer = await service.get("/metrics", METRICS_TOKEN)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "mediaconvert_catalog_up 1.0" in answer.text
    series = 'mediaconvert_request_seconds_count{door="rest",method="GET",status="401"} 3.0'
    assert series in answer.text


async def test_the_metrics_token_opens_nothing_else(service: Service) -> None:
    answer = await service.get("/api/me", METRICS_TOKEN)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/nothing", "/auth", "/health/x", "/ready/1", "/docs", "/console", "/api//jobs",
     "/api/jobs/1/2/3", "/api/%00", "/api/%ff", "/api/jobs%2f1/x"],
)  # fmt: skip
async def test_unknown_paths_are_a_404_in_json(service: Service, path: str) -> None:
    answer = await service.http.get(path)
    assert answer.status_code == 404
    body = answer.json()
    assert body["code"] == "not_found"
    assert body["request_id"] == answer.headers["x-request-id"]


async def test_a_very_long_path_is_not_repeated_whole(service: Service) -> None:
    answer = await service.http.get("/api/" + "x" * 5000)
    assert answer.status_code == 404
    assert len(answer.content) < 500


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/api/jobs", "GET, HEAD"),
        ("GET", "/auth/login", "POST"),
        ("PATCH", "/api/pipelines/1", "DELETE, GET, HEAD, PUT"),
        ("OPTIONS", "/api/me", "GET, HEAD"),
        ("BREW", "/api/s3-credentials", "GET, HEAD, POST"),
    ],
)
async def test_wrong_methods_are_a_405_that_names_the_right_ones(
    service: Service, method: str, path: str, allowed: str
) -> None:
    answer = await service.http.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert answer.json()["code"] == "method_not_allowed"


async def test_head_answers_like_get_without_the_body(service: Service, person: Person) -> None:
    for path in ("/health", "/api/me", "/api/jobs", "/api/jobs/77"):
        shown = await person.http.get(path)
        head = await person.http.head(path)
        assert head.status_code == shown.status_code
        assert head.content == b""
    # The connection is still in step.
    assert (await person.http.get("/api/me")).status_code == 200


async def test_a_slash_at_the_end_changes_nothing(person: Person) -> None:
    answer = await person.http.get("/api/jobs/")
    assert answer.status_code == 200


async def test_the_description_is_openapi_and_names_every_route(service: Service) -> None:
    document = (await service.http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    described = {(m.upper(), p) for p, item in document["paths"].items() for m in item}
    assert described == {(route.method, route.path) for route in service.app.routes}
    text = json.dumps(document)
    for route in service.app.routes:
        operation = document["paths"][route.path][route.method.lower()]
        assert str(route.status) in operation["responses"]
        assert "422" not in operation["responses"]
        assert bool(operation["security"]) is not route.is_public
    assert text.count('"secret_key"') > 0


async def test_a_bug_in_a_handler_is_one_logged_500_in_json(
    service: Service, person: Person, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> Finding:
        raise ZeroDivisionError("this text must not reach the client")

    service.readiness._checks = (Check("broken", broken),)
    answer = await service.http.get("/ready?secret=in-the-query")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "reach the client" not in answer.text
    errors = [r for r in caplog.records if r.levelname == "ERROR"]
    assert len(errors) == 1
    assert errors[0].fields["request_id"] == answer.json()["request_id"]  # type: ignore[attr-defined]
    assert "in-the-query" not in caplog.text
    caplog.clear()
    assert (await person.http.get("/api/me")).status_code == 200


# --- readiness by itself ------------------------------------------------------------------------


async def test_a_dependency_that_hangs_is_a_row_and_not_a_hanging_answer() -> None:
    async def well() -> Finding:
        return Finding(version="1.2")

    readiness = Readiness(
        [Check("dead", hang), Check("late", hang, is_required=False), Check("well", well)],
        deadline_seconds=0.05,
    )
    report = await readiness.report()
    assert report.status == "unavailable"
    assert [row.status for row in report.checks] == ["unavailable", "degraded", "ok"]
    assert "no answer within 0.05 s" in str(report.checks[0].detail)


async def hang() -> Finding:
    await trio.sleep_forever()
    raise AssertionError("never reached")


async def test_what_is_not_required_only_degrades() -> None:
    async def away() -> Finding:
        raise Unavailable("the store is away")

    report = await Readiness([Check("analytics", away, is_required=False)]).report()
    assert report.status == "ready"
    assert (report.checks[0].status, report.checks[0].detail) == ("degraded", "the store is away")


async def test_many_who_ask_at_once_cost_one_round_of_checks() -> None:
    asked = 0

    async def count() -> Finding:
        nonlocal asked
        asked += 1
        await trio.lowlevel.checkpoint()
        return Finding()

    readiness = Readiness([Check("counted", count)], fresh_seconds=3600)
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(readiness.report)
    assert asked == 1


async def test_a_worker_tells_of_its_tools_and_its_sandbox(service: Service) -> None:
    rows = await _rows_of_a_worker(service, service.settings)
    found = {tool.name: tool for tool in rows["tools"].tools or ()}
    assert {"ffmpeg", "ffprobe", "libvips", "pdfium"} <= set(found)
    assert all(tool.status == "ok" and tool.version for tool in found.values())
    assert rows["sandbox"].status in ("ok", "degraded")
    assert rows["sandbox"].version or rows["sandbox"].detail


async def test_a_worker_without_room_to_work_is_not_ready(service: Service, tmp_path: Path) -> None:
    """Wherever the blobs are."""
    storage = replace(service.settings.storage, min_free_bytes=1 << 62)
    full = await _rows_of_a_worker(service, replace(service.settings, storage=storage))
    assert full["disk space"].status == "unavailable"
    assert str(full["disk space"].detail).endswith(f"need {1 << 62}; make room")
    server = replace(service.settings.server, data_dir=tmp_path / "gone")
    gone = await _rows_of_a_worker(service, replace(service.settings, server=server))
    assert gone["disk space"].status == "unavailable"
    assert "No such file or directory" in str(gone["disk space"].detail)


async def test_processes_that_share_a_catalog_without_notices_say_that_workers_poll(
    service: Service,
) -> None:
    shared = DatabaseSettings(url="postgres://somewhere/films")
    rows = await _rows_of_a_worker(service, replace(service.settings, database=shared))
    assert (rows["queue"].status, rows["queue"].version) == ("ok", "in this process")
    assert "redis.url" in str(rows["queue"].detail)


async def _rows_of_a_worker(service: Service, settings: Settings) -> dict[str, DependencyRow]:
    async with open_toolbox(settings.tools, slots=1) as tools:
        # Kept from here on: the probe itself gives the image server some seconds to start.
        await tools.describe(WAIT_SECONDS)
        checks = service_checks(
            catalog=service.catalog,
            blobs=service.blobs,
            notices=service.notices,
            analytics=service.analytics,
            tools=tools,
            settings=settings,
        )
        report = await Readiness(checks, deadline_seconds=WAIT_SECONDS).report()
    return {row.name: row for row in report.checks}


async def test_a_process_without_the_api_role_serves_only_its_state(
    service: Service, tmp_path: Path
) -> None:
    app = make_status_app(
        catalog=service.catalog,
        settings=service.settings,
        readiness=service.readiness,
        metrics=service.metrics,
        is_metrics_open=True,
    )
    assert {r.path for r in app.routes} == {"/health", "/ready", "/metrics", "/openapi.json"}
