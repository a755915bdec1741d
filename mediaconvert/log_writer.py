"""Takes log lines to standard error in a thread of its own.

A reader that has stopped or a disk that hangs blocks this thread and nothing else: lines wait up
to a bound and are then dropped and counted. A write that fails loses its lines and is tried
again with the next ones. Called by `logs.py`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from mediaconvert.standard_streams import PATIENCE_SECONDS, write_bytes

MAX_WAITING_BYTES = 4 << 20
_BATCH_BYTES = 64 << 10

# A line, or somebody who waits until all before it is written. SimpleQueue, unlike Queue, may be
# used by a signal handler that interrupts another use of it.
_Item = bytes | queue.SimpleQueue[None]


class LogWriter:
    """`put` may be called by any thread, one at a time: logging.Handler sees to that."""

    def __init__(
        self,
        number: int,
        note: Callable[[int], str],
        *,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        """`number` is the file descriptor. `note` makes the line that tells how many lines
        were lost, once lines are written again."""
        self._number = number
        self._note = note
        self._max_waiting_bytes = max_waiting_bytes
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # Each of these is changed by one side alone.
        self._put_bytes = self._dropped_lines = 0
        self._taken_bytes = self._failed_lines = self._noted_lines = 0
        self._is_torn = False
        """The last write ended within a line."""

    @property
    def lost_lines(self) -> int:
        return self._dropped_lines + self._failed_lines

    def put(self, text: str) -> None:
        """Have a line written; never waits."""
        line = text.encode(errors="backslashreplace") + b"\n"
        if self._put_bytes - self._taken_bytes + len(line) > self._max_waiting_bytes:
            self._dropped_lines += 1
            return
        self._put_bytes += len(line)
        self._items.put(line)
        if self._thread is None and not self._start():
            self._write(self._take(), patience_seconds=PATIENCE_SECONDS)

    def flush(self, seconds: float) -> None:
        """Wait until everything that was put is written, at most so long."""
        if self._thread is None:
            return
        done: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._items.put(done)
        with suppress(queue.Empty):
            done.get(timeout=seconds)

    def _start(self) -> bool:
        thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread can be started now; tried again with the next line
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            self._write(self._take())

    def _take(self) -> list[_Item]:
        """What waits, at least one item."""
        items = [self._items.get()]
        size = 0
        while size < _BATCH_BYTES:
            try:
                items.append(self._items.get_nowait())
            except queue.Empty:
                break
            size += len(items[-1]) if isinstance(items[-1], bytes) else 0
        return items

    def _write(self, items: list[_Item], *, patience_seconds: float | None = None) -> None:
        lines = [item for item in items if isinstance(item, bytes)]
        prefix = b"\n" if self._is_torn and lines else b""
        content = prefix + b"".join(lines)
        written = write_bytes(self._number, content, patience_seconds=patience_seconds)
        self._taken_bytes += len(content) - len(prefix)
        self._account(lines, len(prefix), written)
        if lines and written == len(content) and self.lost_lines > self._noted_lines:
            self._tell_of_losses()
        for item in items:
            if not isinstance(item, bytes):
                item.put(None)

    def _account(self, lines: list[bytes], prefix: int, written: int) -> None:
        """Count the lines that did not go out whole."""
        end = prefix
        for line in lines:
            begin, end = end, end + len(line)
            self._failed_lines += end > written
            if begin < written:
                self._is_torn = end > written

    def _tell_of_losses(self) -> None:
        lost = self.lost_lines
        note = self._note(lost - self._noted_lines).encode() + b"\n"
        if write_bytes(self._number, note) == len(note):
            self._noted_lines = lost
