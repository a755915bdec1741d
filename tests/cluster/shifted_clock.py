"""Runs `python -m MODULE …` with a wall clock that is wrong: every way of asking for the time
of day is off by the seconds given first. What the kernel notes itself (times of files) is right.

    python shifted_clock.py SECONDS python -m MODULE ARGUMENTS…
"""

from __future__ import annotations

import datetime
import runpy
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

_REAL_DATETIME = datetime.datetime


def shift(seconds: float) -> None:
    """From now on this process lives so many seconds in the future (or, below 0, the past)."""
    nanoseconds = round(seconds * 1e9)
    real_time, real_time_ns = time.time, time.time_ns
    real_gettime, real_gettime_ns = time.clock_gettime, time.clock_gettime_ns
    time.time = lambda: real_time() + seconds
    time.time_ns = lambda: real_time_ns() + nanoseconds
    time.clock_gettime = lambda clock: (
        real_gettime(clock) + seconds * (clock == time.CLOCK_REALTIME)
    )
    time.clock_gettime_ns = lambda clock: (
        real_gettime_ns(clock) + nanoseconds * (clock == time.CLOCK_REALTIME)
    )
    for name in ("gmtime", "localtime", "ctime"):
        setattr(time, name, _of_now(getattr(time, name)))
    delta = datetime.timedelta(seconds=seconds)

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, _REAL_DATETIME)

    class Shifted(_REAL_DATETIME, metaclass=Kind):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return _REAL_DATETIME.now(tz) + delta

        @classmethod
        def utcnow(cls) -> Any:
            return _REAL_DATETIME.now(datetime.UTC).replace(tzinfo=None) + delta

    datetime.datetime = Shifted  # type: ignore[misc]


def _of_now(function: Callable[..., Any]) -> Callable[..., Any]:
    """Given no moment, the function takes the present one, which the C code asks for itself."""
    return lambda moment=None: function(time.time() if moment is None else moment)


def main(arguments: Sequence[str]) -> None:
    seconds, _python, dash_m, module, *rest = arguments
    assert dash_m == "-m", arguments
    shift(float(seconds))
    # As `python -m` does, which puts the current folder first, where this file's is now.
    sys.path[0] = ""
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
