"""TLS in front of PostgreSQL, whose test build has none: answers the request for it, shakes
hands with a certificate of the test's, and passes on what is inside.

In a thread with a loop of its own. Plain connections are turned away.
"""

from __future__ import annotations

import contextlib
import ssl
import struct
import threading
from collections.abc import Iterator

import trio

_PIECE_BYTES = 64 << 10
# PostgreSQL: Message Formats, SSLRequest.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class TlsProxy:
    """Listens on `port` of 127.0.0.1; made by `open_tls_proxy`."""

    def __init__(self, target_port: int, context: ssl.SSLContext) -> None:
        self.handshakes = 0
        self.port = 0
        self._target_port = target_port
        self._context = context
        self._scope = trio.CancelScope()
        self._is_listening = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))
        self._thread.start()
        self._is_listening.wait()

    def close(self) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join()

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        self._is_listening.set()
        with self._scope:
            await trio.serve_listeners(self._serve, [listener])

    async def _serve(self, client: trio.SocketStream) -> None:
        inside = trio.SSLStream(client, self._context, server_side=True)
        # Whoever asked may have hung up by now.
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            if await client.receive_some(8) != _SSL_REQUEST:
                return
            await client.send_all(b"S")
            await inside.do_handshake()
            self.handshakes += 1
            server = await trio.open_tcp_stream("127.0.0.1", self._target_port)
            async with server, trio.open_nursery() as nursery:
                nursery.start_soon(_pump, inside, server, nursery.cancel_scope)
                nursery.start_soon(_pump, server, inside, nursery.cancel_scope)


async def _pump(source: trio.abc.Stream, target: trio.abc.Stream, scope: trio.CancelScope) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while piece := await source.receive_some(_PIECE_BYTES):
            await target.send_all(piece)
    scope.cancel()


@contextlib.contextmanager
def open_tls_proxy(target_port: int, context: ssl.SSLContext) -> Iterator[TlsProxy]:
    proxy = TlsProxy(target_port, context)
    try:
        yield proxy
    finally:
        proxy.close()
