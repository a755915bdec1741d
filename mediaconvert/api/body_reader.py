"""Takes one request's body off the wire, exactly to its end, when the application asks for it.

Pulled by `exchange.py`: nothing is read that was not asked for, so a slow handler slows its
client and fills no memory. A body with Content-Length passes as it came; a chunked one goes
through h11's parser.
"""

from __future__ import annotations

import h11
import trio

from mediaconvert.api.request_head import MAX_LENGTH_BYTES, BadRequest, Framing, h11_words
from mediaconvert.api.transport import BODY_READ_BYTES, TooSlow, Transport

SMALL_REST_BYTES = 64 << 10
"""What is left of a body that no handler read is taken in, up to this, to keep the connection."""
_CHECKPOINT_EVERY = 64


class BodyReader:
    def __init__(
        self, framing: Framing, parser: h11.Connection, transport: Transport, pending: bytearray
    ) -> None:
        self._parser = parser
        self._transport = transport
        self._pending = pending
        """Bytes that came beyond what was parsed; the connection's, shared."""
        self._floor = transport.new_body_floor()
        self._remaining = framing.length
        self._chunked = framing.chunked
        self.ended = not framing.chunked and framing.length == 0
        """Whether the body has been taken in to its end."""
        self.cut = False
        """Whether the client left in the middle of it."""
        if framing.chunked and pending:  # h11 takes empty data for the end of the connection
            parser.receive_data(bytes(pending))
            pending.clear()

    @property
    def rest_is_small(self) -> bool:
        """Whether what has not been read is known, or likely, to be little."""
        return self._chunked or self._remaining <= SMALL_REST_BYTES

    async def next_piece(self) -> bytes:
        """The next bytes, at most about 1 MiB; empty at the end (`ended`) and when the client
        is gone (`cut`). Raises BadRequest: too slow (408), chunks that are none (400)."""
        if self.ended or self.cut:
            return b""
        try:
            return await (self._next_chunked() if self._chunked else self._next_plain())
        except TooSlow:
            raise BadRequest(
                408, "request_timeout", "the request body came slower than the minimum rate"
            ) from None

    async def drop_rest(self) -> None:
        """Read on to the end of the body, but over no more than SMALL_REST_BYTES."""
        dropped = 0
        while not self.ended and not self.cut and dropped <= SMALL_REST_BYTES:
            dropped += len(await self.next_piece())

    async def _next_plain(self) -> bytes:
        if self._pending:
            piece = bytes(self._pending[: self._remaining])
            del self._pending[: self._remaining]
        else:
            wanted = min(self._remaining, BODY_READ_BYTES)
            piece = await self._transport.read_paced(wanted, self._floor)
        self._remaining -= len(piece)
        self.ended = self._remaining == 0
        self.cut = not piece
        return piece

    async def _next_chunked(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while size < BODY_READ_BYTES:
            event = self._parse()
            if isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
                size += len(event.data)
                if len(pieces) % _CHECKPOINT_EVERY == 0:
                    # A megabyte in chunks of one byte must not hold up everybody else.
                    await trio.lowlevel.checkpoint()
            elif isinstance(event, h11.EndOfMessage):
                self.ended = True
                self._pending += self._parser.trailing_data[0]
                break
            elif pieces:
                break
            else:
                data = await self._transport.read_paced(BODY_READ_BYTES, self._floor)
                if not data:
                    self.cut = True
                    break
                self._parser.receive_data(data)
        return b"".join(pieces)

    def _parse(self) -> object:
        try:
            event = self._parser.next_event()
        except h11.RemoteProtocolError as error:
            words = h11_words(error)
            raise BadRequest(400, "bad_request", f"the chunked body is broken: {words}") from None
        # h11 takes up to 20 hex digits and waits for that many bytes. What is left of a chunk
        # stands only here; a test fails if it moves.
        taken = len(event.data) if isinstance(event, h11.Data) else 0
        if getattr(self._parser._reader, "_bytes_in_chunk", 0) + taken > MAX_LENGTH_BYTES:
            raise BadRequest(400, "bad_request", f"a chunk's size is over {MAX_LENGTH_BYTES}")
        return event
