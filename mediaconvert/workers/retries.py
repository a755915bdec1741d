"""Whether, and when, a failed attempt is tried again. Pure: no clock, no randomness, no I/O.

The runner asks after every failure; the catalog only counts what it is told. What cannot
succeed is never repeated, what the surroundings broke is, and a file that kills its tool may
do so three times and no more (jobs: retries).
"""

from __future__ import annotations

from mediaconvert.model import FailureKind
from mediaconvert.settings import WorkerSettings

MAX_WAIT_SECONDS = 600.0
MAX_AGE_SECONDS = 24 * 3600.0
MAX_CRASH_RETRIES = 2
SPREAD = 0.2
"""Waits differ by up to a fifth, so that jobs which failed together do not return together."""

# A crash is not waited out as an absent server is: the second try tells as much after a
# second as after a minute, and the user of a hostile file waits for the verdict.
CRASH_BASE_SHARE = 0.2


def retry_after_seconds(
    kind: FailureKind,
    *,
    infra_failures: int,
    crashes: int,
    age_seconds: float,
    chance: float,
    settings: WorkerSettings,
) -> float | None:
    """How long the job waits for its next attempt; None ends it as failed.

    `infra_failures` and `crashes` count the attempts before this one, `age_seconds` is the
    time since the job was made, `chance` a number from 0 to 1 that spreads the wait."""
    if kind is FailureKind.INFRA:
        is_last = infra_failures + 1 >= settings.max_attempts or age_seconds >= MAX_AGE_SECONDS
        earlier, base = infra_failures, settings.retry_base_seconds
    elif kind is FailureKind.CRASH:
        is_last = crashes >= MAX_CRASH_RETRIES
        earlier, base = crashes, settings.retry_base_seconds * CRASH_BASE_SHARE
    else:
        return None
    if is_last:
        return None
    # Above 2^30 the ceiling has long been reached; the bound only keeps the number small.
    wait = min(base * 2.0 ** min(earlier, 30), MAX_WAIT_SECONDS)
    return wait * (1.0 + SPREAD * (2.0 * chance - 1.0))


def explain_last_failure(
    kind: FailureKind, message: str, *, infra_failures: int, crashes: int
) -> str:
    """The user's sentence of a job that ends here: says how often it was tried, if it was."""
    tries = {FailureKind.INFRA: infra_failures, FailureKind.CRASH: crashes}.get(kind, 0) + 1
    return message if tries == 1 else f"{message} (tried {tries} times)"
