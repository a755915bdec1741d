"""Writes a libvips image in one of the output formats. Runs only in the image server's children.

Called by the image and the PDF actions.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyvips

from mediaconvert.tools.image_task import Task, as_flag, as_int, as_text

FORMATS = ("jpeg", "png", "webp", "avif", "tiff", "gif")
ALPHA_FORMATS = frozenset({"png", "webp", "avif", "tiff", "gif"})
ANIMATED_FORMATS = frozenset({"gif", "webp"})

_QUALITY = {"jpeg": 85, "webp": 80, "avif": 60}
_NAMES = {
    "white": (255, 255, 255, 255),
    "black": (0, 0, 0, 255),
    "transparent": (0, 0, 0, 0),
}


def ink(value: object, *, transparent: bool) -> tuple[int, int, int, int]:
    """A colour as red, green, blue, alpha, each 0 to 255: from `#rgb`, `#rrggbb`,
    `#rrggbbaa`, three names, or a list of three or four numbers. Where none is given, white, or
    nothing at all when `transparent`. Raises ValueError."""
    if value is None:
        return _NAMES["transparent" if transparent else "white"]
    if isinstance(value, str):
        if value in _NAMES:
            return _NAMES[value]
        digits = value.removeprefix("#")
        if len(digits) == 3:
            digits = "".join(d * 2 for d in digits)
        channels = list(bytes.fromhex(digits))
    elif isinstance(value, Sequence):
        channels = [int(v) for v in value]
    else:
        channels = []
    if len(channels) == 3:
        channels.append(255)
    if len(channels) != 4 or not all(0 <= c <= 255 for c in channels):
        raise ValueError(f"background is {value!r}; write it as '#rrggbb'")
    return channels[0], channels[1], channels[2], channels[3]


def with_alpha(image: pyvips.Image) -> pyvips.Image:
    return image if image.hasalpha() else image.addalpha()


def write_image(task: Task, image: pyvips.Image, form: str) -> dict[str, object]:
    """Encode into the task's first output. The answer is what was written."""
    if form not in FORMATS:
        raise ValueError(f"format is '{form}'; it must be one of {', '.join(FORMATS)}")
    if image.hasalpha() and form not in ALPHA_FORMATS:
        resize = task.section("resize") or {}
        red, green, blue, _ = ink(resize.get("background"), transparent=False)
        background = [float(v) for v in (red, green, blue)]
        if image.interpretation in ("rgb16", "grey16"):
            background = [v * 257 for v in background]
        image = image.flatten(background=background[: image.bands - 1])
    height = int(image.get("page-height")) if image.get_typeof("page-height") else image.height
    options = _options(task, form) | {"keep": _keep(task, image)}
    target = pyvips.Target.new_to_descriptor(task.output_fds[0])
    savers = {
        "jpeg": pyvips.Image.jpegsave_target,
        "png": pyvips.Image.pngsave_target,
        "webp": pyvips.Image.webpsave_target,
        "avif": pyvips.Image.heifsave_target,
        "tiff": pyvips.Image.tiffsave_target,
        "gif": pyvips.Image.gifsave_target,
    }
    savers[form](image, target, **options)
    return {
        "format": form,
        "width": image.width,
        "height": height,
        "frames": max(image.height // height, 1),
        "has_alpha": bool(image.hasalpha()),
    }


def _keep(task: Task, image: pyvips.Image) -> str:
    """What metadata stays. Pixels that are in sRGB mean the same without a profile; any other
    profile must stay, or the colours would change."""
    if not as_flag(task.params, "strip", default=True):
        return "all"
    foreign = image.get_typeof("icc-profile-data") and not as_flag(
        task.params, "to_srgb", default=True
    )
    return "icc" if foreign else "none"


def _options(task: Task, form: str) -> dict[str, object]:
    quality = as_int(task.params, "quality") or _QUALITY.get(form, 0)
    lossless = as_flag(task.params, "lossless", default=False)
    match form:
        case "jpeg":
            return {"Q": quality, "optimize_coding": True}
        case "webp":
            return {"Q": quality, "lossless": lossless, "effort": 4}
        case "avif":
            return {
                "Q": quality, "lossless": lossless, "compression": "av1", "bitdepth": 8,
                "effort": 3,
            }  # fmt: skip
        case "tiff":
            return {"compression": as_text(task.params, "compression", "deflate"),
                    "predictor": "horizontal"}  # fmt: skip
        case "png":
            return {"compression": 6}
        case _:
            return {"effort": 5}
