"""Signing keys by access key, remembered for a few seconds: what saves a request its lookup.

Correct without notices, only slower to forget: an entry lives at most `TTL_SECONDS`, and
notices of revocation and of changed users drop entries at once. Holds secrets in memory and
shows them to nobody but the authenticator.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import trio

from mediaconvert.errors import DamagedRecord
from mediaconvert.model import SigningKey, UserId
from mediaconvert.ports.catalog import Credentials
from mediaconvert.ports.notices import Notice, Notices, Topic
from mediaconvert.vault import UnsealError

TTL_SECONDS = 0.9
"""Revoked means refused within one second, everywhere, also where a notice was lost."""
MAX_ENTRIES = 4096


class Unsealer(Protocol):
    """The side of the vault that is needed here."""

    def unseal(self, sealed: bytes, *, access_key: str, user_id: UserId) -> str: ...


@dataclass(frozen=True, slots=True)
class KnownKey:
    """An active signing key with its secret."""

    key: SigningKey
    secret: str = field(repr=False)


class KeyCache:
    """Active keys only: an unknown or revoked one is looked up each time, so that a new key
    works at once."""

    def __init__(
        self,
        credentials: Credentials,
        notices: Notices,
        vault: Unsealer,
        *,
        clock: Callable[[], float] = trio.current_time,
        note: Callable[[DamagedRecord], None] = lambda _damaged: None,
    ) -> None:
        """`note` is called with keys whose record is damaged, each time that one is asked for."""
        self._credentials = credentials
        self._notices = notices
        self._vault = vault
        self._clock = clock
        self._note = note
        self._entries: OrderedDict[str, tuple[float, KnownKey]] = OrderedDict()
        self._generation = 0

    async def get(self, access_key: str) -> KnownKey | None:
        """The key while it is active, else None. Raises Unavailable."""
        now = self._clock()
        entry = self._entries.get(access_key)
        if entry is not None and now < entry[0]:
            self._entries.move_to_end(access_key)
            return entry[1]
        generation = self._generation
        found = await self._credentials.by_access_key(access_key)
        if found is None or not found.is_active:
            self._entries.pop(access_key, None)
            return None
        secret = self._unseal(found)
        known = KnownKey(found, secret)
        # A notice that arrived during the lookup may have been about this very key.
        if generation == self._generation:
            self._entries[access_key] = (now + TTL_SECONDS, known)
            self._entries.move_to_end(access_key)
            while len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)
        return known

    def _unseal(self, key: SigningKey) -> str:
        try:
            return self._vault.unseal(
                key.sealed_secret, access_key=key.access_key, user_id=key.user_id
            )
        except UnsealError as error:
            # The master key is the right one: the start has compared its fingerprint.
            why = "its sealed secret cannot be opened"
            damaged = DamagedRecord("s3_credentials", str(key.credential_id), why)
            self._note(damaged)
            raise damaged from error

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Drop entries as notices come in, until cancelled. Reports started once subscribed."""
        topics = (Topic.CREDENTIAL_REVOKED, Topic.USER_CHANGED)
        async with self._notices.subscribe(*topics) as subscription:
            task_status.started()
            while True:
                self.drop(await subscription.receive())

    def drop(self, notice: Notice) -> None:
        """Forget what the notice is about: an access key, or all keys of a user."""
        self._generation += 1
        user = notice.value.removeprefix("user:")
        if notice.topic is Topic.USER_CHANGED or user != notice.value:
            gone = [k for k, (_, e) in self._entries.items() if str(e.key.user_id) == user]
            for access_key in gone:
                del self._entries[access_key]
        else:
            self._entries.pop(notice.value, None)
