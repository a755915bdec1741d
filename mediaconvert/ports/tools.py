"""Tools: the only way from a job to a child process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mediaconvert.media import Command, CommandResult, Limits, MediaInfo, Progress


@dataclass(frozen=True, slots=True)
class ToolInfo:
    """One tool as found on this machine."""

    name: str
    """ffmpeg, ffprobe, libvips, pdfium, bubblewrap."""
    version: str
    path: str
    is_usable: bool
    remedy: str = ""
    """What to do when it is not usable."""
    capabilities: tuple[str, ...] = ()
    """Of ffmpeg: which of the encoders that operations use this build has."""


class Tools(Protocol):
    async def probe(self, source: Path, limits: Limits) -> MediaInfo:
        """What the file is, from its bytes. Raises MediaInputError (`unsupported_container`,
        `empty_file`, `broken_file`, `too_many_pixels`, …), LimitExceeded, ToolCrashed,
        InfrastructureFailure. Cancelled: every child is dead before this returns."""

    async def run(
        self,
        command: Command,
        *,
        source: Path,
        info: MediaInfo,
        out_dir: Path,
        limits: Limits,
        on_progress: Callable[[Progress], None],
    ) -> CommandResult:
        """Run one command: the child sees `source` as `input`, read only, and `out_dir`
        (existing, empty or with the step's earlier outputs) as `out`. Raises as `probe`;
        on success each of the command's `output_names` is a regular, non-empty file in
        `out_dir`. `on_progress` is called in the caller's thread, at most 5 times a second.
        Cancelled or failed: the whole process tree is dead before this returns."""

    async def check_decodable(self, path: Path, info: MediaInfo, limits: Limits) -> None:
        """Decode enough of a probed output to know that it can be decoded: both ends of a film
        or sound, all of a picture. Raises MediaInputError (`undecodable`, …), and the rest as
        `probe`. Cancelled: every child is dead before this returns."""

    async def describe(self) -> tuple[ToolInfo, ...]:
        """Every tool with its build; cached after the first call, for a while where something
        could not be asked."""
