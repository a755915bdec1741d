"""The parameters of everything that makes a picture of a wanted size.

Pure. `resize` and `generate_thumbnail` inherit them; a video's frames follow them through
`video_geometry`, pictures and pages through the image server's `resize` parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from mediaconvert.operations.base import Complaint, OperationParams
from mediaconvert.operations.fields import Choice, Colour, Flag, Whole
from mediaconvert.operations.video_geometry import Box

MAX_SIDE = 16_384
"""Pixels; the widest that JPEG and WebP readers agree on."""

_MODES = ("fit", "fill", "crop", "exact")
_GRAVITIES = (
    "centre",
    "north",
    "north-east",
    "east",
    "south-east",
    "south",
    "south-west",
    "west",
    "north-west",
    "smart",
)
_GRAVITY_ALIASES = {
    "center": "centre",
    "top": "north",
    "right": "east",
    "bottom": "south",
    "left": "west",
    "northeast": "north-east",
    "southeast": "south-east",
    "southwest": "south-west",
    "northwest": "north-west",
    "attention": "smart",
}

Side = Annotated[int, Whole(1, MAX_SIDE)]
Quality = Annotated[int, Whole(1, 100)]


class ScalingParams(OperationParams):
    """Width, height and how they are meant."""

    width: Side | None = Field(
        default=None, description="Pixels. With only one side given the other follows the aspect."
    )
    height: Side | None = Field(default=None, description="Pixels. See `width`.")
    mode: Annotated[str, Choice(_MODES)] = Field(
        default="fit",
        description=(
            "`fit`: the whole picture inside width x height, aspect kept. `fill`: as `fit`, then "
            "padded with `background` to exactly width x height. `crop`: width x height is "
            "covered and what sticks out is cut. `exact`: stretched to exactly width x height. "
            "All but `fit` need both sides."
        ),
    )
    gravity: Annotated[str, Choice(_GRAVITIES, _GRAVITY_ALIASES)] = Field(
        default="centre",
        description=(
            "Which part `crop` keeps: a compass point, or `smart` for the part that draws the "
            "eye (in frames of a video the centre)."
        ),
    )
    upscale: Annotated[bool, Flag()] = Field(
        default=False,
        description="Whether a smaller picture is enlarged; `exact` always stretches.",
    )
    background: Annotated[str, Colour()] = Field(
        default="#ffffff",
        description="Colour around the picture in mode `fill` and under transparent parts.",
    )

    def scaling_complaints(self) -> Iterator[Complaint]:
        if self.mode != "fit" and (self.width is None or self.height is None):
            yield Complaint("params.mode", f"mode '{self.mode}' needs both width and height")

    def box(self) -> Box:
        return Box(self.width, self.height, self.mode, self.gravity, self.upscale, self.background)


def resize_params(box: Box) -> dict[str, object]:
    """The image server's `resize`, for pictures and pages."""
    return {
        "width": box.width,
        "height": box.height,
        "mode": box.mode,
        "gravity": box.gravity,
        "upscale": box.upscale,
        "background": box.background,
    }
