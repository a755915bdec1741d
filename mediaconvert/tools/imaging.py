"""Keeps the image server running, and sends it commands. The service's side of the fork server.

One process in the sandbox; a command is one forked child in there. When the server dies, the
commands under way fail as crashed and it is started again. Called by `tools.toolbox`.
"""

from __future__ import annotations

import array
import contextlib
import itertools
import json
import logging
import resource
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from mediaconvert.errors import InfrastructureFailure
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.confine import CHILD_VARIABLE
from mediaconvert.tools.failures import Stop, tool_lines
from mediaconvert.tools.image_call import (
    MESSAGE_BYTES,
    Descriptors,
    ImageCall,
    conclude,
    message_of,
)
from mediaconvert.tools.launch import FIRST_PASSED_FD, Launcher
from mediaconvert.tools.locate import executable, readable_trees
from mediaconvert.tools.process import (
    NOT_SENT,
    Child,
    InternalCommand,
    ResourceLimits,
    Tail,
    close_all,
    open_pipes,
    read_pipe,
    run_briefly,
    starter_died,
)
from mediaconvert.tools.sandbox import Confined
from mediaconvert.tools.seccomp import Profile

logger = logging.getLogger(__name__)

_START_SECONDS = 60.0
"""How long a command waits for a server that is being started (again)."""
_END_SECONDS = 3.0
"""A cancelled command is dead within milliseconds; after this the whole server is killed."""
_ANSWER_BYTES = 1 << 20
_BACKOFF_SECONDS = (0.05, 0.2, 1.0, 5.0)


@dataclass(slots=True)
class _Pending:
    """A command that the server has been told."""

    ended: trio.Event = field(default_factory=trio.Event)
    status: int | None = None
    """None when the server died with it."""
    innocent: InfrastructureFailure | None = None
    """Why the server died with it, where that is known and was no picture's fault."""


@dataclass(slots=True)
class _Server:
    """A running server."""

    control: trio.socket.SocketType
    versions: Mapping[str, str]
    pending: dict[int, _Pending] = field(default_factory=dict)
    gone: trio.Event = field(default_factory=trio.Event)
    give_up: trio.Event = field(default_factory=trio.Event)
    sending: trio.Lock = field(default_factory=trio.Lock)


