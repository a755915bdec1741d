"""The request fence: what a bug in one request or one connection may cost, and not more.

One of the three places that catch everything. Used by `exchange.py` around the application and
by `server.py` around a connection. Never swallows cancellation.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from mediaconvert.api.asgi import ClientDisconnected

logger = logging.getLogger("mediaconvert.server")


async def fenced(
    work: Callable[[], Awaitable[None]], message: str, fields: Callable[[], dict[str, object]]
) -> bool:
    """Run `work`; False when it failed, which is then logged, once, with `fields()`.

    A client that left is no failure. What is not an Exception (cancellation, an interrupt) is
    raised, also out of a group that holds both."""
    failure: Exception | None = None
    others: BaseException | None = None
    try:
        await work()
    except ClientDisconnected:
        pass
    except BaseExceptionGroup as group:
        _, rest = group.split(ClientDisconnected)
        failure, others = rest.split(Exception) if rest is not None else (None, None)
    except Exception as error:
        failure = error
    if failure is not None:
        logger.error(message, exc_info=failure, extra={"fields": fields()})
    if others is not None:
        raise others
    return failure is None
