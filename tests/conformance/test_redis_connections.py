"""Every way to a Redis that `redis.url` has: a Unix socket, a login, TLS with its checks."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme

from mediaconvert.backends.notices.redis import open_redis_notices
from mediaconvert.backends.notices.redis_address import parse_address
from mediaconvert.errors import Unavailable
from mediaconvert.ports.notices import Notice, Topic
from tests.conformance.channels import open_well_notices, until_well
from tests.recovery.worker_rig import until
from tests.servers.redis import KIND, PROGRAMS, Redis


async def _carries(url: str) -> str:
    """What `check` answers after a notice went from one process to another."""
    installation = secrets.token_hex(8)
    async with (
        open_well_notices(url, installation) as one,
        open_well_notices(url, installation) as other,
        other.subscribe(Topic.JOB_READY) as subscription,
    ):
        await one.publish(Notice(Topic.JOB_READY, "7"))
        with trio.fail_after(60):
            assert (await subscription.receive()).value == "7"
        return await until_well(one)


@pytest.mark.parametrize("kind", PROGRAMS)
async def test_a_unix_socket_and_a_login(servers_folder: Path, kind: str) -> None:
    folder = servers_folder / f"redis-{secrets.token_hex(4)}"
    user = ("--user", "films", "on", ">a/b#c", "resetchannels", "&mediaconvert:*")
    allowed = ("+publish", "+subscribe", "+ping", "+info", "+select")
    server = Redis(
        folder,
        *("--unixsocket", f"{folder}/redis.sock", "--unixsocketperm", "777", *user, *allowed),
        kind=kind,
    )
    server.process.start()
    try:
        for url in (f"unix://{folder}/redis.sock", f"redis://films:a%2Fb%23c@{server.address}/3"):
            assert (await _carries(url)).startswith(f"{kind} ")
    finally:
        server.process.stop()


@pytest.mark.parametrize("kind", PROGRAMS)
async def test_a_user_who_may_not_ask_for_the_version_carries_notices(
    servers_folder: Path, kind: str
) -> None:
    server = Redis(
        servers_folder / f"redis-{secrets.token_hex(4)}",
        *("--user", "films", "on", "nopass", "resetchannels", "&mediaconvert:*"),
        *("+publish", "+subscribe", "+ping"),
        kind=kind,
    )
    server.process.start()
    try:
        assert await _carries(f"redis://films:any@{server.address}") == "Redis"
    finally:
        server.process.stop()


async def test_tls_with_a_certificate_of_ones_own_authority(
    redis_server: Redis, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(authority_file)
    async with _tls_in_front(redis_server.port, authority, "localhost") as port:
        url = f"rediss://localhost:{port}?ssl_ca_certs={authority_file}"
        assert (await _carries(url)).startswith(f"{KIND} ")
        assert (await _carries(f"rediss://localhost:{port}?ssl_cert_reqs=none")).startswith(KIND)


@pytest.mark.parametrize("certificate", ["redis.example.org", "localhost"])
async def test_tls_with_a_wrong_certificate_is_refused(
    redis_server: Redis, tmp_path: Path, certificate: str
) -> None:
    """Of another name; of an authority that nobody trusts."""
    authority = trustme.CA()
    authority_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(authority_file)
    trusted = f"?ssl_ca_certs={authority_file}" if certificate != "localhost" else ""
    async with (
        _tls_in_front(redis_server.port, authority, certificate) as port,
        open_redis_notices(
            parse_address(f"rediss://localhost:{port}{trusted}"), "films"
        ) as notices,
    ):

        async def is_distrusted() -> bool:
            with pytest.raises(Unavailable) as refusal:
                await notices.check()
            return "certificate verify failed" in str(refusal.value)

        await until(is_distrusted)


@asynccontextmanager
async def _tls_in_front(target: int, authority: trustme.CA, name: str) -> AsyncIterator[int]:
    """Ends TLS as a proxy of a cloud does; the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)

    async def serve(client: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            async with (
                client,
                await trio.open_tcp_stream("127.0.0.1", target) as server,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(_pump, client, server, nursery.cancel_scope)
                nursery.start_soon(_pump, server, client, nursery.cancel_scope)
        except* trio.BrokenResourceError:
            pass  # It did not like our certificate, or hung up.

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(
            0, context, host="127.0.0.1", https_compatible=True
        )
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield listeners[0].transport_listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def _pump(
    source: trio.abc.ReceiveStream, target: trio.abc.SendStream, scope: trio.CancelScope
) -> None:
    async for piece in source:
        await target.send_all(piece)
    scope.cancel()
