"""The fork server for pictures and documents: one sandboxed process, one fork a command.

It imports libvips and PDFium once and touches no pixel before it forks (a fork after that
would deadlock). It holds nothing of any job. Each command runs in a grandchild with a user and
PID namespace of its own, tighter limits and a tighter seccomp filter. Started, watched and
spoken to by `tools.imaging`; runs inside the sandbox.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mediaconvert.tools import confine, seccomp, starter
from mediaconvert.tools.image_task import Refused, Task

_PR_SET_DUMPABLE, _PR_SET_PDEATHSIG = 4, 1
_CLONE_NEWUSER, _CLONE_NEWPID = 0x10000000, 0x20000000
_TERM_GRACE_SECONDS = 0.5

Action = Callable[[Task], dict[str, object]]


def main() -> int:
    """What this process is stands in its environment; see `confine.CHILD_VARIABLE`."""
    role, _, fd = os.environ.get(confine.CHILD_VARIABLE, "").partition(":")
    match role:
        case "starter":
            return starter.main(int(fd))
        case "files":
            return _list_files()
        case "images":
            return Server(int(fd), _actions, _versions).serve()
        case _:
            print("image-server is started by the service itself", file=sys.stderr)
            return 2


def _list_files() -> int:
    """Print which files the server has loaded, one a line: what its sandbox must hold."""
    _actions()
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:  # noqa: PTH123
        files |= {line.split(None, 5)[5].strip() for line in maps if "/" in line}
    print("\n".join(sorted(f for f in files if f and f.startswith("/"))))
    return 0


def _actions() -> dict[str, Action]:
    """The heavy imports happen here."""
    from mediaconvert.tools import image_actions, pdf_actions

    image_actions.prepare()
    return {
        "image_probe": image_actions.probe,
        "image": image_actions.convert,
        "image_check": image_actions.check,
        "pdf_probe": pdf_actions.probe,
        "pdf_page": pdf_actions.render_page,
        "pdf_text": pdf_actions.extract_text,
    }


def _versions() -> dict[str, str]:
    import pypdfium2
    import pyvips

    vips = ".".join(str(pyvips.version(part)) for part in range(3))
    return {"libvips": vips, "pdfium": str(pypdfium2.PDFIUM_INFO.tag)}


@dataclass(slots=True)
class _Running:
    """A command under way."""

    pid: int
    pidfd: int
    kill_at: float | None = None


@dataclass(slots=True)
class Server:
    """Waits for commands, cancels and deaths; never reads what a user sent."""

    control_fd: int
    load: Callable[[], Mapping[str, Action]]
    """Imports what the actions need, and names them."""
    versions: Callable[[], Mapping[str, str]]
    """Of the libraries, once they are loaded."""
    _running: dict[int, _Running] = field(default_factory=dict)

    def serve(self) -> int:
        """Until the service closes the control socket."""
        os.set_inheritable(self.control_fd, False)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        # The guardians between us and the workers wait for these; see `_guard`.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
        actions = self.load()
        control = socket.socket(fileno=self.control_fd)
        control.send(json.dumps({"ready": dict(self.versions())}).encode())
        while True:
            poll = select.poll()
            poll.register(control, select.POLLIN)
            for running in self._running.values():
                poll.register(running.pidfd, select.POLLIN)
            ready = {fd for fd, _ in poll.poll(self._patience())}
            self._kill_the_overdue()
            self._bury(control, ready)
            if self.control_fd in ready and not self._hear(control, libc, actions):
                return 0

    def _patience(self) -> float | None:
        """Milliseconds until a cancelled command must be gone; None waits for ever."""
        deadlines = [r.kill_at for r in self._running.values() if r.kill_at is not None]
        return max(min(deadlines) - time.monotonic(), 0.0) * 1000 if deadlines else None

    def _kill_the_overdue(self) -> None:
        for running in self._running.values():
            if running.kill_at is not None and running.kill_at <= time.monotonic():
                signal.pidfd_send_signal(running.pidfd, signal.SIGKILL)

    def _bury(self, control: socket.socket, ready: set[int]) -> None:
        for number, running in list(self._running.items()):
            if running.pidfd in ready:
                _, status = os.waitpid(running.pid, 0)
                os.close(running.pidfd)
                del self._running[number]
                message = {"ended": number, "status": os.waitstatus_to_exitcode(status)}
                control.send(json.dumps(message).encode())

    def _hear(
        self,
        control: socket.socket,
        libc: ctypes.CDLL,
        actions: Mapping[str, Action],
    ) -> bool:
        """One message; False when there will be no more."""
        data, fds = starter.receive(control)
        if not data:
            return False
        message = json.loads(data)
        if "cancel" in message:
            running = self._running.get(message["cancel"])
            if running is not None:
                signal.pidfd_send_signal(running.pidfd, signal.SIGTERM)
                running.kill_at = time.monotonic() + _TERM_GRACE_SECONDS
            return True
        reply_fd, stderr_fd, input_fd, *output_fds = fds
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                control.close()
                task = Task(
                    message["action"], message["params"], message["container"],
                    input_fd, tuple(output_fds), message["max_pixels"], message["max_pages"],
                )  # fmt: skip
                os.dup2(stderr_fd, 2)
                os.close(stderr_fd)
                code = _guard(libc, actions, task, reply_fd, message["limits"])
            finally:
                os._exit(code)
        for fd in fds:
            os.close(fd)
        self._running[message["run"]] = _Running(pid, os.pidfd_open(pid))
        return True


def _guard(
    libc: ctypes.CDLL,
    actions: Mapping[str, Action],
    task: Task,
    reply_fd: int,
    limits: Mapping[str, int],
) -> int:
    """Between the server and the worker: makes the namespaces, forks the worker into them,
    passes a SIGTERM on as SIGKILL, and answers only when the worker is dead. Touches no data."""
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Forbidden in some containers; the worker then still has its own limits and filter, cannot
    # be attached to, and dies with us.
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWPID)
    worker = os.fork()
    if worker == 0:
        code = 70
        try:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            code = _work(libc, actions[task.action], task, reply_fd, limits)
        finally:
            os._exit(code)
    for fd in (reply_fd, task.input_fd, *task.output_fds):
        os.close(fd)
    while True:
        pid, status, usage = os.wait4(worker, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            spent = usage.ru_utime + usage.ru_stime
            if code == -signal.SIGKILL and spent >= limits["cpu_seconds"] - 0.5:
                # The first process of a namespace gets no softer signal than this.
                code = -signal.SIGXCPU
            return code if code >= 0 else 128 - code
        if signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGTERM:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def _work(
    libc: ctypes.CDLL,
    action: Action,
    task: Task,
    reply_fd: int,
    limits: Mapping[str, int],
) -> int:
    for which, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, limits["cpu_seconds"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))
    confine.install_filter(libc, seccomp.program(seccomp.Profile.WORKER))
    answer: dict[str, object]
    try:
        answer = {"details": action(task)}
    except ValueError as error:
        answer = {"refused": ["input", "invalid_params", str(error)[:1000]]}
    except Refused as refusal:
        answer = {"refused": [refusal.kind, refusal.code, refusal.message[:1000]]}
    except OSError as error:
        answer = {"refused": _storage_trouble(error)}
    except MemoryError:
        answer = {"refused": ["limit", "limit_memory", "the file needs more memory than allowed"]}
    with os.fdopen(reply_fd, "wb") as reply:
        reply.write(json.dumps(answer).encode())
    return 0


def _storage_trouble(error: OSError) -> list[str]:
    match error.errno:
        case errno.EFBIG:
            return ["limit", "limit_output", "the output is larger than allowed"]
        case errno.ENOSPC:
            return ["infra", "storage_full", "the server's disk is full"]
        case _:
            return ["infra", "storage_failed", f"the output cannot be written: {error}"]


if __name__ == "__main__":
    sys.exit(main())
