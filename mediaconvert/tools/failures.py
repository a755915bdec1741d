"""Turns the end of a tool into one of our errors, with a sentence and the tool's words. Pure.

Called by `tools.execution` and `tools.imaging` when a child did not end well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from signal import Signals

from mediaconvert.errors import (
    InfrastructureFailure,
    JobError,
    LimitExceeded,
    MediaInputError,
    ToolCrashed,
)
from mediaconvert.media import Limits

LOG_LINES = 20
_LONGEST_LINE = 400

_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# ffmpeg exits with 255 when a signal asked it to stop.
_STOPPED_BY_SIGNAL = 255
# bubblewrap's reaper answers 128 + N for a child killed by signal N.
_SIGNAL_BASE = 128
_LAST_SIGNAL = 31


class Stop(Enum):
    """Why we killed a child."""

    WALL = "wall"
    STALL = "stall"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Ending:
    """Everything known about how a child ended."""

    tool: str
    """ffmpeg or ffprobe, as sentences call it."""
    status: int | None
    signal: int | None
    cpu_seconds: float
    wall_seconds: float
    stopped: Stop | None
    """None when it ended by itself."""
    said: str
    """Its standard error, the end of it."""

    @property
    def killed_by(self) -> int | None:
        """The signal, also as bubblewrap tells it."""
        if self.signal is not None:
            return self.signal
        if self.status is not None and 0 < self.status - _SIGNAL_BASE <= _LAST_SIGNAL:
            return self.status - _SIGNAL_BASE
        return None


def tool_lines(text: str) -> tuple[str, ...]:
    """The last lines of a tool, without addresses and control characters, each bounded."""
    cleaned = (_CONTROL.sub("", _ADDRESS.sub("", line)).rstrip() for line in text.split("\n"))
    lines = [line[:_LONGEST_LINE] for line in cleaned if line]
    return tuple(lines[-LOG_LINES:])


def failure_of(ending: Ending, limits: Limits) -> JobError | None:
    """None when the tool ended well."""
    log = tool_lines(ending.said)
    if ending.stopped is not None:
        return _stopped(ending, limits, log)
    killed_by = ending.killed_by
    if killed_by is not None:
        return _killed(ending, killed_by, limits, log)
    if ending.status == 0:
        return None
    return (
        _shortage(ending, limits, log)
        or _outside(ending, log)
        or _bad_input(ending, limits, log)
        or MediaInputError(
            "conversion_failed",
            f"{ending.tool} could not process the file{_because(log)}",
            log,
        )
    )


def _stopped(ending: Ending, limits: Limits, log: tuple[str, ...]) -> JobError:
    match ending.stopped:
        case Stop.WALL:
            return LimitExceeded(
                "limit_time",
                f"{ending.tool} ran longer than the {limits.wall_seconds:g} s it may",
                log,
            )
        case Stop.STALL:
            return LimitExceeded(
                "limit_stalled",
                f"{ending.tool} made no progress for {limits.stall_seconds:g} s and was stopped",
                log,
            )
        case _:
            return output_too_large(limits, log)


def output_too_large(limits: Limits, log: tuple[str, ...] = ()) -> LimitExceeded:
    return LimitExceeded(
        "limit_output", f"the output grew beyond the {limits.output_bytes} bytes it may have", log
    )


def _killed(ending: Ending, number: int, limits: Limits, log: tuple[str, ...]) -> JobError:
    if number == Signals.SIGXCPU or (
        number == Signals.SIGKILL and ending.cpu_seconds >= limits.cpu_seconds - 1
    ):
        return LimitExceeded(
            "limit_time",
            f"{ending.tool} used up the {limits.cpu_seconds} s of processor time it may",
            log,
        )
    if number == Signals.SIGXFSZ:
        return output_too_large(limits, log)
    if _says(log, *_NO_MEMORY):
        return _no_memory(ending, limits, log)
    if number == Signals.SIGKILL:
        # We did not do it: most likely the kernel, for want of memory on the whole machine.
        return ToolCrashed(
            f"{ending.tool} was killed from outside, probably because memory ran out",
            log,
            code="limit_memory",
        )
    return ToolCrashed(f"{ending.tool} crashed ({_signal_name(number)}) on the file", log)


_NO_MEMORY = ("cannot allocate memory", "failed to allocate", "out of memory", "bad_alloc")


def _shortage(ending: Ending, limits: Limits, log: tuple[str, ...]) -> JobError | None:
    if _says(log, "no space left on device"):
        return InfrastructureFailure("storage_full", "the server's disk is full", log)
    if _says(log, "file too large"):
        return output_too_large(limits, log)
    if _says(log, *_NO_MEMORY):
        return _no_memory(ending, limits, log)
    return None


def _no_memory(ending: Ending, limits: Limits, log: tuple[str, ...]) -> LimitExceeded:
    return LimitExceeded(
        "limit_memory",
        f"{ending.tool} needed more than the {limits.memory_bytes} bytes of memory it may use",
        log,
    )


def _outside(ending: Ending, log: tuple[str, ...]) -> JobError | None:
    if log and log[-1].startswith(("bwrap: ", "starter: ")):
        reason = log[-1].partition(": ")[2]
        return InfrastructureFailure(
            "sandbox_failed", f"the sandbox could not be set up: {reason}", log
        )
    if ending.status == _STOPPED_BY_SIGNAL and ending.tool == "ffmpeg":
        return ToolCrashed(f"{ending.tool} was asked to stop from outside", log)
    return None


def _bad_input(ending: Ending, limits: Limits, log: tuple[str, ...]) -> JobError | None:
    if _says(log, "not on whitelist"):
        return MediaInputError(
            "unsupported_codec", f"the file uses a codec that is not supported{_because(log)}", log
        )
    if _says(log, "picture size") and _says(log, "is invalid"):
        return MediaInputError(
            "too_many_pixels",
            f"a frame has more than the {limits.max_pixels} pixels that are allowed", log,
        )  # fmt: skip
    if _says(log, "moov atom not found"):
        return MediaInputError(
            "broken_file",
            "the file is cut off or broken: its index (moov atom) is missing",
            log,
        )
    if _says(log, "matches no streams", "does not contain any stream"):
        return MediaInputError(
            "no_such_stream", f"the file lacks a stream that is needed{_because(log)}", log
        )
    if _says(
        log, "invalid data found", "error opening input", "end of file", "could not find codec"
    ):
        return MediaInputError(
            "broken_file", f"the file is broken or not what it seems{_because(log)}", log
        )
    return None


def _says(log: tuple[str, ...], *needles: str) -> bool:
    text = "\n".join(log).lower()
    return any(needle in text for needle in needles)


def _because(log: tuple[str, ...]) -> str:
    """The tool's first words: what follows them are consequences."""
    return f": {log[0][:200]}" if log else ""


def _signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"
