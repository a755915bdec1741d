"""What stands in the way of using an S3 store is said at the start, in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import trio
import trustme

from mediaconvert.backends.blobs.s3 import S3Blobs
from mediaconvert.backends.examine import examine
from mediaconvert.errors import StartupError
from mediaconvert.model import Segment
from mediaconvert.settings import Settings
from tests.servers import rclone
from tests.servers import seaweedfs as weed
from tests.servers.answering import answering
from tests.servers.process import free_port, open_to_server
from tests.servers.proxy import open_proxy
from tests.servers.rclone import Rclone
from tests.servers.seaweedfs import SeaweedFS
from tests.servers.stores import connect, connections_to, s3_blobs, s3_settings

MIB = 1 << 20


async def refusal(endpoint: str, **settings: object) -> str:
    with trio.fail_after(240), pytest.raises(StartupError) as caught:
        async with s3_blobs(endpoint, **settings):
            raise AssertionError("the block must not run")
    assert weed.SECRET_KEY not in str(caught.value)
    return str(caught.value)


async def goes_through(blobs: S3Blobs, data: bytes) -> None:
    async with blobs.stage() as writer:
        await writer.write(data)
        await writer.seal()
    async with blobs.open((Segment(writer.blob_id, 0, len(data)),)) as pieces:
        assert b"".join([piece async for piece in pieces]) == data
    assert writer.blob_id in {b async for batch in blobs.older_than(-60) for b in batch}
    await blobs.delete([writer.blob_id])
    await blobs.check()


async def test_a_missing_bucket_is_created_and_then_used_by_all(seaweedfs: SeaweedFS) -> None:
    for _ in range(2):
        async with s3_blobs(seaweedfs.endpoint, s3_bucket="made-at-start") as blobs:
            await goes_through(blobs, b"x")


async def test_a_wrong_access_key_is_named(seaweedfs: SeaweedFS) -> None:
    sentence = await refusal(seaweedfs.endpoint, s3_access_key="nobody-knows")
    assert "check S3_ACCESS_KEY" in sentence


async def test_a_wrong_secret_key_is_named_and_not_shown(seaweedfs: SeaweedFS) -> None:
    sentence = await refusal(seaweedfs.endpoint, s3_secret_key="hunter2-and-more")
    assert "check S3_SECRET_KEY" in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("name", ["x", "Not A Bucket", "under..dots", "192.168.0.1", "-films"])
async def test_a_bucket_name_that_cannot_be_is_refused(seaweedfs: SeaweedFS, name: str) -> None:
    assert "is not a valid bucket name" in await refusal(seaweedfs.endpoint, s3_bucket=name)


@pytest.mark.parametrize("name", ["media_x", "Media_X"])
async def test_a_missing_bucket_that_no_store_would_make_by_this_name_is_refused(
    seaweedfs: SeaweedFS, name: str
) -> None:
    sentence = await refusal(seaweedfs.endpoint, s3_bucket=name)
    assert f"the bucket '{name}' does not exist at {seaweedfs.endpoint}" in sentence
    assert "3 to 63 lower-case letters, digits and hyphens" in sentence
    assert "S3_BUCKET" in sentence
    settings = Settings(storage=s3_settings(seaweedfs.endpoint, s3_bucket=name))
    (examined,) = await examine(settings)
    assert (examined.finding, examined.is_well) == (sentence, False)


async def test_a_store_that_refuses_the_name_of_the_bucket_is_understood() -> None:
    class Refusing(_Page):
        def do_GET(self) -> None:
            body = b"<Error><Code>InvalidBucketName</Code><Message>No.</Message></Error>"
            self.send_response(400)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with answering(Refusing) as address:
        sentence = await refusal(address, s3_bucket="media_x")
    assert f"the S3 store at {address} does not accept the bucket name 'media_x'" in sentence
    assert "3 to 63 lower-case letters, digits and hyphens" in sentence


async def test_an_address_where_nobody_answers_is_named() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    sentence = await refusal(endpoint)
    assert endpoint in sentence
    assert "it could not be reached" in sentence


async def test_a_name_that_nobody_knows_is_named() -> None:
    assert "could not be resolved" in await refusal("http://no-such-host.invalid:9000")


@pytest.mark.slow
async def test_a_store_that_never_answers_is_not_waited_for_for_ever(seaweedfs: SeaweedFS) -> None:
    with open_proxy(seaweedfs.port) as proxy:
        proxy.silence()
        assert "did not answer in time" in await refusal(f"http://127.0.0.1:{proxy.port}")


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<html><body>Welcome<p></body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Not on the tests' output."""