class ImageServer:
    """What the toolbox holds. `keep` must run for `call` to get anywhere."""

    def __init__(
        self,
        launcher: Launcher,
        own: InternalCommand,
        settings: ToolSettings,
        slots: int,
        scratch: Path,
    ) -> None:
        """`scratch` is an empty folder for what the server is shown of this installation."""
        self._launcher = launcher
        self._own = own
        self._settings = settings
        self._slots = trio.CapacityLimiter(slots)
        self._scratch = scratch
        self._numbers = itertools.count(1)
        self._server: _Server | None = None
        self._changed = trio.Event()

    # --- the keeper's side --------------------------------------------------------------

    async def keep(self) -> None:
        """Start the server, and start it again whenever it dies. Ends only by cancellation."""
        job: Confined | None = None
        failures = 0
        while True:
            lived_since = trio.current_time()
            try:
                if job is None:
                    job = await trio.to_thread.run_sync(self._confined, self._scratch)
                await self._one_life(job)
            except (OSError, InfrastructureFailure) as error:
                # No descriptor, process or memory to be had: that may pass.
                logger.warning("the image server cannot be started: %s", error)
            if trio.current_time() - lived_since > 60:
                failures = 0
            wait = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
            failures += 1
            logger.warning("the image server ended; starting it again in %g s", wait)
            await trio.sleep(wait)

    def _confined(self, folder: Path) -> Confined:
        """What the server may see: itself, and what it has loaded when it is ready. Python
        finds its packages as links in `folder`, for it must list where it imports from, and
        the real places hold more than it should know of."""
        environment = self._own.environment | {
            "VIPS_BLOCK_UNTRUSTED": "1",
            "VIPS_CONCURRENCY": "1",
            # Decoded pictures stay in memory, where the limit on address space counts them.
            "VIPS_DISC_THRESHOLD": "64g",
        }
        listing = run_briefly(self._own.argv, 60, environment | {CHILD_VARIABLE: "files"})
        if not listing:
            raise InfrastructureFailure("cannot_start_tool", "it did not say what it needs")
        program = executable(Path(self._own.argv[0]))
        readable, libraries = readable_trees(listing.splitlines(), self._own.readable)
        program = type(program)(
            program.path, tuple(dict.fromkeys((*program.libraries, *libraries)))
        )
        places = environment.get("PYTHONPATH", "").split(":")
        for tree in readable:
            if str(tree.parent) in places:
                link = folder / tree.name
                link.unlink(missing_ok=True)  # of an earlier try that failed half-way
                link.symlink_to(tree)
        if places != [""]:
            environment["PYTHONPATH"] = str(folder)
        return Confined(
            executable=program,
            arguments=self._own.argv[1:],
            profile=Profile.SERVER,
            read_only=(*readable, folder),
            environment=environment,
            # It lives on from job to job: what one child left there the next would find.
            tmp_bytes=0,
        )

    async def _one_life(self, job: Confined) -> None:
        ((stderr_read, stderr_write),) = open_pipes(1)
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:
            close_all((stderr_read, stderr_write))
            raise
        tail = Tail()
        fd = theirs.detach()
        named = Confined(
            job.executable, job.arguments, job.profile, read_only=job.read_only,
            environment={**job.environment, CHILD_VARIABLE: f"images:{FIRST_PASSED_FD}"},
        )  # fmt: skip
        control = trio.socket.from_stdlib_socket(ours)
        with control:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_pipe, stderr_read, tail.add)
                child: Child | None = None
                # Inside the nursery, which would wrap what leaves it in a group.
                try:
                    async with self._launcher.open(
                        named, self._server_limits(), pass_fds=(fd,), stderr=stderr_write
                    ) as child:
                        await self._serve(control)
                except (OSError, InfrastructureFailure) as error:
                    logger.warning("the image server did not start: %s", error)
                finally:
                    self._retire(is_starter_dead=child is not None and child.is_lost)
                nursery.cancel_scope.deadline = trio.current_time() + 1
        for line in tool_lines(tail.text()):
            logger.warning("image server: %s", line)

    def _server_limits(self) -> ResourceLimits:
        """Of the server as a whole life; each child gets its own, lower ones."""
        return ResourceLimits(
            memory_bytes=self._settings.memory_bytes + (1 << 30),
            cpu_seconds=resource.RLIM_INFINITY,
            file_bytes=self._settings.output_bytes,
            open_files=4096,
        )

    async def _serve(self, control: trio.socket.SocketType) -> None:
        """Hear the server until it is gone or given up."""
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(_START_SECONDS) as starting:
                hello = await control.recv(MESSAGE_BYTES)
            if starting.cancelled_caught or not hello:
                return
            server = _Server(control, json.loads(hello)["ready"])
            self._server = server
            self._announce()

            async def when_given_up() -> None:
                await server.give_up.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(when_given_up)
            with contextlib.suppress(ConnectionError):
                while message := await control.recv(MESSAGE_BYTES):
                    told = json.loads(message)
                    pending = server.pending.pop(told["ended"], None)
                    if pending is not None:
                        pending.status = told["status"]
                        pending.ended.set()
            nursery.cancel_scope.cancel()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _retire(self, *, is_starter_dead: bool) -> None:
        """Called when the server's whole tree is dead: so are the commands under way."""
        server, self._server = self._server, None
        if server is not None:
            server.gone.set()
            for pending in server.pending.values():
                pending.innocent = _innocence(server, is_starter_dead=is_starter_dead)
                pending.ended.set()

    # --- the callers' side ----------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether `versions` and `call` find a server without waiting."""
        return self._server is not None

    async def versions(self) -> Mapping[str, str]:
        """Of libvips and PDFium. Raises InfrastructureFailure when the server does not start."""
        return (await self._running()).versions

    async def _running(self) -> _Server:
        with trio.move_on_after(_START_SECONDS):
            while self._server is None:
                await self._changed.wait()
            return self._server
        raise InfrastructureFailure("image_server_down", "the image server does not start")

    async def call(self, call: ImageCall) -> dict[str, object]:
        """The action's details. Raises MediaInputError, LimitExceeded, ToolCrashed,
        InfrastructureFailure. Cancelled: the child is dead before this returns."""
        async with self._slots:
            server = await self._running()
            with Descriptors(call) as fds:
                return await self._run(server, call, fds)

    async def _run(self, server: _Server, call: ImageCall, fds: Descriptors) -> dict[str, object]:
        number = next(self._numbers)
        message = message_of(number, call)
        pending = _Pending()
        answer, tail = bytearray(), Tail()
        started = trio.current_time()
        stopped = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_pipe, fds.take(fds.answer), lambda d: _bounded(answer, d))
            nursery.start_soon(read_pipe, fds.take(fds.stderr), tail.add)
            try:
                with trio.move_on_after(call.limits.wall_seconds) as wall:
                    await _send(server, number, pending, message, fds.theirs)
                    fds.close_theirs()
                    await pending.ended.wait()
                stopped = Stop.WALL if wall.cancelled_caught else None
            finally:
                fds.close_theirs()
                await _make_sure(server, number, pending)
            nursery.cancel_scope.deadline = trio.current_time() + 1
        if pending.innocent is not None and stopped is None:
            raise pending.innocent
        wall_seconds = trio.current_time() - started
        return conclude(call, pending.status, stopped, bytes(answer), tail.text(), wall_seconds)


