"""Notices inside one process: a bounded queue per subscriber, nothing else.

Implements ports.notices.Notices for the embedded form, where whoever publishes and whoever
subscribes live in one Trio run. Never blocks a publisher, never grows without bound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from mediaconvert.ports.notices import Notice, Subscription, Topic

MAX_WAITING = 10_000
"""Beyond this a slow subscriber loses its oldest notices."""


class MemorySubscription:
    """ports.notices.Subscription. Several tasks may receive; each notice goes to one."""

    def __init__(self, topics: frozenset[Topic]) -> None:
        self.topics = topics
        self._waiting: deque[Notice] = deque(maxlen=MAX_WAITING)
        self._receivers = trio.lowlevel.ParkingLot()

    def put(self, notice: Notice) -> None:
        self._waiting.append(notice)
        self._receivers.unpark()

    async def receive(self) -> Notice:
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            await self._receivers.park()
        return self._waiting.popleft()


class MemoryNotices:
    """ports.notices.Notices. Belongs to one Trio run; not for use from threads."""

    def __init__(self) -> None:
        self._subscriptions: set[MemorySubscription] = set()

    async def publish(self, notice: Notice) -> None:
        # No checkpoint: an announcement right after a commit must not be lost to a
        # cancellation that comes between the two.
        for subscription in self._subscriptions:
            if notice.topic in subscription.topics:
                subscription.put(notice)

    @asynccontextmanager
    async def subscribe(self, *topics: Topic) -> AsyncIterator[Subscription]:
        subscription = MemorySubscription(frozenset(topics))
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def check(self) -> str:
        """Always well: what publishes and what receives are the same process."""
        return "in this process"
