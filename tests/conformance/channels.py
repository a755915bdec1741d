"""Notices over Redis, opened and found well: no notice of before comes late to a test, and none
that it publishes from then on is missed because nobody listens yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mediaconvert.backends.notices.redis import Bounds, RedisNotices, open_redis_notices
from mediaconvert.backends.notices.redis_address import parse_address
from mediaconvert.errors import Unavailable
from mediaconvert.ports.notices import Notices
from tests.conformance.worlds import PATIENCE_SECONDS
from tests.recovery.worker_rig import until

PATIENT = Bounds(
    step_seconds=PATIENCE_SECONDS, call_seconds=PATIENCE_SECONDS, flush_seconds=PATIENCE_SECONDS
)
"""A connection that is given up loses what is on its way, which a pause would be enough for."""


@asynccontextmanager
async def open_well_notices(url: str, installation: str) -> AsyncIterator[RedisNotices]:
    async with open_redis_notices(parse_address(url), installation, PATIENT) as notices:
        await until_well(notices)
        yield notices


async def until_well(notices: Notices) -> str:
    """What `check` answers at last: a pause of the machine is to it one of the notices."""
    answers: list[str] = []

    async def is_well() -> bool:
        try:
            answers.append(await notices.check())
        except Unavailable:
            return False
        return True

    await until(is_well)
    return answers[0]
