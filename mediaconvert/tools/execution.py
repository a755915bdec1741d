"""Runs one tool to its end: limits, progress, its last words. The shell around `tools.process`.

The child is dead and its pipes are read when `run_tool` returns, however it returns.
Called by `tools.probe` and `tools.toolbox`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from mediaconvert.errors import InfrastructureFailure, ToolCrashed
from mediaconvert.media import Limits
from mediaconvert.tools.failures import Ending, Stop, failure_of, tool_lines
from mediaconvert.tools.ffmpeg_progress import ProgressParser, Report
from mediaconvert.tools.launch import Launcher
from mediaconvert.tools.process import (
    Child,
    Exit,
    ResourceLimits,
    Tail,
    close_all,
    cpu_seconds,
    open_pipes,
    read_pipe,
)
from mediaconvert.tools.sandbox import Confined

_WATCH_SECONDS = 0.5
_WORKING_SHARE = 0.01
"""Of the stall limit: with less processor time than this a tool has not worked in that time.
Reporting twice a second takes a hundredth of it."""
_PATIENCE = 10
"""So many times the stall limit may pass without progress while the tool computes."""
_DRAIN_SECONDS = 2.0
"""A dead tree's pipes are at their end; this bounds what should not be possible."""
_STDOUT_BYTES = 4 << 20
"""ffprobe on the busiest film writes some 50 KB."""


@dataclass(frozen=True, slots=True)
class ToolRun:
    """What to run, and how."""

    tool: str
    job: Confined
    limits: Limits
    wall_seconds: float
    progress_fds: tuple[int, int] | None = None
    """A pipe (read, write) whose write end the tool has as `FIRST_PASSED_FD`. With it the stall
    limit applies. Both ends are closed here."""
    on_report: Callable[[Report], None] | None = None


@dataclass(frozen=True, slots=True)
class ToolDone:
    stdout: bytes
    log: tuple[str, ...]
    wall_seconds: float
    last_report: Report | None


def resource_limits(limits: Limits) -> ResourceLimits:
    """What the kernel is told. `-fs` and the folder watch stop a tool at its output limit; the
    kernel's limit on one file is a little later, for the trailer that ffmpeg writes then."""
    return ResourceLimits(
        memory_bytes=limits.memory_bytes,
        cpu_seconds=limits.cpu_seconds,
        file_bytes=limits.output_bytes + (16 << 20),
    )


async def run_tool(launcher: Launcher, run: ToolRun) -> ToolDone:
    """Raises the JobError that fits when the tool fails or breaks a limit."""
    started = trio.current_time()
    watch = _Watch(run)
    try:
        (stdout_read, stdout_write), (stderr_read, stderr_write) = open_pipes(2)
    except InfrastructureFailure:
        close_all(run.progress_fds or ())
        raise
    stdout, stderr = bytearray(), Tail()
    readers: list[tuple[int, Callable[[bytes], None]]] = [
        (stdout_read, lambda data: _bounded(stdout, data)),
        (stderr_read, stderr.add),
    ]
    pass_fds: tuple[int, ...] = ()
    if run.progress_fds is not None:
        readers.append((run.progress_fds[0], watch.hear))
        pass_fds = (run.progress_fds[1],)
    unstarted: InfrastructureFailure | None = None
    async with trio.open_nursery() as pipes:
        for fd, take in readers:
            pipes.start_soon(read_pipe, fd, take)
        # Caught inside the nursery, which would wrap it in a group.
        try:
            async with launcher.open(
                run.job, resource_limits(run.limits), pass_fds=pass_fds,
                stdout=stdout_write, stderr=stderr_write,
            ) as child:  # fmt: skip
                ended = await _until_ended(child, watch)
        except InfrastructureFailure as error:
            unstarted = error
        pipes.cancel_scope.deadline = trio.current_time() + _DRAIN_SECONDS
    if unstarted is not None:
        raise unstarted
    wall = trio.current_time() - started
    ending = Ending(
        run.tool, ended.status, ended.signal, ended.cpu_seconds, wall, watch.stopped, stderr.text()
    )
    failure = failure_of(ending, run.limits)
    if failure is not None:
        raise failure
    if len(stdout) > _STDOUT_BYTES:
        raise ToolCrashed(f"{run.tool} wrote more than it should", tool_lines(stderr.text()))
    return ToolDone(bytes(stdout), tool_lines(stderr.text()), wall, watch.last_report)


def _bounded(buffer: bytearray, data: bytes) -> None:
    if len(buffer) <= _STDOUT_BYTES:
        buffer += data


async def _until_ended(child: Child, watch: _Watch) -> Exit:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.guard, child)
        await child.ended.wait()
        nursery.cancel_scope.cancel()
    # Outside of the nursery, which would wrap what it raises when the starter has died.
    return await child.wait()


class _Watch:
    """Wall clock, sign of life, and size of what is being written."""

    def __init__(self, run: ToolRun) -> None:
        self._run = run
        self._parser = ProgressParser()
        self._lived_at = trio.current_time()
        self._seen: tuple[object, object] = (None, None)
        self._worked_at = self._lived_at
        self._used = 0.0
        self.last_report: Report | None = None
        self.stopped: Stop | None = None

    def hear(self, data: bytes) -> None:
        for report in self._parser.feed(data):
            if self.last_report is None or report.position != self.last_report.position:
                self._lived_at = trio.current_time()
            self.last_report = report
            if self._run.on_report is not None:
                self._run.on_report(report)

    async def guard(self, child: Child) -> None:
        """Kills the child when it breaks a limit."""
        end = trio.current_time() + self._run.wall_seconds
        while self.stopped is None:
            await trio.sleep(max(min(_WATCH_SECONDS, end - trio.current_time()), 0.01))
            self.stopped = await self._breach(child, end)
        await child.kill()

    async def _breach(self, child: Child, end: float) -> Stop | None:
        limits = self._run.limits
        if self._run.job.out_dir is not None:
            size, changed = await trio.to_thread.run_sync(_measure, self._run.job.out_dir)
            if size > limits.output_bytes:
                return Stop.OUTPUT
            # Moving a film's index to its front takes long and is not reported, but writes.
            if (size, changed) != self._seen:
                self._seen = (size, changed)
                self._lived_at = trio.current_time()
        now = trio.current_time()
        if now >= end:
            return Stop.WALL
        if self._run.progress_fds is not None and await self._is_stalled(child, now):
            return Stop.STALL
        return None

    async def _is_stalled(self, child: Child, now: float) -> bool:
        """No progress, and no work either: a slow encoder takes minutes over a large frame, and
        longer where the machine is busy, but it computes all the while. What computes for ever
        is stopped as well, much later."""
        stall_seconds = self._run.limits.stall_seconds
        if child.pid is not None:
            used = await trio.to_thread.run_sync(cpu_seconds, child.pid)
            if used - self._used >= _WORKING_SHARE * stall_seconds:
                self._used, self._worked_at = used, now
        is_idle = now - max(self._lived_at, self._worked_at) >= stall_seconds
        return is_idle or now - self._lived_at >= _PATIENCE * stall_seconds


def _measure(folder: Path) -> tuple[int, int]:
    """Bytes in a folder, as allocated or as long as they seem, whichever is less (a sparse file
    is not large), and the time of the newest change."""
    size = changed = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(parent, name))  # noqa: PTH118 (walked often)
            except OSError:  # gone meanwhile, mostly; a disk that fails shows elsewhere
                continue
            size += min(found.st_size, found.st_blocks * 512) if found.st_blocks else 0
            changed = max(changed, found.st_mtime_ns)
    return size, changed
