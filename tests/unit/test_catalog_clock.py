"""Which readings of a clock show that it was set."""

from __future__ import annotations

import pytest

from mediaconvert.backends.sql.clock import Reading

SECOND = 1_000_000
HOUR = 3600 * SECOND


def reading(steady: int, sent: int, received: int) -> Reading:
    return Reading(steady, 0, sent, received)


KNOWN = reading(10 * HOUR, 1000, 1010)


@pytest.mark.parametrize("step", [HOUR, -HOUR, 5 * SECOND, -5 * SECOND])
def test_a_step_is_found_to_within_the_readings_width(step: int) -> None:
    later = reading(10 * HOUR + 60 * SECOND + step, 1000 + 60 * SECOND, 1010 + 60 * SECOND)
    assert abs(later.step_from(KNOWN) - step) <= 20


@pytest.mark.parametrize("off", [0, SECOND, -SECOND])
def test_what_is_within_the_tolerance_is_no_step(off: int) -> None:
    later = reading(10 * HOUR + SECOND + off, 1000 + SECOND, 1010 + SECOND)
    assert later.step_from(KNOWN) == 0


def test_an_answer_that_took_long_is_no_step() -> None:
    for moment in (0, 5, 10):
        slow = reading(10 * HOUR + moment * SECOND, 1010, 1000 + 10 * SECOND)
        assert slow.step_from(KNOWN) == 0


def test_after_a_day_out_of_reach_two_clocks_may_have_drifted_apart() -> None:
    day = 24 * HOUR
    for drift in (-40 * SECOND, 40 * SECOND):
        later = reading(10 * HOUR + day + drift, 1000 + day, 1010 + day)
        assert later.step_from(KNOWN) == 0
    stepped = reading(11 * HOUR + day, 1000 + day, 1010 + day)
    assert abs(stepped.step_from(KNOWN) - HOUR) <= 20


def test_a_machine_that_was_suspended_has_not_stepped() -> None:
    """The boot clock goes on meanwhile, as the wall clock does."""
    later = reading(18 * HOUR, 1000 + 8 * HOUR, 1010 + 8 * HOUR)
    assert later.step_from(KNOWN) == 0
