"""The real S3 side on a real port, in a thread of its own, for tests that block.

SQLite, a blob folder, in-process notices, a vault with a random key, and the server, in one
Trio run; boto3 and raw sockets talk to it over loopback. No workers: jobs stay pending.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import boto3
import trio
from botocore.config import Config

from mediaconvert.api.asgi import App, Receive, Scope, Send
from mediaconvert.api.gateway import Gateway
from mediaconvert.api.s3.app import make_s3_app
from mediaconvert.api.s3.auth import Authenticator
from mediaconvert.api.server import serve
from mediaconvert.backends.blobs.directory import open_directory_blobs
from mediaconvert.backends.notices.memory import MemoryNotices
from mediaconvert.backends.sql.catalog import open_sqlite_catalog
from mediaconvert.intake import Intake
from mediaconvert.model import BucketRef, UserId
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.settings import S3Settings, ServerSettings, Settings
from mediaconvert.vault import Vault
from mediaconvert.verified_blobs import VerifiedBlobs
from tests.program import WAIT_SECONDS

_T = TypeVar("_T")

# One for all clients: making one reads a megabyte of models.
_SESSION = boto3.session.Session()


@dataclass(frozen=True)
class Person:
    """A user with one S3 key pair."""

    user_id: UserId
    email: str
    access_key: str
    secret_key: str


@dataclass
class Served:
    """A running S3 side. Its methods block and are called from the test's thread."""

    folder: Path
    settings: Settings
    catalog: Catalog = field(init=False)
    blobs: BlobStore = field(init=False)
    notices: MemoryNotices = field(init=False)
    vault: Vault = field(init=False)
    host: str = field(init=False, default="127.0.0.1")
    port: int = field(init=False)
    token: trio.lowlevel.TrioToken = field(init=False)
    _clients: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def run(self, work: Callable[..., Awaitable[_T]], *args: object) -> _T:
        """Await something inside of the service's own Trio run."""
        return trio.from_thread.run(work, *args, trio_token=self.token)

    def person(self, name: str = "") -> Person:
        """A new user with S3 credentials and no bucket."""
        email = f"{name or 'user'}-{secrets.token_hex(4)}@example.org"
        user = self.run(self.catalog.users.register, email, "no password")
        return self.credential_of(Person(user.id, email, "", ""))

    def credential_of(self, person: Person) -> Person:
        """A further key pair of a user; the bucket that comes with it is deleted."""
        access_key, secret = "MC" + secrets.token_hex(9).upper(), secrets.token_urlsafe(30)
        bucket = f"made-with-key-{secrets.token_hex(6)}"

        async def create() -> None:
            sealed = self.vault.seal(secret, access_key=access_key, user_id=person.user_id)
            await self.catalog.credentials.create(
                person.user_id,
                access_key,
                sealed,
                bucket,
                existing=False,
                limit=100,
                region="us-east-1",
            )
            await self.catalog.buckets.delete(BucketRef(person.user_id, bucket))

        self.run(create)
        return Person(person.user_id, person.email, access_key, secret)

    def client(self, person: Person, **options: Any) -> Any:
        """boto3 at its newest defaults: path style, retries off."""
        region = options.pop("region_name", "us-east-1")
        config = Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            read_timeout=WAIT_SECONDS,
        )
        client = _SESSION.client(
            "s3",
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=person.access_key,
            aws_secret_access_key=person.secret_key,
            config=config.merge(Config(**options)),
        )
        self._clients.append(client)
        return client

    def pipeline(self, person: Person, name: str) -> int:
        """Save a pipeline; its text matters to nobody here. Answers its version's id."""
        stored = self.run(
            self.catalog.pipelines.create, person.user_id, name, "yaml", f"name: {name}\n"
        )
        return stored.version_id

    def blob_files(self) -> set[str]:
        """Every file of the blob store, sealed or staged."""
        root = self.folder / "blobs"
        return {
            str((Path(at) / name).relative_to(root))
            for at, _, names in os.walk(root)
            for name in names
            if not name.endswith(".lock")
        }

    def connect(self) -> socket.socket:
        """A raw connection, for what no client sends."""
        return socket.create_connection((self.host, self.port), timeout=WAIT_SECONDS)

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()


