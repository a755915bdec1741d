"""Pipelines and their immutable texts, on SQL."""

from __future__ import annotations

import hashlib

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Driver, UniqueViolation
from mediaconvert.backends.sql.values import readable
from mediaconvert.errors import PipelineNameTaken, PipelineNotFound, UnknownPipeline
from mediaconvert.model import PipelineId, StoredPipeline, UserId


class SqlPipelines:
    """ports.catalog.Pipelines."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def create(self, user_id: UserId, name: str, format: str, content: str) -> StoredPipeline:
        async def body(conn: Connection) -> StoredPipeline:
            now = await conn.now_us()
            try:
                row = await conn.fetch_one("pipeline_add", user_id, name, now)
            except UniqueViolation:
                raise PipelineNameTaken(name) from None
            pipeline_id: PipelineId = row["id"]
            await _add_version(conn, pipeline_id, 1, name, format, content)
            return await live_pipeline(conn, user_id, pipeline_id)

        return await self._driver.write(body)

    async def list(self, user_id: UserId) -> tuple[StoredPipeline, ...]:
        async def body(conn: Connection) -> tuple[StoredPipeline, ...]:
            found = await conn.fetch("pipelines_of_user", user_id)
            return tuple(readable(conn, found, rows.pipeline))

        return await self._driver.read(body)

    async def get(self, user_id: UserId, pipeline_id: PipelineId) -> StoredPipeline:
        async def body(conn: Connection) -> StoredPipeline:
            return await live_pipeline(conn, user_id, pipeline_id)

        return await self._driver.read(body)

    async def by_name(self, user_id: UserId, name: str) -> StoredPipeline:
        async def body(conn: Connection) -> StoredPipeline:
            row = await conn.fetch_row("pipeline_by_name", user_id, name)
            if row is None:
                known = await conn.fetch("pipeline_names", user_id)
                raise UnknownPipeline(name, [each["name"] for each in known])
            return rows.pipeline(row)

        return await self._driver.read(body)

    async def replace(
        self, user_id: UserId, pipeline_id: PipelineId, name: str, format: str, content: str
    ) -> StoredPipeline:
        async def body(conn: Connection) -> StoredPipeline:
            now = await conn.now_us()
            try:
                row = await conn.fetch_row("pipeline_replace", user_id, pipeline_id, name, now)
            except UniqueViolation:
                raise PipelineNameTaken(name) from None
            if row is None:
                raise PipelineNotFound(pipeline_id)
            await _add_version(conn, pipeline_id, row["newest_version"], name, format, content)
            return await live_pipeline(conn, user_id, pipeline_id)

        return await self._driver.write(body)

    async def delete(self, user_id: UserId, pipeline_id: PipelineId) -> None:
        async def body(conn: Connection) -> None:
            now = await conn.now_us()
            if not await conn.execute("pipeline_delete", user_id, pipeline_id, now):
                raise PipelineNotFound(pipeline_id)

        await self._driver.write(body)


async def live_pipeline(
    conn: Connection, user_id: UserId, pipeline_id: PipelineId
) -> StoredPipeline:
    """A pipeline that has not been deleted. Raises PipelineNotFound."""
    row = await conn.fetch_row("pipeline_get", user_id, pipeline_id)
    if row is None:
        raise PipelineNotFound(pipeline_id)
    return rows.pipeline(row)


async def _add_version(
    conn: Connection, pipeline_id: PipelineId, version: int, name: str, format: str, content: str
) -> None:
    digest = hashlib.sha256(content.encode()).hexdigest()
    now = await conn.now_us()
    await conn.execute(
        "pipeline_add_version", pipeline_id, version, name, format, content, digest, now
    )
