"""Whether everything that the service depends on works, as `/ready` and `doctor` say it.

Asks each dependency through its port, all at once, each under a deadline, so that an answer
never hangs on a dead one. Results are shared for a second: a stranger who asks often costs
nothing. Never touches a backend itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from mediaconvert.api.rest.models import DependencyRow, DependencyStatus, Ready, ToolRow
from mediaconvert.errors import MediaConvertError, Unavailable
from mediaconvert.ports.analytics import AnalyticsStore
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notices
from mediaconvert.ports.tools import ToolInfo, Tools
from mediaconvert.settings import Settings

DEADLINE_SECONDS = 2.0
FRESH_SECONDS = 1.0
TOOLS_SECONDS = 10.0
"""For the tools' first answer, when each of them is run; afterwards it is remembered."""
_SANDBOX_TOOL = "bubblewrap"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found out beyond that it did not fail."""

    status: DependencyStatus = "ok"
    version: str | None = None
    detail: str | None = None
    tools: tuple[ToolRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    probe: Callable[[], Awaitable[Finding]]
    """Raises a MediaConvertError, whose sentence (of Unavailable the reason) becomes the row's
    detail."""
    is_required: bool = True
    """Whether the service is of no use without it; else it is only degraded."""


class Readiness:
    def __init__(
        self,
        checks: Sequence[Check],
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        self._checks = tuple(checks)
        self._deadline_seconds = deadline_seconds
        self._fresh_seconds = fresh_seconds
        self._lock = trio.Lock()
        self._rows: list[DependencyRow] = []
        self._stale_at = float("-inf")
        self._is_draining = False

    def drain(self) -> None:
        """From here on the process is not ready, whatever its dependencies say."""
        self._is_draining = True

    async def report(self) -> Ready:
        """Takes at most twice the deadline, the first one of a process TOOLS_SECONDS more."""
        async with self._lock:
            if trio.current_time() >= self._stale_at:
                self._rows = await self._ask_all()
                self._stale_at = trio.current_time() + self._fresh_seconds
            rows = list(self._rows)
        if self._is_draining:
            return Ready(status="draining", checks=rows)
        is_down = any(row.status == "unavailable" for row in rows)
        return Ready(status="unavailable" if is_down else "ready", checks=rows)

    async def _ask_all(self) -> list[DependencyRow]:
        rows: dict[str, DependencyRow] = {}

        async def ask(check: Check) -> None:
            rows[check.name] = await self._ask(check)

        async with trio.open_nursery() as nursery:
            for check in self._checks:
                nursery.start_soon(ask, check)
        return [rows[check.name] for check in self._checks]

    async def _ask(self, check: Check) -> DependencyRow:
        broken: DependencyStatus = "unavailable" if check.is_required else "degraded"
        finding = Finding(broken, detail=f"no answer within {self._deadline_seconds:g} s")
        began = trio.current_time()
        try:
            with trio.move_on_after(self._deadline_seconds):
                finding = await check.probe()
        except Unavailable as error:
            finding = Finding(broken, detail=error.reason)
        except MediaConvertError as error:
            finding = Finding(broken, detail=str(error))
        return DependencyRow(
            name=check.name,
            status=finding.status,
            latency_ms=round((trio.current_time() - began) * 1000, 1),
            version=finding.version,
            detail=finding.detail,
            tools=list(finding.tools) or None,
        )


def service_checks(
    *,
    catalog: Catalog,
    blobs: BlobStore,
    notices: Notices,
    analytics: AnalyticsStore,
    tools: Tools | None,
    settings: Settings,
) -> tuple[Check, ...]:
    """The rows of `/ready`. Without tools (a process without the worker role) the rows of
    tools and sandbox are left out."""
    # Jobs work in the data directory, wherever the blobs are.
    work_folder = None if tools is None else settings.server.data_dir
    disk = _Disk(blobs, work_folder, settings.storage.min_free_bytes)
    polls = bool(settings.database.url) and not settings.redis.url
    checks = [
        Check("database", _plain(catalog.housekeeping.check)),
        Check("catalog records", _Records(catalog).probe),
        Check("storage", _plain(blobs.check)),
        Check("stored data", _StoredData(catalog).probe, is_required=False),
        Check("queue", _Queue(catalog, notices, polls=polls).probe),
        # A store that is away costs the reports alone; the outbox keeps their events.
        Check("analytics", _plain(analytics.check), is_required=False),
    ]
    if tools is not None:
        toolbox = _Toolbox(tools, settings.tools.sandbox)
        checks.append(Check("tools", toolbox.probe_tools))
        checks.append(Check("sandbox", toolbox.probe_sandbox))
    return (*checks, Check("disk space", disk.probe))


def _plain(check: Callable[[], Awaitable[str]]) -> Callable[[], Awaitable[Finding]]:
    async def probe() -> Finding:
        return Finding(version=await check())

    return probe


@dataclass(frozen=True, slots=True)
class _StoredData:
    catalog: Catalog

    async def probe(self) -> Finding:
        """Damaged blobs cost their own objects alone: degraded, never unavailable."""
        damaged = await self.catalog.blobs.count_damaged()
        if not damaged:
            return Finding()
        what = "1 stored blob is" if damaged == 1 else f"{damaged} stored blobs are"
        return Finding(
            "degraded",
            detail=f"{what} damaged or missing; `mediaconvert verify` lists the objects",
        )


@dataclass(frozen=True, slots=True)
class _Records:
    """What this process has found damaged in the catalog since its start."""

    catalog: Catalog

    async def probe(self) -> Finding:
        await trio.lowlevel.checkpoint()
        damage = self.catalog.housekeeping.damage.report()
        if damage.file:
            return Finding("unavailable", detail=damage.file)
        if not damage.records:
            return Finding()
        more = ", …" if damage.records > len(damage.shown) else ""
        return Finding(
            "degraded",
            detail=f"{damage.records} cannot be read and are left out ({', '.join(damage.shown)}"
            f"{more}); restore the catalog from a backup",
        )


@dataclass(frozen=True, slots=True)
class _Queue:
    catalog: Catalog
    notices: Notices
    polls: bool
    """Other processes share the catalog, and nothing carries notices to them."""

    async def probe(self) -> Finding:
        """The queue is the catalog's; without notices it only goes slower."""
        await self.catalog.queue.next_due_seconds()
        try:
            version = await self.notices.check()
        except Unavailable as error:
            return Finding("degraded", detail=f"workers poll: {error.reason}")
        return Finding(
            version=version,
            detail="workers of other processes poll; redis.url spares it" if self.polls else None,
        )


