"""One command of the image server, as the service sends it and reads its answer.

Opens what the child gets as descriptors, and turns what comes back into a result or an error;
the child may have been taken over, so nothing in its answer is trusted.
Called by `tools.imaging`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mediaconvert.errors import (
    InfrastructureFailure,
    LimitExceeded,
    MediaInputError,
    ToolCrashed,
)
from mediaconvert.media import Limits
from mediaconvert.tools.failures import Ending, Stop, failure_of, tool_lines

MESSAGE_BYTES = 128 << 10

_REFUSALS = {"limit": LimitExceeded, "infra": InfrastructureFailure}


@dataclass(frozen=True, slots=True)
class ImageCall:
    """One command for the server."""

    action: str
    params: Mapping[str, object]
    container: str
    source: Path
    outputs: tuple[Path, ...]
    """Made here; they must not exist."""
    limits: Limits


def message_of(number: int, call: ImageCall) -> bytes:
    """What the server is told; raises MediaInputError when it is too long."""
    limits = call.limits
    message = json.dumps(
        {
            "run": number,
            "action": call.action,
            "params": dict(call.params),
            "container": call.container,
            "max_pixels": limits.max_pixels,
            "max_pages": limits.max_pages,
            "limits": {
                "memory_bytes": limits.memory_bytes,
                "cpu_seconds": limits.cpu_seconds,
                "file_bytes": limits.output_bytes,
            },
        }
    ).encode()
    if len(message) > MESSAGE_BYTES:
        raise MediaInputError("params_too_long", "the step's parameters are too long")
    return message


def conclude(
    call: ImageCall,
    status: int | None,
    stopped: Stop | None,
    answer: bytes,
    said: str,
    wall_seconds: float,
) -> dict[str, object]:
    """The details; raises the JobError that fits. `status` is None when the server died."""
    if status is None and stopped is None:
        raise ToolCrashed("the image server died while it worked on the file", tool_lines(said))
    ending = Ending("the image server", status, None, 0.0, wall_seconds, stopped, said)
    failure = failure_of(ending, call.limits)
    if failure is not None:
        if failure.code == "conversion_failed":  # a traceback of ours, not a word of a library
            log = tool_lines(said)
            why = f": {log[-1][:200]}" if log else ""
            raise ToolCrashed(f"the image server failed on the file{why}", log)
        raise failure
    try:
        told = json.loads(answer)
        refused, details = told.get("refused"), told.get("details")
    except (ValueError, AttributeError) as error:
        raise ToolCrashed("the image server gave no answer", tool_lines(said)) from error
    if isinstance(refused, list) and len(refused) == 3:
        kind, code, message = (str(part) for part in refused)
        raise _REFUSALS.get(kind, MediaInputError)(code, message, tool_lines(said))
    if not isinstance(details, dict):
        raise ToolCrashed("the image server gave no answer", tool_lines(said))
    return details


class Descriptors:
    """What one command needs: two pipes back, the input, the outputs. Closes what is left."""

    def __init__(self, call: ImageCall) -> None:
        self._open: set[int] = set()
        try:
            self.answer, reply = self._pipe()
            self.stderr, errors = self._pipe()
            source = self._keep(os.open(call.source, os.O_RDONLY | os.O_CLOEXEC))
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            outputs = [self._keep(os.open(path, flags, 0o600)) for path in call.outputs]
        except OSError as error:
            self._close()
            raise InfrastructureFailure(
                "storage_failed", f"a file of the job cannot be opened: {error.strerror}"
            ) from error
        self.theirs = (reply, errors, source, *outputs)

    def _keep(self, fd: int) -> int:
        self._open.add(fd)
        return fd

    def _pipe(self) -> tuple[int, int]:
        read, write = os.pipe()
        return self._keep(read), self._keep(write)

    def take(self, fd: int) -> int:
        """The caller closes it from now on."""
        self._open.discard(fd)
        return fd

    def close_theirs(self) -> None:
        for fd in self.theirs:
            if fd in self._open:
                self._open.discard(fd)
                os.close(fd)

    def _close(self) -> None:
        while self._open:
            os.close(self._open.pop())

    def __enter__(self) -> Descriptors:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
