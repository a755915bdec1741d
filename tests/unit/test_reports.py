"""What the log says of reports that could not be made.

By a clock that moves only when nothing else does. A test has to ask for it itself: pytest-trio
does not see one that only a fixture asks for, and the seconds would be real ones.
"""

from __future__ import annotations

import logging
from typing import cast

import pytest
import trio
import trio.testing

from mediaconvert.analytics.reports import AGAIN_SECONDS, Reports
from mediaconvert.errors import Unavailable
from mediaconvert.model import UserId
from mediaconvert.ports.analytics import AnalyticsStore

LOST, BACK = "reports are not available: no answer within 12 s", "reports are available again"
HEAVY, LIGHT = UserId(1), UserId(2)
SLOW_SECONDS = 12.0


class Slow:
    """A store whose report for one user takes too long each time, for all where it is away."""

    is_away = False

    async def job_stats(self, user_id: UserId, since_us: int) -> object:
        if self.is_away or user_id == HEAVY:
            await trio.sleep(SLOW_SECONDS)
            raise Unavailable("no answer within 12 s")
        await trio.lowlevel.checkpoint()
        return object()


@pytest.fixture
def store(caplog: pytest.LogCaptureFixture) -> Slow:
    caplog.set_level(logging.INFO, "mediaconvert.analytics.reports")
    return Slow()


async def is_refused(reports: Reports, user_id: UserId) -> None:
    with pytest.raises(Unavailable, match="reports are not available just now"):
        await reports.job_stats(user_id, 1)


async def test_that_reports_are_lost_is_said_once_and_that_they_are_back(
    store: Slow, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    reports = Reports(cast(AnalyticsStore, store))
    await reports.job_stats(LIGHT, 1)
    store.is_away = True
    for _ in range(10):
        await is_refused(reports, LIGHT)
    assert caplog.messages == [LOST]
    store.is_away = False
    await reports.job_stats(LIGHT, 1)
    await reports.job_stats(LIGHT, 1)
    assert caplog.messages == [LOST, BACK]


async def test_one_report_that_takes_too_long_while_others_are_made_is_no_outage(
    store: Slow, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    reports = Reports(cast(AnalyticsStore, store))
    for _ in range(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(is_refused, reports, HEAVY)
            await trio.testing.wait_all_tasks_blocked()
            await reports.job_stats(LIGHT, 1)
    assert caplog.messages == []


async def test_reports_that_come_and_go_are_told_of_no_more_than_once_a_minute(
    store: Slow, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    reports = Reports(cast(AnalyticsStore, store))
    began = trio.current_time()
    while trio.current_time() < began + 10 * AGAIN_SECONDS:
        await is_refused(reports, HEAVY)
        await reports.job_stats(LIGHT, 1)
    assert 2 <= caplog.messages.count(LOST) <= 10
    assert caplog.messages == [LOST, BACK] * caplog.messages.count(LOST)
