"""Reads ffprobe's JSON into `MediaInfo`. Pure.

Everything in the JSON comes from a user's file: nothing is taken for granted, and what makes
no sense is left out. Called by `tools.probe`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from mediaconvert.errors import MediaInputError
from mediaconvert.media import MediaInfo, MediaKind, StreamInfo
from mediaconvert.tools.sniff import Format

Json = Mapping[str, object]

_TYPES = ("video", "audio", "subtitle")
# ITU-R BT.2100: perceptual quantiser and hybrid log-gamma.
_HDR_TRANSFERS = {"smpte2084", "arib-std-b67"}
_MOST_STREAMS = 1000
_LONGEST_SECONDS = 10 * 366 * 86_400.0


def read_streams(answer: object, found: Format, size_bytes: int) -> MediaInfo:
    """Raises MediaInputError (`broken_file`) when there is nothing to see or hear in it."""
    root = _object(answer)
    form = _object(root.get("format"))
    raw = list(_objects(root.get("streams")))[:_MOST_STREAMS]
    streams = tuple(_stream(entry) for entry in raw)
    if not any(s.type in ("video", "audio") for s in streams):
        raise MediaInputError(
            "broken_file", f"the {found.container} file holds neither pictures nor sound"
        )
    durations = [_positive(form.get("duration"))]
    if durations[0] is None:
        durations = [_positive(entry.get("duration")) for entry in raw]
    known = [d for d in durations if d is not None and d < _LONGEST_SECONDS]
    info = MediaInfo(
        kind=found.kind,
        container=found.container,
        demuxer=found.demuxer,
        size_bytes=size_bytes,
        duration_seconds=max(known, default=None),
        bit_rate=_whole(form.get("bit_rate")),
        streams=streams,
    )
    return _as_picture(info) if found.kind is MediaKind.IMAGE else _settled(info)


def _settled(info: MediaInfo) -> MediaInfo:
    """Audio or video is a matter of what is inside, not of the container."""
    kind = MediaKind.VIDEO if info.video is not None else MediaKind.AUDIO
    return replace(info, kind=kind)


def _as_picture(info: MediaInfo) -> MediaInfo:
    picture = max(
        (s for s in info.streams if s.type == "video"),
        key=lambda s: (s.width or 0) * (s.height or 0),
        default=None,
    )
    if picture is None or not picture.width:
        raise MediaInputError("broken_file", f"the {info.container} image has no size")
    return replace(
        info,
        demuxer="",
        duration_seconds=None,
        bit_rate=None,
        streams=(),
        width=picture.width,
        height=picture.height,
        pages=1,
        has_alpha=_has_alpha(picture.pixel_format or ""),
    )


def _has_alpha(pixel_format: str) -> bool:
    return pixel_format.startswith(("rgba", "bgra", "argb", "abgr", "yuva", "gbrap", "ya", "pal8"))


def _stream(entry: Json) -> StreamInfo:
    kind = _text(entry.get("codec_type")) or "data"
    disposition = _object(entry.get("disposition"))
    coded_width, coded_height = _whole(entry.get("width")), _whole(entry.get("height"))
    rotation = _rotation(entry)
    width, height = _displayed(coded_width, coded_height, entry, rotation)
    is_video = kind == "video"
    return StreamInfo(
        index=_whole(entry.get("index"), zero=True) or 0,
        type=kind if kind in _TYPES else "data",
        codec=_text(entry.get("codec_name")) or "unknown",
        width=width,
        height=height,
        coded_width=coded_width,
        coded_height=coded_height,
        rotation=rotation,
        fps=_fps(entry) if is_video else None,
        pixel_format=_text(entry.get("pix_fmt")),
        is_hdr=entry.get("color_transfer") in _HDR_TRANSFERS,
        is_attached_picture=bool(
            is_video and (disposition.get("attached_pic") or disposition.get("timed_thumbnails"))
        ),
        channels=_whole(entry.get("channels")),
        sample_rate=_whole(entry.get("sample_rate")),
        bit_rate=_whole(entry.get("bit_rate")),
        duration_seconds=_positive(entry.get("duration")),
        language=(_text(_object(entry.get("tags")).get("language")) or "")[:35] or None,
    )


def _displayed(
    width: int | None, height: int | None, entry: Json, rotation: int
) -> tuple[int | None, int | None]:
    """Square pixels, upright: the width gives way to the sample aspect, as players do it."""
    if not width or not height:
        return None, None
    aspect = _fraction(entry.get("sample_aspect_ratio"), ":")
    # An aspect beyond 1:10 is a broken header rather than a film.
    if aspect is not None and Fraction(1, 10) <= aspect <= 10:
        width = max(round(width * aspect), 1)
    return (height, width) if rotation in (90, 270) else (width, height)


def _rotation(entry: Json) -> int:
    """Degrees clockwise. ffprobe gives the display matrix's angle counterclockwise; old files
    say it in a tag, clockwise."""
    for side in _objects(entry.get("side_data_list")):
        angle = _number(side.get("rotation"))
        if angle is not None:
            return round(-angle / 90) * 90 % 360
    angle = _number(_object(entry.get("tags")).get("rotate"))
    return 0 if angle is None else round(angle / 90) * 90 % 360


def _fps(entry: Json) -> float | None:
    """The average; the base rate where there is none. Beyond 1,000 it is a time base."""
    for name in ("avg_frame_rate", "r_frame_rate"):
        rate = _fraction(entry.get(name), "/")
        if rate is not None and 0 < rate <= 1000:
            return round(float(rate), 3)
    return None


def _fraction(value: object, separator: str) -> Fraction | None:
    above, _, below = (value if isinstance(value, str) else "").partition(separator)
    try:
        fraction = Fraction(int(above), int(below))
    except (ValueError, ZeroDivisionError):
        return None
    return fraction if fraction > 0 else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _whole(value: object, *, zero: bool = False) -> int | None:
    number = _number(value)
    if number is None or number < 0 or number > 2**53 or (number == 0 and not zero):
        return None
    return int(number)


def _text(value: object) -> str | None:
    return value[:64] if isinstance(value, str) else None


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> Iterator[Json]:
    for entry in value if isinstance(value, list) else []:
        if isinstance(entry, dict):
            yield entry
