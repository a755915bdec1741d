"""Starts a confined child: the one way from a `Confined` to a running process.

Knows the three sandboxes, opens the descriptors that they are told through, and finds out at
start which of them works on this machine. Called by `tools.execution` and `tools.imaging`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from mediaconvert.errors import InfrastructureFailure, StartupError
from mediaconvert.tools import confine, seccomp
from mediaconvert.tools.locate import InternalCommand
from mediaconvert.tools.process import Child, ResourceLimits, Spawner, Start, close_all
from mediaconvert.tools.sandbox import (
    INPUT_NAME,
    OUT_NAME,
    Confined,
    Executable,
    SandboxKind,
    bwrap_arguments,
    confine_specification,
    nul_separated,
)

logger = logging.getLogger(__name__)

_INFO_SECONDS = 5.0
"""bubblewrap names its namespace within a few milliseconds; a machine that swaps takes longer."""

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
        self, spawner: Spawner, kind: SandboxKind, bwrap: Executable | None, own: InternalCommand
    ) -> None:
        self._spawner = spawner
        self.kind = kind
        self._bwrap = bwrap
        self._own = own

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
        everything that it started are dead. The descriptors passed are closed here once the
        child has them. Raises InfrastructureFailure."""
        job = replace(
            job,
            source=job.source and job.source.absolute(),
            out_dir=job.out_dir and job.out_dir.absolute(),
        )
        ours = [fd for fd in (*pass_fds, stdout, stderr) if fd is not None]
        directory = None
        try:
            try:
                if self.kind is SandboxKind.BUBBLEWRAP:
                    child = await self._start_in_bubblewrap(job, limits, pass_fds, stdout, stderr)
                else:
                    directory = _linked_directory(job)
                    child = await self._start_confined(
                        job, limits, pass_fds, stdout, stderr, directory
                    )
            finally:
                close_all(ours)
            try:
                yield child
            finally:
                await child.destroy()
        finally:
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)

    async def _start_in_bubblewrap(
        self,
        job: Confined,
        limits: ResourceLimits,
        pass_fds: Sequence[int],
        stdout: int | None,
        stderr: int | None,
    ) -> Child:
        assert self._bwrap is not None
        gate_read, gate_write = os.pipe()
        info_read, info_write = os.pipe()
        filter_fd = _filled_pipe(seccomp.program(job.profile))
        theirs = (gate_read, info_write, filter_fd)
        start = Start(
            argv=(
                str(self._bwrap.path), "--args", str(gate_read),
                "--", str(job.executable.path), *job.arguments,
            ),
            environment={},
            gate=gate_write,
            gate_text=nul_separated(
                bwrap_arguments(job, info_fd=info_write, seccomp_fd=filter_fd)
            ),
            pass_fds=(*theirs, *pass_fds),
            limits=limits,
            stdout=stdout,
            stderr=stderr,
        )  # fmt: skip
        try:
            try:
                child = await self._spawner.start(start)
            finally:
                close_all(theirs)
            # Shielded for the few milliseconds until bubblewrap has answered: only then can
            # everything inside be named, killed and waited for.
            with trio.move_on_after(_INFO_SECONDS, shield=True):
                init_pid = await _read_init_pid(info_read)
                if init_pid is not None:
                    child.adopt_namespace(init_pid)
            return child
        finally:
            os.close(info_read)

    async def _start_confined(
        self,
        job: Confined,
        limits: ResourceLimits,
        pass_fds: Sequence[int],
        stdout: int | None,
        stderr: int | None,
        directory: str,
    ) -> Child:
        gate_read, gate_write = os.pipe()
        specification = confine_specification(
            job,
            self.kind,
            parent_pid=os.getpid(),
            directory=directory,
            seccomp_program=seccomp.program(job.profile),
        )
        start = Start(
            argv=self._own.argv,
            environment=self._own.environment | {confine.CHILD_VARIABLE: f"confine:{gate_read}"},
            gate=gate_write,
            gate_text=json.dumps(specification).encode(),
            pass_fds=(gate_read, *pass_fds),
            limits=limits,
            stdout=stdout,
            stderr=stderr,
        )
        try:
            return await self._spawner.start(start)
        finally:
            os.close(gate_read)


async def _read_init_pid(fd: int) -> int | None:
    """`child-pid` of the JSON that bubblewrap writes and then closes; None when it wrote none."""
    os.set_blocking(fd, False)
    text = b""
    while True:
        await trio.lowlevel.wait_readable(fd)
        piece = os.read(fd, 4096)
        text += piece
        with contextlib.suppress(ValueError):
            return int(json.loads(text)["child-pid"])
        if not piece:
            return None


def _filled_pipe(content: bytes) -> int:
    """The read end of a pipe that holds this. A pipe takes 64 KiB; a filter is a few hundred
    instructions of 8 bytes."""
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    return read


def _linked_directory(job: Confined) -> str:
    """A work folder for a child without mounts: links named `input` and `out`."""
    try:
        directory = tempfile.mkdtemp(prefix="mediaconvert-")
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
    wanted: str, spawner: Spawner, bwrap: Executable | None, own: InternalCommand
) -> tuple[Launcher, SandboxState]:
    """Try what `tools.sandbox` asks for by starting a real child in it.

    Raises StartupError with `required` where no sandbox works. With `auto` a missing sandbox is
    a warning in the log.
    """
    if wanted == "off":
        state = SandboxState(SandboxKind.NONE, "switched off by tools.sandbox: off")
        logger.warning("children run without a sandbox: %s", state.detail)
        return Launcher(spawner, SandboxKind.NONE, None, own), state
    reason = "bubblewrap was not found"
    if bwrap is not None:
        launcher = Launcher(spawner, SandboxKind.BUBBLEWRAP, bwrap, own)
        reason = await _try(launcher, bwrap)
        if not reason:
            return launcher, SandboxState(SandboxKind.BUBBLEWRAP, "bubblewrap with seccomp")
    version = confine.landlock_version()
    if version:
        detail = f"Landlock (version {version}) with seccomp, because {reason}"
        logger.warning("children run under %s", detail)
        state = SandboxState(SandboxKind.LANDLOCK, detail)
        return Launcher(spawner, SandboxKind.LANDLOCK, None, own), state
    detail = f"{reason}, and this kernel has no Landlock"
    if wanted == "required":
        raise StartupError(f"tools.sandbox is required, but {detail}; {REMEDY}")
    logger.warning("children run without a sandbox: %s; %s", detail, REMEDY)
    return Launcher(spawner, SandboxKind.NONE, None, own), SandboxState(SandboxKind.NONE, detail)


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
