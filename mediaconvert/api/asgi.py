"""The few ASGI types that both doors share, and the one error that `send` raises.

ASGI 3.0's HTTP messages are dictionaries by specification, hence `Any` here and only here.
Imported by everything in `api/`; imports nothing of the project.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
"""What ASGI calls the connection scope; of type `http` or `lifespan` here."""
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientDisconnected(OSError):
    """`send()` found the client gone, or too slow. Nothing is left to be answered: let it pass.

    An OSError, as ASGI 2.4 asks of servers."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first value of the header `name` (lower case), or None."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None
