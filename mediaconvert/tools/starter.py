"""The process that starts every child, and kills them all when the service is gone.

Small and single-threaded, so that it may fork; a "subreaper", so that whatever loses its parent
becomes its own child and is found and killed. It outlives a service that was killed by the
few milliseconds that this takes. Standard library only; started and spoken to by
`tools.process`, as messages on a socket with descriptors attached.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from mediaconvert.tools import confine

MESSAGE_BYTES = 192 << 10
"""Largest message; a socket takes 208 KiB."""
MAX_FDS = 32
FAILED_STATUS = 126
"""What a child exits with that could not become the tool; it says why on its standard error."""
COMPLAINT = "starter: "

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_RESET = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ,
)  # fmt: skip
_NICE = 10


def main(fd: int) -> int:
    """Serve until the service closes its end, or dies, which is the same; then kill all."""
    # A tool that had it could have anything started.
    os.set_inheritable(fd, False)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Whoever stops the service (a terminal, systemd) may send these to its whole group.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    starter = _Starter(socket.socket(fileno=fd), libc)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    serving = True
    while serving:
        ready = {found for found, _ in poll.poll()}
        if wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
            serving = starter.bury()
        if fd in ready:
            serving = starter.hear() and serving
    starter.kill_everything()
    return 0


class _Starter:
    """The children, by the number that the service gave them."""

    def __init__(self, control: socket.socket, libc: ctypes.CDLL) -> None:
        self._control = control
        self._libc = libc
        self._running: dict[int, int] = {}
        """Number by process id: those not yet reaped."""
        self._dead: dict[int, dict[str, object]] = {}
        """Reaped, but something that they left may still be alive."""

    def hear(self) -> bool:
        """One message; False when the service is gone."""
        try:
            data, fds = receive(self._control)
        except ConnectionError:
            return False
        if not data:
            return False
        message = json.loads(data)
        if "kill" in message:
            for pid, number in self._running.items():
                if number == message["kill"]:
                    _kill(pid)
            return True
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                _become(self._libc, message, fds, parent)
            finally:
                os._exit(FAILED_STATUS)
        for fd in fds:
            os.close(fd)
        self._running[pid] = message["start"]
        with contextlib.suppress(ConnectionError):  # noticed by the next message
            told = {"started": message["start"], "pid": pid}
            self._control.send(json.dumps(told).encode())
        return True

    def bury(self) -> bool:
        """Reap what has ended, kill what was left behind, report what is over altogether.
        False when the service is gone."""
        for pid in list(self._running):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            # As long as it is a zombie, its number is its group's and nobody else's.
            _kill(pid)
            _, status, usage = os.wait4(pid, 0)
            number = self._running.pop(pid)
            self._dead[number] = {
                "ended": number,
                "status": os.waitstatus_to_exitcode(status),
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
            }
        if self._orphans_left():
            return True
        while self._dead:
            _, report = self._dead.popitem()
            try:
                self._control.send(json.dumps(report).encode())
            except ConnectionError:
                return False
        return True

    def _orphans_left(self) -> bool:
        """Kill and reap every child that we did not start: its own parent has died. The death
        of those still alive wakes us again."""
        left = False
        for pid in _children():
            if pid not in self._running:
                _kill(pid)
                with contextlib.suppress(ChildProcessError):
                    left |= os.waitpid(pid, os.WNOHANG) == (0, 0)
        return left

    def kill_everything(self) -> None:
        """Until there is no child any more; orphans come to us as their parents die."""
        signal.set_wakeup_fd(-1)
        with contextlib.suppress(ChildProcessError):
            while True:
                for pid in _children():
                    _kill(pid)
                os.waitpid(-1, 0)


def _kill(pid: int) -> None:
    """A child that is not reaped, and its group: it may not have made one yet."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def _children() -> list[int]:
    """Process ids of our children, adopted ones included."""
    own = os.getpid()
    try:
        return [int(p) for p in Path(f"/proc/{own}/task/{own}/children").read_text().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return [int(p.name) for p in Path("/proc").glob("[0-9]*") if _parent_of(p) == own]


def _parent_of(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """One message and the descriptors that came with it; empty when the other end is closed."""
    fds = array.array("i")
    room = socket.CMSG_SPACE(MAX_FDS * fds.itemsize)
    data, ancillary, _, _ = control.recvmsg(MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)


def _become(libc: ctypes.CDLL, message: dict[str, Any], fds: list[int], parent: int) -> None:
    """In the forked child: bound and confine this process, then execute the tool. Returns only
    when that failed, with a complaint on the tool's standard error."""
    try:
        _leave_group(libc, parent)
        _place(dict(zip(message["fds"], fds, strict=True)))
        for which, value in message["limits"]:
            _, hard = resource.getrlimit(which)
            if hard != resource.RLIM_INFINITY:
                value = hard if value == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(which, (value, value))
        os.nice(_NICE)
        # When memory runs out the kernel should take a tool and not the service.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("600")
        os.chdir(message["directory"])
        if message["confine"] is not None:
            confine.apply(libc, message["confine"])
        os.execve(message["argv"][0], message["argv"], message["environment"])
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            os.write(2, f"{COMPLAINT}{error}\n".encode())


def _leave_group(libc: ctypes.CDLL, parent: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in _RESET:
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Asked after the line above: a parent that died before it is noticed here.
    if os.getppid() != parent:
        os._exit(FAILED_STATUS)


def _place(wanted: dict[int, int]) -> None:
    """Give descriptors the numbers that the tool was told; the standard ones that nobody named
    are /dev/null. Everything else closes with the execution."""
    null = os.open(os.devnull, os.O_RDWR)
    wanted = {0: null, 1: null, 2: null} | wanted
    # Out of the way first: one's number may be another's target.
    high = {target: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for target, fd in wanted.items()}
    for target, fd in high.items():
        os.dup2(fd, target, inheritable=True)


if __name__ == "__main__":
    sys.exit(main(int(os.environ[confine.CHILD_VARIABLE].partition(":")[2])))
