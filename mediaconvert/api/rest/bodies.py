"""Takes a request's body in before Quart sees the request, with a bound on all of them together.

Quart keeps a body in memory as fast as it comes, before it asks who sends it: a thousand
strangers with a mebibyte each would cost a gibibyte. So what is not small needs a valid token
and one of a few places. Called by `app.py` for every request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack, asynccontextmanager

from mediaconvert.api.asgi import Message, Receive, Scope
from mediaconvert.api.body import declared_length
from mediaconvert.api.places import Places
from mediaconvert.api.rest.requests import MAX_BODY_BYTES
from mediaconvert.api.rest.tokens import Tokens, bearer_token
from mediaconvert.errors import BodyTooLarge, NotAuthenticated
from mediaconvert.model import UserId

SMALL_BODY_BYTES = 16 << 10
"""1,000 connections x 16 KiB: at most 16 MiB. A login needs 200 bytes."""
LARGE_BODIES = 32
"""32 x 1 MiB x 2 (Quart joins the pieces): at most 64 MiB."""
LARGE_BODIES_OF_ONE_USER = 8


class Bodies:
    """One for all requests of an application. `public` are the paths that need no token: a
    small body is all that they take."""

    def __init__(self, tokens: Tokens | None, public: Collection[str]) -> None:
        self._tokens = tokens
        self._public = frozenset(public)
        self._places = Places(LARGE_BODIES, of_one_user=LARGE_BODIES_OF_ONE_USER)

    @asynccontextmanager
    async def taken_in(self, scope: Scope, receive: Receive) -> AsyncIterator[Receive]:
        """A `receive` that has the whole body already, while the block lasts. Raises
        BodyTooLarge, NotAuthenticated and Unavailable, where the rest of the body is left."""
        if (declared_length(scope) or 0) > MAX_BODY_BYTES:
            yield receive  # refused without being read
            return
        taken: list[Message] = []
        size, is_large = 0, False
        with ExitStack() as place:
            while not taken or taken[-1].get("more_body", False):
                message = await receive()
                taken.append(message)
                size += len(message.get("body", b""))
                if size > MAX_BODY_BYTES:
                    raise BodyTooLarge(size, MAX_BODY_BYTES)
                if size > SMALL_BODY_BYTES and not is_large:
                    is_large = True
                    user_id = await self._sender(scope, size)
                    place.enter_context(self._places.taken_by(user_id))
            taken.reverse()

            async def replayed() -> Message:
                return taken.pop() if taken else await receive()

            yield replayed

    async def _sender(self, scope: Scope, size: int) -> UserId:
        if scope["path"].rstrip("/") in self._public:
            raise BodyTooLarge(size, SMALL_BODY_BYTES)
        values = [v.decode("latin-1") for n, v in scope["headers"] if n == b"authorization"]
        bearer = bearer_token(values)
        if bearer is None or self._tokens is None:
            raise NotAuthenticated("this call needs a token: Authorization: Bearer <token>")
        return (await self._tokens.verify(bearer)).user_id
