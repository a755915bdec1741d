"""Password hashes: argon2id with OWASP's minimum, in threads, two at a time.

A check costs the same whether the user exists or not. Never stores, logs or compares a
password itself. Called by `auth.py`.
"""

from __future__ import annotations

import base64
import secrets

import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mediaconvert.errors import Overloaded

MAX_PASSWORD_BYTES = 1024
AT_ONCE = 2
_MAX_WAITING = 64
"""64 waiting, two at a time, at most ~0.4 s each: nobody waits longer than ~13 s."""
_MEMORY_KIB = 19 * 1024
_TIME_COST = 2
_PARALLELISM = 1


class Passwords:
    def __init__(self) -> None:
        self._hasher = PasswordHasher(
            time_cost=_TIME_COST, memory_cost=_MEMORY_KIB, parallelism=_PARALLELISM
        )
        self._limiter = trio.CapacityLimiter(AT_ONCE)
        self._nobody = _unmatched_hash()

    async def hash(self, password: str) -> str:
        """A PHC string. Raises Overloaded when too many wait already."""
        self._admit()
        return await trio.to_thread.run_sync(self._hasher.hash, password, limiter=self._limiter)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the hash's; without a hash False, after the same work.
        Raises Overloaded when too many wait already."""
        self._admit()
        return await trio.to_thread.run_sync(
            self._verify, password_hash or self._nobody, password, limiter=self._limiter
        )

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    def _admit(self) -> None:
        if self._limiter.statistics().tasks_waiting >= _MAX_WAITING:
            raise Overloaded("too many logins at once; try again in a few seconds", 5)


def _unmatched_hash() -> str:
    """A well-formed hash with the same cost whose digest is random: no password matches."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32)
    )
    cost = f"m={_MEMORY_KIB},t={_TIME_COST},p={_PARALLELISM}"
    return f"$argon2id$v=19${cost}${salt}${digest}"
