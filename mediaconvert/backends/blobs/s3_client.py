"""The S3 store that the settings name: its address, its keys, the names that blobs have there.

Turns settings into one `minio` client over our `StoreHttp`, or into a sentence about what is
wrong with them. Asks the store nothing. Called when the blob store is opened.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import urllib3
from minio.credentials.providers import (
    AWSConfigProvider,
    ChainedProvider,
    EnvAWSProvider,
    IamAwsProvider,
    Provider,
    StaticProvider,
)

from mediaconvert.backends.blobs import files
from mediaconvert.backends.blobs.s3_http import StoreHttp
from mediaconvert.backends.blobs.s3_unfinished import StoreClient
from mediaconvert.errors import StartupError, Unavailable
from mediaconvert.model import BlobId
from mediaconvert.settings import StorageSettings

_AWS_HOST = re.compile(r"(?:.*\.)?amazonaws\.com(?:\.cn)?", re.IGNORECASE)
_AWS_REGION = re.compile(r"s3[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.", re.IGNORECASE)
_PREFIX_BYTES = 512
_FORM = "write it as http://host:port, https://host or host:port"


@dataclass(frozen=True, slots=True)
class Endpoint:
    address: str
    """`host` or `host:port`."""
    is_secure: bool

    @property
    def is_aws(self) -> bool:
        return _AWS_HOST.fullmatch(urlsplit(f"//{self.address}").hostname or "") is not None

    @property
    def region(self) -> str:
        """The region that an address of AWS names, else the empty text."""
        found = _AWS_REGION.match(self.address) if self.is_aws else None
        return found[1].lower() if found else ""

    def __str__(self) -> str:
        return f"{'https' if self.is_secure else 'http'}://{self.address}"


@dataclass(frozen=True, slots=True)
class Store:
    """What the parts of the blob store share. Usable from any thread."""

    client: StoreClient = field(repr=False)
    http: StoreHttp = field(repr=False)
    endpoint: Endpoint
    bucket: str
    prefix: str
    region: str

    def key(self, blob_id: BlobId) -> str:
        if not files.is_blob_id(blob_id):
            raise Unavailable(f"blob id {blob_id!r} is not 32 lower-case hex digits")
        return self.prefix + blob_id

    def blob_id(self, key: str) -> BlobId | None:
        """The blob that has this key, if it is one."""
        name = key.removeprefix(self.prefix)
        return BlobId(name) if key == self.prefix + name and files.is_blob_id(name) else None


def parse_endpoint(text: str) -> Endpoint:
    """Raises StartupError. Without a scheme it is http, but https for port 443 and for AWS."""
    bare = "://" not in text
    parts = urlsplit(f"//{text}" if bare else text)
    # Before anything is quoted: it may be a password.
    if parts.username is not None or parts.password is not None:
        raise StartupError(
            "S3_ENDPOINT holds a user name; keys go to S3_ACCESS_KEY and S3_SECRET_KEY"
        )
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise StartupError(f"S3_ENDPOINT '{text}' has no valid port; {_FORM}") from None
    if not host or (not bare and parts.scheme not in ("http", "https")):
        raise StartupError(f"S3_ENDPOINT '{text}' is not the address of a server; {_FORM}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise StartupError(
            f"S3_ENDPOINT '{text}' has more than an address; the bucket goes to S3_BUCKET, and "
            "the beginning of all keys to storage.s3_prefix"
        )
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", host):
        raise StartupError(f"S3_ENDPOINT '{text}' has a host name that cannot be; {_FORM}")
    is_secure = parts.scheme == "https"
    if bare:
        is_secure = port == 443 or _AWS_HOST.fullmatch(host) is not None
    return Endpoint(parts.netloc, is_secure)


def make_store(settings: StorageSettings) -> Store:
    """Raises StartupError where a setting cannot be right."""
    endpoint = parse_endpoint(settings.s3_endpoint)
    _check_prefix(settings.s3_prefix)
    ca_file = _ca_file(settings.s3_ca_file)
    region = endpoint.region or settings.s3_region
    http = StoreHttp(ca_file=ca_file)
    try:
        client = StoreClient(
            endpoint.address,
            secure=endpoint.is_secure,
            region=region,
            http_client=http,
            credentials=_credentials(settings, endpoint),
        )
    except ValueError as error:
        raise StartupError(f"S3_ENDPOINT or S3_REGION cannot be right: {error}") from error
    if settings.s3_addressing == "virtual":
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    elif settings.s3_addressing == "path":
        client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    return Store(client, http, endpoint, settings.s3_bucket, settings.s3_prefix, region)


def _credentials(settings: StorageSettings, endpoint: Endpoint) -> Provider:
    key, secret = settings.s3_access_key, settings.s3_secret_key
    if key and secret:
        return StaticProvider(key, secret)
    if key or secret:
        missing = "S3_SECRET_KEY" if key else "S3_ACCESS_KEY"
        raise StartupError(f"{missing} is not set; S3_ACCESS_KEY and S3_SECRET_KEY go together")
    if not endpoint.is_aws:
        # AWS's own keys, should there be any, are none of another store's business.
        raise StartupError(
            f"the S3 store at {endpoint} needs keys; set S3_ACCESS_KEY and S3_SECRET_KEY"
        )
    # Asked where there is no such service, it would not answer at all.
    http = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=1.0, read=3.0), retries=urllib3.Retry(total=1)
    )
    return ChainedProvider(
        [EnvAWSProvider(), AWSConfigProvider(), IamAwsProvider(http_client=http)]
    )


def _check_prefix(prefix: str) -> None:
    segments = prefix.split("/")
    if prefix.startswith("/") or "." in segments or ".." in segments or "" in segments[:-1]:
        raise StartupError(
            f"storage.s3_prefix '{prefix}' is no good beginning of keys; write it as 'name/'"
        )
    if not prefix.isascii() or not prefix.isprintable() or len(prefix) > _PREFIX_BYTES:
        raise StartupError(
            f"storage.s3_prefix must be at most {_PREFIX_BYTES} printable ASCII characters"
        )


def _ca_file(chosen: Path | None) -> str:
    """As the SDK does it where nothing is chosen."""
    path = str(chosen or os.environ.get("SSL_CERT_FILE") or certifi.where())
    if not Path(path).is_file():
        raise StartupError(f"the file of certificate authorities '{path}' does not exist")
    return path
