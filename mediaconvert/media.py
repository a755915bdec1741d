"""Values about media and about the work that is planned on it. Pure; no I/O.

A *command* is what one child does: it reads one file that it knows as `input`, and writes
below `out/`. Names inside a command are ours; a client's name never gets here. The planner
makes commands, `tools` runs them, and nobody in between changes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class MediaKind(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"
    PDF = "pdf"
    TEXT = "text"
    """Only as an output (extracted text, JSON); never an acceptable input."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    index: int
    type: str
    """video, audio, subtitle or data."""
    codec: str
    width: int | None = None
    """Pixels as displayed: rotation and sample aspect are applied."""
    height: int | None = None
    coded_width: int | None = None
    coded_height: int | None = None
    rotation: int = 0
    """Degrees clockwise: 0, 90, 180 or 270."""
    fps: float | None = None
    pixel_format: str | None = None
    is_hdr: bool = False
    is_attached_picture: bool = False
    """A cover image inside an audio file; not a video track."""
    channels: int | None = None
    sample_rate: int | None = None
    bit_rate: int | None = None
    language: str | None = None
    duration_seconds: float | None = None
    """Of this track alone, where the container tells: sound often outlasts the pictures."""


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What probing found. The kind comes from the first bytes, never from a name."""

    kind: MediaKind
    container: str
    """Our own name of the format: mp4, mov, matroska, webm, mp3, …, jpeg, png, …, pdf."""
    demuxer: str
    """The ffmpeg demuxer that was forced (`-f`), empty for images and documents."""
    size_bytes: int
    duration_seconds: float | None = None
    bit_rate: int | None = None
    streams: tuple[StreamInfo, ...] = ()
    width: int | None = None
    """Images (upright, after EXIF orientation) and the first page of a PDF, in points."""
    height: int | None = None
    pages: int | None = None
    """Of a PDF, or frames of an animated image."""
    has_alpha: bool = False

    @property
    def video(self) -> StreamInfo | None:
        """The first real video stream."""
        return next(
            (s for s in self.streams if s.type == "video" and not s.is_attached_picture), None
        )

    @property
    def audio(self) -> StreamInfo | None:
        return next((s for s in self.streams if s.type == "audio"), None)


@dataclass(frozen=True, slots=True)
class FfmpegCommand:
    """One run of ffmpeg.

    `input_arguments` come before `-i input` and `output_arguments` after it; the last of the
    output arguments is the output as the child sees it, `out/0.mp4`. The fixed, safe part of the
    command line (`-nostdin`, whitelists, the forced demuxer, limits, `-progress`) is added by
    `tools.ffmpeg` and is not the planner's business.
    """

    input_arguments: tuple[str, ...]
    output_arguments: tuple[str, ...]
    demuxer: str
    output_names: tuple[str, ...]
    """Files that must exist below `out/` afterwards, such as `0.mp4`."""
    expected_seconds: float | None = None
    """Length of the output on its own clock: what 100 % means for `-progress`."""


@dataclass(frozen=True, slots=True)
class ImagingCommand:
    """One call of the image server: libvips or PDFium in a forked, sandboxed child."""

    action: str
    """resize_image, convert_image, render_page, extract_text: see `tools.imaging`."""
    params: Mapping[str, object]
    """JSON-ready."""
    output_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteCommand:
    """Writes text that is known at planning time (the probe's JSON); starts no child."""

    text: str
    output_names: tuple[str, ...]


Command = FfmpegCommand | ImagingCommand | WriteCommand


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """An output of a step: where the command leaves it, and what the user calls it."""

    work_name: str
    """Below the step's `out/`, chosen by us: `0.mp4`."""
    output_name: str
    """Below `${output}/`, chosen by the pipeline: `video.mp4`, `frame-3.jpg`."""
    content_type: str
    kind: MediaKind


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What one step will do to one probed input."""

    step_id: str
    operation: str
    commands: tuple[Command, ...]
    files: tuple[PlannedFile, ...]
    reasons: tuple[str, ...] = ()
    """Why each choice was made, in words: `explain` and the manifest print them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may use. A breach is a `limit` failure of the job."""

    wall_seconds: float = 2 * 3600
    cpu_seconds: int = 8 * 3600
    memory_bytes: int = 4 << 30
    output_bytes: int = 32 << 30
    stall_seconds: float = 60
    """A tool that reports no progress for so long is killed."""
    max_pixels: int = 268_435_456
    """Decoded pixels of one frame: 16384 x 16384."""
    max_pages: int = 10_000
    threads: int = 0
    """0 = as many as the machine has cores."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a command is."""

    fraction: float
    """0 to 1."""
    speed: float | None = None
    """Seconds of media per second of wall clock."""
    eta_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class CommandResult:
    argv: tuple[str, ...]
    """As run inside the sandbox; what the manifest shows."""
    tool: str
    """`ffmpeg 9.0.2`, `libvips 8.18`, `pdfium 7.…`."""
    wall_seconds: float
    log: tuple[str, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)
