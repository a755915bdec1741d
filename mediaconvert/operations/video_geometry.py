"""Sizes of pictures: fitting, covering, cutting and padding, in whole pixels.

Pure arithmetic on sizes as displayed (rotation and sample aspect applied). Used by everything
that scales a video's frames; pictures are scaled by the image server by the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Box:
    """What a size is asked for with; at least one side is given in every mode but `fit`."""

    width: int | None
    height: int | None
    mode: str = "fit"
    gravity: str = "centre"
    upscale: bool = False
    background: str = "#000000"


@dataclass(frozen=True, slots=True)
class Framing:
    """How a frame becomes its final size: scaled, then cut or padded."""

    scale: Size
    final: Size
    crop_offset: tuple[int, int] | None = None
    """Left and top of the part that stays; None: nothing is cut."""
    background: str | None = None
    """Colour around the scaled frame; None: nothing is padded."""


# Shares of the free space to the left and above, for each gravity.
_GRAVITY = {
    "north": (0.5, 0.0),
    "north-east": (1.0, 0.0),
    "east": (1.0, 0.5),
    "south-east": (1.0, 1.0),
    "south": (0.5, 1.0),
    "south-west": (0.0, 1.0),
    "west": (0.0, 0.5),
    "north-west": (0.0, 0.0),
}


def fit_factor(source: Size, box: Box) -> float:
    """How much to scale by so that the whole picture lies inside the box."""
    factors = []
    if box.width is not None:
        factors.append(box.width / source.width)
    if box.height is not None:
        factors.append(box.height / source.height)
    factor = min(factors, default=1.0)
    return factor if box.upscale else min(factor, 1.0)


def fit_inside(source: Size, box: Box) -> Size:
    """The size of the whole picture inside the box, aspect kept."""
    factor = fit_factor(source, box)
    return Size(max(1, round(source.width * factor)), max(1, round(source.height * factor)))


def even_inside(source: Size, box: Box) -> Size:
    """As `fit_inside`, with both sides even, as subsampled colour needs them. No side gets
    larger than the box or, where nothing is enlarged, than the source."""
    factor = fit_factor(source, box)

    def even(side: int, asked: int | None) -> int:
        nearest = 2 * round(side * factor / 2)
        bounds = [asked] if asked is not None else []
        if factor <= 1:
            bounds.append(side)
        highest = min(bounds, default=nearest)
        return max(2, min(nearest, highest - highest % 2))

    return Size(even(source.width, box.width), even(source.height, box.height))


def frame(source: Size, box: Box) -> Framing:
    """How a still of a video gets its size: `fit` inside the box, `fill` the box with colour
    around the picture, `crop` to cover it, `exact` to be stretched."""
    if box.mode == "exact" and box.width and box.height:
        size = Size(box.width, box.height)
        return Framing(size, size)
    if box.mode == "fill" and box.width and box.height:
        inner = fit_inside(source, box)
        return Framing(inner, Size(box.width, box.height), background=box.background)
    if box.mode == "crop" and box.width and box.height:
        return _crop(source, box, Size(box.width, box.height))
    size = fit_inside(source, box)
    return Framing(size, size)


def _crop(source: Size, box: Box, target: Size) -> Framing:
    factor = max(target.width / source.width, target.height / source.height)
    if not box.upscale:
        factor = min(factor, 1.0)
    scaled = Size(max(1, round(source.width * factor)), max(1, round(source.height * factor)))
    # A picture smaller than the box, and not to be enlarged, is cut on the side that sticks out.
    final = Size(min(target.width, scaled.width), min(target.height, scaled.height))
    across, down = _GRAVITY.get(box.gravity, (0.5, 0.5))
    left = round((scaled.width - final.width) * across)
    top = round((scaled.height - final.height) * down)
    return Framing(scaled, final, crop_offset=(left, top))
