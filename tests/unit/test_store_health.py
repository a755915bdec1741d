"""What the log says of the S3 store, by a clock that the test moves."""

from __future__ import annotations

import logging

import pytest

from mediaconvert.backends.blobs.s3_health import (
    AGAIN_SECONDS,
    AWAY_SECONDS,
    AWAY_TRIES,
    StoreHealth,
)

AWAY, BACK = "the blob store is away: HTTP status 503", "the blob store is back"


class Told:
    """A store's health, and the requests that it is told of one after the other."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.health = StoreHealth(lambda: self.time)
        self.health.watch()

    def fails(self, times: int = 1, *, apart: float = AWAY_SECONDS) -> None:
        for _ in range(times):
            asked_at = self.time
            self.time += apart
            self.health.failed(asked_at, "HTTP status 503")

    def answers(self) -> None:
        self.time += 0.5
        self.health.answered()
        self.time += 0.5


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    caplog.set_level(logging.INFO, "mediaconvert.backends.blobs")
    return Told()


@pytest.mark.parametrize("apart", [0.01, AWAY_SECONDS, 3600.0])
def test_a_store_that_fails_every_other_time_is_not_said_to_be_away(
    told: Told, caplog: pytest.LogCaptureFixture, apart: float
) -> None:
    for _ in range(20):
        told.fails(apart=apart)
        told.answers()
    assert caplog.messages == []


def test_a_store_that_fails_for_long_is_said_to_be_away_once_and_to_be_back_once(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    told.answers()
    told.fails(AWAY_TRIES + 20)
    assert caplog.messages == [AWAY]
    told.answers()
    told.answers()
    assert caplog.messages == [AWAY, BACK]


def test_one_try_that_took_long_is_no_outage(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    told.fails(AWAY_TRIES - 1, apart=12.0)
    told.answers()
    assert caplog.messages == []


def test_many_tries_in_a_moment_are_no_outage_until_it_lasts(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    told.fails(50, apart=AWAY_SECONDS / 100)
    assert caplog.messages == []
    told.fails(60, apart=AWAY_SECONDS / 100)
    assert caplog.messages == [AWAY]


def test_a_request_that_failed_while_others_were_answered_does_not_count(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    asked_at = told.time
    told.answers()
    for _ in range(AWAY_TRIES):
        told.time += AWAY_SECONDS
        told.health.failed(asked_at, "no answer in time")
    assert caplog.messages == []


def test_a_store_that_comes_and_goes_is_told_of_no_more_than_once_a_minute(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    began = told.time
    while told.time < began + 10 * AGAIN_SECONDS:
        told.fails(AWAY_TRIES, apart=AWAY_SECONDS / 2)
        told.answers()
    assert 2 <= caplog.messages.count(AWAY) <= 10
    assert caplog.messages == [AWAY, BACK] * caplog.messages.count(AWAY)


def test_an_outage_soon_after_another_is_said_if_it_lasts(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    told.fails(AWAY_TRIES)
    told.answers()
    told.fails(AWAY_TRIES)
    assert caplog.messages == [AWAY, BACK]
    told.fails(apart=AGAIN_SECONDS)
    assert caplog.messages == [AWAY, BACK, AWAY]
