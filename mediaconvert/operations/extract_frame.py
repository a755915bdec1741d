"""`extract_frame`: pictures from moments of a video.

Pure. One ffmpeg command a picture, each seeking before it decodes, so that a frame from the
middle of a long film costs no more than one from its start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from mediaconvert.errors import MediaInputError
from mediaconvert.media import MediaInfo, MediaKind
from mediaconvert.operations.base import Complaint, OperationParams, OperationPlan
from mediaconvert.operations.fields import Flag, JsonSchema, Kind, MomentKind, Whole, refuse, shown
from mediaconvert.operations.formats import image_format, image_format_named
from mediaconvert.operations.image_commands import planned_image, quality_reasons
from mediaconvert.operations.inputs import frame_size, require_moment, require_video
from mediaconvert.operations.scaling import Quality, Side
from mediaconvert.operations.stills import still_command, still_format_complaint
from mediaconvert.operations.timestamps import Moment, clock
from mediaconvert.operations.video_geometry import Box, frame

MAX_FRAMES = 100
NUMBER = "{n}"
"""In an output's name: the number of the frame, from 1."""


@dataclass(frozen=True, slots=True)
class Moments(Kind):
    """A list of points in time."""

    def read(self, value: object) -> tuple[Moment, ...]:
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= MAX_FRAMES:
            refuse(f"must be a list of 1 to {MAX_FRAMES} timestamps, not {shown(value)}")
        return tuple(MomentKind().read(item) for item in value)

    def json_schema(self) -> JsonSchema:
        items = MomentKind().json_schema()
        return {"type": "array", "minItems": 1, "maxItems": MAX_FRAMES, "items": items}


class ExtractFrameParams(OperationParams):
    operation: ClassVar[str] = "extract_frame"
    summary: ClassVar[str] = "Take one or several pictures from a video."
    numbers_outputs: ClassVar[bool] = True

    timestamp: Annotated[Moment, MomentKind()] | None = Field(
        default=None,
        description=(
            "The moment: '00:00:01', seconds, or a share such as '50%'. Default: the first frame."
        ),
    )
    timestamps: Annotated[tuple[Moment, ...], Moments()] | None = Field(
        default=None,
        description=(
            "Several moments; the output's name then holds `{n}`, which counts from 1 in the "
            "order of the list."
        ),
    )
    count: Annotated[int, Whole(1, MAX_FRAMES)] | None = Field(
        default=None,
        description="So many frames, evenly spread: the middle of each of `count` equal parts.",
    )
    width: Side | None = Field(
        default=None, description="Pixels at most; default: the video's own width."
    )
    height: Side | None = Field(default=None, description="Pixels at most. See `width`.")
    upscale: Annotated[bool, Flag()] = Field(
        default=False, description="Whether a smaller video is enlarged to width and height."
    )
    quality: Quality | None = Field(
        default=None, description="1 to 100; default 85 for JPEG, 80 for WebP; PNG ignores it."
    )

    def _is_several(self) -> bool:
        return self.timestamps is not None or self.count is not None

    def complaints(self, output: str) -> Iterator[Complaint]:
        given = [n for n in ("timestamp", "timestamps", "count") if getattr(self, n) is not None]
        if len(given) > 1:
            yield Complaint(f"params.{given[1]}", f"give {' or '.join(given)}, not both")
        if self._is_several() and output.count(NUMBER) != 1:
            yield Complaint(
                "output",
                f"several frames need one {NUMBER} in the output's name, such as "
                f"'frame-{NUMBER}.jpg'; '{output}' has {output.count(NUMBER)}",
            )
        if not self._is_several() and NUMBER in output:
            yield Complaint("output", f"{NUMBER} counts several frames; give timestamps or a count")
        if message := still_format_complaint(output):
            yield Complaint("output", message)

    def accepts(self, output: str) -> frozenset[MediaKind]:
        return frozenset({MediaKind.VIDEO})

    def produces(self, output: str) -> MediaKind:
        return MediaKind.IMAGE

    def output_names(self, output: str) -> tuple[str, ...]:
        if not self._is_several():
            return (output,)
        frames = self.count if self.timestamps is None else len(self.timestamps)
        return tuple(output.replace(NUMBER, f"{n}") for n in range(1, (frames or 1) + 1))

    def plan(self, info: MediaInfo, output: str, *, threads: int) -> OperationPlan:
        stream = require_video(info, self.operation)
        framing = frame(frame_size(stream), Box(self.width, self.height, upscale=self.upscale))
        picture = image_format(output) or image_format_named("jpeg")
        commands, files, reasons = [], [], []
        names = self.output_names(output)
        for number, (seconds, name) in enumerate(zip(self._moments(info), names, strict=True)):
            work_name = f"{number}.{picture.extensions[0]}"
            commands.append(
                still_command(info, stream, seconds, framing, picture, self.quality, work_name)
            )
            files.append(planned_image(work_name, name, picture))
            reasons.append(f"{name}: the frame at {clock(seconds)}, {framing.final}")
        return OperationPlan(
            tuple(commands), tuple(files), (*reasons, *quality_reasons(picture, self.quality))
        )

    def _moments(self, info: MediaInfo) -> list[float]:
        if self.count is not None:
            length = info.duration_seconds
            if length is None:
                raise MediaInputError(
                    "unknown_duration",
                    f"{self.count} evenly spread frames were asked for, but the file does not "
                    "say how long it is; give timestamps instead",
                )
            return [length * (n + 0.5) / self.count for n in range(self.count)]
        if self.timestamps is not None:
            return [require_moment(info, moment, "timestamp") for moment in self.timestamps]
        if self.timestamp is not None:
            return [require_moment(info, self.timestamp, "timestamp")]
        return [0.0]
