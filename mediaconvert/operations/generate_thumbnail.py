"""`generate_thumbnail`: a small picture of a video, a picture or a PDF's page.

Pure. Frames of a video are written by ffmpeg, everything else by the image server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from mediaconvert.errors import MediaInputError
from mediaconvert.media import Command, MediaInfo, MediaKind
from mediaconvert.operations.base import Complaint, OperationPlan
from mediaconvert.operations.fields import Choice, MomentKind, Whole
from mediaconvert.operations.formats import IMAGE_FORMATS, ImageFormat, dotted, image_format
from mediaconvert.operations.formats import image_format_named as format_named
from mediaconvert.operations.image_commands import (
    image_command,
    page_command,
    planned_image,
    quality_reasons,
)
from mediaconvert.operations.inputs import (
    describe,
    frame_size,
    refuse_kind,
    require_moment,
    require_page,
    require_video,
)
from mediaconvert.operations.scaling import Quality, ScalingParams
from mediaconvert.operations.stills import still_command, still_format_complaint
from mediaconvert.operations.timestamps import Moment, clock
from mediaconvert.operations.video_geometry import Box, frame

DEFAULT_SIDE = 320
"""Pixels of the longer side where neither width nor height is given."""

_KINDS = {"video": MediaKind.VIDEO, "image": MediaKind.IMAGE, "pdf": MediaKind.PDF}


class GenerateThumbnailParams(ScalingParams):
    operation: ClassVar[str] = "generate_thumbnail"
    summary: ClassVar[str] = "Make a small picture of a video, a picture or a page of a PDF."

    type: Annotated[str, Choice(("auto", "video", "image", "pdf"))] = Field(
        default="auto", description="What the input has to be; `auto`: any of the three."
    )
    timestamp: Annotated[Moment, MomentKind()] | None = Field(
        default=None,
        description=(
            "Of a video: '00:00:01', seconds, or a share such as '50%'. Default: one second, or "
            "the middle of a video that is shorter than two."
        ),
    )
    page: Annotated[int, Whole(1, 1_000_000)] | None = Field(
        default=None, description="Of a PDF, the first is 1, which is the default."
    )
    quality: Quality | None = Field(
        default=None,
        description="1 to 100; default 85 for JPEG, 80 for WebP, 60 for AVIF; others ignore it.",
    )

    def complaints(self, output: str) -> Iterator[Complaint]:
        yield from self.scaling_complaints()
        if self.timestamp is not None and self.type not in ("auto", "video"):
            yield Complaint("params.timestamp", f"'{self.type}' has no timestamps; leave it out")
        if self.page is not None and self.type not in ("auto", "pdf"):
            yield Complaint("params.page", f"'{self.type}' has no pages; leave it out")
        if self.timestamp is not None and self.page is not None:
            yield Complaint("params.page", "give a timestamp or a page, not both")
        message = still_format_complaint(output) if self.type == "video" else None
        if message is None and image_format(output) is None:
            every = dotted(ext for fmt in IMAGE_FORMATS for ext in fmt.extensions)
            message = f"a thumbnail is written as {every}, not '{output}'"
        if message is not None:
            yield Complaint("output", message)

    def accepts(self, output: str) -> frozenset[MediaKind]:
        if self.type != "auto":
            return frozenset({_KINDS[self.type]})
        if self.timestamp is not None:
            return frozenset({MediaKind.VIDEO})
        if self.page is not None:
            return frozenset({MediaKind.PDF})
        if still_format_complaint(output):
            return frozenset({MediaKind.IMAGE, MediaKind.PDF})
        return frozenset(_KINDS.values())

    def produces(self, output: str) -> MediaKind:
        return MediaKind.IMAGE

    def box(self) -> Box:
        box = super().box()
        if box.width is None and box.height is None:
            return dataclasses.replace(box, width=DEFAULT_SIDE, height=DEFAULT_SIDE)
        return box

    def plan(self, info: MediaInfo, output: str, *, threads: int) -> OperationPlan:
        self._check_kind(info, output)
        picture = image_format(output) or format_named("jpeg")
        work_name = f"0.{picture.extensions[0]}"
        command, reason = self._command(info, picture, work_name)
        return OperationPlan(
            commands=(command,),
            files=(planned_image(work_name, output, picture),),
            reasons=(reason, *quality_reasons(picture, self.quality)),
        )

    def _check_kind(self, info: MediaInfo, output: str) -> None:
        wanted = _KINDS.get(self.type)
        if wanted is MediaKind.VIDEO and info.kind is MediaKind.AUDIO:
            require_video(info, self.operation)
        if wanted is not None and info.kind is not wanted:
            raise MediaInputError(
                "wrong_media_type", f"type is {self.type}, but the file is {describe(info)}"
            )
        if info.kind is MediaKind.AUDIO:
            require_video(info, self.operation)
        if info.kind in self.accepts(output):
            return
        if self.timestamp is not None:
            refuse_kind("no_video_stream", "timestamp", "a video", info)
        if self.page is not None:
            refuse_kind("not_a_pdf", "page", "a PDF", info)
        needed = still_format_complaint(output) or "a video, a picture or a PDF was needed"
        raise MediaInputError("wrong_media_type", f"{needed}; the input is {describe(info)}")

    def _command(
        self, info: MediaInfo, picture: ImageFormat, work_name: str
    ) -> tuple[Command, str]:
        box, quality = self.box(), self.quality
        if info.kind is MediaKind.PDF:
            page = require_page(info, self.page or 1)
            # A page has no pixels of its own that enlarging could blur.
            drawn = dataclasses.replace(box, upscale=True)
            command: Command = page_command(
                page, drawn, picture, work_name=work_name, quality=quality
            )
            return command, f"page {page}"
        if info.kind is MediaKind.IMAGE:
            scaled = image_command(
                info, box, picture, work_name=work_name, quality=quality, keep_frames=False
            )
            return scaled, "the picture itself"
        stream = require_video(info, self.operation)
        seconds = self._seconds(info)
        framing = frame(frame_size(stream), box)
        still = still_command(info, stream, seconds, framing, picture, quality, work_name)
        return still, f"the frame at {clock(seconds)}, {framing.final}"

    def _seconds(self, info: MediaInfo) -> float:
        if self.timestamp is not None:
            return require_moment(info, self.timestamp, "timestamp")
        length = info.duration_seconds
        return 1.0 if length is None else min(1.0, length / 2)
