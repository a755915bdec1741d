"""One client's socket: reads, sends that have a minimum rate, and an end that loses no answer.

Used by one `Connection`; knows bytes and seconds, no HTTP.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from contextlib import suppress

import trio

from mediaconvert.api.asgi import ClientDisconnected
from mediaconvert.api.rates import RateFloor
from mediaconvert.settings import ServerSettings

HEAD_READ_BYTES = 64 << 10
BODY_READ_BYTES = 1 << 20
"""Hypercorn takes 64 KiB; at 1 MiB an upload costs a fraction of the switches between tasks."""

# What the kernel holds unsent before it calls the socket full. Trio's 16 KiB would wake us for
# every packet of a large download; this bounds 1,000 slow readers to 256 MiB of the kernel's.
NOTSENT_BYTES = 256 << 10
LINGER_SECONDS = 10.0
LINGER_SILENT_SECONDS = 2.0


class TooSlow(Exception):
    """The client kept us waiting for longer than its rate allows."""


class Transport:
    def __init__(self, stream: trio.SocketStream, settings: ServerSettings) -> None:
        self.stream = stream
        self.socket = stream.socket
        self._settings = settings
        self._sending = trio.Lock()
        self._send_floor = self._new_floor()
        self._accepted = 0
        self._delivered = 0
        self.gone = False
        """Whether the client has left (or was cut): nothing can be sent any more."""
        if hasattr(socket, "TCP_NOTSENT_LOWAT") and self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_BYTES)

    def _new_floor(self) -> RateFloor:
        return RateFloor(self._settings.min_rate_bytes, self._settings.rate_grace_seconds)

    def new_body_floor(self) -> RateFloor:
        """The rate that one request body must keep."""
        return self._new_floor()

    async def read(self, max_bytes: int) -> bytes:
        """What has come, at most `max_bytes`; empty when the client has ended or is gone."""
        try:
            return await self.socket.recv(max_bytes)
        except (OSError, trio.ClosedResourceError):
            self.gone = True
            return b""

    async def read_paced(self, max_bytes: int, floor: RateFloor) -> bytes:
        """As `read`. Raises TooSlow when the floor is used up."""
        started = trio.current_time()
        with trio.move_on_after(max(floor.seconds_left, 0)):
            data = await self.read(max_bytes)
            floor.account(trio.current_time() - started, len(data))
            return data
        raise TooSlow

    async def send(self, data: bytes, *, more: bool = False) -> None:
        """All of `data`, in order with other tasks' sends. `more` says that more follows at
        once. Raises ClientDisconnected; a client under the minimum rate is cut first."""
        async with self._sending:
            if self.gone:
                raise ClientDisconnected("the client has left")
            with memoryview(data) as view:
                await self._send_all(view, socket.MSG_MORE if more else 0)

    async def _send_all(self, view: memoryview, flags: int) -> None:
        sent = 0
        while sent < len(view):
            started = trio.current_time()
            try:
                with trio.move_on_after(max(self._send_floor.seconds_left, 0)):
                    accepted = await self.socket.send(view[sent:], flags)
                    sent += accepted
                    self._accepted += accepted
            except (OSError, trio.ClosedResourceError) as error:
                self.gone = True
                raise ClientDisconnected("the client has left") from error
            self._send_floor.account(trio.current_time() - started, self._newly_delivered())
            if self._send_floor.exhausted:
                self.abort()
                raise ClientDisconnected("the client reads slower than the minimum rate")

    def _newly_delivered(self) -> int:
        """Bytes that the client has acknowledged since the last call. What the kernel has
        accepted says little: it fills megabytes at once and then takes nothing for long."""
        waiting = bytearray(struct.calcsize("i"))
        with suppress(OSError, ValueError):  # ValueError: closed meanwhile
            fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, waiting)
        delivered = self._accepted - int(struct.unpack("i", waiting)[0])
        newly, self._delivered = delivered - self._delivered, max(delivered, self._delivered)
        return max(newly, 0)

    async def linger(self) -> None:
        """End our side and take in, for a while, what the client still sends: closing with
        unread bytes would reset the connection and could destroy our answer on its way."""
        with trio.move_on_after(LINGER_SECONDS):
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                return
            while True:
                with trio.move_on_after(LINGER_SILENT_SECONDS) as silence:
                    data = await self.read(BODY_READ_BYTES)
                if silence.cancelled_caught or not data:
                    return

    def abort(self) -> None:
        """Drop the client now, with everything that waits to be sent to it."""
        self.gone = True
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.gone = True
        self.socket.close()
