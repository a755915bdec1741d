"""Filter chains of ffmpeg, made of numbers only: no text of a user ever gets into one.

Pure. Every chain scales to a size computed here, never by an expression, so that what
`explain` prints is what comes out.
"""

from __future__ import annotations

from fractions import Fraction

from mediaconvert.media import StreamInfo
from mediaconvert.operations.video_geometry import Framing, Size

# HDR (PQ or HLG, BT.2020) to SDR: to linear light at 100 nits, BT.709 primaries, a filmic curve,
# and back to BT.709 gamma. Primaries and matrix are named because many files leave them out,
# and zscale then finds no path; the transfer is what HDR was recognised by, so it is there.
_TONEMAP = (
    "zscale=tin=input:pin=bt2020:min=bt2020nc:t=linear:npl=100",
    "format=gbrpf32le",
    "zscale=p=bt709",
    "tonemap=tonemap=hable:desat=0",
    "zscale=t=bt709:m=bt709:r=tv",
)


def _is_rgb(stream: StreamInfo) -> bool:
    return (stream.pixel_format or "").startswith(("rgb", "bgr", "gbr", "argb", "abgr", "pal8"))


def _is_eight_bit(pixel_format: str) -> bool:
    return "10" not in pixel_format


def tonemaps(stream: StreamInfo, pixel_format: str) -> bool:
    """Whether this source in this pixel format has to lose its HDR: 8 bits cannot hold it."""
    return stream.is_hdr and _is_eight_bit(pixel_format)


def encode_chain(stream: StreamInfo, size: Size, pixel_format: str, fps: Fraction | None) -> str:
    """The chain of a video that is encoded: rate, size, square pixels, colours."""
    filters = [] if fps is None else [f"fps={fps}"]
    scale = f"scale={size.width}:{size.height}"
    if tonemaps(stream, pixel_format):
        filters += [scale, "setsar=1", *_TONEMAP]
    else:
        # Full-range and RGB sources become what players expect of a video: limited range.
        matrix = ":out_color_matrix=bt709" if _is_rgb(stream) else ""
        filters += [f"{scale}:out_range=tv{matrix}", "setsar=1"]
    filters.append(f"format={pixel_format}")
    return ",".join(filters)


def still_chain(stream: StreamInfo, framing: Framing, image_format: str) -> str:
    """The chain of one picture: size, colours as the picture format has them."""
    filters = [f"scale={framing.scale.width}:{framing.scale.height}:flags=lanczos", "setsar=1"]
    if stream.is_hdr:
        # zscale refuses odd sides in subsampled colour, so it gets full colour.
        filters += ["format=yuv444p10le", *_TONEMAP, "format=yuv444p"]
    final = framing.final
    if framing.crop_offset is not None and final != framing.scale:
        left, top = framing.crop_offset
        # RGB first: in subsampled colour an odd offset would be rounded.
        filters += ["format=gbrp", f"crop={final.width}:{final.height}:{left}:{top}"]
    if framing.background is not None and final != framing.scale:
        colour = framing.background.replace("#", "0x")
        filters += [
            "format=gbrp",
            f"pad={final.width}:{final.height}:(ow-iw)/2:(oh-ih)/2:color={colour}",
        ]
    filters += _picture_colours(image_format)
    return ",".join(filters)


def _picture_colours(image_format: str) -> list[str]:
    match image_format:
        case "jpeg":  # JFIF: BT.601, full range
            return ["scale=out_color_matrix=bt601:out_range=pc", "format=yuv420p"]
        case "webp":  # WebP lossy (RFC 9649): BT.601, limited range
            return ["scale=out_color_matrix=bt601:out_range=tv", "format=yuv420p"]
        case _:
            return ["format=rgb24"]
