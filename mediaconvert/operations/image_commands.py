"""Commands for the image server: one picture in, or one page, and one picture out.

Pure. The vocabulary of `tools.imaging`: the actions `image` and `pdf_page`, JSON-ready params.
"""

from __future__ import annotations

from mediaconvert.media import ImagingCommand, MediaInfo, MediaKind, PlannedFile
from mediaconvert.operations.formats import ImageFormat
from mediaconvert.operations.scaling import resize_params
from mediaconvert.operations.video_geometry import Box

DEFAULT_DPI = 150
"""A page on a screen at full size; print asks for 300."""

# Containers of pictures of which several frames are a film rather than a pile of scans.
_ANIMATED = ("gif", "webp")


def image_command(
    info: MediaInfo,
    box: Box | None,
    picture: ImageFormat,
    *,
    work_name: str,
    page: int | None = None,
    quality: int | None = None,
    lossless: bool = False,
    strip: bool = True,
    keep_frames: bool = True,
) -> ImagingCommand:
    """One picture through libvips. All frames of an animation are kept where both formats can,
    unless a single `page` (1-based) or one picture was asked for."""
    animated = (
        keep_frames
        and page is None
        and picture.is_animated
        and info.container in _ANIMATED
        and (info.pages or 1) > 1
    )
    return ImagingCommand(
        action="image",
        params={
            "load": {"page": page},
            "resize": None if box is None else resize_params(box),
            "auto_orient": True,
            "to_srgb": True,
            "strip": strip,
            "format": picture.name,
            "quality": _quality(picture, quality),
            "lossless": lossless,
            "animated": animated,
        },
        output_names=(work_name,),
    )


def page_command(
    page: int,
    box: Box | None,
    picture: ImageFormat,
    *,
    work_name: str,
    dpi: int = DEFAULT_DPI,
    quality: int | None = None,
    lossless: bool = False,
) -> ImagingCommand:
    """One page of a PDF, 1-based: drawn at `dpi`, or at the size that `box` asks for."""
    return ImagingCommand(
        action="pdf_page",
        params={
            "page": page,
            "resize": None if box is None else resize_params(box),
            "dpi": dpi,
            "format": picture.name,
            "quality": _quality(picture, quality),
            "lossless": lossless,
        },
        output_names=(work_name,),
    )


def _quality(picture: ImageFormat, asked: int | None) -> int | None:
    if picture.default_quality is None:
        return None
    return picture.default_quality if asked is None else asked


def planned_image(work_name: str, output: str, picture: ImageFormat) -> PlannedFile:
    return PlannedFile(work_name, output, picture.content_type, MediaKind.IMAGE)


def quality_reasons(picture: ImageFormat, asked: int | None) -> tuple[str, ...]:
    """What the quality came to, for `explain`."""
    if picture.default_quality is None:
        ignored = "" if asked is None else f"; quality {asked} has no effect"
        return (f"written as {picture.name}, without loss{ignored}",)
    default = " (the default)" if asked is None else ""
    return (f"written as {picture.name}, quality {_quality(picture, asked)}{default}",)
