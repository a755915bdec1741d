"""Which failures are tried again, after how long, and when it is enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.model import FailureKind
from mediaconvert.settings import WorkerSettings
from mediaconvert.workers.retries import explain_last_failure, retry_after_seconds

DEFAULTS = WorkerSettings()


def wait(
    kind: FailureKind,
    infra_failures: int = 0,
    crashes: int = 0,
    age_seconds: float = 0.0,
    chance: float = 0.5,
    settings: WorkerSettings = DEFAULTS,
) -> float | None:
    return retry_after_seconds(
        kind,
        infra_failures=infra_failures,
        crashes=crashes,
        age_seconds=age_seconds,
        chance=chance,
        settings=settings,
    )


@pytest.mark.parametrize("kind", [FailureKind.INPUT, FailureKind.LIMIT])
def test_what_cannot_succeed_is_never_tried_again(kind: FailureKind) -> None:
    assert wait(kind) is None


def test_infrastructure_failures_wait_twice_as_long_each_time_up_to_ten_minutes() -> None:
    waits = [wait(FailureKind.INFRA, infra_failures=n) for n in range(9)]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600]


def test_the_tenth_infrastructure_failure_is_the_last() -> None:
    assert wait(FailureKind.INFRA, infra_failures=8) is not None
    assert wait(FailureKind.INFRA, infra_failures=9) is None


def test_a_job_that_is_a_day_old_is_not_tried_again() -> None:
    assert wait(FailureKind.INFRA, age_seconds=24 * 3600 - 1) is not None
    assert wait(FailureKind.INFRA, age_seconds=24 * 3600) is None


def test_a_tool_that_crashes_gets_two_more_tries_and_no_third() -> None:
    assert [wait(FailureKind.CRASH, crashes=n) for n in range(4)] == [1, 2, None, None]


def test_crashes_are_not_counted_against_infrastructure_failures() -> None:
    assert wait(FailureKind.INFRA, crashes=2) is not None
    assert wait(FailureKind.CRASH, infra_failures=9) is not None


@given(chance=st.floats(0, 1), earlier=st.integers(0, 8))
def test_waits_are_spread_by_at_most_a_fifth(chance: float, earlier: int) -> None:
    middle = wait(FailureKind.INFRA, infra_failures=earlier)
    spread = wait(FailureKind.INFRA, infra_failures=earlier, chance=chance)
    assert middle is not None
    assert spread is not None
    assert 0.8 * middle <= spread <= 1.2 * middle * 1.000001


def test_settings_change_the_first_wait_and_the_number_of_attempts() -> None:
    settings = WorkerSettings(retry_base_seconds=0.5, max_attempts=2)
    assert wait(FailureKind.INFRA, settings=settings) == 0.5
    assert wait(FailureKind.INFRA, infra_failures=1, settings=settings) is None


def test_the_sentence_of_a_job_that_was_tried_often_says_so() -> None:
    said = explain_last_failure(FailureKind.CRASH, "ffmpeg crashed", infra_failures=5, crashes=2)
    assert said == "ffmpeg crashed (tried 3 times)"
    said = explain_last_failure(FailureKind.INPUT, "not a video", infra_failures=5, crashes=2)
    assert said == "not a video"
