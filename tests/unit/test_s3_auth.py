"""Who sent a request: every way to say it, every way to be refused, and how keys are forgotten."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
import trio.testing
from botocore.config import Config

from mediaconvert.api.s3.auth import Authenticated, Authenticator
from mediaconvert.api.s3.errors import S3Error
from mediaconvert.api.s3.keycache import TTL_SECONDS, KeyCache
from mediaconvert.backends.notices.memory import MemoryNotices
from mediaconvert.backends.sql.catalog import open_sqlite_catalog
from mediaconvert.model import Credential, UserId
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notice, Topic
from mediaconvert.settings import S3Settings
from mediaconvert.sigv4.canonical import EMPTY_SHA256, PayloadKind, SignedRequest
from mediaconvert.sigv4.client import KeyPair, presign, sign
from mediaconvert.vault import Vault
from tests.program import WAIT_SECONDS

NOW = 1_800_000_000
REQUEST = SignedRequest("GET", b"/bucket/key", b"", [(b"host", b"localhost:8080")])


@dataclass
class Installation:
    catalog: Catalog
    notices: MemoryNotices
    vault: Vault
    user_id: UserId
    credential: Credential
    keys: KeyPair

    def authenticator(self, *, now: float = NOW, **settings: object) -> Authenticator:
        return Authenticator(
            self.catalog, self.notices, self.vault, S3Settings(**settings), clock=lambda: now
        )


@asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[Installation]:
    """A catalog with one user, one bucket and one key pair."""
    vault = Vault(secrets.token_bytes(32))
    async with open_sqlite_catalog(
        folder / "catalog.sqlite", deadline_seconds=WAIT_SECONDS
    ) as catalog:
        user = await catalog.users.register("ann@example.org", "hash")
        keys = KeyPair("AKANN", "ann's secret")
        sealed = vault.seal(keys.secret, access_key=keys.access_key, user_id=user.id)
        credential = await catalog.credentials.create(
            user.id, keys.access_key, sealed, "bucket", existing=False, limit=5, region="us-east-1"
        )
        yield Installation(catalog, MemoryNotices(), vault, user.id, credential, keys)


def scope(request: SignedRequest) -> dict[str, object]:
    return {
        "type": "http",
        "method": request.method,
        "raw_path": request.raw_path,
        "query_string": request.raw_query,
        "headers": request.headers,
    }


async def refusal(authenticator: Authenticator, request: SignedRequest) -> S3Error:
    with pytest.raises(S3Error) as caught:
        await authenticator.authenticate(scope(request))
    return caught.value


def signed(keys: KeyPair, payload: str = EMPTY_SHA256, request: SignedRequest = REQUEST):
    return sign(request, keys, now=NOW, payload=payload).request


def from_url(url: str, method: str) -> SignedRequest:
    parts = urlsplit(url)
    headers = [(b"host", parts.netloc.encode())]
    return SignedRequest(method, parts.path.encode(), parts.query.encode(), headers)


async def test_a_signed_request_is_its_owners(tmp_path):
    async with installation(tmp_path) as it:
        found = await it.authenticator().authenticate(scope(signed(it.keys)))
        assert isinstance(found, Authenticated)
        assert (found.user_id, found.access_key) == (it.user_id, "AKANN")
        assert (found.credential_id, found.owner_email) == (it.credential.id, "ann@example.org")
        assert (found.payload, found.payload_sha256) == (PayloadKind.SHA256, EMPTY_SHA256)
        assert not found.is_presigned
        assert found.chunk_chain() is None
        assert it.keys.secret not in repr(found)


async def test_a_presigned_url_is_its_owners(tmp_path):
    async with installation(tmp_path) as it:
        query = presign(
            replace(REQUEST, raw_query=b"x-amz-meta-pipeline=small%20one&x-amz-checksum-crc32=a"),
            it.keys,
            now=NOW,
        )
        found = await it.authenticator().authenticate(scope(replace(REQUEST, raw_query=query)))
        assert found.is_presigned
        assert found.payload is PayloadKind.UNSIGNED
        assert found.query_headers == {"x-amz-meta-pipeline": "small one"}


async def test_streamed_bodies_get_the_chain_of_their_chunks(tmp_path):
    async with installation(tmp_path) as it:
        authenticator = it.authenticator()
        request = signed(it.keys, str(PayloadKind.STREAMING_TRAILER))
        found = await authenticator.authenticate(scope(request))
        assert found.payload is PayloadKind.STREAMING_TRAILER
        first, second = found.chunk_chain(), found.chunk_chain()
        assert first.sign_chunk(EMPTY_SHA256) == second.sign_chunk(EMPTY_SHA256)
        unsigned = signed(it.keys, str(PayloadKind.STREAMING_UNSIGNED_TRAILER))
        found = await authenticator.authenticate(scope(unsigned))
        assert (found.payload.is_chunked, found.chunk_chain()) == (True, None)


async def test_an_unsigned_payload_header_beside_a_presigned_url_is_heeded(tmp_path):
    async with installation(tmp_path) as it:
        query = presign(REQUEST, it.keys, now=NOW)
        headers = [*REQUEST.headers, (b"x-amz-content-sha256", EMPTY_SHA256.encode())]
        request = replace(REQUEST, raw_query=query, headers=headers)
        found = await it.authenticator().authenticate(scope(request))
        assert (found.payload, found.payload_sha256) == (PayloadKind.SHA256, EMPTY_SHA256)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
async def test_boto3_urls_are_accepted(tmp_path, version):
    async with installation(tmp_path) as it:
        client = boto3.client(
            "s3",
            endpoint_url="http://localhost:8080",
            region_name="us-east-1",
            aws_access_key_id=it.keys.access_key,
            aws_secret_access_key=it.keys.secret,
            config=Config(signature_version=version),
        )
        url = client.generate_presigned_url(
            "put_object",
            Params={"Bucket": "bucket", "Key": "ü", "Metadata": {"pipeline": "small"}},
        )
        request = from_url(url, "PUT")
        if version == "s3v4":
            request = replace(
                request, headers=[*request.headers, (b"x-amz-meta-pipeline", b"small")]
            )
        authenticator = Authenticator(it.catalog, it.notices, it.vault, S3Settings())
        found = await authenticator.authenticate(scope(request))
        assert found.is_presigned
        assert found.query_headers == ({"x-amz-meta-pipeline": "small"} if version == "s3" else {})


async def test_a_sigv2_url_may_be_turned_off(tmp_path):
    async with installation(tmp_path) as it:
        request = replace(REQUEST, raw_query=b"AWSAccessKeyId=AKANN&Expires=1900000000&Signature=x")
        assert (await refusal(it.authenticator(), request)).code == "SignatureDoesNotMatch"
        error = await refusal(it.authenticator(sigv2_presign=False), request)
        assert (error.code, error.status) == ("InvalidRequest", 400)


async def test_a_sigv2_header_must_be_turned_on(tmp_path):
    async with installation(tmp_path) as it:
        headers = [
            (b"authorization", b"AWS AKANN:x"),
            (b"date", b"Fri, 15 Jan 2027 08:00:00 GMT"),
        ]
        request = replace(REQUEST, headers=headers)
        assert (await refusal(it.authenticator(), request)).code == "InvalidRequest"
        on = it.authenticator(sigv2=True)
        assert (await refusal(on, request)).code == "SignatureDoesNotMatch"
        chunked = (b"x-amz-content-sha256", str(PayloadKind.STREAMING).encode())
        error = await refusal(on, replace(request, headers=[*headers, chunked]))
        assert error.code == "InvalidRequest"
        assert "version 4" in error.message


async def test_an_anonymous_request_is_denied(tmp_path):
    async with installation(tmp_path) as it:
        error = await refusal(it.authenticator(), REQUEST)
        assert (error.code, error.status) == ("AccessDenied", 403)


async def test_unknown_and_revoked_keys_look_alike(tmp_path):
    async with installation(tmp_path) as it:
        unknown = await refusal(it.authenticator(), signed(replace(it.keys, access_key="AKBOB")))
        await it.catalog.credentials.revoke(it.user_id, it.credential.id)
        revoked = await refusal(it.authenticator(), signed(it.keys))
        assert (revoked.code, revoked.status) == ("InvalidAccessKeyId", 403)
        assert (revoked.code, revoked.message) == (unknown.code, unknown.message)


async def test_the_keys_of_a_disabled_user_are_refused(tmp_path):
    async with installation(tmp_path) as it:
        await it.catalog.users.set_disabled(it.user_id, is_disabled=True)
        assert (await refusal(it.authenticator(), signed(it.keys))).code == "InvalidAccessKeyId"


async def test_a_wrong_secret_is_a_mismatch(tmp_path):
    async with installation(tmp_path) as it:
        error = await refusal(it.authenticator(), signed(replace(it.keys, secret="guessed")))
        assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
        assert error.fields["AWSAccessKeyId"] == "AKANN"
        assert it.keys.secret not in str(error.fields)


async def test_old_and_early_requests_are_refused(tmp_path):
    async with installation(tmp_path) as it:
        late = it.authenticator(now=NOW + 3601)
        assert (await refusal(late, signed(it.keys))).code == "RequestTimeTooSkewed"
        query = presign(REQUEST, it.keys, now=NOW, expires_seconds=3600)
        error = await refusal(late, replace(REQUEST, raw_query=query))
        assert (error.code, error.message) == ("AccessDenied", "Request has expired")


async def test_the_region_counts_where_it_is_set_to(tmp_path):
    async with installation(tmp_path) as it:
        elsewhere = signed(replace(it.keys, region="eu-west-1"))
        await it.authenticator().authenticate(scope(elsewhere))
        error = await refusal(it.authenticator(any_region=False), elsewhere)
        assert (error.code, error.fields) == (
            "AuthorizationHeaderMalformed",
            {"Region": "us-east-1"},
        )


async def test_two_sources_of_credentials_are_one_too_many(tmp_path):
    async with installation(tmp_path) as it:
        header = signed(it.keys)
        query = presign(REQUEST, it.keys, now=NOW)
        both = [
            replace(header, raw_query=query),
            replace(header, raw_query=b"AWSAccessKeyId=AKANN&Expires=1900000000&Signature=x"),
            replace(REQUEST, raw_query=query + b"&AWSAccessKeyId=a&Signature=x"),
            replace(header, headers=[*header.headers, header.headers[-1]]),
        ]
        for request in both:
            error = await refusal(it.authenticator(), request)
            assert error.code == "InvalidArgument"
            assert error.message.startswith("Only one auth mechanism allowed")


async def test_what_is_no_credential_is_refused(tmp_path):
    async with installation(tmp_path) as it:
        authenticator = it.authenticator()

        async def code(request: SignedRequest) -> str:
            return (await refusal(authenticator, request)).code

        bearer = [*REQUEST.headers, (b"authorization", b"Bearer eyJhbGciOi")]
        assert await code(replace(REQUEST, headers=bearer)) == "InvalidArgument"
        token = signed(
            it.keys,
            request=replace(REQUEST, headers=[*REQUEST.headers, (b"x-amz-security-token", b"t")]),
        )
        assert await code(token) == "InvalidToken"
        no_hash = [h for h in signed(it.keys).headers if h[0] != b"x-amz-content-sha256"]
        assert await code(replace(REQUEST, headers=no_hash)) == "InvalidRequest"
        assert await code(signed(it.keys, "nonsense")) == "InvalidArgument"
        assert await code(replace(REQUEST, raw_query=b"a=%zz")) == "InvalidURI"
        sneaky = signed(it.keys)
        sneaky = replace(sneaky, headers=[*sneaky.headers, (b"x-amz-acl", b"public-read")])
        assert await code(sneaky) == "AccessDenied"


async def test_a_key_is_forgotten_when_its_time_is_over(tmp_path):
    async with installation(tmp_path) as it:
        now = [0.0]
        cache = KeyCache(it.catalog.credentials, it.notices, it.vault, clock=lambda: now[0])
        assert (await cache.get("AKANN")).secret == it.keys.secret
        await it.catalog.credentials.revoke(it.user_id, it.credential.id)
        now[0] = TTL_SECONDS - 0.001
        assert await cache.get("AKANN") is not None
        now[0] = TTL_SECONDS
        assert await cache.get("AKANN") is None


@pytest.mark.parametrize("how", ["key", "credentials", "user", "somebody else"])
async def test_a_key_is_forgotten_when_a_notice_says_so(tmp_path, how):
    async with installation(tmp_path) as it, trio.open_nursery() as nursery:
        cache = KeyCache(it.catalog.credentials, it.notices, it.vault, clock=lambda: 0.0)
        await nursery.start(cache.run)
        assert await cache.get("AKANN") is not None
        await it.catalog.credentials.revoke(it.user_id, it.credential.id)
        notice = {
            "key": Notice(Topic.CREDENTIAL_REVOKED, "AKANN"),
            "credentials": Notice(Topic.CREDENTIAL_REVOKED, f"user:{it.user_id}"),
            "user": Notice(Topic.USER_CHANGED, str(it.user_id)),
            "somebody else": Notice(Topic.USER_CHANGED, f"{it.user_id}1"),
        }[how]
        await it.notices.publish(notice)
        await trio.testing.wait_all_tasks_blocked()
        assert (await cache.get("AKANN") is None) == (how != "somebody else")
        nursery.cancel_scope.cancel()


async def test_a_new_key_works_at_once(tmp_path):
    async with installation(tmp_path) as it:
        cache = KeyCache(it.catalog.credentials, it.notices, it.vault, clock=lambda: 0.0)
        assert await cache.get("AKNEW") is None
        sealed = it.vault.seal("s", access_key="AKNEW", user_id=it.user_id)
        await it.catalog.credentials.create(
            it.user_id, "AKNEW", sealed, "bucket", existing=True, limit=5, region="us-east-1"
        )
        assert (await cache.get("AKNEW")).secret == "s"
