"""Registering, logging in, changing the password, and who one is.

Answers an unknown user and a wrong password with the same words and the same work. Called
through its routes only.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from mediaconvert.api.rest import accounts, models
from mediaconvert.api.rest.passwords import MAX_PASSWORD_BYTES, Passwords
from mediaconvert.api.rest.requests import RequestBody
from mediaconvert.api.rest.routes import AnyRoute, Call, Route
from mediaconvert.api.rest.tokens import Tokens
from mediaconvert.errors import (
    InvalidLogin,
    NotAuthenticated,
    RegistrationClosed,
    TooManyAttempts,
    UserExists,
)
from mediaconvert.model import User
from mediaconvert.ports.catalog import Users
from mediaconvert.ports.notices import Notice, Notices, Topic
from mediaconvert.settings import AuthSettings

_HOUR_SECONDS = 3600


class Login(RequestBody):
    email: str = Field(json_schema_extra={"format": "email"})
    password: str = Field(json_schema_extra={"format": "password"})


class PasswordChange(RequestBody):
    current_password: str = Field(json_schema_extra={"format": "password"})
    new_password: str = Field(json_schema_extra={"format": "password"})


@dataclass(frozen=True, slots=True)
class AuthCalls:
    users: Users
    notices: Notices
    tokens: Tokens
    passwords: Passwords
    settings: AuthSettings

    async def register(self, call: Call[None, Login]) -> models.Session:
        if not self.settings.registration:
            raise RegistrationClosed
        email = accounts.email_to_register(call.body.email)
        accounts.check_new_password(
            call.body.password, self.settings.password_min_length, "password"
        )
        if not accounts.is_loopback(call.address):
            subject = f"register|{accounts.counted_address(call.address)}"
            limit = accounts.REGISTRATIONS_PER_HOUR
            await accounts.count_attempt(self.users, subject, limit, _HOUR_SECONDS)
        if await self.users.by_email(email) is not None:
            raise UserExists
        password_hash = await self.passwords.hash(call.body.password)
        return self._session(await self.users.register(email, password_hash))

    async def login(self, call: Call[None, Login]) -> models.Session:
        email = accounts.normal_email(call.body.email)
        if email is None:
            # Nobody can have registered with it, so this tells nothing about anybody.
            raise InvalidLogin
        user = await self.users.by_email(email)
        await self._check_password(user, email, call.body.password, call.address)
        if user is None or user.is_disabled:
            raise InvalidLogin
        return self._session(user)

    async def change_password(self, call: Call[None, PasswordChange]) -> models.Session:
        accounts.check_new_password(
            call.body.new_password, self.settings.password_min_length, "new_password"
        )
        user = await self.users.by_id(call.user_id)
        if user is None:
            raise NotAuthenticated("the token is no longer valid; log in again")
        email = accounts.normal_email(user.email) or user.email
        await self._check_password(user, email, call.body.current_password, call.address)
        password_hash = await self.passwords.hash(call.body.new_password)
        changed = await self.users.set_password(user.id, password_hash)
        self.tokens.forget(user.id)
        await self.notices.publish(Notice(Topic.USER_CHANGED, str(user.id)))
        return self._session(changed)

    async def me(self, call: Call[None, None]) -> models.Me:
        caller = call.caller
        if caller is None:
            raise NotAuthenticated("the token is no longer valid; log in again")
        return models.Me(
            user_id=caller.user_id,
            email=caller.email,
            created_at=models.rfc3339(caller.created_at_us),
        )

    async def _check_password(
        self, user: User | None, email: str, password: str, address: str
    ) -> None:
        """Raises InvalidLogin, TooManyAttempts."""
        subject = f"login|{email}|{accounts.counted_address(address)}"
        settings = self.settings
        await accounts.count_attempt(
            self.users, subject, settings.login_failures, settings.login_window_seconds
        )
        if len(password.encode()) > MAX_PASSWORD_BYTES:
            raise InvalidLogin
        if not await self.passwords.verify(user.password_hash if user else None, password):
            raise InvalidLogin
        await self.users.forget_login_failures(subject)

    def _session(self, user: User) -> models.Session:
        return models.Session(
            token=self.tokens.issue(user), user=models.User(id=user.id, email=user.email)
        )

    def routes(self) -> tuple[AnyRoute, ...]:
        return (
            Route(
                method="POST",
                path="/auth/register",
                summary="Make an account",
                handler=self.register,
                body=Login,
                answer=models.Session,
                status=201,
                is_public=True,
                refusals=(UserExists, RegistrationClosed, TooManyAttempts),
            ),
            Route(
                method="POST",
                path="/auth/login",
                summary="Get a token",
                handler=self.login,
                body=Login,
                answer=models.Session,
                is_public=True,
                refusals=(InvalidLogin, TooManyAttempts),
            ),
            Route(
                method="GET",
                path="/api/me",
                summary="Whose token this is",
                handler=self.me,
                answer=models.Me,
            ),
            Route(
                method="POST",
                path="/api/me/password",
                summary="Change the password, which ends every token; answers a new one",
                handler=self.change_password,
                body=PasswordChange,
                answer=models.Session,
                refusals=(InvalidLogin, TooManyAttempts),
            ),
        )
