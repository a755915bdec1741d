"""`resize`: a picture in another size, upright, in sRGB.

Pure; the work is the image server's (libvips, which decodes no more than it needs).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from mediaconvert.media import MediaInfo, MediaKind
from mediaconvert.operations.base import Complaint, OperationPlan
from mediaconvert.operations.fields import Choice, Flag
from mediaconvert.operations.formats import (
    IMAGE_ALIASES,
    IMAGE_FORMATS,
    ImageFormat,
    dotted,
    extension,
    image_format,
    image_format_named,
)
from mediaconvert.operations.image_commands import (
    image_command,
    planned_image,
    quality_reasons,
)
from mediaconvert.operations.inputs import refuse_kind
from mediaconvert.operations.scaling import Quality, ScalingParams

_FORMATS = Choice(tuple(fmt.name for fmt in IMAGE_FORMATS), IMAGE_ALIASES)


class ResizeParams(ScalingParams):
    operation: ClassVar[str] = "resize"
    summary: ClassVar[str] = "Scale a picture; it is turned upright and converted to sRGB."

    quality: Quality | None = Field(
        default=None,
        description=(
            "1 (smallest file) to 100 (best); default 85 for JPEG, 80 for WebP, 60 for AVIF. "
            "PNG, TIFF and GIF lose nothing and ignore it."
        ),
    )
    format: Annotated[str, _FORMATS] | None = Field(
        default=None,
        description="Default: what the output's name says. Where it says something, they agree.",
    )
    strip: Annotated[bool, Flag()] = Field(
        default=True, description="Drop EXIF, GPS position, comments and thumbnails."
    )

    def complaints(self, output: str) -> Iterator[Complaint]:
        yield from self.scaling_complaints()
        if self.width is None and self.height is None:
            yield Complaint("params", "'resize' needs a width, a height or both")
        named = image_format(output)
        if named is None and extension(output):
            every = dotted(ext for fmt in IMAGE_FORMATS for ext in fmt.extensions)
            yield Complaint("output", f"'resize' writes {every}, not '{output}'")
        elif named is None and self.format is None:
            yield Complaint(
                "output", f"'{output}' does not say which format; end it in .jpg or give a format"
            )
        elif named is not None and self.format not in (None, named.name):
            yield Complaint(
                "params.format",
                f"format '{self.format}' contradicts the output's name '{output}'",
            )

    def accepts(self, output: str) -> frozenset[MediaKind]:
        return frozenset({MediaKind.IMAGE})

    def produces(self, output: str) -> MediaKind:
        return MediaKind.IMAGE

    def picture(self, output: str) -> ImageFormat:
        return image_format(output) or image_format_named(self.format or "jpeg")

    def plan(self, info: MediaInfo, output: str, *, threads: int) -> OperationPlan:
        if info.kind is not MediaKind.IMAGE:
            refuse_kind("not_an_image", self.operation, "a picture", info)
        picture = self.picture(output)
        work_name = f"0.{picture.extensions[0]}"
        command = image_command(
            info,
            self.box(),
            picture,
            work_name=work_name,
            quality=self.quality,
            strip=self.strip,
        )
        return OperationPlan(
            commands=(command,),
            files=(planned_image(work_name, output, picture),),
            reasons=quality_reasons(picture, self.quality),
        )
