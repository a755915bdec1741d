"""Tells what went wrong around an attempt from what is wrong in this program.

A failure may come out of nurseries, wrapped in groups, and from any line that touches the
machine. Pure; called by the job's fence, which treats what is not explained here as a bug.
"""

from __future__ import annotations

from collections.abc import Iterator

from mediaconvert.errors import InfrastructureFailure, JobError, Unavailable
from mediaconvert.workers.workspace import surroundings_failure


def explained(error: BaseException) -> JobError | None:
    """The failure that an exception, or everything in a group of them, stands for: the first
    one where there are several. None where any of them is no known failure."""
    failures = [_failure_of(leaf) for leaf in _leaves(error)]
    return None if None in failures else next(iter(failures), None)


def _failure_of(error: BaseException) -> JobError | None:
    match error:
        case JobError():
            return error
        case Unavailable():
            return InfrastructureFailure(error.code, error.message)
        case OSError():
            return surroundings_failure(error)
        case MemoryError():
            return InfrastructureFailure("no_memory", "the server has no memory left")
        case _:
            return None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