class _Redirect(_Page):
    target = ""

    def do_GET(self) -> None:
        self.send_response(307)
        self.send_header("Location", self.target + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()


async def test_a_web_server_is_no_s3_store() -> None:
    with answering(_Page) as address:
        assert "is no S3 store" in await refusal(address)


async def test_a_redirect_is_not_followed_with_our_signature() -> None:
    asked = []

    class Elsewhere(_Page):
        def do_GET(self) -> None:
            asked.append(self.headers["Authorization"])
            super().do_GET()

    with answering(Elsewhere) as elsewhere:

        class ToElsewhere(_Redirect):
            target = elsewhere

        with answering(ToElsewhere) as address:
            assert address in await refusal(address)
    assert asked == []


async def test_https_where_the_store_speaks_http_is_named(seaweedfs: SeaweedFS) -> None:
    assert "TLS failed" in await refusal(seaweedfs.endpoint.replace("http:", "https:"))


# --- a store with few permissions, and with TLS ------------------------------------------------


def _own(folder: Path, *identities: dict[str, object]) -> SeaweedFS:
    """With these identities besides the one that may do everything."""
    server = SeaweedFS(folder)
    file = folder / "identities.json"
    known = json.loads(file.read_text())["identities"]
    file.write_text(json.dumps({"identities": [*known, *identities]}))
    return server


def _identity(name: str, *actions: str) -> dict[str, object]:
    keys = [{"accessKey": f"{name}-access", "secretKey": f"{name}-secret-key"}]
    return {"name": name, "credentials": keys, "actions": actions}


def _keys(name: str) -> dict[str, str]:
    return {"s3_access_key": f"{name}-access", "s3_secret_key": f"{name}-secret-key"}


@pytest.fixture(scope="module")
def strict(servers_folder: Path) -> Iterator[SeaweedFS]:
    """One key may use `films` only, another may only look."""
    server = _own(
        servers_folder / "seaweedfs-strict",
        _identity("films", "Read:films", "Write:films", "List:films"),
        _identity("looker", "Read:films", "List:films"),
    )
    server.process.start()
    with connect(server.endpoint) as admin:
        admin.create_bucket(Bucket="films")
    yield server
    server.process.stop()


async def test_reading_writing_and_listing_one_bucket_is_all_it_needs(strict: SeaweedFS) -> None:
    async with s3_blobs(strict.endpoint, s3_bucket="films", **_keys("films")) as blobs:
        await goes_through(blobs, b"small")
        await goes_through(blobs, bytes(12 * MIB))


async def test_a_key_that_may_not_write_is_refused(strict: SeaweedFS) -> None:
    sentence = await refusal(strict.endpoint, s3_bucket="films", **_keys("looker"))
    assert "does not let the access key write in the bucket 'films'" in sentence
    assert "config/s3-policy.json" in sentence


async def test_a_bucket_that_the_key_may_not_see_is_refused(strict: SeaweedFS) -> None:
    sentence = await refusal(strict.endpoint, s3_bucket="music", **_keys("films"))
    assert "bucket 'music'" in sentence
    assert "belongs to somebody else" in sentence


@pytest.fixture(scope="module")
def with_tls(servers_folder: Path) -> Iterator[tuple[Rclone, Path]]:
    """A store with a certificate, and the file of the authority behind it."""
    folder = servers_folder / "rclone-tls"
    folder.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "store.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    (folder / "store.pem").chmod(0o644)
    server = Rclone(folder, certificate=folder / "store.pem")
    open_to_server(server.data / "Media_X")
    server.process.start()
    yield server, folder / "authority.pem"
    server.process.stop()


RCLONE_KEYS = {"s3_access_key": rclone.ACCESS_KEY, "s3_secret_key": rclone.SECRET_KEY}


async def test_a_store_with_tls_is_used_when_its_authority_is_known(
    with_tls: tuple[Rclone, Path],
) -> None:
    server, authority = with_tls
    async with s3_blobs(server.endpoint, s3_ca_file=authority, **RCLONE_KEYS) as blobs:
        await goes_through(blobs, b"small")
        await goes_through(blobs, bytes(12 * MIB))


async def test_a_bucket_that_was_made_when_names_were_freer_goes_on_working(
    with_tls: tuple[Rclone, Path],
) -> None:
    server, authority = with_tls
    settings = {"s3_bucket": "Media_X", "s3_ca_file": authority} | RCLONE_KEYS
    async with s3_blobs(server.endpoint, **settings) as blobs:
        await goes_through(blobs, b"small")


async def test_a_store_whose_certificate_nobody_vouches_for_is_refused(
    with_tls: tuple[Rclone, Path],
) -> None:
    server, _ = with_tls
    sentence = await refusal(server.endpoint, **RCLONE_KEYS)
    assert "its certificate is not trusted" in sentence
    assert "storage.s3_ca_file" in sentence
    assert "is no S3 store" in await refusal(
        server.endpoint.replace("https:", "http:"), **RCLONE_KEYS
    )


async def test_a_reader_that_leaves_ends_a_request_over_tls_too(
    with_tls: tuple[Rclone, Path],
) -> None:
    server, authority = with_tls
    size = 64 * MIB
    async with s3_blobs(server.endpoint, s3_ca_file=authority, **RCLONE_KEYS) as blobs:
        async with blobs.stage() as writer:
            await writer.write(bytes(size))
            await writer.seal()
        for _ in range(20):
            async with blobs.open((Segment(writer.blob_id, 0, size),)) as pieces:
                await anext(pieces)
        while blobs.reads.busy:  # noqa: ASYNC110
            await trio.sleep(0.02)
    assert connections_to(server.port) == 0
