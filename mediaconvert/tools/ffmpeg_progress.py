"""Reads what `ffmpeg -progress` writes, piece by piece, into `Progress`. Pure.

The format: lines `key=value`; a block ends with `progress=continue` or `progress=end`
(ffmpeg documentation: "-progress url"). Values may be `N/A`. Called by `tools.execution`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mediaconvert.media import Progress

# A report is some 300 bytes; a "line" longer than this is not from ffmpeg's reporter.
_LONGEST_LINE = 4096


@dataclass(frozen=True, slots=True)
class Report:
    """One block."""

    out_seconds: float | None
    """How far the output is on its own clock."""
    frame: int | None
    total_size: int | None
    speed: float | None
    is_end: bool

    @property
    def position(self) -> tuple[float | None, int | None, int | None]:
        """Changes whenever the run has come any further: what the stall limit watches."""
        return self.out_seconds, self.frame, self.total_size


@dataclass(slots=True)
class ProgressParser:
    """Feed it bytes as they come; it gives back the blocks that have become complete."""

    _rest: bytes = b""
    _values: dict[str, str] = field(default_factory=dict)

    def feed(self, data: bytes) -> list[Report]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            self._rest = b""
        reports = []
        for line in lines:
            key, _, value = line.decode("ascii", "replace").strip().partition("=")
            if key == "progress":
                reports.append(_report(self._values, is_end=value.strip() == "end"))
                self._values = {}
            elif key and len(self._values) < 64:
                self._values[key] = value.strip()
        return reports


def progress_of(report: Report, expected_seconds: float | None) -> Progress:
    """The report as a share of the whole. Without an expected length the share stays 0 until
    the end, and there is no ETA."""
    if report.is_end:
        return Progress(1.0, report.speed, 0.0)
    if not expected_seconds or expected_seconds <= 0 or report.out_seconds is None:
        return Progress(0.0, report.speed)
    fraction = min(max(report.out_seconds / expected_seconds, 0.0), 0.999)
    eta = None
    if report.speed:
        eta = max(expected_seconds - report.out_seconds, 0.0) / report.speed
    return Progress(fraction, report.speed, eta)


def _report(values: dict[str, str], *, is_end: bool) -> Report:
    micros = _number(values.get("out_time_us"))
    if micros is None:
        # Old builds say `out_time_ms` and mean microseconds as well.
        micros = _number(values.get("out_time_ms"))
    frame = _number(values.get("frame"))
    size = _number(values.get("total_size"))
    return Report(
        # Before the first packet ffmpeg reports the smallest integer there is.
        out_seconds=None if micros is None or micros < 0 else micros / 1e6,
        frame=None if frame is None else int(frame),
        total_size=None if size is None else int(size),
        speed=_number(values.get("speed", "").removesuffix("x")),
        is_end=is_end,
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    # `inf` and `nan` pass float(); neither is a measure.
    return value if value is not None and abs(value) < 1e18 else None
