"""What the image server does with pictures, by libvips. Runs only in a forked, sandboxed child.

The header is read before any pixel, and budgets are checked on it. Only the loader that the
file's first bytes called for is used. Called by `tools.image_server`, never by the service.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pyvips

from mediaconvert.tools.geometry import Resize, offset, parse_resize, place
from mediaconvert.tools.image_encode import (
    ALPHA_FORMATS,
    ANIMATED_FORMATS,
    ink,
    with_alpha,
    write_image,
)
from mediaconvert.tools.image_task import Refused, Task, as_flag, as_int, as_text

_LOADERS = {
    "jpeg": "jpegload_source",
    "png": "pngload_source",
    "gif": "gifload_source",
    "webp": "webpload_source",
    "avif": "heifload_source",
    "tiff": "tiffload_source",
}
_LOADER_CLASSES = (
    "VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadNsgif", "VipsForeignLoadWebp",
    "VipsForeignLoadHeif", "VipsForeignLoadTiff",
)  # fmt: skip
_MANY_PAGES = {"gif", "webp", "tiff", "avif"}
# Loaders that do not decode more than asked for stop at a cut-off file, but not at the many
# harmless oddities of pictures in the wild.
_FAIL_ON = "truncated"


def prepare() -> None:
    """Set libvips up; called once, before the server forks. Touches no pixel."""
    pyvips.block_untrusted_set(True)
    pyvips.operation_block_set("VipsForeignLoad", True)
    for name in _LOADER_CLASSES:
        pyvips.operation_block_set(name, False)
    pyvips.cache_set_max(0)
    # Many pictures at once come from many children, one thread of pixels each.
    pyvips.concurrency_set(1)


def probe(task: Task) -> dict[str, object]:
    """Size (upright), pages or frames, alpha; reads the header only."""
    image = _open(task, page=0, count=1)
    frames = _pages(image)
    width, height = _upright(image, auto_orient=True)
    return {
        "width": width,
        "height": height,
        "pages": frames,
        "has_alpha": bool(image.hasalpha()),
    }


def check(task: Task) -> dict[str, object]:
    """Decode every pixel and keep none; a broken picture is refused."""
    header = _open(task, page=0, count=1)
    count = _pages(header)
    _check_budget(task, header.width, header.height, count)
    image = _open(task, page=0, count=count)
    try:
        image.avg()
    except pyvips.Error as error:
        raise broken(task.container, error) from error
    return {}


def convert(task: Task) -> dict[str, object]:
    """The action `image`: scale, orient, bring to sRGB, encode."""
    try:
        return _convert(task)
    except pyvips.Error as error:
        raise broken(task.container, error) from error


def _convert(task: Task) -> dict[str, object]:
    form = as_text(task.params, "format", "jpeg")
    load = task.section("load") or {}
    animated = as_flag(task.params, "animated", default=False) and form in ANIMATED_FORMATS
    header = _open(task, page=0, count=1)
    pages = _pages(header)
    page = _page_of(as_int(load, "page"), pages)
    count = pages if animated and as_int(load, "page") is None else 1
    if page:
        header = _open(task, page=page, count=1)
    _check_budget(task, header.width, header.height, count)
    resize = task.section("resize")
    if resize is None:
        image = _whole(task, page, count)
    else:
        image = _resized(task, header, page, count, parse_resize(resize), form)
    return write_image(task, image, form)


def _open(task: Task, *, page: int, count: int) -> pyvips.Image:
    loader: Callable[..., pyvips.Image] = getattr(pyvips.Image, _LOADERS[task.container])
    options: dict[str, object] = {"access": "sequential", "fail_on": _FAIL_ON}
    if task.container in _MANY_PAGES:
        options |= {"page": page, "n": count}
    try:
        return loader(_source(task), **options)
    except pyvips.Error as error:
        raise broken(task.container, error) from error


def _source(task: Task) -> pyvips.Source:
    os.lseek(task.input_fd, 0, os.SEEK_SET)
    return pyvips.Source.new_from_descriptor(task.input_fd)


def broken(container: str, error: pyvips.Error) -> Refused:
    """libvips' own words, on one line."""
    words = " ".join(str(error).split()) or "no reason given"
    if "not enough memory" in words or "out of memory" in words:
        return Refused(
            "limit_memory", f"the image needs more memory than allowed: {words}", "limit"
        )
    if "File too large" in words:
        return Refused("limit_output", "the output is larger than allowed", "limit")
    if "No space left on device" in words:
        return Refused("storage_full", "the server's disk is full", "infra")
    return Refused("broken_file", f"the {container} image cannot be read: {words[:300]}")


