"""Who waits for a job to move on, woken by notices; a lost one costs a second.

One subscription a process, whatever the number of waiting requests. Holds nothing of the jobs
themselves: who was woken looks for himself. Called by `jobs.JobService`; run beside the doors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from mediaconvert.model import JobId
from mediaconvert.ports.notices import Notices, Topic

LOOK_SECONDS = 1.0
"""The longest between two looks at a job that somebody waits for: notices may be lost."""
_TOPICS = (Topic.JOB_PROGRESS, Topic.JOB_READY, Topic.JOB_CANCELED)


class Watcher:
    """One who waits for one job."""

    def __init__(self) -> None:
        self._moved = trio.Event()

    def wake(self) -> None:
        self._moved.set()

    async def wait(self, seconds: float) -> None:
        """Until the job may have changed since this was last called, or so long."""
        with trio.move_on_after(min(seconds, LOOK_SECONDS)):
            await self._moved.wait()
        self._moved = trio.Event()


class JobWatch:
    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._watchers: dict[str, set[Watcher]] = {}
        self.is_ending = False
        """The process drains: nobody is to wait any more."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Wake as notices come in, until cancelled. Without it everybody just looks again."""
        async with self._notices.subscribe(*_TOPICS) as subscription:
            task_status.started()
            while True:
                self._wake((await subscription.receive()).value)

    def end(self) -> None:
        """Send everybody away: the process drains."""
        self.is_ending = True
        for job in tuple(self._watchers):
            self._wake(job)

    @contextmanager
    def watching(self, job_id: JobId) -> Iterator[Watcher]:
        watcher = Watcher()
        key = str(job_id)
        self._watchers.setdefault(key, set()).add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[key].discard(watcher)
            if not self._watchers[key]:
                del self._watchers[key]

    def _wake(self, job: str) -> None:
        for watcher in self._watchers.get(job, ()):
            watcher.wake()
