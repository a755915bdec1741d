"""Users and failed logins, on SQL."""

from __future__ import annotations

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Driver, Row, UniqueViolation
from mediaconvert.errors import NotAuthenticated, UserExists
from mediaconvert.model import User, UserId

# Nobody asks for older failures (auth.login_window_seconds is far below it).
_FAILURES_KEPT_US = 24 * 3600 * 1_000_000


class SqlUsers:
    """ports.catalog.Users."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def register(self, email: str, password_hash: str) -> User:
        async def body(conn: Connection) -> User:
            now = await conn.now_us()
            try:
                row = await conn.fetch_one("user_add", email, email.casefold(), password_hash, now)
            except UniqueViolation:
                raise UserExists from None
            return rows.user(row)

        return await self._driver.write(body)

    async def by_email(self, email: str) -> User | None:
        async def body(conn: Connection) -> User | None:
            row = await conn.fetch_row("user_by_email", email.casefold())
            return None if row is None else rows.user(row)

        return await self._driver.read(body)

    async def by_id(self, user_id: UserId) -> User | None:
        async def body(conn: Connection) -> User | None:
            row = await conn.fetch_row("user_by_id", user_id)
            return None if row is None else rows.user(row)

        return await self._driver.read(body)

    async def set_password(self, user_id: UserId, password_hash: str) -> User:
        """As the port says. Raises NotAuthenticated for a user who does not exist."""

        async def body(conn: Connection) -> User:
            return _user(await conn.fetch_row("user_set_password", user_id, password_hash))

        return await self._driver.write(body)

    async def set_disabled(self, user_id: UserId, *, is_disabled: bool) -> User:
        """As the port says. Raises NotAuthenticated for a user who does not exist."""

        async def body(conn: Connection) -> User:
            return _user(await conn.fetch_row("user_set_disabled", user_id, int(is_disabled)))

        return await self._driver.write(body)

    async def note_login_failure(self, subject: str) -> None:
        async def body(conn: Connection) -> None:
            now = await conn.steady_us()
            await conn.execute("login_failures_forget_old", now - _FAILURES_KEPT_US)
            await conn.execute("login_failure_add", subject, now)

        await self._driver.write(body)

    async def login_failures(self, subject: str, within_seconds: int) -> int:
        async def body(conn: Connection) -> int:
            since = await conn.steady_us() - within_seconds * 1_000_000
            return int((await conn.fetch_one("login_failures_count", subject, since))["failures"])

        return await self._driver.read(body)

    async def forget_login_failures(self, subject: str) -> None:
        async def body(conn: Connection) -> None:
            await conn.execute("login_failures_forget", subject)

        await self._driver.write(body)


def _user(row: Row | None) -> User:
    if row is None:
        raise NotAuthenticated("the user of this request does not exist any more; register again")
    return rows.user(row)
