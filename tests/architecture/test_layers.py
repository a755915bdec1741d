"""Imports point downward only, and what is pure stays pure."""

from __future__ import annotations

import pytest

from tests.architecture.source import Module, modules

# Who may import whom, besides the values that everybody may.
VALUES = {"model", "media", "errors", "settings", "conditions", "events", "ports"}
MAY_IMPORT: dict[str, set[str]] = {
    "api": {
        "analytics", "api", "digests", "intake", "jobs", "metrics", "multipart", "pipeline",
        "receiving", "segments", "sigv2", "sigv4", "vault", "__version__", "SOURCE_URL",
    },
    "workers": {
        "workers", "digests", "held_folders", "metrics", "operations", "pipeline", "scrubbing",
        "verified_blobs",
    },
    "backends": {"backends", "digests"},
    "analytics": {"analytics"},
    "moving": {"moving", "backends", "vault"},
    "tools": {"tools", "held_folders"},
    "operations": {"operations", "tools"},
    "pipeline": {"pipeline", "operations"},
    "intake": {"digests", "multipart", "receiving", "segments"},
    "receiving": {"digests"},
    "segments": set(),
    "scrubbing": {"digests", "verified_blobs"},
    "verified_blobs": set(),
    "jobs": {"job_watch"},
    "job_watch": set(),
    "vault": {"keys"},
    "keys": set(),
    "held_folders": set(),
}  # fmt: skip

PURE = (
    "model", "media", "errors", "settings", "conditions", "events", "sigv4", "sigv2", "digests",
    "multipart", "segments", "operations", "pipeline", "api.s3.chunked", "api.s3.xml",
    "api.s3.ranges", "api.s3.keys", "api.s3.headers", "tools.ffmpeg", "tools.ffmpeg_progress",
    "tools.sniff", "backends.notices.redis_address", "backends.notices.redis_messages",
    "backends.analytics.clickhouse_address",
)  # fmt: skip
IMPURE = {"trio", "os", "socket", "subprocess", "threading", "sqlite3", "time", "asyncio"}

ONLY_IN = {
    "quart": "api",
    "quart_trio": "api",
    "hypercorn": "api",
    "h11": "api",
    "sqlite3": "backends",
    "asyncpg": "backends",
    "trio_asyncio": "backends",
    "redis": "backends",
    "clickhouse_connect": "backends",
}


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.name or "package")
def test_a_room_imports_only_what_lies_below_it(module: Module) -> None:
    allowed = MAY_IMPORT.get(module.room)
    if allowed is not None:
        assert module.rooms_imported() <= allowed | VALUES


@pytest.mark.parametrize("name", PURE)
def test_pure_rooms_import_no_io_and_no_clock(name: str) -> None:
    found = [m for m in modules() if m.name == name or m.name.startswith(name + ".")]
    assert found, f"{name} is listed as pure and does not exist"
    for module in found:
        roots = {i.partition(".")[0] for i in module.imports()}
        assert not roots & IMPURE, f"{module.name} imports {roots & IMPURE}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_used_only_in_its_room(library: str) -> None:
    users = {m.room for m in modules() for i in m.imports() if i.partition(".")[0] == library}
    assert users <= {ONLY_IN[library]}


def test_only_the_tools_room_starts_processes() -> None:
    starters = {
        m.name
        for m in modules()
        if m.imports() & {"subprocess", "multiprocessing"}
        or any(w in m.path.read_text() for w in ("os.fork(", "os.posix_spawn", "open_process("))
    }
    assert starters <= {"tools.process", "tools.starter", "tools.image_server"}
