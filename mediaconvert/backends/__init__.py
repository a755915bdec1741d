"""open_backends(): the only place that decides which backend stands behind each seam.

Opened first and closed last. Holds the data directory's lock, so that an embedded
installation has one process and no other can take its jobs for dead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from mediaconvert.backends.analytics.sqlite import open_sqlite_analytics
from mediaconvert.backends.blobs.directory import open_directory_blobs
from mediaconvert.backends.notices.memory import MemoryNotices
from mediaconvert.backends.sql.catalog import open_sqlite_catalog
from mediaconvert.backends.sql.lock import hold_lock
from mediaconvert.errors import StartupError, Unavailable
from mediaconvert.ports.backends import Backends
from mediaconvert.settings import Settings


@asynccontextmanager
async def open_backends(settings: Settings) -> AsyncIterator[Backends]:
    """Raises StartupError when a part cannot be opened, with what to do."""
    data = settings.server.data_dir
    blobs_folder = settings.storage.directory or data / "blobs"
    async with AsyncExitStack() as stack:
        # flock does not wait here; taking it in a thread would buy nothing.
        stack.enter_context(hold_lock(data))
        catalog = await stack.enter_async_context(open_sqlite_catalog(data / "catalog.db"))
        analytics = await stack.enter_async_context(open_sqlite_analytics(data / "analytics.db"))
        try:
            blobs = await stack.enter_async_context(
                open_directory_blobs(blobs_folder, min_free_bytes=settings.storage.min_free_bytes)
            )
        except Unavailable as error:
            raise StartupError(f"the blob folder {blobs_folder} cannot be used: {error}") from error
        await trio.lowlevel.checkpoint()
        yield Backends(catalog, blobs, MemoryNotices(), analytics, is_embedded=True)
