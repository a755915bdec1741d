"""How the end of a tool becomes an error with a code that stays."""

from __future__ import annotations

import signal

import pytest

from mediaconvert.media import Limits
from mediaconvert.model import FailureKind
from mediaconvert.tools.failures import Ending, Stop, failure_of, tool_lines

LIMITS = Limits(cpu_seconds=10)


def ending(
    status: int | None = 1,
    said: str = "",
    *,
    number: int | None = None,
    stopped: Stop | None = None,
    cpu: float = 0.0,
) -> Ending:
    return Ending("ffmpeg", status, number, cpu, 1.0, stopped, said)


@pytest.mark.parametrize(
    ("end", "code", "kind"),
    [
        (ending(stopped=Stop.WALL), "limit_time", FailureKind.LIMIT),
        (ending(stopped=Stop.STALL), "limit_stalled", FailureKind.LIMIT),
        (ending(stopped=Stop.OUTPUT), "limit_output", FailureKind.LIMIT),
        (ending(None, number=signal.SIGXCPU), "limit_time", FailureKind.LIMIT),
        (ending(128 + signal.SIGKILL, cpu=10.0), "limit_time", FailureKind.LIMIT),
        (ending(128 + signal.SIGXFSZ), "limit_output", FailureKind.LIMIT),
        (ending(128 + signal.SIGKILL), "limit_memory", FailureKind.CRASH),
        (ending(128 + signal.SIGSEGV), "tool_crashed", FailureKind.CRASH),
        (ending(None, number=signal.SIGABRT), "tool_crashed", FailureKind.CRASH),
        (ending(255), "tool_crashed", FailureKind.CRASH),
        (ending(244, "Cannot allocate memory"), "limit_memory", FailureKind.LIMIT),
        (ending(128 + signal.SIGTRAP, "failed to allocate 9 bytes"), "limit_memory",
         FailureKind.LIMIT),
        (ending(228, "av_write: No space left on device"), "storage_full", FailureKind.INFRA),
        (ending(1, "bwrap: Can't bind mount"), "sandbox_failed", FailureKind.INFRA),
        (ending(126, "starter: [Errno 2] No such file"), "sandbox_failed", FailureKind.INFRA),
        (ending(183, "input: Invalid data found when processing input"), "broken_file",
         FailureKind.INPUT),
        (ending(183, "[mov @ 0x1] moov atom not found"), "broken_file", FailureKind.INPUT),
        (ending(234, "Codec (x) not on whitelist 'h264'"), "unsupported_codec",
         FailureKind.INPUT),
        (ending(1, "Stream map '0:a' matches no streams."), "no_such_stream", FailureKind.INPUT),
        (ending(1, "something else"), "conversion_failed", FailureKind.INPUT),
    ],
)  # fmt: skip
def test_each_end_has_its_code_and_kind(end: Ending, code: str, kind: FailureKind) -> None:
    failure = failure_of(end, LIMITS)
    assert failure is not None
    assert (failure.code, failure.kind) == (code, kind)


def test_a_good_end_is_no_failure_whatever_was_said() -> None:
    assert failure_of(ending(0, "a warning"), LIMITS) is None


def test_the_log_has_twenty_plain_lines_without_addresses() -> None:
    said = "\n".join(f"[h264 @ 0x55d0f00{n:02}] line {n}\x1b[0m" for n in range(50))
    lines = tool_lines(said + "\n" + "x" * 5000)
    assert len(lines) == 20
    assert lines[0] == "[h264] line 31[0m"
    assert len(lines[-1]) == 400
