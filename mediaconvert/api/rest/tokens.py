"""Bearer tokens: HS256 JWTs that name a user and the version of the user's tokens.

Every token of a user ends when the user's `token_version` rises (password changed, user
disabled). What the catalog said about a user is remembered for at most a second, and only
while `run` listens for changes, which forget it at once. Called by `app.py` for every call
that is not public.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import jwt
import trio

from mediaconvert.errors import NotAuthenticated
from mediaconvert.model import User, UserId
from mediaconvert.ports.catalog import Users
from mediaconvert.ports.notices import Notices, Topic

ALGORITHM = "HS256"
CACHE_SECONDS = 1.0
_CACHE_ENTRIES = 10_000
"""At ~200 bytes an entry: 2 MB."""
_MAX_TOKEN_CHARS = 2048
_CLAIMS = ["sub", "ver", "iat", "exp", "jti"]


@dataclass(frozen=True, slots=True)
class Caller:
    """The user that a valid token names, as the catalog knows it now."""

    user_id: UserId
    email: str
    token_version: int
    created_at_us: int


class Tokens:
    def __init__(
        self,
        key: bytes,
        users: Users,
        notices: Notices,
        *,
        hours: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # HMAC pads a short key with zeros itself (RFC 2104 §2), so this changes no signature;
        # it keeps PyJWT from warning of what `keys.py` has warned of already.
        self._key = key.ljust(32, b"\0")
        self._users = users
        self._notices = notices
        self._seconds = hours * 3600
        self._clock = clock
        self._cache: OrderedDict[UserId, tuple[float, Caller]] = OrderedDict()
        self._is_listening = False
        self._changes = 0

    def issue(self, user: User) -> str:
        now = self._clock()
        claims = {
            "sub": str(user.id),
            "ver": user.token_version,
            "iat": int(now),
            "exp": int(now + self._seconds),
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    async def verify(self, token: str) -> Caller:
        """Raises NotAuthenticated."""
        user_id, version = self._read(token)
        caller = await self._look_up(user_id)
        if caller is None or caller.token_version != version:
            raise NotAuthenticated("the token is no longer valid; log in again")
        return caller

    def forget(self, user_id: UserId) -> None:
        """Ask the catalog again about this user: something changed."""
        self._changes += 1
        self._cache.pop(user_id, None)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Forget users as soon as a notice says that they changed, until cancelled."""
        async with self._notices.subscribe(Topic.USER_CHANGED) as subscription:
            self._is_listening = True
            task_status.started()
            try:
                while True:
                    notice = await subscription.receive()
                    if notice.value.isdecimal():
                        self.forget(UserId(int(notice.value)))
            finally:
                self._is_listening = False
                self._cache.clear()

    def _read(self, token: str) -> tuple[UserId, int]:
        if len(token) > _MAX_TOKEN_CHARS:
            raise NotAuthenticated("the token is not one of this service; log in again")
        try:
            # The clock of another machine may be ahead: `iat` decides nothing.
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                options={"require": _CLAIMS, "verify_iat": False},
            )
        except jwt.ExpiredSignatureError as error:
            raise NotAuthenticated("the token has expired; log in again") from error
        except jwt.InvalidTokenError as error:
            raise NotAuthenticated("the token is not one of this service; log in again") from error
        subject, version = claims["sub"], claims["ver"]
        if not re.fullmatch(r"[1-9][0-9]{0,18}", subject) or not isinstance(version, int):
            raise NotAuthenticated("the token is not one of this service; log in again")
        return UserId(int(subject)), version

    async def _look_up(self, user_id: UserId) -> Caller | None:
        """The user unless missing or disabled."""
        now = trio.current_time()
        known = self._cache.get(user_id)
        if self._is_listening and known is not None and known[0] > now:
            return known[1]
        changes = self._changes
        user = await self._users.by_id(user_id)
        if user is None or user.is_disabled:
            return None
        caller = Caller(user.id, user.email, user.token_version, user.created_at_us)
        # A change that came while the catalog was asked may be newer than its answer.
        if self._is_listening and changes == self._changes:
            self._cache[user_id] = (now + CACHE_SECONDS, caller)
            self._cache.move_to_end(user_id)
            if len(self._cache) > _CACHE_ENTRIES:
                self._cache.popitem(last=False)
        return caller


def bearer_token(values: list[str]) -> str | None:
    """The token of the Authorization headers: None where there is not exactly one header of
    exactly the form `Bearer <token>` (RFC 6750 §2.1)."""
    if len(values) != 1:
        return None
    scheme, _, token = values[0].strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token):
        return None
    return token