def _pages(image: pyvips.Image) -> int:
    return int(image.get("n-pages")) if image.get_typeof("n-pages") else 1


def _upright(image: pyvips.Image, *, auto_orient: bool) -> tuple[int, int]:
    """EXIF orientations 5 to 8 lie on their side."""
    orientation = int(image.get("orientation")) if image.get_typeof("orientation") else 1
    height = int(image.get("page-height")) if image.get_typeof("page-height") else image.height
    if auto_orient and 5 <= orientation <= 8:
        return height, image.width
    return image.width, height


def _page_of(asked: int | None, pages: int) -> int:
    """Pages count from 1 for users, and from 0 here."""
    page = 0 if asked is None else asked - 1
    if not 0 <= page < pages:
        raise Refused("page_out_of_range", f"page {asked} was asked for, but the image has {pages}")
    return page


def _check_budget(task: Task, width: int, height: int, count: int) -> None:
    if width * height > task.max_pixels:
        raise Refused(
            "too_many_pixels",
            f"the image has {width} x {height} pixels; at most {task.max_pixels} are allowed",
        )
    if count > task.max_pages:
        raise Refused(
            "too_many_pages", f"the image has {count} frames; at most {task.max_pages} are allowed"
        )
    if width * height * count > task.max_pixels:
        raise Refused(
            "too_many_pixels",
            f"the image has {count} frames of {width} x {height} pixels; at most "
            f"{task.max_pixels} pixels are allowed together",
        )


def _whole(task: Task, page: int, count: int) -> pyvips.Image:
    image = _open(task, page=page, count=count)
    if as_flag(task.params, "auto_orient", default=True):
        image = image.autorot()
    if not as_flag(task.params, "to_srgb", default=True):
        return image
    if image.get_typeof("icc-profile-data"):
        return image.icc_transform("srgb", embedded=True, intent="perceptual")
    if image.interpretation == "cmyk":
        return image.icc_transform("srgb", input_profile="cmyk", intent="perceptual")
    if image.interpretation in ("srgb", "b-w", "rgb16", "grey16"):
        return image
    return image.colourspace("srgb")


def _resized(
    task: Task, header: pyvips.Image, page: int, count: int, asked: Resize, form: str
) -> pyvips.Image:
    auto_orient = as_flag(task.params, "auto_orient", default=True)
    placement = place(*_upright(header, auto_orient=auto_orient), asked)
    for width, height in (placement.scaled, placement.canvas):
        _check_budget(task, width, height, count)
    options: dict[str, object] = {}
    if as_flag(task.params, "to_srgb", default=True):
        options["output_profile"] = "srgb"
    if task.container in _MANY_PAGES:
        options["option_string"] = f"[page={page},n={count}]"
    # `force`: the exact size was worked out from the header; shrinking still starts in the
    # decoder where the format can.
    image = pyvips.Image.thumbnail_source(
        _source(task),
        placement.scaled[0],
        height=placement.scaled[1],
        size="force",
        no_rotate=not auto_orient,
        fail_on=_FAIL_ON,
        **options,
    )
    if placement.scaled == placement.canvas:
        return image
    if count == 1:
        return _on_canvas(image, placement.canvas, asked, form, is_cut=placement.is_cut)
    frames = [
        _on_canvas(frame, placement.canvas, asked, form, is_cut=placement.is_cut)
        for frame in image.copy_memory().pagesplit()
    ]
    return frames[0].pagejoin(frames[1:])


def _on_canvas(
    image: pyvips.Image, canvas: tuple[int, int], asked: Resize, form: str, *, is_cut: bool
) -> pyvips.Image:
    width, height = canvas
    size = (image.width, image.height)
    if is_cut:
        if asked.gravity == "smart":
            return image.copy_memory().smartcrop(width, height, interesting="attention")
        x, y = offset(canvas, size, asked.gravity)
        return image.crop(x, y, width, height)
    colour = ink(asked.background, transparent=form in ALPHA_FORMATS and bool(image.hasalpha()))
    if image.bands < 3:
        image = image.colourspace("srgb")
    if colour[3] < 255 and form in ALPHA_FORMATS:
        image = with_alpha(image)
    background = [float(v) for v in colour[: image.bands]]
    if image.interpretation == "rgb16":
        background = [v * 257 for v in background]
    x, y = offset(size, canvas, asked.gravity)
    return image.embed(x, y, width, height, extend="background", background=background)