@dataclass(frozen=True, slots=True)
class _Disk:
    """Space where blobs are stored and, in a process that runs jobs, where they work."""

    blobs: BlobStore
    work_folder: Path | None
    min_free_bytes: int
    # Of its own: a disk that hangs may keep these two threads, and nobody else's.
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(2))

    async def probe(self) -> Finding:
        rows = [("uploads", await self.blobs.free_bytes())]
        if self.work_folder is not None:
            rows.append(("jobs", await self._free_bytes(self.work_folder)))
        known = [(what, free) for what, free in rows if free is not None]
        if not known:
            return Finding(detail="the store does not tell")
        what, free = min(known, key=lambda row: row[1])
        if free < self.min_free_bytes:
            return Finding(
                "unavailable",
                detail=f"{free} bytes free, {what} need {self.min_free_bytes}; make room",
            )
        return Finding(detail=f"{free} bytes free")

    async def _free_bytes(self, folder: Path) -> int:
        try:
            usage = await trio.to_thread.run_sync(
                shutil.disk_usage, folder, abandon_on_cancel=True, limiter=self.threads
            )
        except OSError as error:
            raise Unavailable(f"the data directory {folder}: {error.strerror}") from error
        return usage.free


@dataclass(frozen=True, slots=True)
class _Toolbox:
    tools: Tools
    sandbox_mode: str

    async def probe_tools(self) -> Finding:
        found = [tool for tool in await self._describe() if tool.name != _SANDBOX_TOOL]
        rows = tuple(_tool_row(tool) for tool in found)
        broken = [tool.name for tool in found if not tool.is_usable]
        if broken:
            sentence = f"not usable: {', '.join(broken)}; see `mediaconvert doctor`"
            return Finding("unavailable", detail=sentence, tools=rows)
        return Finding(tools=rows)

    async def probe_sandbox(self) -> Finding:
        """Never `unavailable`: with `tools.sandbox: required` the process would not run
        without any."""
        if self.sandbox_mode == "off":
            return Finding("degraded", detail="switched off by tools.sandbox")
        for tool in await self._describe():
            if tool.name == _SANDBOX_TOOL and tool.is_usable:
                return Finding(version=f"{tool.name} {tool.version}")
            if tool.name == _SANDBOX_TOOL:
                return Finding("degraded", detail=f"bubblewrap is not used: {tool.remedy}")
        return Finding("degraded", detail="bubblewrap was not found")

    async def _describe(self) -> tuple[ToolInfo, ...]:
        # The first answer takes a second, more on a busy machine. Cut short by the usual
        # deadline, or by a prober that hangs up, it would begin anew each time and never end.
        with trio.move_on_after(TOOLS_SECONDS, shield=True):
            return await self.tools.describe()
        raise Unavailable(f"the tools did not answer within {TOOLS_SECONDS:g} s")


def _tool_row(tool: ToolInfo) -> ToolRow:
    return ToolRow(
        name=tool.name,
        version=tool.version,
        status="ok" if tool.is_usable else "unavailable",
        detail=tool.remedy or None,
    )
