"""Points in time and lengths as people write them, turned into seconds and back.

Pure. Called by the parameter types (`fields`) and by every operation that cuts or seeks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_SECONDS = 100 * 3600.0
"""Nothing that is uploaded in one piece runs longer; a larger number is a slip of the pen."""

_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2}(?:\.\d{1,9})?)", re.ASCII)
_PLAIN = re.compile(r"(\d{1,7}(?:\.\d{1,9})?)\s*(ms|s)?", re.ASCII)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", re.ASCII)


@dataclass(frozen=True, slots=True)
class Moment:
    """A point on a file's clock: so many seconds from its start, or a share of its length."""

    seconds: float | None = None
    percent: float | None = None

    def resolve(self, duration_seconds: float | None) -> float | None:
        """Seconds from the start; None for a share of an unknown length.

        100 % means the last frame, so it stays just short of the end."""
        if self.seconds is not None:
            return self.seconds
        if duration_seconds is None or self.percent is None:
            return None
        exact = duration_seconds * self.percent / 100
        return max(0.0, min(exact, duration_seconds - 0.001))

    def __str__(self) -> str:
        if self.percent is not None:
            return f"{self.percent:g}%"
        return clock(self.seconds or 0.0)


def parse_seconds(text: str) -> float | None:
    """Seconds in `01:02:03.5`, `02:03`, `12.5`, `12.5s` or `250ms`; None for anything else."""
    text = text.strip()
    if match := _CLOCK.fullmatch(text):
        hours, minutes, seconds = match.groups()
        if float(seconds) >= 60 or (hours is not None and int(minutes) >= 60):
            return None
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
    if match := _PLAIN.fullmatch(text):
        number, unit = match.groups()
        return float(number) / 1000 if unit == "ms" else float(number)
    return None


def parse_moment(text: str) -> Moment | None:
    """As `parse_seconds`, and also `50%` of the length."""
    if match := _PERCENT.fullmatch(text.strip()):
        percent = float(match.group(1))
        return Moment(percent=percent) if percent <= 100 else None
    seconds = parse_seconds(text)
    return None if seconds is None else Moment(seconds=seconds)


def clock(seconds: float) -> str:
    """`00:01:02.5`: how messages name a point in time."""
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole, fraction = divmod(rest, 1000)
    tail = f".{fraction:03d}".rstrip("0") if fraction else ""
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{tail}"


def argument(seconds: float) -> str:
    """Seconds as ffmpeg's `-ss` and `-t` take them; never in the form `1e-05`."""
    text = f"{seconds:.6f}".rstrip("0").rstrip(".")
    return text or "0"
