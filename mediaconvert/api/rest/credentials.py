"""S3 key pairs: make, list, revoke, and ask whether a bucket name is free.

A secret leaves this module twice: sealed, to the catalog, and once in the answer to its owner.
Called through its routes only.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from pydantic import Field

from mediaconvert.api.doors import RESERVED_NAMES
from mediaconvert.api.rest import models
from mediaconvert.api.rest.requests import RequestBody, RequestQuery
from mediaconvert.api.rest.routes import AnyRoute, Call, Route
from mediaconvert.api.s3.keys import check_bucket_name
from mediaconvert.errors import (
    BucketAlreadyOwned,
    BucketNotFound,
    BucketTaken,
    CredentialNotFound,
    Detail,
    InvalidBucketName,
    InvalidRequest,
    TooManyCredentials,
)
from mediaconvert.model import Credential, CredentialId, UserId
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notice, Notices, Topic
from mediaconvert.settings import Settings
from mediaconvert.vault import Vault

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
# Letters and digits only: `/` and `+` in a secret trip shells, URLs and configuration files.
_ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_NAME_TRIES = 3
"""36^8 names a user: two collisions in a row do not happen."""


class CredentialRequest(RequestBody):
    bucket_name: str | None = Field(
        default=None, description="Of the bucket to make; without it one is thought up."
    )
    existing: bool = Field(
        default=False, description="A further key for a bucket that is yours already."
    )


class NameQuery(RequestQuery):
    name: str


@dataclass(frozen=True, slots=True)
class CredentialCalls:
    catalog: Catalog
    notices: Notices
    vault: Vault
    settings: Settings

    async def create(self, call: Call[None, CredentialRequest]) -> models.NewCredential:
        name = call.body.bucket_name
        if name is None:
            if call.body.existing:
                detail = Detail("bucket_name", "is missing; 'existing' needs the bucket's name")
                raise InvalidRequest(f"bucket_name: {detail.message}", [detail])
            return await self._create_with_new_name(call.user_id)
        if not call.body.existing:
            _check_name(name)
        return await self._create(call.user_id, name, existing=call.body.existing)

    async def list(self, call: Call[None, None]) -> models.CredentialList:
        credentials = await self.catalog.credentials.list(call.user_id)
        return models.CredentialList(credentials=[models.Credential.of(c) for c in credentials])

    async def check_availability(self, call: Call[NameQuery, None]) -> models.NameAvailability:
        name = call.query.name
        try:
            _check_name(name)
        except InvalidBucketName as error:
            return models.NameAvailability(models.UnavailableName(reason=str(error)))
        if await self.catalog.buckets.exists(name):
            reason = f"bucket name '{name}' is taken; bucket names are global"
            return models.NameAvailability(models.UnavailableName(reason=reason))
        return models.NameAvailability(models.AvailableName(name=name))

    async def revoke(self, call: Call[None, None]) -> models.Message:
        credential = await self.catalog.credentials.revoke(call.user_id, CredentialId(call.id))
        await self.notices.publish(Notice(Topic.CREDENTIAL_REVOKED, credential.access_key))
        return models.Message(message="Credentials revoked successfully")

    async def _create_with_new_name(self, user_id: UserId) -> models.NewCredential:
        for tries_left in reversed(range(_NAME_TRIES)):
            try:
                name = f"user-{user_id}-{_random(_LOWER, 8)}"
                return await self._create(user_id, name, existing=False)
            except (BucketTaken, BucketAlreadyOwned):
                if not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _create(self, user_id: UserId, name: str, *, existing: bool) -> models.NewCredential:
        access_key = "MC" + _random(_BASE32, 18)
        secret_key = _random(_ALPHANUMERIC, 40)
        credential = await self.catalog.credentials.create(
            user_id,
            access_key,
            self.vault.seal(secret_key, access_key=access_key, user_id=user_id),
            name,
            existing=existing,
            limit=self.settings.auth.max_credentials,
            region=self.settings.s3.region,
        )
        return _with_secret(credential, secret_key)

    def routes(self) -> tuple[AnyRoute, ...]:
        return (
            Route(
                method="POST",
                path="/api/s3-credentials",
                summary="Make an S3 key pair and, unless told otherwise, its bucket",
                handler=self.create,
                body=CredentialRequest,
                body_may_be_empty=True,
                answer=models.NewCredential,
                status=201,
                refusals=(
                    InvalidBucketName,
                    BucketTaken,
                    BucketAlreadyOwned,
                    BucketNotFound,
                    TooManyCredentials,
                ),
            ),
            Route(
                method="GET",
                path="/api/s3-credentials",
                summary="The S3 key pairs, without their secrets",
                handler=self.list,
                answer=models.CredentialList,
            ),
            Route(
                method="GET",
                path="/api/s3-credentials/check-availability",
                summary="Whether a bucket name is free",
                handler=self.check_availability,
                query=NameQuery,
                answer=models.NameAvailability,
            ),
            Route(
                method="DELETE",
                path="/api/s3-credentials/{id}",
                summary="Revoke an S3 key pair; its bucket and objects stay",
                handler=self.revoke,
                answer=models.Message,
                missing=CredentialNotFound,
            ),
        )


def _check_name(name: str) -> None:
    # A name may be as long as a body; what is said about it need not be.
    check_bucket_name(name[:100], RESERVED_NAMES)


def _with_secret(credential: Credential, secret_key: str) -> models.NewCredential:
    shown = models.Credential.of(credential).model_dump()
    return models.NewCredential(**shown, secret_key=secret_key)


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
