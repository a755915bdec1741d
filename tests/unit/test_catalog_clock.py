"""Which readings of a clock show that it was set."""

from __future__ import annotations

import pytest

from mediaconvert.backends.sql.clock import Noted, Reading, unsettled_step

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


YEAR = 365 * 24 * HOUR
NOTHING = Noted(None, None)


def test_a_pause_of_one_machine_is_no_step_where_others_went_on() -> None:
    """Its boot clock has stood still for an hour; the wall clock of the database has not."""
    later = reading(11 * HOUR + SECOND, 1000 + SECOND, 1010 + SECOND)
    for noted in (Noted(11 * HOUR, None), Noted(10 * HOUR, 11 * HOUR), Noted(None, 11 * HOUR)):
        expected = 0 if noted.seen_us != 10 * HOUR else HOUR
        assert abs(unsettled_step(later, KNOWN, noted) - expected) <= 20


def test_a_wall_clock_that_was_set_forward_is_a_step_also_where_others_noted_the_time() -> None:
    later = reading(11 * HOUR + 60 * SECOND, 1000 + 60 * SECOND, 1010 + 60 * SECOND)
    noted = Noted(10 * HOUR + 59 * SECOND, 10 * HOUR + 60 * SECOND)
    assert abs(unsettled_step(later, KNOWN, noted) - HOUR) <= 20
    assert abs(unsettled_step(later, KNOWN, NOTHING) - HOUR) <= 20


def test_at_a_start_the_newest_plausible_time_counts() -> None:
    now = reading(100 * YEAR, 1000, 1010)
    ahead, far = 100 * YEAR + HOUR, 120 * YEAR
    assert unsettled_step(now, None, NOTHING) == 0
    assert unsettled_step(now, None, Noted(ahead, None)) == -HOUR
    assert unsettled_step(now, None, Noted(None, ahead)) == -HOUR
    assert unsettled_step(now, None, Noted(ahead, ahead + SECOND)) == -HOUR - SECOND
    # The date of the newest change is damaged: jobs do not change while nobody sees the clock.
    assert unsettled_step(now, None, Noted(100 * YEAR - SECOND, ahead)) == 0
    assert unsettled_step(now, None, Noted(100 * YEAR - SECOND, 0)) == 0
    assert unsettled_step(now, None, Noted(far, None)) == 0
    assert unsettled_step(now, None, Noted(far, far)) == 0
    assert unsettled_step(now, None, Noted(far, ahead)) == -HOUR


def test_an_offset_that_nobody_can_have_found_is_replaced() -> None:
    for offset in (HOUR, -HOUR):
        other = Reading(10 * HOUR - offset + SECOND, offset, 1000 + SECOND, 1010 + SECOND)
        assert unsettled_step(other, KNOWN, NOTHING) == 0
    damaged = 20 * YEAR
    other = Reading(10 * HOUR - damaged + SECOND, damaged, 1000 + SECOND, 1010 + SECOND)
    assert abs(damaged + unsettled_step(other, KNOWN, NOTHING)) <= 20