@contextmanager
def serving(
    folder: Path,
    *,
    s3: S3Settings | None = None,
    server: ServerSettings | None = None,
    make_rest: Callable[[Served], App] | None = None,
    change: Callable[[Catalog], Catalog] | None = None,
) -> Iterator[Served]:
    """Run the service below `folder` while the block runs. `make_rest` makes the application
    of the other door, inside of the service's Trio run; without it that door answers 404.
    `change` gets the catalog and answers the one that the application sees."""
    settings = Settings(
        s3=s3 or S3Settings(),
        server=server or ServerSettings(port=0, data_dir=folder, drain_requests_seconds=1.0),
    )
    served = Served(folder, settings)
    thread = _ServiceThread(served, make_rest or _no_rest, change or _unchanged)
    thread.start()
    if not thread.is_up.wait(WAIT_SECONDS) or thread.failure is not None:
        raise RuntimeError("the service did not start") from thread.failure
    try:
        yield served
    finally:
        served.close_clients()
        trio.from_thread.run_sync(thread.shutdown.set, trio_token=served.token)
        thread.join()
        if thread.failure is not None:
            raise thread.failure


class _ServiceThread(threading.Thread):
    def __init__(
        self,
        served: Served,
        make_rest: Callable[[Served], App],
        change: Callable[[Catalog], Catalog],
    ) -> None:
        super().__init__(name="service")
        self._served = served
        self._make_rest = make_rest
        self._change = change
        self.is_up = threading.Event()
        self.failure: BaseException | None = None
        self.shutdown: trio.Event

    def run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:
            self.failure = error
        finally:
            self.is_up.set()

    async def _main(self) -> None:
        served = self._served
        self.shutdown = trio.Event()
        served.token = trio.lowlevel.current_trio_token()
        served.vault = Vault(secrets.token_bytes(32))
        served.notices = MemoryNotices()
        async with (
            open_sqlite_catalog(
                served.folder / "catalog.sqlite3", deadline_seconds=WAIT_SECONDS
            ) as served.catalog,
            open_directory_blobs(served.folder / "blobs", min_free_bytes=0) as stored,
            trio.open_nursery() as nursery,
        ):
            served.blobs = VerifiedBlobs(stored, served.catalog)
            app, authenticator = _make_app(served, self._change(served.catalog))
            await nursery.start(authenticator.run)
            rest = self._make_rest(served)
            gateway = Gateway(rest, app, domain=served.settings.s3.domain)
            addresses = await nursery.start(self._serve, gateway)
            served.port = addresses[0][1]
            self.is_up.set()
            await self.shutdown.wait()
            await self._served_down.wait()
            nursery.cancel_scope.cancel()

    async def _serve(self, app: App, *, task_status: trio.TaskStatus[Any]) -> None:
        self._served_down = trio.Event()
        try:
            await serve(
                app,
                settings=self._served.settings.server,
                shutdown=self.shutdown,
                task_status=task_status,
            )
        finally:
            self._served_down.set()


def _make_app(served: Served, catalog: Catalog) -> tuple[App, Authenticator]:
    settings = served.settings
    authenticator = Authenticator(catalog, served.notices, served.vault, settings.s3)
    intake = Intake(catalog, served.blobs, served.notices, settings.s3)
    app = make_s3_app(
        intake=intake,
        catalog=catalog,
        blobs=served.blobs,
        authenticator=authenticator,
        settings=settings,
    )
    return app, authenticator


def _unchanged(catalog: Catalog) -> Catalog:
    return catalog


def _no_rest(_served: Served) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
        else:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    return app
