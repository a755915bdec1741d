"""Starts children, bounds them, and sees to it that they and all they started are dead.

The service's side; the forks happen in the process of `tools.starter`. It knows nothing of
sandboxes or tools: `tools.launch` says what to run. A child never gets our environment, our
standard input or a descriptor that was not passed to it by number.
"""

from __future__ import annotations

import array
import contextlib
import errno
import itertools
import json
import logging
import os
import resource
import socket
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from mediaconvert.errors import InfrastructureFailure
from mediaconvert.tools.confine import CHILD_VARIABLE
from mediaconvert.tools.starter import MESSAGE_BYTES

logger = logging.getLogger(__name__)

NOT_SENT = frozenset((errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM))
"""What sendmsg(2) answers when it has sent nothing over a socket that is still good."""
_NO_PROGRAM = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOEXEC)
)
"""What execve(2) answers for what is no program, or none for this machine."""
_KILL_SECONDS = 5.0
"""How long clean-up may take before a child that survives SIGKILL (a thread stuck in a device)
is given up and reported."""
_PIPE_BYTES = 64 << 10
"""What a pipe holds; a child that writes on while it is left has no more to say."""
_RESTART_SECONDS = (0.1, 0.5, 2.0, 5.0)
_LONG_LIFE_SECONDS = 60.0
_RESTART_WAIT_SECONDS = 20.0
"""How long a child waits to be started while the starter is being started (again)."""


@dataclass(frozen=True, slots=True)
class InternalCommand:
    """How to start this program again as a child of its own."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    readable: tuple[Path, ...]
    """Folders and files that it needs to start, besides libraries of the system."""


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
    """One process to start."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    fds: Mapping[int, int]
    """What the child gets, by the number it has there; not closed here. Standard ones that are
    not named are /dev/null."""
    limits: ResourceLimits
    directory: str = "/"
    confine: Mapping[str, object] | None = None
    """`sandbox.confine_rules`, where the process is to confine itself."""


def starter_died() -> InfrastructureFailure:
    """Of everything that ran when the starter was killed: no fault of what it ran on."""
    return InfrastructureFailure(
        "starter_died", "the process that watches over the tools was killed"
    )


class Child:
    """A process that has been started."""

    def __init__(self, link: _Link, number: int) -> None:
        self._link = link
        self._number = number
        self.ended = trio.Event()
        self.pid: int | None = None
        """Known soon after the start; of the sandbox where there is one around the tool."""
        self.exit: Exit | None = None
        """None after the end when the starter died: everything is dead, the status unknown."""

    async def wait(self) -> Exit:
        """Until the child and everything that it started are dead. Cancellable. Raises
        InfrastructureFailure when nobody knows how it ended."""
        await self.ended.wait()
        if self.exit is None:
            raise starter_died()
        return self.exit

    @property
    def is_lost(self) -> bool:
        """It is dead because the starter is."""
        return self.ended.is_set() and self.exit is None

    async def kill(self) -> None:
        """SIGKILL to the whole tree; `wait` tells when it is dead."""
        if not self.ended.is_set():
            await self._link.send({"kill": self._number}, ())

    async def destroy(self) -> None:
        """Kill the tree and return when no process of it is left. Shielded, at most 5 s; raises
        InfrastructureFailure when something survives that."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _KILL_SECONDS):
            await self.kill()
            await self.ended.wait()
        if not self.ended.is_set():
            raise InfrastructureFailure("unkillable_tool", "a tool survived being killed")


class _Link:
    """The socket to one starter process, and the children it has."""

    def __init__(self, control: trio.socket.SocketType) -> None:
        self._control = control
        self._sending = trio.Lock()
        self.children: dict[int, Child] = {}

    async def send(self, message: Mapping[str, object], fds: Sequence[int]) -> None:
        """A closed socket is no error here: the receiving side notices it. Raises
        InfrastructureFailure when the message is too long to be sent."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        data = json.dumps(message).encode()
        if len(data) > MESSAGE_BYTES:
            raise InfrastructureFailure(
                "cannot_start_tool", f"the tool's arguments are too long: {len(data)} bytes"
            )
        try:
            async with self._sending:
                await self._control.sendmsg([data], [rights] if fds else [])
        except OSError as error:
            if error.errno in NOT_SENT:
                raise InfrastructureFailure(
                    "cannot_start_tool", f"a tool cannot be started: {error.strerror}"
                ) from error

    async def listen(self) -> None:
        """Until the starter is gone; then everything it started is dead as well."""
        with contextlib.suppress(ConnectionError):
            while message := await self._control.recv(MESSAGE_BYTES):
                told = json.loads(message)
                if "started" in told:
                    self.children[told["started"]].pid = int(told["pid"])
                    continue
                child = self.children.pop(told["ended"])
                status = int(told["status"])
                child.exit = Exit(
                    status=status if status >= 0 else None,
                    signal=-status if status < 0 else None,
                    cpu_seconds=float(told["cpu_seconds"]),
                )
                child.ended.set()

    def lose(self) -> None:
        for child in self.children.values():
            child.ended.set()
        self.children.clear()


