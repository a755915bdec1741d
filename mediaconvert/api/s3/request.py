"""What an S3 handler gets: one authenticated request as a value, and the services behind it.

Made by `dispatch.py`, read by the verbs. Nothing here reads a body or asks a backend.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from mediaconvert.api.body import RequestBody
from mediaconvert.api.places import Places
from mediaconvert.api.s3.auth import Authenticated
from mediaconvert.api.s3.errors import invalid_argument
from mediaconvert.api.s3.numbers import whole_number
from mediaconvert.intake import Intake
from mediaconvert.model import BucketRef, UserId
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """What the verbs work with."""

    intake: Intake
    catalog: Catalog
    blobs: BlobStore
    settings: Settings
    upload_places: Places
    document_places: Places

    @asynccontextmanager
    async def upload_slot(self, user_id: UserId) -> AsyncIterator[None]:
        """One of `server.max_uploads`, of which one user gets three in four. Raises Overloaded
        at once when there is none."""
        with self.upload_places.taken_by(user_id):
            yield


@dataclass(frozen=True, slots=True)
class S3Request:
    """One request after routing and authentication."""

    id: str
    method: str
    bucket: str
    """Empty for the service."""
    key: str
    """Empty for the service and for buckets."""
    query: Mapping[str, str]
    """Decoded; of a name that is repeated, the first."""
    headers: Mapping[str, str]
    """Names in lower case; of one that is repeated, the values joined by commas."""
    identity: Authenticated
    body: RequestBody = field(repr=False)
    scheme: str = "http"
    is_virtual_host: bool = False
    """The bucket came from the Host header, not from the path."""

    @property
    def user_id(self) -> UserId:
        return self.identity.user_id

    @property
    def ref(self) -> BucketRef:
        return BucketRef(self.user_id, self.bucket)

    @property
    def url(self) -> str:
        """The object's address as the client spells the host, without a query."""
        bucket = "" if self.is_virtual_host else f"{self.bucket}/"
        return f"{self.scheme}://{self.headers.get('host', '')}/{bucket}{quote(self.key)}"

    def number(self, name: str, default: int, *, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
        """A query parameter that is a whole number. Raises InvalidArgument."""
        text = self.query.get(name, "")
        if not text:
            return default
        number = whole_number(text, minimum=minimum, maximum=maximum)
        if number is None:
            raise invalid_argument(
                name, text, f"{name} is '{text}'; it must be a whole number {minimum} to {maximum}"
            )
        return number


def refuse_version(version_id: str | None) -> None:
    """Buckets have no versions: objects have the one version `null`. Raises InvalidArgument
    for any other, so that a request which names one never meets the current object."""
    if version_id is not None and version_id != "null":
        raise invalid_argument("versionId", version_id, "Invalid version id specified")
