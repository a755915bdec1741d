"""Starts a confined child: the one way from a `Confined` to a running process.

Knows the three sandboxes, opens the descriptors that they are told through, and finds out at
start which of them works on this machine. Called by `tools.execution` and `tools.imaging`.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from mediaconvert.errors import InfrastructureFailure, StartupError
from mediaconvert.tools import confine, seccomp
from mediaconvert.tools.process import Child, ResourceLimits, Start, Starter, close_all
from mediaconvert.tools.sandbox import (
    INPUT_NAME,
    OUT_NAME,
    Confined,
    Executable,
    SandboxKind,
    bwrap_arguments,
    child_environment,
    confine_rules,
)

logger = logging.getLogger(__name__)

FIRST_PASSED_FD = 3
"""The number that the first passed descriptor has in the child, whatever it is here."""

REMEDY = (
    "allow unprivileged user namespaces (sysctl user.max_user_namespaces, "
    "kernel.apparmor_restrict_unprivileged_userns), or use a kernel with Landlock (5.13 or "
    "newer), or accept the risk with tools.sandbox: auto"
)


@dataclass(frozen=True, slots=True)
class SandboxState:
    """Which sandbox children run in."""

    kind: SandboxKind
    detail: str
    """One sentence for the log, /ready and doctor."""

    @property
    def is_active(self) -> bool:
        return self.kind is not SandboxKind.NONE


class Launcher:
    """Starts children in one kind of sandbox."""

    def __init__(
        self,
        starter: Starter,
        kind: SandboxKind,
        bwrap: Executable | None,
        folder: Path | None = None,
    ) -> None:
        """`folder` is where children without mounts get their work folders; None: the system's
        place for temporary files."""
        self._starter = starter
        self._folder = folder
        self.kind = kind
        self._bwrap = bwrap

    @asynccontextmanager
    async def open(
        self,
        job: Confined,
        limits: ResourceLimits,
        *,
        pass_fds: Sequence[int] = (),
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> AsyncIterator[Child]:
        """The child runs inside the block; when the block is left, for whatever reason, it and
        everything that it started are dead. `pass_fds` become 3, 4, … in the child. All
        descriptors are closed here once the child has them. Raises InfrastructureFailure."""
        job = replace(
            job,
            source=job.source and job.source.absolute(),
            out_dir=job.out_dir and job.out_dir.absolute(),
        )
        fds = {FIRST_PASSED_FD + index: fd for index, fd in enumerate(pass_fds)}
        fds |= {number: fd for number, fd in ((1, stdout), (2, stderr)) if fd is not None}
        directory = None
        try:
            try:
                if self.kind is SandboxKind.BUBBLEWRAP:
                    filter_fd = FIRST_PASSED_FD + len(pass_fds)
                    fds[filter_fd] = _filled_pipe(seccomp.program(job.profile))
                    start = self._in_bubblewrap(job, limits, fds, filter_fd)
                else:
                    directory = _linked_directory(job, self._folder)
                    start = self._self_confined(job, limits, fds, directory)
                child = await self._starter.start(start)
            finally:
                close_all(fds.values())
            try:
                yield child
            finally:
                await child.destroy()
        finally:
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)

    def _in_bubblewrap(
        self, job: Confined, limits: ResourceLimits, fds: Mapping[int, int], filter_fd: int
    ) -> Start:
        assert self._bwrap is not None
        arguments = bwrap_arguments(job, seccomp_fd=filter_fd)
        return Start((str(self._bwrap.path), *arguments), {}, fds, limits)

    def _self_confined(
        self, job: Confined, limits: ResourceLimits, fds: Mapping[int, int], directory: str
    ) -> Start:
        rules = confine_rules(
            job,
            self.kind,
            directory=directory,
            seccomp_program=seccomp.program(job.profile, sees_others=True),
        )
        argv = (str(job.executable.path), *job.arguments)
        return Start(argv, child_environment(job), fds, limits, directory, rules)


def _filled_pipe(content: bytes) -> int:
    """The read end of a pipe that holds this. A pipe takes 64 KiB; a filter is a few hundred
    instructions of 8 bytes."""
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    return read


def _linked_directory(job: Confined, parent: Path | None) -> str:
    """A work folder for a child without mounts: links named `input` and `out`."""
    try:
        directory = tempfile.mkdtemp(prefix="child-", dir=parent)
        if job.source is not None:
            Path(directory, INPUT_NAME).symlink_to(job.source.absolute())
        if job.out_dir is not None:
            Path(directory, OUT_NAME).symlink_to(job.out_dir.absolute())
    except OSError as error:
        raise InfrastructureFailure(
            "storage_full", f"no work folder could be made: {error.strerror}"
        ) from error
    return directory


async def find_sandbox(
    wanted: str, starter: Starter, bwrap: Executable | None, folder: Path | None = None
) -> tuple[Launcher, SandboxState]:
    """Try what `tools.sandbox` asks for by starting a real child in it.

    Raises StartupError with `required` where no sandbox works. With `auto` a missing sandbox is
    a warning in the log.
    """
    if wanted == "off":
        state = SandboxState(SandboxKind.NONE, "switched off by tools.sandbox: off")
        logger.warning("children run without a sandbox: %s", state.detail)
        return Launcher(starter, SandboxKind.NONE, None, folder), state
    reason = "bubblewrap was not found"
    if bwrap is not None:
        launcher = Launcher(starter, SandboxKind.BUBBLEWRAP, bwrap, folder)
        reason = await _try(launcher, bwrap)
        if not reason:
            return launcher, SandboxState(SandboxKind.BUBBLEWRAP, "bubblewrap with seccomp")
    state = settle_without_bubblewrap(wanted, reason, landlock_version=confine.landlock_version())
    logger.warning("children run without bubblewrap: %s", state.detail)
    return Launcher(starter, state.kind, None, folder), state


def settle_without_bubblewrap(wanted: str, reason: str, *, landlock_version: int) -> SandboxState:
    """The next best, or StartupError where a sandbox is required and there is none. `reason`
    says why bubblewrap does not do."""
    if landlock_version:
        detail = f"Landlock (version {landlock_version}) with seccomp, because {reason}"
        return SandboxState(SandboxKind.LANDLOCK, detail)
    detail = f"{reason}, and this kernel has no Landlock; {REMEDY}"
    if wanted == "required":
        raise StartupError(f"tools.sandbox is required, but {detail}")
    return SandboxState(SandboxKind.NONE, f"none: {detail}")


async def _try(launcher: Launcher, bwrap: Executable) -> str:
    """Run `bwrap --version` inside the sandbox. The empty text when that works, else why not."""
    job = Confined(executable=bwrap, arguments=("--version",))
    limits = ResourceLimits(memory_bytes=256 << 20, cpu_seconds=10, file_bytes=1 << 20)
    read, write = os.pipe()
    try:
        with trio.move_on_after(10):
            async with launcher.open(job, limits, stderr=write) as child:
                ended = await child.wait()
                if ended.status == 0:
                    return ""
                os.set_blocking(read, False)
                said = os.read(read, 500).decode("utf-8", "replace").strip().splitlines()
                died = (
                    f"it was killed by {signal.Signals(ended.signal).name}" if ended.signal else ""
                )
                return f"bubblewrap does not work here ({said[-1] if said else died})"
        return "bubblewrap does not answer here"
    except InfrastructureFailure as error:
        return f"bubblewrap does not start here ({error.message})"
    except BlockingIOError:
        return "bubblewrap does not work here"
    finally:
        os.close(read)
