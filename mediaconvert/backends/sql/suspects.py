"""What the death of a worker process means for the jobs that it ran. Pure.

A death of the job's own tool is evidence against the job, and is counted elsewhere (`crashes`).
A death of the whole process is not: the cause may be a reboot, a power cut, the kernel's memory
killer or another job. So:

- After MAX_TOGETHER such deaths the job is a suspect: it runs only while its process runs no
  other job, and waits 15, 30, 60, ... 600 s before each run (with the default settings).
- A suspect fails as poison after MAX_ALONE deaths of a process that ran it alone, one after the
  other. A death of any other process in between (one that was idle, or ran other jobs) sets the
  count back to 0: processes evidently die without this job.

Why random deaths fail no job: between the first and the third lone death the suspect waits for
at least 30 s and then 60 s. Kills that come every T seconds on average, and know nothing of the
job, all spare these 90 s with a probability of exp(-90 / T): 1e-39 for T = 1 s, 1e-13 for 3 s,
and 1e-4 for 10 s. The wait goes by all deaths of the job, not by those in a row, and grows with
each: in a long series of kills the probability falls further. Rare deaths (T of minutes) count
only while a run lasts longer than T, three times in a row; that is what the job's error states.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_TOGETHER = 2
MAX_ALONE = 3
MAX_WAIT_SECONDS = 600.0
_WAIT_SHARE = 3.0
"""Of `workers.retry_base_seconds`."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is held against a job."""

    worker_deaths: int
    """Of processes that ran it, whatever else they ran."""
    lone_deaths: int = 0
    """Of processes that ran nothing else, in a row."""

    @property
    def is_suspect(self) -> bool:
        return self.worker_deaths >= MAX_TOGETHER

    @property
    def is_poison(self) -> bool:
        return self.lone_deaths >= MAX_ALONE


def after_death(before: Standing, *, ran_alone: bool) -> Standing:
    """The standing of a job whose process died. A suspect that was claimed, and waited for the
    other jobs of its process to end, had not begun: nothing is held against it."""
    if ran_alone:
        return Standing(before.worker_deaths + 1, before.lone_deaths + 1)
    if before.is_suspect:
        return before
    return Standing(before.worker_deaths + 1, before.lone_deaths)


def wait_seconds(standing: Standing, retry_base_seconds: float) -> float | None:
    """How long the job waits for its next run; None: it keeps its place in the queue."""
    if not standing.is_suspect:
        return None
    # 2^30 times anything is past the ceiling; the bound keeps the number small.
    beyond = min(standing.worker_deaths - MAX_TOGETHER, 30)
    return min(_WAIT_SHARE * retry_base_seconds * 2.0**beyond, MAX_WAIT_SECONDS)


def explain_requeue(
    cause: str, before: Standing, after: Standing, waits_seconds: float | None
) -> str:
    """The sentence of the history row. `cause` is the caller's, without a full stop."""
    if after == before or waits_seconds is None:
        return cause
    if after.lone_deaths:
        deaths = f"Its worker process died {_times(after.lone_deaths)} in a row while it ran alone"
    else:
        deaths = f"Its worker process has died {_times(after.worker_deaths)}"
    wait = f"after at least {waits_seconds:.3g} s"
    return f"{cause.rstrip('.')}. {deaths}; it runs alone next, {wait}."


def explain_poison(standing: Standing) -> str:
    """The error of a job that is given up."""
    earlier = standing.worker_deaths - standing.lone_deaths
    return (
        f"the job ended its worker process {_times(standing.lone_deaths)} in a row while no other "
        f"job ran in it, after {earlier} earlier deaths of a worker process that ran it; it is "
        "not tried again, rerun it when the cause is found"
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
