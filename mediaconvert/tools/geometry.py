"""Works out sizes: how large to scale a picture, and where it lies on its canvas. Pure.

The four modes of `resize`: fit (inside the box, aspect kept), fill (as fit, then padded to the
box), crop (covers the box, then cut to it), exact (stretched). Called by the image actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mediaconvert.tools.image_task import as_flag, as_int, as_text

MODES = ("fit", "fill", "crop", "exact")
GRAVITIES = (
    "centre", "north", "east", "south", "west",
    "north-east", "south-east", "south-west", "north-west", "smart",
)  # fmt: skip
_LARGEST_SIDE = 65_535
"""What JPEG can hold, and far beyond any screen."""


@dataclass(frozen=True, slots=True)
class Resize:
    """What was asked for. One of the sides may be missing, and follows from the aspect."""

    width: int | None
    height: int | None
    mode: str
    gravity: str
    upscale: bool
    background: object


@dataclass(frozen=True, slots=True)
class Placement:
    """Scale to `scaled`, then put that onto, or cut it to, `canvas`."""

    scaled: tuple[int, int]
    canvas: tuple[int, int]
    is_cut: bool
    """True: cut out of the scaled picture; False: pad it (or nothing, where equal)."""


def parse_resize(values: Mapping[str, object]) -> Resize:
    """Raises ValueError naming a parameter that is out of its range."""
    sides = {}
    for name in ("width", "height"):
        side = as_int(values, name)
        if side is not None and not 1 <= side <= _LARGEST_SIDE:
            raise ValueError(f"{name} is {side}; it must be 1 to {_LARGEST_SIDE}")
        sides[name] = side
    if sides["width"] is None and sides["height"] is None:
        raise ValueError("resize needs a width or a height")
    mode = as_text(values, "mode", "fit")
    gravity = as_text(values, "gravity", "centre").replace("center", "centre").replace("_", "-")
    gravity = {"northeast": "north-east", "southeast": "south-east", "southwest": "south-west",
               "northwest": "north-west", "attention": "smart"}.get(gravity, gravity)  # fmt: skip
    if mode not in MODES:
        raise ValueError(f"mode is '{mode}'; it must be one of {', '.join(MODES)}")
    if gravity not in GRAVITIES:
        raise ValueError(f"gravity is '{gravity}'; it must be one of {', '.join(GRAVITIES)}")
    return Resize(
        sides["width"], sides["height"], mode, gravity,
        as_flag(values, "upscale", default=False), values.get("background"),
    )  # fmt: skip


def place(width: int, height: int, asked: Resize) -> Placement:
    """For an upright picture of this size."""
    if asked.width is None or asked.height is None:
        scale = asked.width / width if asked.width else (asked.height or 1) / height
        scaled = _scaled(width, height, _held(scale, asked))
        return Placement(scaled, scaled, is_cut=False)
    box = (asked.width, asked.height)
    across, down = box[0] / width, box[1] / height
    match asked.mode:
        case "exact":
            return Placement(box, box, is_cut=False)
        case "crop":
            scaled = _scaled(width, height, _held(max(across, down), asked))
            return Placement(scaled, (min(box[0], scaled[0]), min(box[1], scaled[1])), is_cut=True)
        case "fill":
            scaled = _scaled(width, height, _held(min(across, down), asked))
            return Placement((min(scaled[0], box[0]), min(scaled[1], box[1])), box, is_cut=False)
        case _:
            scaled = _scaled(width, height, _held(min(across, down), asked))
            scaled = (min(scaled[0], box[0]), min(scaled[1], box[1]))
            return Placement(scaled, scaled, is_cut=False)


def offset(inner: tuple[int, int], outer: tuple[int, int], gravity: str) -> tuple[int, int]:
    """Where the smaller rectangle's corner lies in the larger one."""
    spare = (max(outer[0] - inner[0], 0), max(outer[1] - inner[1], 0))
    x = 0 if "west" in gravity else spare[0] if "east" in gravity else spare[0] // 2
    y = 0 if "north" in gravity else spare[1] if "south" in gravity else spare[1] // 2
    return x, y


def _held(scale: float, asked: Resize) -> float:
    return scale if asked.upscale else min(scale, 1.0)


def _scaled(width: int, height: int, scale: float) -> tuple[int, int]:
    # Halves go up, as everybody expects; `round` would take them to the even side.
    return max(int(width * scale + 0.5), 1), max(int(height * scale + 0.5), 1)
