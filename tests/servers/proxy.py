"""A TCP proxy in front of a server, for the faults that a network has: cut, silent, refused.

Byte for byte, in threads.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from enum import Enum, auto

_PIECE_BYTES = 64 << 10


class _Mode(Enum):
    OPEN = auto()
    SILENT = auto()
    REFUSING = auto()


class Proxy:
    """Listens on `port`; made by `open_proxy`."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.refused = 0
        """Connections, since it was made."""
        self._mode = _Mode.OPEN
        self._changed = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._cut_after: int | None = None
        self._forgotten: set[socket.socket] = set()
        self._awaited: tuple[bytes, int, Callable[[], None]] | None = None
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def open(self) -> None:
        """Everything gets through again; what a silent spell held back flows on."""
        self._set(_Mode.OPEN)

    def silence(self) -> None:
        """A partition: connections stay, and new ones are accepted, but nothing arrives."""
        self._set(_Mode.SILENT)

    def forget(self) -> None:
        """What a firewall does to idle connections: those that there are stay open and carry
        nothing any more, without a word; new ones work."""
        with self._changed:
            self._forgotten |= self._sockets

    def refuse(self) -> None:
        """Every connection is cut, and every new one at once."""
        self._set(_Mode.REFUSING)
        self.cut()

    def cut(self) -> None:
        """End all connections that there are, without a goodbye."""
        with self._changed:
            sockets = list(self._sockets)
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut_after(self, answered_bytes: int) -> None:
        """Cut the connection that next answers so many bytes, once."""
        with self._changed:
            self._cut_after = answered_bytes

    def when_sent(self, words: bytes, act: Callable[[], None], *, count: int = 1) -> None:
        """Call `act` once, in a thread of ours, when the count-th piece with these bytes has come
        on its way to a server; then it goes on. Forgets what was awaited before."""
        with self._changed:
            self._awaited = (words, count, act)

    def await_nothing(self) -> None:
        """What `when_sent` was told is called no more."""
        with self._changed:
            self._awaited = None

    def close(self) -> None:
        self.await_nothing()
        with self._changed:
            self._forgotten.clear()
        self._set(_Mode.REFUSING)
        # Wakes the accepting thread, unlike close().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _pass(self, piece: bytes, *, is_answer: bool) -> None:
        """Told of everything on its way; for proxies that count."""

    def _reached(self, piece: bytes) -> Callable[[], None] | None:
        """What is to be called now that this piece has come."""
        if self._awaited is None or self._awaited[0] not in piece:
            return None
        words, count, act = self._awaited
        self._awaited = (words, count - 1, act) if count > 1 else None
        return act if count == 1 else None

    def _set(self, mode: _Mode) -> None:
        with self._changed:
            self._mode = mode
            self._changed.notify_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                # Known from here on: whatever cuts all connections finds it, or it is refused.
                is_refused = self._mode is _Mode.REFUSING
                if not is_refused:
                    self._sockets.add(client)
            if is_refused:
                client.close()
                self.refused += 1
                continue
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            try:
                self._connect(client)
            finally:
                with self._changed:
                    self._sockets.discard(client)

    def _reach(self) -> socket.socket:
        return socket.create_connection(self._target)

    def _connect(self, client: socket.socket) -> None:
        with self._reach() as server:
            with self._changed:
                self._sockets.add(server)
                if client in self._forgotten:
                    self._forgotten.add(server)
            back = threading.Thread(
                target=self._pump, args=(server, client), kwargs={"is_answer": True}, daemon=True
            )
            back.start()
            try:
                self._pump(client, server, is_answer=False)
            finally:
                back.join()
                with self._changed:
                    self._sockets.discard(server)

    def _pump(self, source: socket.socket, target: socket.socket, *, is_answer: bool) -> None:
        try:
            while piece := source.recv(_PIECE_BYTES):
                with self._changed:
                    self._changed.wait_for(
                        lambda: self._mode is not _Mode.SILENT and source not in self._forgotten
                    )
                    if is_answer and self._cut_after is not None:
                        self._cut_after -= len(piece)
                        if self._cut_after < 0:
                            piece, self._cut_after = b"", None
                    reached = None if is_answer else self._reached(piece)
                if not piece:
                    break
                if reached is not None:
                    reached()
                self._pass(piece, is_answer=is_answer)
                target.sendall(piece)
        except OSError:
            pass
        finally:
            # One end gone is both gone: no protocol here uses half-closed connections.
            for each in (source, target):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


class HoldingProxy(Proxy):
    """One address for processes that follow each other, as systemd's socket activation gives:
    while none listens, new connections wait for the next one."""

    def __init__(self) -> None:
        super().__init__(0)

    def point_to(self, port: int) -> None:
        """The next process listens here."""
        with self._changed:
            self._target = ("127.0.0.1", port)
            self._changed.notify_all()

    def _reach(self) -> socket.socket:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._target[1] or self._mode is _Mode.REFUSING)
                target = self._target
            try:
                return super()._reach()
            except ConnectionRefusedError:
                with self._changed:
                    if self._mode is _Mode.REFUSING:
                        raise
                    if self._target == target:
                        self._target = ("127.0.0.1", 0)


@contextlib.contextmanager
def open_holding_proxy() -> Iterator[HoldingProxy]:
    proxy = HoldingProxy()
    try:
        yield proxy
    finally:
        proxy.close()


@contextlib.contextmanager
def open_proxy(target_port: int) -> Iterator[Proxy]:
    proxy = Proxy(target_port)
    try:
        yield proxy
    finally:
        proxy.close()
