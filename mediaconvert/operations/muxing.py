"""Tracks and a container become one ffmpeg command.

Pure. What is the same for every file that ffmpeg writes here: cutting by seeking before the
input, nothing of the source's metadata, the index of an MP4 at its front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mediaconvert.errors import MediaInputError
from mediaconvert.media import FfmpegCommand, MediaInfo
from mediaconvert.operations.formats import Container
from mediaconvert.operations.timestamps import argument, clock
from mediaconvert.operations.video_encoding import Track


@dataclass(frozen=True, slots=True)
class Cut:
    """The part of the input that is wanted, in seconds."""

    start: float | None = None
    duration: float | None = None

    def arguments(self) -> tuple[str, ...]:
        """Options before the input: ffmpeg seeks to the key frame before, decodes from there
        and drops what comes earlier, so the cut is exact and cheap."""
        arguments: tuple[str, ...] = ()
        if self.start:
            arguments += ("-ss", argument(self.start))
        if self.duration is not None:
            arguments += ("-t", argument(self.duration))
        return arguments

    def length(self, info: MediaInfo) -> float | None:
        """Seconds of output; raises `timestamp_out_of_range` for a start at or past the end."""
        total, start = info.duration_seconds, self.start or 0.0
        if total is None:
            return self.duration
        if start >= total > 0:
            raise MediaInputError(
                "timestamp_out_of_range",
                f"start {clock(start)} was asked for; the input is {clock(total)} long",
            )
        rest = total - start
        return rest if self.duration is None else min(rest, self.duration)


def mux_command(
    info: MediaInfo,
    tracks: Sequence[Track],
    container: Container,
    work_name: str,
    *,
    cut: Cut | None = None,
    faststart: bool = True,
) -> FfmpegCommand:
    """The command that writes `tracks` into one file. Raises as `Cut.length`."""
    cut = cut or Cut()
    expected = cut.length(info)
    output = [argument for track in tracks for argument in track.arguments]
    output += ["-map_metadata", "-1", "-map_chapters", "-1"]
    if cut.start and any(track.is_copied for track in tracks):
        # A copied track starts at the key frame before the cut, else at a negative time.
        output += ["-avoid_negative_ts", "make_zero"]
    if container.has_faststart and faststart:
        output += ["-movflags", "+faststart"]
    output += ["-f", container.muxer, f"out/{work_name}"]
    return FfmpegCommand(
        input_arguments=cut.arguments(),
        output_arguments=tuple(output),
        demuxer=info.demuxer,
        output_names=(work_name,),
        expected_seconds=expected,
    )
