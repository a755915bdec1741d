"""One request and its response on a connection: Hypercorn's HTTP/1.1 protocol, but pulled.

Hypercorn pushes what it reads at the application; here `receive()` pulls it off the wire, so
that the 100 goes out at the application's first question and nothing piles up. From Hypercorn
come the scope, the order of ASGI's messages and the response's way through h11. Made by
`connection.py` for each request; runs the application in the connection's own task.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Event, RawData
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response, StreamClosed
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import AppWrapper, ConnectionState, WorkerContext

from mediaconvert.api.application_slot import ApplicationSlot
from mediaconvert.api.asgi import ClientDisconnected, Message
from mediaconvert.api.body_reader import BodyReader
from mediaconvert.api.fence import fenced
from mediaconvert.api.refusals import answer_bytes, new_request_id, reason_phrase
from mediaconvert.api.request_head import BadRequest, body_framing, check_head, h11_words
from mediaconvert.api.response_headers import response_headers
from mediaconvert.api.transport import HEAD_READ_BYTES, Transport

Addresses = tuple[tuple[str, int] | None, tuple[str, int] | None]
"""(client, server), as ASGI wants them."""

MAX_PIPELINED_BYTES = 64 << 10
"""Taken in of further requests while one is under way, in order to notice that a client left."""
DROP_REST_SECONDS = 5.0
_JOIN_BYTES = 64 << 10
"""A head and a first piece up to this go out in one packet, for the price of a copy."""


class Exchange(H11Protocol):
    """`await run(head)` answers one request and says whether the connection can take another."""

    connection: h11.Connection

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        addresses: Addresses,
        transport: Transport,
        pending: bytearray,
        is_draining: Callable[[], bool],
    ) -> None:
        self._slot = ApplicationSlot()
        state = ConnectionState({})
        super().__init__(
            app,
            config,
            context,
            self._slot.as_task_group(),
            state,
            False,
            *addresses,
            self._transmit,
        )
        self._transport = transport
        self._pending = pending
        self._is_draining = is_draining
        self._body: BodyReader
        self._expects_continue = False
        self._body_told = False
        self._held_head = b""
        self._begun = False
        """Bytes of the response are on the wire."""
        self._complete = False
        self._refused = False
        """The answer was the server's own."""
        self._left = False
        """The application has been told that the client left."""
        self._poll = trio.CancelScope()

    async def run(self, head: bytes) -> bool:
        """Parse, run the application, see what becomes of the connection. Raises BadRequest
        where the request never reaches the application."""
        request = self._parse(head)
        framing = body_framing(request)
        self._expects_continue = self.connection.they_are_waiting_for_100_continue
        self._body = BodyReader(framing, self.connection, self._transport, self._pending)
        await self._slot.fill(self, request)
        await self._run_application()
        return await self._can_go_on()

    def _parse(self, head: bytes) -> h11.Request:
        check_head(head)
        self.connection.receive_data(head)
        try:
            event = self.connection.next_event()
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint
            code = "not_implemented" if status == 501 else "bad_request"
            words = h11_words(error)
            raise BadRequest(status, code, f"the request is malformed: {words}") from None
        if not isinstance(event, h11.Request):
            raise BadRequest(400, "bad_request", "the request is malformed")
        return event

    async def _run_application(self) -> None:
        if not await fenced(self._call, "the application failed", self._log_fields):
            message = "the server could not answer this; its log says more under the request's id"
            await self._refuse(BadRequest(500, "internal_error", message))

    async def _call(self) -> None:
        await self._slot.run(self._receive, self._send)
        if not self._begun and not self._over:
            raise RuntimeError("the application returned without an answer")

    def _log_fields(self) -> dict[str, object]:
        request_id = self._slot.state.setdefault("request_id", new_request_id())
        return {"request_id": request_id, "method": self._slot.method, "path": self._slot.path}

    # --- ASGI's receive() ---------------------------------------------------------------------

    async def _receive(self) -> Message:
        message: Message = {"type": "http.disconnect"}
        self._poll = trio.CancelScope()  # the end of the response ends the wait as well
        with self._poll:
            try:
                if self._over:
                    await trio.lowlevel.checkpoint()
                elif self._body_told:
                    await self._watch_client()
                else:
                    message = await self._next_of_body() or message
            except BadRequest as bad:
                await self._refuse(bad)
        if message["type"] == "http.disconnect":
            self._left = not self._complete
        return message

    async def _next_of_body(self) -> Message | None:
        if self._expects_continue and not self._body.ended:
            self._expects_continue = False
            if not self._begun and not self._pending:
                await self._send_h11_event(_go_on())
        piece = await self._body.next_piece()
        if self._body.cut:
            return None
        self._body_told = self._body.ended
        return {"type": "http.request", "body": piece, "more_body": not self._body.ended}

    async def _watch_client(self) -> None:
        """Returns when the client has left; takes in a little of what it pipelines."""
        while len(self._pending) < MAX_PIPELINED_BYTES:
            data = await self._transport.read(HEAD_READ_BYTES)
            if not data:
                return
            self._pending += data
        await trio.sleep_forever()  # until the response is complete

    # --- ASGI's send() ------------------------------------------------------------------------

    async def _send(self, message: Message) -> None:
        if self._over and not self._complete:
            raise ClientDisconnected("the client has left")
        await self._slot.send(message)

    async def stream_send(self, event: StreamEvent) -> None:
        """Hypercorn's way out of its stream, into h11 and onto the wire."""
        if isinstance(event, Response):
            go_on = self._late_continue(event.status_code)
            self._held_head = go_on + self.connection.send(
                h11.Response(
                    status_code=event.status_code,
                    headers=response_headers(
                        event.status_code,
                        event.headers,
                        self.config.response_headers("h11"),
                        must_close=self._must_close,
                    ),
                    reason=reason_phrase(event.status_code),
                )
            )
        elif isinstance(event, StreamClosed):
            await self._transmit(RawData(b""))
            self._complete = True
            self._poll.cancel()
        else:
            await super().stream_send(event)

    def _late_continue(self, status: int) -> bytes:
        """The 100 for an accepted empty body, of which no application asks for a piece: an older
        botocore (aws cli 2.9) takes a final answer in its place for the next request's as well,
        unless the connection closes (see `_must_close`)."""
        if not (self._expects_continue and self._body.ended and status < 400):
            return b""
        self._expects_continue = False
        return self.connection.send(_go_on()) or b""

    async def _transmit(self, event: Event) -> None:
        """Put bytes on the wire, and before the first of them the head that was held back."""
        data = event.data if isinstance(event, RawData) else b""
        head, self._held_head = self._held_head, b""
        if head:
            self._begun = True
            if len(data) > _JOIN_BYTES:
                await self._transport.send(head, more=True)
            else:
                data = head + data
        if data:
            await self._transport.send(data)

    # --- the end --------------------------------------------------------------------------------

    @property
    def _over(self) -> bool:
        return self._complete or self._refused or self._left or self._transport.gone

    @property
    def _must_close(self) -> bool:
        """Whether what is left of the request cannot be told from a next one, or is too much."""
        unread = not self._body.ended and not self._body.rest_is_small
        return self._expects_continue or unread or self._is_draining()

    async def _refuse(self, bad: BadRequest) -> None:
        """Answer in the application's place, or cut the response that it has begun."""
        if self._over:
            return
        if self._begun:
            self._transport.abort()
            return
        self._refused = True
        self._held_head = b""
        answer = answer_bytes(
            bad,
            method=self._slot.method.encode(),
            target=self._slot.path.encode(),
            request_id=self._slot.state.get("request_id"),
        )
        with suppress(ClientDisconnected):
            await self._transport.send(answer)

    async def _can_go_on(self) -> bool:
        if self._complete and self.connection.our_state is h11.DONE and not self._must_close:
            with trio.move_on_after(DROP_REST_SECONDS), suppress(BadRequest):
                await self._body.drop_rest()
            if self._body.ended and not self._is_draining():
                return True
        if self._complete or self._refused:
            await self._transport.linger()
        elif not self._left:
            self._transport.abort()  # the application broke off in the middle of its response
        return False


def _go_on() -> h11.InformationalResponse:
    """Three words on its first line: botocore takes fewer for the final answer."""
    return h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
