"""Notices: hints that may be lost, doubled or late. Everything works without them, slower."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Topic(StrEnum):
    JOB_READY = "job_ready"
    """A job became pending; `value` is its id."""
    JOB_PROGRESS = "job_progress"
    """A running job got further, or its attempt ended; `value` is its id."""
    JOB_CANCELED = "job_canceled"
    """`value` is the job's id."""
    CREDENTIAL_REVOKED = "credential_revoked"
    """`value` is the access key, or `user:<id>` for all of a user's."""
    USER_CHANGED = "user_changed"
    """`value` is the user's id: password changed or user disabled."""


@dataclass(frozen=True, slots=True)
class Notice:
    topic: Topic
    value: str = ""


class Subscription(Protocol):
    async def receive(self) -> Notice:
        """The next notice. A slow receiver loses the oldest beyond 10,000 waiting."""


class Notices(Protocol):
    async def publish(self, notice: Notice) -> None:
        """Never raises for an absent or failed server: a hint is only a hint. Never blocks on
        a slow subscriber."""

    def subscribe(self, *topics: Topic) -> AbstractAsyncContextManager[Subscription]:
        """Everything published on these topics from entering on, in order per publisher."""

    async def check(self) -> str:
        """What carries the notices, with its version (`Redis 7.4.1`). Raises Unavailable when
        they do not get through at the moment."""
