"""An image server whose actions behave as a decoder would that has been taken over.

Runs in the sandbox in place of the real one; `test_process_images.py` starts it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable

from mediaconvert.tools.image_server import Server
from mediaconvert.tools.image_task import Task


def _result(what: Callable[[], object]) -> str:
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "ok"


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _call(number: int, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def peek(task: Task) -> dict[str, object]:
    libc = ctypes.CDLL(None)
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "fds": [fd for fd in range(256) if _is_open(fd)],
        "dumpable": libc.prctl(3, 0, 0, 0, 0),
        "passwd": _result(lambda: open("/etc/passwd")),  # noqa: PTH123
        "fork": _result(os.fork),
        "exec": _result(lambda: os.execv(sys.executable, [sys.executable])),
        "socket": _result(lambda: _call(41, 1, 1, 0)),
        "unshare": _result(lambda: _call(272, 0x10000000)),
        "ptrace": _result(lambda: _call(101, 16, 2, 0, 0)),
        "write": _result(lambda: open(__file__, "r+")),  # noqa: PTH123
    }


def hang(task: Task) -> dict[str, object]:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.write(task.output_fds[0], b"hanging")
    while True:
        time.sleep(60)


def crash(task: Task) -> dict[str, object]:
    ctypes.string_at(0)
    return {}


def eat(task: Task) -> dict[str, object]:
    kept = []
    while True:
        kept.append(bytearray(10 << 20))


def flood(task: Task) -> dict[str, object]:
    os.write(2, b"words without end\n" * 100_000)
    os._exit(3)


def lie(task: Task) -> dict[str, object]:
    return {"width": -5, "height": "many", "pages": 10**30, "has_alpha": "yes"}


def spin(task: Task) -> dict[str, object]:
    while True:
        pass


def actions() -> dict[str, Callable[[Task], dict[str, object]]]:
    return {f.__name__: f for f in (peek, hang, crash, eat, flood, lie, spin)}


if __name__ == "__main__":
    role, _, fd = os.environ["MEDIACONVERT_CHILD"].partition(":")
    if role == "files":
        print("\n".join(f for m in sys.modules.values() if (f := getattr(m, "__file__", None))))
        with open("/proc/self/maps") as maps:  # noqa: PTH123
            print("\n".join(line.split(None, 5)[5].strip() for line in maps if "/" in line))
    else:
        sys.exit(Server(int(fd), actions, lambda: {"libvips": "0", "pdfium": "0"}).serve())
