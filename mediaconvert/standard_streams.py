"""Standard input, output and error, whatever state the process was started with.

Closed ones are opened on /dev/null before a socket or a file can get their numbers. Writing to
standard error never raises and never waits for long; what it cannot take goes to standard output
and to the journal. Called by the command line before anything else, and by `log_writer`.
"""

from __future__ import annotations

import errno
import io
import os
import select
import socket
import sys
from types import TracebackType

JOURNAL = "/run/systemd/journal/socket"
PATIENCE_SECONDS = 1.0
"""For a standard error that takes nothing: a pipe whose reader has stopped."""
# POSIX: a pipe that poll(2) calls writable takes this many bytes without blocking.
_PIPE_BYTES = 4096


class StandardError(io.RawIOBase):
    """File descriptor 2 for `print` and tracebacks: loses what it cannot write."""

    def __init__(self, *, is_open: bool) -> None:
        self.has_failed = not is_open
        """Something that was written did not arrive."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2

    def isatty(self) -> bool:
        return os.isatty(2)

    def write(self, data: object) -> int:
        content = bytes(data)  # type: ignore[call-overload]  # any buffer, as RawIOBase allows
        if write_bytes(2, content, patience_seconds=PATIENCE_SECONDS) < len(content):
            self.has_failed = True
        return len(content)


_error = StandardError(is_open=True)
_is_output_open = True


def hold_streams() -> None:
    """Make descriptors 0 to 2 safe to use, and replace `sys.stderr`. Once, first of all."""
    global _error, _is_output_open
    is_open = [_hold(number) for number in range(3)]
    _is_output_open = is_open[1]
    _error = StandardError(is_open=is_open[2])
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # lives as long as the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.excepthook = _report_crash
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    # No buffer of its own: what could not be written must not fail again at exit.
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_error, 1 << 20),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def _hold(number: int) -> bool:
    """Whether the descriptor was open; if not, it is /dev/null now."""
    try:
        os.fstat(number)
    except OSError as error:
        if error.errno != errno.EBADF:
            return True
        # The lowest free number: those below it are open by now.
        opened = os.open(os.devnull, os.O_RDWR)
        os.set_inheritable(opened, True)
        return False
    return True


def report(sentence: str) -> None:
    """Print a line to standard error; where that fails, to standard output and the journal."""
    print(sentence, file=sys.stderr, flush=True)
    _report_elsewhere(sentence)


def _report_elsewhere(sentence: str) -> None:
    if _error.has_failed:
        if _is_output_open:
            write_bytes(1, f"{sentence}\n".encode(), patience_seconds=PATIENCE_SECONDS)
        send_to_journal(sentence)


def _report_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    sys.__excepthook__(kind, error, trace)
    _report_elsewhere(f"mediaconvert: internal error: {kind.__name__}: {error}")


def send_to_journal(sentence: str, address: str = JOURNAL) -> bool:
    """One line as an error, in systemd's native protocol; False where there is no journal."""
    fields = ("PRIORITY=3", "SYSLOG_IDENTIFIER=mediaconvert", f"MESSAGE={sentence}")
    message = "".join(field.replace("\n", " ") + "\n" for field in fields)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode(errors="backslashreplace"), address)
    except OSError:
        return False
    return True


def write_bytes(number: int, content: bytes, *, patience_seconds: float | None = None) -> int:
    """Write to a descriptor, and return how many bytes it took: fewer where it failed or, with
    `patience_seconds`, took nothing for so long. Never raises."""
    written = 0
    waiting = select.poll()
    waiting.register(number, select.POLLOUT)
    timeout = None if patience_seconds is None else patience_seconds * 1000
    piece_bytes = len(content) if patience_seconds is None else _PIPE_BYTES
    try:
        while written < len(content):
            if patience_seconds is not None and not waiting.poll(timeout):
                break
            try:
                written += os.write(number, content[written : written + piece_bytes])
            except BlockingIOError:  # somebody who shares it made it non-blocking
                if not waiting.poll(timeout):
                    break
    except OSError:
        pass
    return written
