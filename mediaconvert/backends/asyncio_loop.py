"""An asyncio loop inside of Trio, for the drivers that speak asyncio only.

Opened around the driver that uses it, which calls it by name (`loop.run_aio_coroutine`). A
mistake of a transport is a line in the log, not the end of the process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio_asyncio

log = logging.getLogger("mediaconvert.backends.asyncio_loop")


@asynccontextmanager
async def open_asyncio_loop() -> AsyncIterator[trio_asyncio.BaseTrioEventLoop]:
    """What the block raises comes out as it is, without the groups of the loop's nurseries."""
    try:
        async with trio_asyncio.open_loop() as loop:
            loop.set_exception_handler(_note)
            yield loop
    except BaseExceptionGroup as group:
        raise _unwrapped(group) from None


def _unwrapped(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    for _ in range(2):  # the loop's own nursery, and that of its tasks
        if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
    return error


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    log.warning("asyncio: %s", context.get("message", "an error"), exc_info=error)
