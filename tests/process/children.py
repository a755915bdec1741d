"""Starting real children in every sandbox, for the tests of this folder."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from mediaconvert.media import Limits
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.execution import ToolRun
from mediaconvert.tools.launch import Launcher
from mediaconvert.tools.locate import (
    executable,
    find_tools,
    image_server_command,
    library_closure,
)
from mediaconvert.tools.process import ResourceLimits, Starter, Tail, read_pipe
from mediaconvert.tools.sandbox import Confined, SandboxKind
from mediaconvert.tools.seccomp import Profile
from mediaconvert.tools.toolbox import run_in_background

EVERY_SANDBOX = list(SandboxKind)
REAL_SANDBOXES = [SandboxKind.BUBBLEWRAP, SandboxKind.LANDLOCK]
PATIENCE_SECONDS = 120
"""A test's own, for what takes a second at most where nothing else is at work."""
LIMITS = ResourceLimits(memory_bytes=1 << 30, cpu_seconds=60, file_bytes=64 << 20)
PYTHON = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
_STDLIB = Path(sysconfig.get_paths()["stdlib"])


@asynccontextmanager
async def open_launcher(kind: SandboxKind) -> AsyncIterator[Launcher]:
    async with AsyncExitStack() as stack:
        starter = Starter(image_server_command())
        await run_in_background(stack, starter.keep)
        yield Launcher(starter, kind, find_tools(ToolSettings()).bwrap)


def python(
    script: str,
    *,
    profile: Profile = Profile.TOOL,
    out_dir: Path | None = None,
    source: Path | None = None,
) -> Confined:
    """A child that runs a script, with ctypes at hand."""
    found = executable(PYTHON)
    loaded = _STDLIB.glob("lib-dynload/_ctypes.*.so")
    libraries = [lib for path in loaded for lib in library_closure(path)]
    found = type(found)(found.path, tuple(dict.fromkeys((*found.libraries, *libraries))))
    return Confined(
        executable=found,
        arguments=("-S", "-B", "-P", "-c", script),
        profile=profile,
        read_only=(_STDLIB,),
        out_dir=out_dir,
        source=source,
        environment={"PYTHONUNBUFFERED": "1"},
    )


async def output_of(launcher: Launcher, job: Confined) -> str:
    """What a child prints before it ends."""
    read, write = os.pipe()
    said = Tail()
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_pipe, read, said.add)
            async with launcher.open(job, LIMITS, stdout=write) as child:
                await child.wait()
    return said.text()


def tool_run(job: Confined, limits: Limits, *, reports: bool = False) -> ToolRun:
    return ToolRun(
        tool="tool",
        job=job,
        limits=limits,
        wall_seconds=limits.wall_seconds,
        progress_fds=os.pipe() if reports else None,
    )


def descendants(pid: int) -> dict[int, int]:
    """Process descriptors of everything below a process, by id. The caller closes them."""
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(process.name)] = int(stat[1])
    below: dict[int, int] = {}
    for candidate in parents:
        up: int | None = candidate
        while up is not None and up != pid:
            up = parents.get(up)
        if up == pid and candidate != pid:
            try:
                below[candidate] = os.pidfd_open(candidate)
            except ProcessLookupError:
                continue
    return below


def starter_below(pid: int) -> int:
    """The one process that starts the tools of a process: of several (other tests may have
    left theirs running), the one that was started last."""
    return max(_starters(pid), key=_started_at)


def _starters(pid: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            is_starter = b"MEDIACONVERT_CHILD=starter:" in (process / "environ").read_bytes()
        except OSError:
            continue
        if parent == pid and is_starter:
            found.append(int(process.name))
    return found


def _started_at(pid: int) -> int:
    """In ticks since the machine's start: ids begin anew when they have run out."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def children_of(pid: int) -> list[int]:
    """Of a process with one thread, as a starter is."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def all_ended(pidfds: dict[int, int]) -> None:
    """Wait until each of the processes is gone; fails after a generous time."""
    with trio.fail_after(PATIENCE_SECONDS):
        for fd in pidfds.values():
            await trio.lowlevel.wait_readable(fd)
            os.close(fd)
