"""ports.catalog.Pipelines."""

from __future__ import annotations

import hashlib

import pytest

from mediaconvert.errors import PipelineNameTaken, PipelineNotFound, UnknownPipeline
from mediaconvert.model import PipelineId
from tests.conformance.worlds import World

TEXT = "name: x\r\n# byte for byte: ü\t \n\n"


async def test_a_pipeline_is_kept_byte_for_byte(world: World) -> None:
    user_id = await world.user()
    made = await world.catalog.pipelines.create(user_id, "small", "yaml", TEXT)
    assert (made.name, made.format, made.content) == ("small", "yaml", TEXT)
    assert made.digest == hashlib.sha256(TEXT.encode()).hexdigest()
    assert (made.version, made.user_id) == (1, user_id)
    assert made.created_at_us == made.updated_at_us
    assert await world.catalog.pipelines.get(user_id, made.id) == made
    assert await world.catalog.pipelines.by_name(user_id, "small") == made


async def test_names_are_unique_for_each_user(world: World) -> None:
    ann, bob = await world.user("ann"), await world.user("bob")
    await world.pipeline(ann, "small")
    await world.pipeline(bob, "small")
    with pytest.raises(PipelineNameTaken):
        await world.pipeline(ann, "small")
    assert len(await world.catalog.pipelines.list(ann)) == 1


async def test_an_unknown_name_is_told_with_those_that_exist(world: World) -> None:
    ann, bob = await world.user("ann"), await world.user("bob")
    await world.pipeline(ann, "video-compress")
    with pytest.raises(UnknownPipeline, match="did you mean 'video-compress'"):
        await world.catalog.pipelines.by_name(ann, "video-compres")
    with pytest.raises(UnknownPipeline, match="you have saved none yet"):
        await world.catalog.pipelines.by_name(bob, "video-compress")


async def test_of_many_names_the_first_are_listed_and_the_others_counted(world: World) -> None:
    ann = await world.user("ann")
    for number in range(12):
        await world.pipeline(ann, f"{number:02}-of-the-twelve")
    with pytest.raises(UnknownPipeline, match=r"yours are '00-.*, '09-of-the-twelve' and 2 more$"):
        await world.catalog.pipelines.by_name(ann, "shrink")


async def test_replacing_makes_a_new_version_and_jobs_keep_theirs(world: World) -> None:
    ref = await world.owner()
    pipelines = world.catalog.pipelines
    old = await pipelines.create(ref.user_id, "small", "yaml", "old")
    job_id = await world.submit(ref, old.version_id)
    new = await pipelines.replace(ref.user_id, old.id, "smaller", "json", "{}")
    assert (new.id, new.version, new.name, new.content) == (old.id, 2, "smaller", "{}")
    assert new.version_id != old.version_id
    assert new.created_at_us == old.created_at_us
    job = await world.catalog.jobs.get(ref.user_id, job_id)
    assert (job.pipeline_name, job.pipeline_format) == ("small", "yaml")
    assert (job.pipeline_content, job.version_id) == ("old", old.version_id)
    claimed = await world.claim()
    assert (claimed.pipeline_content, claimed.pipeline_digest) == ("old", old.digest)


async def test_replacing_may_not_take_another_pipelines_name(world: World) -> None:
    user_id = await world.user()
    await world.pipeline(user_id, "one")
    two = await world.catalog.pipelines.create(user_id, "two", "yaml", "x")
    with pytest.raises(PipelineNameTaken):
        await world.catalog.pipelines.replace(user_id, two.id, "one", "yaml", "y")
    assert await world.catalog.pipelines.get(user_id, two.id) == two
    same = await world.catalog.pipelines.replace(user_id, two.id, "two", "yaml", "y")
    assert same.version == 2


async def test_a_deleted_pipeline_is_gone_but_for_its_jobs(world: World) -> None:
    ref = await world.owner()
    pipelines = world.catalog.pipelines
    made = await pipelines.create(ref.user_id, "small", "yaml", "text")
    job_id = await world.submit(ref, made.version_id)
    await pipelines.delete(ref.user_id, made.id)
    with pytest.raises(PipelineNotFound):
        await pipelines.get(ref.user_id, made.id)
    with pytest.raises(PipelineNotFound):
        await pipelines.delete(ref.user_id, made.id)
    with pytest.raises(PipelineNotFound):
        await pipelines.replace(ref.user_id, made.id, "small", "yaml", "x")
    with pytest.raises(UnknownPipeline):
        await pipelines.by_name(ref.user_id, "small")
    assert await pipelines.list(ref.user_id) == ()
    assert (await world.catalog.jobs.get(ref.user_id, job_id)).pipeline_content == "text"
    # An upload that began before the deletion still has its version.
    await world.submit(ref, made.version_id, "late.mp4")
    again = await pipelines.create(ref.user_id, "small", "yaml", "text")
    assert again.id != made.id


async def test_anothers_pipeline_looks_like_a_missing_one(world: World) -> None:
    ann, bob = await world.user("ann"), await world.user("bob")
    made = await world.catalog.pipelines.create(ann, "small", "yaml", "x")
    pipelines = world.catalog.pipelines
    for user_id, pipeline_id in ((bob, made.id), (ann, PipelineId(99))):
        with pytest.raises(PipelineNotFound):
            await pipelines.get(user_id, pipeline_id)
        with pytest.raises(PipelineNotFound):
            await pipelines.replace(user_id, pipeline_id, "x", "yaml", "x")
        with pytest.raises(PipelineNotFound):
            await pipelines.delete(user_id, pipeline_id)
    assert await pipelines.get(ann, made.id) == made


async def test_pipelines_are_listed_oldest_first(world: World) -> None:
    user_id = await world.user()
    for name in ("c", "a", "b"):
        await world.pipeline(user_id, name)
    assert [each.name for each in await world.catalog.pipelines.list(user_id)] == ["c", "a", "b"]