class Starter:
    """Starts children through a process of its own (`tools.starter`), so that all of them die
    with the service, however that dies. `keep` must run for `start` to get anywhere."""

    def __init__(self, own: InternalCommand) -> None:
        self._own = own
        self._numbers = itertools.count(1)
        self._link: _Link | None = None
        self._changed = trio.Event()

    async def keep(self) -> None:
        """Start it, and start it again when it is killed. Ends only by cancellation."""
        failures = 0
        while True:
            born = trio.current_time()
            try:
                await self._one_life()
            except OSError as error:
                # No process, descriptor or memory to be had: that may pass, and what needs a
                # tool meanwhile is told so.
                logger.warning("the process that starts tools cannot be started: %s", error)
            else:
                logger.warning("the process that starts tools ended; starting it again")
            if trio.current_time() - born > _LONG_LIFE_SECONDS:
                failures = 0
            await trio.sleep(_RESTART_SECONDS[min(failures, len(_RESTART_SECONDS) - 1)])
            failures += 1

    async def _one_life(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control = trio.socket.from_stdlib_socket(ours)
        environment = self._own.environment | {CHILD_VARIABLE: f"starter:{theirs.fileno()}"}
        with control:
            with theirs:
                process = await trio.to_thread.run_sync(
                    _popen, self._own.argv, environment, theirs.fileno()
                )
            link = _Link(control)
            try:
                self._link = link
                self._changed.set()
                self._changed = trio.Event()
                await link.listen()
            finally:
                self._link = None
                link.lose()
                # Its end of the socket closes, and it ends when all its children are dead.
                control.shutdown(socket.SHUT_RDWR)
                with trio.CancelScope(shield=True):
                    # Bounded: the starter only kills; a child that cannot be killed is left.
                    await trio.to_thread.run_sync(_wait_for, process)

    async def start(self, start: Start) -> Child:
        """Never fails for the program's sake: a child that could not be started ends at once,
        with a complaint on its standard error. Raises InfrastructureFailure when the starter
        itself does not run."""
        message: dict[str, object] = {
            "argv": start.argv,
            "environment": dict(start.environment),
            "fds": list(start.fds),
            "limits": start.limits.as_pairs(),
            "directory": start.directory,
            "confine": start.confine,
        }
        with trio.move_on_after(_RESTART_WAIT_SECONDS):
            while (link := self._link) is None:
                await self._changed.wait()
            number = next(self._numbers)
            child = Child(link, number)
            link.children[number] = child
            try:
                await link.send(message | {"start": number}, tuple(start.fds.values()))
            except (trio.Cancelled, InfrastructureFailure):
                link.children.pop(number, None)
                raise
            if self._link is not link:
                child.ended.set()
            return child
        raise InfrastructureFailure("starter_down", "the process that starts tools does not run")


def _popen(argv: Sequence[str], environment: Mapping[str, str], fd: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment,
        cwd="/",
        pass_fds=(fd,),
        start_new_session=True,
    )


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_KILL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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


def open_pipes(count: int) -> list[tuple[int, int]]:
    """Pipes as (read, write), all or none. Raises InfrastructureFailure when the process has no
    descriptor left."""
    pipes: list[tuple[int, int]] = []
    try:
        while len(pipes) < count:
            pipes.append(os.pipe())
    except OSError as error:
        close_all(itertools.chain.from_iterable(pipes))
        raise InfrastructureFailure(
            "too_many_files", f"no pipe to a tool can be opened: {error.strerror}"
        ) from error
    return pipes


async def read_pipe(fd: int, take: Callable[[bytes], None]) -> None:
    """Read a pipe to its end, giving each piece to `take`. Closes the descriptor. Cancelled, it
    takes what is there already: all of a dead child's words, however late this process is."""
    async with trio.lowlevel.FdStream(fd) as stream:
        try:
            async for data in stream:
                take(bytes(data))
        except trio.Cancelled:
            _take_what_is_there(fd, take)
            raise


def _take_what_is_there(fd: int, take: Callable[[bytes], None]) -> None:
    """Never waits: the stream has made the descriptor so."""
    left = _PIPE_BYTES
    with contextlib.suppress(BlockingIOError):
        while left > 0 and (data := os.read(fd, left)):
            take(data)
            left -= len(data)


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def cpu_seconds(pid: int) -> float:
    """Processor time so far of a process and all below it; what has gone counts as none. Blocks
    on /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    # utime, stime, and both of the children that were waited for: proc_pid_stat(5), 14 to 17.
    own = sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


def run_briefly(argv: Sequence[str], seconds: float, environment: dict[str, str]) -> str | None:
    """Standard output of a trusted program of this machine on no user's data (`ld.so --list`,
    `ffmpeg -version`); None when it fails. Raises InfrastructureFailure when that cannot be
    known: it was not started, or did not end. Blocks: call it in a thread."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env=environment,
            check=False,
        )
    except OSError as error:
        if error.errno in _NO_PROGRAM:
            return None
        raise InfrastructureFailure(
            "cannot_start_tool", f"{argv[0]} cannot be started: {error.strerror}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise InfrastructureFailure(
            "cannot_start_tool", f"{argv[0]} did not end within {seconds:g} s"
        ) from error
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