def _innocence(server: _Server, *, is_starter_dead: bool) -> InfrastructureFailure | None:
    if is_starter_dead:
        return starter_died()
    if server.give_up.is_set():
        return InfrastructureFailure(
            "image_server_killed",
            "the image server was killed because another command of it could not be stopped",
        )
    return None


def _bounded(buffer: bytearray, data: bytes) -> None:
    if len(buffer) <= _ANSWER_BYTES:
        buffer += data


async def _send(
    server: _Server, number: int, pending: _Pending, message: bytes, fds: Sequence[int]
) -> None:
    if server.gone.is_set():
        pending.ended.set()
        return
    server.pending[number] = pending
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
    try:
        async with server.sending:
            await server.control.sendmsg([message], [rights])
    except trio.Cancelled:
        # Not sent, so there is nothing to be told the end of: waiting for that would end with
        # the kill of the server, and of everybody else's commands.
        server.pending.pop(number, None)
        raise
    except OSError as error:
        # A closed socket is no error here: the keeper notices it, and ends the command.
        if error.errno in NOT_SENT:
            server.pending.pop(number, None)
            raise InfrastructureFailure(
                "cannot_start_tool", f"the image server cannot be asked: {error.strerror}"
            ) from error


async def _make_sure(server: _Server, number: int, pending: _Pending) -> None:
    """Return when the command's processes are dead. Normally they are, and this is nothing."""
    if pending.ended.is_set() or number not in server.pending:
        return
    with trio.CancelScope(shield=True):
        # Bounded by _END_SECONDS, and then by the kill of the whole server.
        with trio.move_on_after(_END_SECONDS), contextlib.suppress(OSError):
            async with server.sending:
                await server.control.sendmsg([json.dumps({"cancel": number}).encode()])
            await pending.ended.wait()
        if not pending.ended.is_set():
            server.give_up.set()
            with trio.move_on_after(2 * _END_SECONDS):
                await pending.ended.wait()
