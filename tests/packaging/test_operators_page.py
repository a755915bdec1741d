"""mediaconvert/CLUSTER.md: what an operator copies from it works, and what it names exists."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
import trio

from mediaconvert.backends.notices.redis import RedisNotices, open_redis_notices
from mediaconvert.backends.notices.redis_address import parse_address
from mediaconvert.backends.sql.catalog import open_postgres_driver, sql_catalog
from mediaconvert.config import fields
from mediaconvert.errors import Unavailable
from mediaconvert.ports.notices import Notice, Topic
from tests.packaging.compose import VARIABLE, services
from tests.program import ROOT
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis

PAGE = (ROOT / "mediaconvert/CLUSTER.md").read_text()
PASSWORD = "a-password-of-your-own"


def block(language: str, word: str = "") -> str:
    """The one block of a language that holds a word."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (wanted,) = [text for text in found if word in text]
    assert isinstance(wanted, str)
    return wanted


async def test_the_role_that_it_makes_in_postgresql_can_hold_a_catalog(postgres: Postgres) -> None:
    name = f"role_{secrets.token_hex(4)}"
    for statement in block("sql", "CREATE").replace("mediaconvert", name).split(";"):
        if statement.strip():
            postgres.execute("postgres", statement)
    url = f"postgres://{name}:{quote(PASSWORD)}@127.0.0.1:{postgres.port}/{name}"
    async with open_postgres_driver(url):
        tables = postgres.execute(name, "select count(*) from jobs")
    assert tables == "0"
    postgres.drop_database(name)
    postgres.execute("postgres", f"drop role {name}")


async def test_the_batch_that_it_drops_is_gone_with_its_events_and_no_others(
    postgres: Postgres,
) -> None:
    with postgres.database() as url:
        async with open_postgres_driver(url) as driver:
            outbox = sql_catalog(driver).outbox
            postgres.execute(url, "insert into outbox (kind, payload) values ('a', '{}')")
            batch = await outbox.open_batch("stuck", 10, 60.0)
            assert batch is not None
            postgres.execute(url, "insert into outbox (kind, payload) values ('b', '{}')")
            for statement in block("sql", "outbox_batch").split(";"):
                if statement.strip() not in ("", "BEGIN", "COMMIT"):
                    postgres.execute(url, statement)
            following = await outbox.open_batch("another", 10, 60.0)
            assert following is not None
            assert [event.kind for event in following.events] == ["b"]


async def test_the_user_that_it_makes_in_redis_can_send_and_hear_notices_and_nothing_else(
    redis_server: Redis,
) -> None:
    with redis.Redis(port=redis_server.port) as administrator:
        # As redis-cli takes it, word by word.
        administrator.execute_command(*block("redis").split())
        try:
            address = parse_address(f"redis://mediaconvert:{PASSWORD}@{redis_server.address}")
            async with (
                open_redis_notices(address, "acl") as one,
                open_redis_notices(address, "acl") as other,
                other.subscribe(Topic.JOB_READY) as heard,
            ):
                with trio.fail_after(120):
                    # Each has heard its own probe, so it hears the other as well.
                    await _get_through(one)
                    await _get_through(other)
                    await one.publish(Notice(Topic.JOB_READY, "7"))
                    # One without a value says that it listens only now.
                    while await heard.receive() != Notice(Topic.JOB_READY, "7"):
                        pass
            with redis.Redis(
                port=redis_server.port, username="mediaconvert", password=PASSWORD
            ) as stranger:
                for forbidden in (("GET", "x"), ("PUBLISH", "others", "x"), ("FLUSHALL",)):
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        stranger.execute_command(*forbidden)
        finally:
            administrator.execute_command("ACL", "DELUSER", "mediaconvert")


async def _get_through(notices: RedisNotices) -> None:
    """Until they do: the start does not wait for long."""
    while True:
        try:
            await notices.check()
        except Unavailable:
            with trio.move_on_after(0.05):
                await trio.sleep_forever()
        else:
            return


@pytest.mark.parametrize("page", ["README.md", "mediaconvert/CLUSTER.md"])
def test_it_names_every_variable_of_a_server(page: str) -> None:
    text = (ROOT / page).read_text()
    servers = ("database.url", "redis.url", "storage.s3_", "analytics.clickhouse", "auth.")
    for f in fields():
        if f.metadata["alias"] and f.name.startswith(servers) and f.name != "storage.s3_region":
            assert f.metadata["alias"] in text, f.metadata["alias"]


def test_every_setting_and_file_that_it_names_exists() -> None:
    known = {f.name for f in fields()}
    sections = "|".join({f.section for f in fields()})
    for name in re.findall(rf"`((?:{sections})\.[a-z0-9_]+)[`:]", PAGE):
        assert name in known, name
    for target in re.findall(r"\]\((\.\./[^)]+)\)", PAGE):
        assert (ROOT / "mediaconvert" / target).resolve().exists(), target
    for variable in re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", PAGE):
        aliases = {f.metadata["alias"] for f in fields()}
        assert variable in aliases | {m["name"] for m in VARIABLE.finditer(str(services()))}


def test_no_document_says_any_more_that_there_is_nothing_to_start() -> None:
    for name in ("README.md", "Makefile", "mediaconvert/CLUSTER.md"):
        assert "nothing to start" not in Path(ROOT, name).read_text()
