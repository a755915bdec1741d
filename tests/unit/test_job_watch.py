"""Who waits for a job is woken by its notice, and looks without one once a second."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mediaconvert.backends.notices.memory import MemoryNotices
from mediaconvert.job_watch import LOOK_SECONDS, JobWatch, Watcher
from mediaconvert.model import JobId
from mediaconvert.ports.notices import Notice, Topic


async def _returned_after(watcher: Watcher, seconds: float) -> float:
    began = trio.current_time()
    await watcher.wait(seconds)
    return trio.current_time() - began


@pytest.mark.parametrize("topic", [Topic.JOB_PROGRESS, Topic.JOB_READY, Topic.JOB_CANCELED])
async def test_a_notice_wakes_whoever_waits_for_that_job_at_once(
    autojump_clock: trio.testing.MockClock, topic: Topic
) -> None:
    """By a clock that only moves when nothing else does."""
    notices = MemoryNotices()
    watch = JobWatch(notices)
    waited: dict[str, float] = {}

    async def wait(name: str, watcher: Watcher) -> None:
        waited[name] = await _returned_after(watcher, 60)

    with (
        watch.watching(JobId(7)) as seven,
        watch.watching(JobId(7)) as also_seven,
        watch.watching(JobId(8)) as eight,
    ):
        async with trio.open_nursery() as around:
            await around.start(watch.run)
            async with trio.open_nursery() as nursery:
                for name, watcher in (("seven", seven), ("also", also_seven), ("eight", eight)):
                    nursery.start_soon(wait, name, watcher)
                await trio.testing.wait_all_tasks_blocked()
                await notices.publish(Notice(topic, "7"))
            around.cancel_scope.cancel()
    assert waited == {"seven": 0.0, "also": 0.0, "eight": LOOK_SECONDS}


async def test_what_was_said_before_the_wait_began_ends_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    watch = JobWatch(MemoryNotices())
    with watch.watching(JobId(7)) as watcher:
        watcher.wake()
        assert await _returned_after(watcher, 60) == 0.0
        assert await _returned_after(watcher, 60) == LOOK_SECONDS
        assert await _returned_after(watcher, 0.25) == 0.25


async def test_the_end_of_the_process_sends_everybody_away(
    autojump_clock: trio.testing.MockClock,
) -> None:
    watch = JobWatch(MemoryNotices())
    with watch.watching(JobId(7)) as one, watch.watching(JobId(8)) as other:
        watch.end()
        assert watch.is_ending
        assert await _returned_after(one, 60) == await _returned_after(other, 60) == 0.0
    assert not watch._watchers
