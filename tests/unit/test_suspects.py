"""What the death of a worker process means for a job."""

from __future__ import annotations

import math
import random

from mediaconvert.backends.sql.suspects import (
    Standing,
    after_death,
    explain_poison,
    explain_requeue,
    wait_seconds,
)


def test_deaths_beside_other_jobs_never_make_poison() -> None:
    standing = Standing(0)
    for _ in range(1_000):
        standing = after_death(standing, ran_alone=False)
    assert standing.is_suspect and not standing.is_poison
    assert standing.worker_deaths == 2, "a suspect that waits to be alone has not begun"


def test_three_deaths_in_a_row_alone_are_poison() -> None:
    standing = Standing(2)
    for _ in range(2):
        standing = after_death(standing, ran_alone=True)
        assert not standing.is_poison
    standing = after_death(standing, ran_alone=True)
    assert standing.is_poison
    assert "3 times in a row" in explain_poison(standing)
    assert "after 2 earlier deaths" in explain_poison(standing)


def test_waits_double_up_to_ten_minutes() -> None:
    assert wait_seconds(Standing(1), 5.0) is None
    waits = [wait_seconds(Standing(2 + n), 5.0) for n in range(8)]
    assert waits == [15, 30, 60, 120, 240, 480, 600, 600]
    assert wait_seconds(Standing(5_000), 5.0) == 600


def test_a_history_row_says_what_comes_next() -> None:
    first, second, third = Standing(1), Standing(2), Standing(3, 1)
    assert explain_requeue("The lease ran out", Standing(0), first, None) == "The lease ran out"
    said = explain_requeue("The lease ran out", first, second, 15.0)
    assert said == (
        "The lease ran out. Its worker process has died 2 times; it runs alone next, "
        "after at least 15 s."
    )
    said = explain_requeue("The lease ran out", second, third, 30.0)
    assert "died once in a row while it ran alone" in said


def test_a_thousand_random_kills_fail_no_job() -> None:
    """One every 1.5 s on average, at any moment; the job would take an hour."""
    chance = random.Random(8)
    for _ in range(100):
        standing, due = Standing(0), 0.0
        now = 0.0
        for _ in range(1_000):
            now += -math.log(1 - chance.random()) * 1.5
            if not standing.is_suspect:
                standing = after_death(standing, ran_alone=False)
            elif now >= due:
                standing = after_death(standing, ran_alone=True)
            else:
                # The process dies while the suspect waits.
                standing = Standing(standing.worker_deaths, 0)
                continue
            due = now + (wait_seconds(standing, 5.0) or 0.0)
            assert not standing.is_poison
