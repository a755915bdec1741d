"""Starts children, bounds them, and sees to it that they and all they started are dead.

The only module that starts a process (the image server's forks apart). It knows nothing of
sandboxes or tools: `tools.launch` says what to run. A child never gets our environment, our
standard input or a descriptor that was not passed to it by name.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import trio

from mediaconvert.errors import InfrastructureFailure

_KILL_SECONDS = 5.0
"""How long clean-up may take before a child that survives SIGKILL (a thread stuck in a device)
is given up and reported."""


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """Limits that the kernel applies to each process of a child."""

    memory_bytes: int
    """Address space."""
    cpu_seconds: int
    file_bytes: int
    """Largest single file."""
    open_files: int = 256

    def as_pairs(self) -> tuple[tuple[int, int], ...]:
        # RLIMIT_NPROC is left out: it counts the user's other processes as well. The seccomp
        # filter forbids new processes instead, and address space bounds the threads.
        return (
            (resource.RLIMIT_AS, self.memory_bytes),
            (resource.RLIMIT_CPU, self.cpu_seconds),
            (resource.RLIMIT_FSIZE, self.file_bytes),
            (resource.RLIMIT_NOFILE, self.open_files),
            (resource.RLIMIT_CORE, 0),
        )


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended."""

    status: int | None
    """What it exited with, when it did so by itself."""
    signal: int | None
    """What killed it."""
    cpu_seconds: float
    """Of the child and all that it has waited for."""


@dataclass(frozen=True, slots=True)
class Start:
    """One process to start.

    It must begin by reading `gate` to its end: what stands in `gate_text` is written there
    after the limits have been set from outside, so that nothing of the child runs without them.
    """

    argv: tuple[str, ...]
    environment: dict[str, str]
    gate: int
    """Write end of the pipe; closed here."""
    gate_text: bytes
    pass_fds: tuple[int, ...]
    """Kept under the same numbers. Not closed here."""
    limits: ResourceLimits
    stdout: int | None = None
    stderr: int | None = None
    """None is /dev/null."""


class Spawner:
    """A thread that starts every child.

    A child asks the kernel to be killed with its parent, and "parent" means the *thread* that
    started it: trio's worker threads end after ten idle seconds and would take running children
    along. This thread lives until `close`, which must come after the last child.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")

    async def start(self, start: Start) -> Child:
        """Raises InfrastructureFailure when the process cannot be started. Not cancellable:
        it takes milliseconds, and its end is never left unknown."""
        started = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def tell(_: Future[subprocess.Popen[bytes]]) -> None:
            token.run_sync_soon(started.set)

        future = self._thread.submit(_popen, start)
        future.add_done_callback(tell)
        # Bounded by the fork and exec of one process.
        with trio.CancelScope(shield=True):
            await started.wait()
        try:
            return Child(future.result())
        except OSError as error:
            raise InfrastructureFailure(
                "cannot_start_tool", f"the server could not start a tool: {error.strerror}"
            ) from error

    def close(self) -> None:
        self._thread.shutdown()


def _popen(start: Start) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(
            start.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if start.stdout is None else start.stdout,
            stderr=subprocess.DEVNULL if start.stderr is None else start.stderr,
            env=start.environment,
            cwd="/",
            pass_fds=start.pass_fds,
            start_new_session=True,
        )
        try:
            _bound(process.pid, start.limits)
        except OSError:
            process.kill()
            process.wait()
            raise
        with contextlib.suppress(BrokenPipeError):
            os.write(start.gate, start.gate_text)
        return process
    finally:
        os.close(start.gate)


def _bound(pid: int, limits: ResourceLimits) -> None:
    for which, value in limits.as_pairs():
        _, hard = resource.prlimit(pid, which)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.prlimit(pid, which, (value, value))
    os.setpriority(os.PRIO_PROCESS, pid, 10)
    # When memory runs out the kernel should take a tool and not the service.
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("600")


class Child:
    """A running process, its group, and (behind bubblewrap) its PID namespace."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self._pidfd = os.pidfd_open(process.pid)
        self._init_pidfd: int | None = None
        self._exit: Exit | None = None

    def adopt_namespace(self, init_pid: int) -> None:
        """Name the first process of the child's PID namespace: its death is the death of all
        in there, and it is only gone when they are."""
        try:
            fd = os.pidfd_open(init_pid)
        except ProcessLookupError:
            return
        if _parent_of(init_pid) == self.pid:
            self._init_pidfd = fd
        else:  # it has ended already, and the number is somebody else's now
            os.close(fd)

    async def wait(self) -> Exit:
        """Until the child itself has ended; then the rest of its group is killed. What is left
        of its namespace is `destroy`'s. Cancellable."""
        if self._exit is None:
            await trio.lowlevel.wait_readable(self._pidfd)
        return self._reap()

    def kill(self) -> None:
        """SIGKILL to the whole tree; does not wait."""
        if self._init_pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init_pidfd, signal.SIGKILL)
        # Until it is reaped its number, and so the group's, cannot be anybody else's.
        if self._exit is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def destroy(self) -> None:
        """Kill the tree and return when no process of it is left. Shielded, at most 5 s; raises
        InfrastructureFailure when something survives that. Must be called exactly once."""
        try:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _KILL_SECONDS) as end:
                self.kill()
                await self.wait()
                if self._init_pidfd is not None:
                    await trio.lowlevel.wait_readable(self._init_pidfd)
                await self._group_is_empty()
        finally:
            os.close(self._pidfd)
            if self._init_pidfd is not None:
                os.close(self._init_pidfd)
        if end.cancelled_caught:
            raise InfrastructureFailure(
                "unkillable_tool", f"process {self.pid} of a tool survived being killed"
            )

    async def _group_is_empty(self) -> None:
        """A dead grandchild counts until init has reaped it: a matter of a millisecond."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            while True:
                os.killpg(self.pid, 0)
                await trio.sleep(0.002)

    def _reap(self) -> Exit:
        if self._exit is None:
            # A zombie keeps its number, and so its group's: the right group is hit.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            _, status, usage = os.wait4(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            self._process.returncode = code
            self._exit = Exit(
                status=code if code >= 0 else None,
                signal=-code if code < 0 else None,
                cpu_seconds=usage.ru_utime + usage.ru_stime,
            )
        return self._exit


def _parent_of(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1])


class Tail:
    """The last 64 KiB of what a child says; the rest is read and forgotten."""

    SIZE = 64 << 10

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, data: bytes) -> None:
        self._bytes += data
        if len(self._bytes) > 2 * self.SIZE:
            del self._bytes[: -self.SIZE]

    def text(self) -> str:
        return bytes(self._bytes[-self.SIZE :]).decode("utf-8", "replace")


async def read_pipe(fd: int, take: Callable[[bytes], None]) -> None:
    """Read a pipe to its end, giving each piece to `take`. Closes the descriptor."""
    async with trio.lowlevel.FdStream(fd) as stream:
        async for data in stream:
            take(bytes(data))


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def run_briefly(argv: Sequence[str], seconds: float, environment: dict[str, str]) -> str | None:
    """Standard output of a trusted program of this machine on no user's data (`ld.so --list`,
    `ffmpeg -version`); None when it fails. Blocks: call it in a thread."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
