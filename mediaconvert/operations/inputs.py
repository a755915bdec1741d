"""What an input is, in words, and the refusals of inputs that lack what was asked for.

Pure. Every operation asks here, so that the codes and sentences are the same everywhere.
"""

from __future__ import annotations

from typing import NoReturn

from mediaconvert.errors import MediaInputError
from mediaconvert.media import MediaInfo, MediaKind, StreamInfo
from mediaconvert.operations.timestamps import Moment, clock
from mediaconvert.operations.video_geometry import Size


def describe(info: MediaInfo) -> str:
    """`a video (mp4, 12.5 s)`, `a PDF of 3 pages`, `an image (jpeg, 800x600)`."""
    match info.kind:
        case MediaKind.PDF:
            return f"a PDF of {pages_text(info.pages)}" if info.pages else "a PDF"
        case MediaKind.IMAGE:
            size = f", {info.width}x{info.height}" if info.width and info.height else ""
            return f"an image ({info.container}{size})"
        case MediaKind.TEXT:
            return f"a text ({info.container})"
        case MediaKind.AUDIO:
            return f"a sound file ({info.container}{_length(info)})"
        case MediaKind.VIDEO:
            return f"a video ({info.container}{_length(info)})"


def _length(info: MediaInfo) -> str:
    return "" if info.duration_seconds is None else f", {info.duration_seconds:.1f} s"


def pages_text(count: int) -> str:
    return "1 page" if count == 1 else f"{count} pages"


def refuse_kind(code: str, operation: str, needed: str, info: MediaInfo) -> NoReturn:
    """The one sentence for a file of the wrong kind."""
    raise MediaInputError(code, f"'{operation}' needs {needed}, but the input is {describe(info)}")


def require_video(info: MediaInfo, operation: str) -> StreamInfo:
    """The video track; raises `no_video_stream`."""
    if info.kind not in (MediaKind.VIDEO, MediaKind.AUDIO):
        refuse_kind("no_video_stream", operation, "a video", info)
    if (stream := info.video) is None:
        raise MediaInputError(
            "no_video_stream",
            f"'{operation}' needs a video track; the input has none: it is {describe(info)}",
        )
    return stream


def require_audio(info: MediaInfo, operation: str) -> StreamInfo:
    """The first sound track; raises `no_audio_stream`."""
    if info.kind not in (MediaKind.VIDEO, MediaKind.AUDIO):
        refuse_kind("no_audio_stream", operation, "a file with sound", info)
    if (stream := info.audio) is None:
        raise MediaInputError(
            "no_audio_stream",
            f"'{operation}' needs a sound track; the input has none: it is {describe(info)}",
        )
    return stream


def frame_size(stream: StreamInfo) -> Size:
    """The size as displayed; raises `unknown_size` for a track that does not tell its own."""
    if not stream.width or not stream.height:
        raise MediaInputError(
            "unknown_size", "the video track does not say how large its pictures are"
        )
    return Size(stream.width, stream.height)


def require_page(info: MediaInfo, page: int) -> int:
    """The page, 1-based; raises `page_out_of_range` past the last one."""
    if info.pages is not None and page > info.pages:
        raise MediaInputError(
            "page_out_of_range",
            f"page {page} was asked for; the document has {pages_text(info.pages)}",
        )
    return page


def require_moment(info: MediaInfo, moment: Moment, name: str) -> float:
    """Seconds from the start; raises `timestamp_out_of_range` at or past the end, and
    `unknown_duration` for a share of a length that the file does not tell."""
    seconds = moment.resolve(info.duration_seconds)
    if seconds is None:
        raise MediaInputError(
            "unknown_duration",
            f"{name} {moment} was asked for, but the file does not say how long it is; "
            "give seconds instead",
        )
    if info.duration_seconds is not None and seconds >= info.duration_seconds:
        raise MediaInputError(
            "timestamp_out_of_range",
            f"{name} {moment} was asked for; the input is {clock(info.duration_seconds)} long",
        )
    return seconds
